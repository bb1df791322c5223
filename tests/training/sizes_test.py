"""Grades whose images are shrunk: what is seen, what it costs, and that nothing else is lost."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from edjax import models
from edjax.data import datasets
from edjax.data.augment import pipeline
from edjax.data.augment.pipeline import Augment
from edjax.data.splits import Split
from edjax.devices import pmap
from edjax.errors import Stopped, UserError
from edjax.models.analysis.macs import network_macs
from edjax.settings import settle
from edjax.storage import checkpoint
from edjax.teachers import statistics
from edjax.teachers.faculty import Teacher
from edjax.training import loop
from edjax.training.evaluation import Loader
from tests import programs
from tests.small import SMALL, config
from tests.training.resume_test import journal, same

# 4 and 8 pixels, lengths that are no whole epochs, a teacher trained likewise.
SIZES = {
  "grades.image_size": (0.5, 0),
  "grades.epochs": (1.5, 0.75),
  "grades.carry_momentum": (True,),
  "recipe.schedule": "cycle",
  "faculty.generalist.image_sizes": (4, 8),
  "faculty.generalist.schedule": "cycle",
}


def shrunk(images, size):
  """uint8 images as PyTorch shrinks them, in [0, 1]."""
  pixels = torch.from_numpy(images.astype(np.float32) / 255).permute(0, 3, 1, 2)
  how = {"mode": "bilinear", "antialias": True, "align_corners": False}
  return torch.nn.functional.interpolate(pixels, (size, size), **how).permute(0, 2, 3, 1).numpy()


@pytest.fixture(scope="module")
def exams():
  """What the exams of `school` are compiled of, see `programs.of_exams`."""
  return []


@pytest.fixture(scope="module")
def school(compiled, exams, tmp_path_factory):
  """Returns (work directory, report) of the school of `SIZES`, which has ended."""
  workdir = tmp_path_factory.mktemp("sizes") / "run"
  with pytest.MonkeyPatch.context() as patch:
    patch.setitem(models.MODELS, "small", SMALL)
    with programs.of_exams(exams):
      told = loop.run(settle(config("kd,smoke", **SIZES)), workdir)
  return workdir, told


def test_an_exam_is_compiled_once_for_each_size(school, exams):
  """The teacher's and the student's, which are one network, in grades and for the report."""
  assert [how.size for _, how, _ in exams] == [(4, 4), ()] and len({n for n, _, _ in exams}) == 1


def test_what_is_reported(school):
  _, told = school
  network = models.graduate(models.body("tests.small:SMALL"), 10)
  macs = [network_macs(network, (size, size, 1)) for size in (4, 8)]
  assert [row["macs"] for row in told["grades"]] == macs and macs[0] < macs[1]
  assert [row["image_size"] for row in told["grades"]] == [4, 8]
  teacher = models.graduate(models.body("tests.small:SMALL"), 10)
  per_epoch = told["images"]["train"] // 40
  for row, size, epochs in zip(told["grades"], (4, 8), (1.5, 0.75), strict=True):
    seen = 40 * max(1, round(epochs * per_epoch))
    assert row["train_macs_student"] == 3 * seen * network_macs(network, (size, size, 1))
    assert row["train_macs_teachers"] == seen * network_macs(teacher, (size, size, 1))
  (trained,) = told["teachers"]
  assert told["teacher_training_macs"] == trained["training_macs"] > 0


def test_the_rate_is_one_cycle_over_the_compute(school):
  """Up over a fifth of it, then down by a cosine; grafts leave no step in it."""
  workdir, told = school
  rows = [row for row in journal(workdir) if row["kind"] == "train"]
  rates = np.array([row["learning_rate"] for row in rows])
  work = np.array([row["train_macs"] for row in told["grades"]])
  counts = np.array([sum(r["grade"] == g["name"] for r in rows) for g in told["grades"]])
  each = np.repeat(work / counts, counts)
  done = (np.cumsum(each) - each) / work.sum()  # before each step
  down = 0.5 * (1 + np.cos(np.pi * (done - 0.2) / 0.8))
  expected = 0.05 * np.where(done < 0.2, done / 0.2, down)
  np.testing.assert_allclose(rates, expected, rtol=1e-5, atol=1e-9)


def test_goes_on_from_within_its_grades(school, small, tmp_path):
  """Stopped after ever so many steps, the same command ends with the same bits."""
  settings, stopped = settle(config("kd,smoke", **SIZES)), set()
  for _ in range(9):
    asked = iter([False] * 5)
    try:
      loop.run(settings, tmp_path / "run", stop=lambda asked=asked: next(asked, True))
      break
    except Stopped as error:
      stopped.add(str(error).partition(":")[0])
  assert stopped == {"teacher generalist", "student"}
  same(tmp_path / "run", school[0])


@pytest.mark.parametrize(
  "changes",
  [
    {"devices": 4, "residence": "streamed"},
    pytest.param({"faculty.bank": "float32"}, marks=pytest.mark.slow),
  ],
)
def test_elsewhere_it_is_the_same_student(school, small, tmp_path, changes):
  loop.run(settle(config("kd,smoke", **SIZES | changes)), tmp_path / "run")
  ours, theirs = (
    jax.tree.leaves(checkpoint.load_variables(place / "graduate")[0])
    for place in (tmp_path / "run", school[0])
  )
  for one, two in zip(ours, theirs, strict=True):
    np.testing.assert_allclose(one, two, rtol=0, atol=2e-4 * np.abs(two).max())


@pytest.mark.slow
def test_another_teacher_for_the_lower_grade(small, monkeypatch, tmp_path):
  narrow = dataclasses.replace(SMALL, fragments=SMALL.fragments[1:])
  monkeypatch.setitem(models.MODELS, "narrow", narrow)
  changes = SIZES | {
    "grades.teachers": ("generalist_2", "generalist_1"),
    "faculty.generalists": 2,
    "faculty.generalist.model": "small,narrow",
  }
  told = loop.run(settle(config("kd,smoke", **changes)), tmp_path / "run")
  assert [row["teachers"] for row in told["grades"]] == [["generalist_2"], ["generalist"]]
  assert {row["name"]: row["model"] for row in told["teachers"]} == {
    "generalist": "small",
    "generalist_2": "narrow",
  }


def test_an_exam_is_of_images_of_its_size():
  data = datasets.load("digits")
  loader, network = Loader(data, pmap.fleet(1, 1)), models.graduate(SMALL, 10)
  variables = models.begin(network, jax.random.key(0), loader.image_shape)
  logits, _ = loader.examiner(network, size=5)(variables, "validation", range(10))
  seen = (shrunk(data.validation.images, 5) - data.mean) / data.std
  expected = network.apply(variables, jnp.asarray(seen, jnp.float32)).logits
  np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)


def test_statistics_are_pytorchs_of_shrunk_images():
  """A network's statistics, measured anew, and the parameters that it had."""
  draw = np.random.default_rng(0)
  images = draw.integers(0, 256, (96, 8, 8, 1)).astype(np.uint8)
  labels = np.arange(96, dtype=np.int32) % 4
  network = models.graduate(SMALL, 3)
  variables = jax.device_get(models.begin(network, jax.random.key(0), (8, 8, 1)))
  how = Augment((0.4,), (0.3,), size=(5, 5))
  teacher = Teacher("one", "tests.small:SMALL", (0, 1, 3), variables)
  measured = statistics.anew(teacher, Split(images, labels), how)
  assert jax.tree.map(np.array_equal, measured["params"], variables["params"])
  kernel = torch.from_numpy(variables["params"]["fragment_0"]["conv"]["kernel"].copy())
  seen = (shrunk(images[labels != 2], 5) - 0.4) / 0.3
  norm = torch.nn.BatchNorm2d(4, momentum=1.0)
  norm(
    torch.nn.functional.conv2d(
      torch.from_numpy(seen).permute(0, 3, 1, 2), kernel.permute(3, 2, 0, 1), stride=2, padding=1
    )
  )
  found = measured["batch_stats"]["fragment_0"]["bn"]
  np.testing.assert_allclose(found["mean"], norm.running_mean, rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(found["var"], norm.running_var, rtol=1e-4)


@pytest.mark.parametrize(
  "changes, said",
  [
    ({"grades.image_size": (9,)}, "grades.image_size is 9, but the images have 8 pixels"),
    ({"grades.teacher_size": (16,)}, "grades.teacher_size is 16, but the images have 8 pixels"),
    (
      {"grades.image_size": (4, 0), "student.model": "vit_tiny_patch4"},
      "'vit_tiny_patch4' has parameters for images of 8 pixels, such as positions",
    ),
  ],
)
def test_what_cannot_be_shrunk_is_refused_before_training(changes, said, small, tmp_path):
  with pytest.raises(UserError, match=said):
    loop.run(settle(config("kd,smoke", **changes)), tmp_path / "run")
  assert not (tmp_path / "run" / "teachers").exists()


def test_a_view_is_what_pytorch_shrinks():
  draw = np.random.default_rng(1)
  images = draw.integers(0, 256, (5, 32, 32, 3)).astype(np.uint8)
  for size in (13, 16, 20, 24):
    how = Augment((0.0,) * 3, (1.0,) * 3, size=pipeline.shrunk(size, (32, 32, 3)))
    got = pipeline.normalise(how, jnp.asarray(images))
    np.testing.assert_allclose(got, shrunk(images, size), atol=1e-4)
  assert pipeline.shrunk(0, (32, 32, 3)) == pipeline.shrunk(32, (32, 32, 3)) == ()
  assert pipeline.shrunk(16, (1, 64, 2)) == (1, 16)  # a light curve
  assert pipeline.shrunk(12, (24, 48, 3)) == pipeline.shrunk(0.25, (24, 48, 3)) == (6, 12)
