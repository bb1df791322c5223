"""A network is shown images by the mean and deviation it was trained with, whatever the data's."""

import dataclasses
import json
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import digits
from edjax import curriculum, models, settings
from edjax.data import datasets
from edjax.data.datasets import Dataset
from edjax.data.splits import Split
from edjax.devices import pmap
from edjax.errors import UserError
from edjax.settings import settle
from edjax.teachers import bank, faculty
from edjax.training import evaluation, loop
from tests import school as small
from tests.small import SMALL

NAMES = ("ant", "bee", "cat", "dog", "eel", "fox")
OWN = (0.9, 0.1, 0.6), (0.4, 0.1, 0.9)
RUN = small.AUGMENT.mean, small.AUGMENT.std


def dataset(mean=RUN[0], std=RUN[1], shape=small.SHAPE, names=NAMES):
  split = Split(*small.pictures(18, shape))
  return Dataset("zoo", names, split, split, split, mean, std)


@pytest.fixture
def graduate(tmp_path):
  """(folder of a network that knows its own figures, its variables)."""
  network = models.graduate(models.body("resnet8_half"), 6)
  variables = small.random_like(small.init(network))
  place = tmp_path / "graduate"
  faculty.save(place, "resnet8_half", range(6), dataset(*OWN), variables)
  return place, variables


def said(variables, images):
  """What the network says of images by its own figures, worked out without edjax's own way."""
  network = models.graduate(models.body("resnet8_half"), 6)
  shown = (images.astype(np.float64) / 255 - np.array(OWN[0])) / np.array(OWN[1])
  return np.asarray(network.apply(variables, jnp.asarray(shown, jnp.float32)).logits)


def test_an_exam_shows_images_as_the_graduate_knows_them(graduate, tmp_path, monkeypatch):
  data = dataset()
  monkeypatch.setattr(loop, "_dataset", lambda config: data)
  config = types.SimpleNamespace(
    devices=1, recipe=types.SimpleNamespace(batch_size=6), residence="auto"
  )
  scores = loop.exam(config, tmp_path)
  right = said(graduate[1], data.test.images).argmax(1) == data.test.labels
  logits = said(graduate[1], data.test.images)
  nll = -jax.nn.log_softmax(logits)[np.arange(18), data.test.labels].mean()
  assert scores["top1"] == pytest.approx(right.mean())
  assert scores["nll"] == pytest.approx(float(nll), rel=1e-4)


def test_the_last_exams_show_teachers_images_as_they_know_them(graduate):
  loader = evaluation.Loader(dataset(), pmap.fleet(1, 6))
  teacher = faculty.load(graduate[0], "generalist", range(6), loader.dataset)
  logits, _ = loader.answers_of(teacher)("test", tuple(range(6)))
  wanted = said(graduate[1], loader.dataset.test.images)
  np.testing.assert_allclose(logits, wanted, rtol=1e-4, atol=1e-4)


class Shown(small.Linear):
  """A teacher of images by the run's figures, which it turns into its own by itself."""

  @small.nn.compact
  def __call__(self, images):
    (mean, std), (own_mean, own_std) = (
      [jnp.asarray(each)[None, None, None] for each in figures] for figures in (RUN, OWN)
    )
    return super().__call__((images * std + mean - own_mean) / own_std)


@pytest.mark.parametrize("mixup", [0.0, 0.4])
def test_a_teacher_in_a_step_sees_the_same_pixels_by_its_own_figures(mixup):
  ended = []
  for network, figures in ((Shown, ()), (small.Linear, OWN), (small.Linear, ())):
    desk = small.grade(["generalist"], grown=1, teacher_network=network)
    roles = tuple(dataclasses.replace(role, figures=figures) for role in desk.spec.roles)
    how = dataclasses.replace(small.AUGMENT, mixup=mixup, pad=1, flip=True)
    partners = tuple(np.roll(np.arange(desk.spec.batch_size), 1).tolist())
    spec = dataclasses.replace(desk.spec, roles=roles, augment=how, partners=partners)
    state = dataclasses.replace(desk, spec=spec).train()
    ended.append(state.variables["params"]["head"]["dense"]["kernel"])
  by_itself, by_its_figures, by_the_runs = ended
  np.testing.assert_allclose(by_its_figures, by_itself, rtol=1e-4, atol=1e-6)
  assert np.abs(by_the_runs - by_itself).max() > 1e-4


@pytest.mark.parametrize(
  ("mean", "std", "wanted"),
  [
    ((), (), OWN),
    ((0.5,), (), ((0.5,) * 3, OWN[1])),
    ((0.5, 0, 1), (1,), ((0.5, 0.0, 1.0), (1.0,) * 3)),
    (RUN[0], RUN[1], ()),  # the run's own: nothing is done twice
  ],
)
def test_what_is_said_of_a_teacher_goes_before_what_its_folder_says(graduate, mean, std, wanted):
  teacher = faculty.load(graduate[0], "generalist", range(6), dataset(), (mean, std))
  assert teacher.figures == wanted and not teacher.unsure


def test_what_nobody_says_is_the_runs_and_unsure(tmp_path):
  network = models.graduate(models.body("resnet8_half"), 6)
  variables = small.random_like(small.init(network))
  info = {"model": "resnet8_half", "num_classes": 6} | dict.fromkeys(
    ("classes", "dataset", "image_shape", "mean", "std")
  )
  faculty.checkpoint.save_variables(tmp_path / "plain", variables, info)
  plain = faculty.load(tmp_path / "plain", "generalist", range(6), dataset())
  assert plain.figures == () and plain.unsure
  with pytest.raises(UserError, match="images of zoo: it looks at coloured ones, with 3 channels"):
    grey = dataset((0.5,), (0.5,), (8, 8, 1))
    faculty.load(tmp_path / "plain", "generalist", range(6), grey)


@pytest.mark.parametrize(
  ("mean", "std", "reason"),
  [
    ((0.5, 0.5), (), "mean has 2 numbers, but the images have"),
    ((), (0.0,), "above 0"),
    ((float("nan"),), (), "finite"),
    (("a",), (), "finite"),
  ],
)
def test_figures_that_make_no_sense(graduate, mean, std, reason):
  with pytest.raises(UserError, match=reason):
    faculty.load(graduate[0], "generalist", range(6), dataset(), (mean, std))
  with pytest.raises(UserError, match=reason):
    datasets.load("digits", mean=mean, std=std)


def test_a_data_set_may_fix_its_figures():
  fixed, usual = datasets.load("digits", mean=(0.25,)), datasets.load("digits")
  assert fixed.mean == (0.25,) and fixed.std == usual.std


def test_roles_carry_the_figures():
  teacher = faculty.Teacher("generalist", "resnet8", tuple(range(6)), {}, figures=OWN)
  grade = curriculum.Grade("grade_1", 3, (curriculum.Subject("all", tuple(range(6))),),
                           ("generalist",), 1)  # fmt: skip
  (role,) = faculty.roles(grade, {"generalist": teacher}, tuple(range(6)), 1.0)
  assert role.figures == OWN


def test_a_bank_keeps_what_a_teacher_says_by_its_own_figures(graduate, tmp_path):
  loader = evaluation.Loader(dataset(), pmap.fleet(1, 6))
  teacher = faculty.load(graduate[0], "generalist", range(6), loader.dataset)

  def bank_of(figures):
    kept = bank.Settings("float32", "lazily", tmp_path / "bank", tmp_path / "own")
    asked = bank.Asked(teacher, teacher.network, teacher.variables, figures, (), None)
    rows, how = np.zeros((1, 1, 6), np.int32), loader.augment()
    shown = bank.Shown(
      "grade_1", how, "float32", tuple(range(6)), 1, 1, lambda _: rows, lambda _: rows
    )
    return bank.Bank(kept, loader.dataset, loader.fleet, (asked,), shown)

  kept = bank_of(OWN)
  kept.open(None, {})
  (one,) = kept._kept
  index = np.arange(6, dtype=np.int32)
  images = loader.dataset.train.images[:6]
  logits = np.asarray(one.ask(images, index, np.zeros(6, np.int32)))
  np.testing.assert_allclose(logits, said(graduate[1], images), rtol=1e-4, atol=1e-4)
  by_the_runs = bank_of(())
  by_the_runs.open(None, {})
  assert by_the_runs._kept[0].table.place != one.table.place


def random_teacher(place, labels, data, seed):
  """Saves a network of random numbers that knows some labels by `FIGURES`; returns how it answers
  images, worked out without edjax's own way."""
  network = models.graduate(SMALL, len(labels))
  variables = small.random_like(small.init(network, (8, 8, 1)), seed)
  mean, std = FIGURES
  of_its_own = dataclasses.replace(data, mean=mean, std=std)
  faculty.save(place, "small", labels, of_its_own, variables)

  def answers(images, mean, std):
    shown = (images.astype(np.float64) / 255 - mean[0]) / std[0]
    logits = network.apply(variables, jnp.asarray(shown, jnp.float32)).logits
    return np.array(labels)[np.asarray(logits).argmax(1)]

  return answers


FIGURES = (0.9,), (0.1,)


def test_easiest_asks_given_teachers_by_their_own_figures(tmp_path, monkeypatch, capfd):
  """The order of classes is the generalist's by its own; so are the specialists' classes, then."""
  monkeypatch.setitem(models.MODELS, "small", SMALL)
  made = digits.get_config("paper,smoke")
  made.devices, made.class_order, made.subjects = 1, "easiest", (1, 1)
  made.student.model, made.faculty.check = "small", False
  one = {"epochs": (1,), "fragments": (0,), "subjects": (0,), "teachers": ("both",)}
  settings.set_columns(made, one)
  data = datasets.load("digits", **made.data)
  part = data.validation
  general = random_teacher(tmp_path / "general", range(10), data, 10)

  def order(mean, std):
    right = general(part.images, mean, std) == part.labels
    top1 = [right[part.labels == label].mean() for label in range(10)]
    return sorted(range(10), key=lambda label: -top1[label])

  wanted = order(*FIGURES)
  assert {*wanted[:5]} != {*order(data.mean, data.std)[:5]}
  for name, labels in (("one", wanted[:5]), ("two", wanted[5:])):
    random_teacher(tmp_path / name, labels, data, 4)
  made.faculty.generalist.checkpoint = str(tmp_path / "general")
  made.faculty.specialist.checkpoint = str(tmp_path / "one"), str(tmp_path / "two")
  told = loop.run(settle(made), tmp_path / "run")
  noted = json.loads((tmp_path / "run" / "data.json").read_text())
  assert noted["class_order"] == wanted
  said = capfd.readouterr().err
  assert said.count("it is shown images by its own mean 0.9 and std 0.1") == 3
  # Their accuracy in the report, by hand.
  test = data.test
  top1 = (general(test.images, *FIGURES) == test.labels).mean()
  rows = {row["name"]: row["top1"] for row in told["teachers"]}
  assert rows["generalist"] == pytest.approx(top1)
