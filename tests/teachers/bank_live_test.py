"""Kept answers do what live teachers do, in a school and in a step; what names their tables."""

import dataclasses
import json

import flax.linen as nn
import jax
import numpy as np
import pytest

from edjax.data import datasets
from edjax.data.augment.pipeline import Augment
from edjax.settings import settle
from edjax.teachers import bank, faculty
from edjax.training import loop, step
from tests import school as tiny
from tests.teachers.banked import KINDS, VIEWS, close, config, fresh, teachers_macs
from tests.training.resume_test import report


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["generalist", "specialists", "list", "consensus"])
def test_students_are_those_of_live_teachers(schools, kind):
  """Of specialists and generalists, of subjects in any order, and of a list of views."""
  place = schools(kind)
  # Answers differ in the last bits with the place in a batch; standardising enlarges that.
  close(place / "kept", place / "live", rtol=1e-3 if kind == "consensus" else 1e-5)
  live, kept = report(place / "live"), report(place / "kept")
  assert sum(row["train_macs_student"] for row in kept["grades"]) == live["train_macs_student"]
  assert 0 < kept["train_macs_teachers"] < live["train_macs_teachers"]
  assert kept["train_macs"] == kept["train_macs_teachers"] + kept["train_macs_student"]
  for info in (place / "filled").glob("bank_*/info.json"):
    about, said = json.loads(info.read_text()), config(**KINDS[kind]).recipe
    assert all(about[key] == said[key] for key in ("pad", "flip", "resized", "crops", "precision"))


@pytest.mark.slow
def test_specialists_keep_their_own_images_only(schools):
  place = schools("specialists")
  labels = datasets.load("digits", data_dir="", **config().data).train.labels
  order = (3, 1, 4, 0, 5, 9, 2, 6, 8, 7)
  sizes = {
    json.loads(path.read_text())["classes"][0]: (path.parent / "logits").stat().st_size
    for path in (place / "filled").glob("bank_digits_small_5_*/info.json")
  }
  row = 4 * (1 + 5)
  assert sorted(sizes.values()) == sorted(
    int(np.isin(labels, own).sum()) * VIEWS * row for own in (order[:5], order[5:])
  )


@pytest.mark.slow
def test_teachers_cost_no_more_for_being_many(schools):
  """Every image of the second grade is answered by one specialist and by the generalist."""
  grades = report(schools("specialists") / "kept")["grades"]
  live = report(schools("specialists") / "live")["grades"]
  first = sum(row["macs"] for row in report(schools("specialists") / "live")["teachers"][:1])
  assert grades[0]["train_macs_teachers"] % first == 0
  assert all(
    ours["train_macs_teachers"] <= theirs["train_macs_teachers"]
    for ours, theirs in zip(grades, live, strict=True)
  )


@pytest.mark.slow
def test_devices_divide_the_work(small, schools, tmp_path):
  loop.run(settle(config(**fresh(schools, tmp_path), devices=4)), tmp_path / "four")
  close(tmp_path / "four", schools("generalist") / "kept")
  assert teachers_macs(tmp_path / "four") == teachers_macs(schools("generalist") / "kept")


def test_a_teacher_is_not_run_where_answers_are_laid_out():
  """Its network would raise; the answers, though, arrive at its own seats."""
  desk = tiny.grade(("subject_2",), grown=1)
  team = tiny.fleet()

  class Absent(nn.Module):
    @nn.compact
    def __call__(self, images):
      raise AssertionError("a teacher was run")

  roles = tuple(dataclasses.replace(role, network=Absent()) for role in desk.spec.roles)
  absent = dataclasses.replace(desk.spec, roles=roles)
  where = desk.where(desk.spec.roles[0])
  view = desk.views()[where[0][0]].reshape(where[0].shape[1], -1)
  logits = view @ desk.teachers["subject_2"]["params"]["dense"]["kernel"]
  run = team.trainer(lambda *arguments: step.train_step(absent, *arguments))
  constants = team.replicate(step.Constants(jax.random.key(7), desk.labels, desk.teachers))
  rows = desk.order()[None]
  order = team.divide(rows)
  ahead = team.divide(
    {"images": desk.images[rows[:, :1]], "answers": {"subject_2": logits[None, None]}}
  )
  seats = team.divide({"subject_2": where})
  state = run(desk.state(team), constants, order, seats, ahead, (0, 1, 0))
  live = desk.train()
  jax.tree.map(
    lambda one, two: np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6),
    jax.device_get(state.variables),
    live.variables,
  )


def test_whatever_answers_depend_on_names_their_table():
  images, labels = tiny.pictures()
  split = datasets.Split(images, labels)
  dataset = datasets.Dataset("random", tuple("abcdef"), split, split, split, (0.5,) * 3, (0.2,) * 3)
  variables = {"params": {"kernel": np.ones(3)}}
  teacher = faculty.Teacher("generalist", "resnet8", tuple(range(6)), variables)
  how = Augment(dataset.mean, dataset.std, pad=1)
  common = (teacher, dataset, how, "float32", "float32", "cpu")
  changed = [
    (0, dataclasses.replace(teacher, variables={"params": {"kernel": 2 * np.ones(3)}})),
    (0, dataclasses.replace(teacher, model="resnet14")),
    (0, dataclasses.replace(teacher, classes=(1, 0, 2, 3, 4, 5))),
    (1, dataclasses.replace(dataset, train=datasets.Split(255 - images, labels))),
    (1, dataclasses.replace(dataset, train=datasets.Split(images[:50], labels[:50]))),
    (2, dataclasses.replace(how, pad=2)),
    (2, dataclasses.replace(how, flip=True)),
    (2, dataclasses.replace(how, crops=2)),
    (2, dataclasses.replace(how, flat=(True, False))),
    (2, dataclasses.replace(how, resized=0.5)),
    (2, dataclasses.replace(how, mean=(0.4,) * 3)),
    (2, dataclasses.replace(how, std=(0.4,) * 3)),
    (3, "bfloat16"),
    (4, "bfloat16"),
    (5, "gpu"),
  ]
  settings = [common, *((*common[:at], value, *common[at + 1 :]) for at, value in changed)]
  names = {faculty.fingerprint(bank.meaning(*each)) for each in settings}
  assert len(names) == 1 + len(changed)


@pytest.mark.parametrize(
  "flat, digits", [((False, False), "88e48980a944"), ((True, False), "09d14071d69c")]
)
def test_tables_keep_their_names(flat, digits):
  """They are those that 7f2a900 gave, so that what was answered before is not asked again."""
  images = (np.arange(60 * 8 * 8 * 3) % 251).astype(np.uint8).reshape(60, 8, 8, 3)
  split = datasets.Split(images, (np.arange(60) % 6).astype(np.int32))
  figures = (0.5,) * 3, (0.25,) * 3
  dataset = datasets.Dataset("numbers", tuple("abcdef"), split, split, split, *figures)
  variables = {"params": {"kernel": np.arange(3, dtype=np.float32)}}
  teacher = faculty.Teacher("generalist", "resnet8", tuple(range(6)), variables)
  how = Augment(*figures, pad=1, flat=flat)
  about = bank.meaning(teacher, dataset, how, "float32", "bfloat16", "cpu")
  assert faculty.fingerprint(about) == digits
