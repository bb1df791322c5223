"""What a sheet shows is what the steps of a grade show, and what a graduate costs is told."""

import dataclasses
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import edjax
from edjax import latency, settings
from edjax.data import sampler
from edjax.devices import pmap
from edjax.errors import UserError
from edjax.report import images, page
from edjax.rows import GradeRow
from edjax.training import batches, grade, loop, sheets
from edjax.training.evaluation import Loader
from edjax.training.look import look
from edjax.training.spec import StepSpec
from tests.report.pages import Page, school
from tests.small import config

pytestmark = pytest.mark.usefixtures("small")


@pytest.fixture(scope="module")
def dataset():
  draw = np.random.default_rng(0)
  pixels = draw.integers(0, 256, (240, 8, 8, 3), np.uint8)
  return edjax.data.from_arrays(pixels, np.arange(240) % 6)


def ready(dataset, devices=1, sizes=0.0, **recipe):
  """Returns (study, loader) of a school of three grades, with settings of its recipe."""
  changes = {f"recipe.{key}": value for key, value in recipe.items()}
  changes |= {"grades.image_size": sizes} if sizes else {}
  made = settings.settle(config("paper,smoke", **changes, **{"recipe.batch_size": 24}))
  plan = loop.planned(made, len(dataset.class_names))
  study = loop.study_of(made, plan, pathlib.Path())
  return study, Loader(dataset, pmap.fleet(devices, 24), "streamed")


def seen_by_a_step(study, loader, number, step, how, rows):
  """The views of a whole batch, uint8 [views, batch, …], as `look` gives them to the student."""
  _, _, seating = grade.seat(study, loader, number)
  devices = loader.fleet.size
  spec = StepSpec(
    network=None,
    num_classes=6,
    batch_size=24,
    methods=(),
    roles=(),
    tx=None,
    augment=how,
    partners=tuple(sampler.partners(seating, devices).tolist()),
  )
  key = jax.random.fold_in(jax.random.fold_in(jax.random.key(study.seed), number), step)

  def one(rows, pixels):
    show, _ = look(spec, key, pixels, rows, jnp.zeros(len(rows), jnp.int32))
    return jnp.stack(show((), how.size))

  rows = rows.reshape(devices, -1)
  shown = jax.vmap(one, axis_name=pmap.AXIS)(rows, loader.splits["train"].images[rows])
  shown = np.moveaxis(np.asarray(shown), 1, 0).reshape(-1, 24, *shown.shape[3:])
  return np.round(255 * (shown * np.float32(how.std) + np.float32(how.mean)))


@pytest.mark.parametrize(
  "devices, recipe",
  [
    (1, {"pad": 2, "flip": True}),
    (1, {"pad": 0, "resized": 0.3}),
    (2, {"pad": 1, "mixup": 1.0}),
    (1, {"pad": 1, "crops": 3, "views": "two"}),
    (1, {"pad": 1, "randaugment": 1}),
  ],
)
def test_a_sheet_shows_what_the_steps_of_the_grade_show(dataset, devices, recipe):
  study, loader = ready(dataset, devices, **{"flip": False} | recipe)
  (sheet,) = sheets.of(study, loader)
  how = batches.augment(study, loader, study.curriculum.grades[0])
  _, members, seating = grade.seat(study, loader, 0)
  rows = sampler.epoch_order(seating, members, (study.seed, 0), 0)[0]
  seats = [0, 6, 12, 18]
  assert (sheet.originals == dataset.train.images[rows[seats]]).all()
  each = 1 + (recipe.get("views") == "two")
  assert sheet.views.shape == (4, 6 * each, 8, 8, 3)
  for step in (0, 4):
    views = seen_by_a_step(study, loader, 0, step, how, rows)
    for number in range(each):
      mine = sheet.views[:, each * step + number].astype(int)
      assert np.abs(views[number, seats] - mine).max() <= 1  # rounded behind a normalisation
      assert np.mean(views[number, seats] != mine) < 0.02
  assert any((sheet.views[0, 0] != other).any() for other in sheet.views[0, 1:])


def test_every_grade_that_shows_images_otherwise_has_its_sheet(dataset):
  study, loader = ready(dataset, sizes=(0.5, 0.5, 0.0), pad=1, flip=True)
  first, last = sheets.of(study, loader)
  assert [first.grade, last.grade] == ["grade_1", "grade_3"]
  assert first.views.shape[2:] == (4, 4, 3) and last.views.shape[2:] == (8, 8, 3)
  assert first.originals.shape[1:] == (8, 8, 3)
  known = {label for subject in study.curriculum.grades[0].subjects for label in subject.classes}
  labels = [
    dataset.train.labels[np.flatnonzero((dataset.train.images == image).all((1, 2, 3)))[0]]
    for image in first.originals
  ]
  assert set(labels) <= known


def test_images_that_are_only_shrunk_have_one_view_and_others_none(dataset):
  study, loader = ready(dataset, sizes=(0.5, 0.0, 0.0), pad=0, flip=False)
  (sheet,) = sheets.of(study, loader)
  pixels = sheet.originals.astype(float)
  # A pixel of half the size: a triangle over four pixels either way, cut at the border.
  weights = np.array([3, 3, 1]) / 7
  corner = np.einsum("nhwc,h,w->nc", pixels[:, :3, :3], weights, weights)
  assert sheet.views.shape == (4, 1, 4, 4, 3)
  assert np.abs(sheet.views[:, 0, 0, 0] - corner).max() <= 0.51
  assert sheets.of(*ready(dataset, pad=0, flip=False)) == []


def test_views_are_looked_at_before_training(dataset):
  grades = (
    GradeRow(fragments=1, subjects=1, epochs=2, image_size=0.5, learning_rate=0.1),
    GradeRow(epochs=2, learning_rate=0.1),
  )
  curriculum = edjax.Curriculum(grades)
  recipe = {"batch_size": 24, "pad": 1, "flip": True}
  shown = edjax.views(dataset, "tests.small:SMALL", curriculum=curriculum, recipe=recipe, devices=1)
  assert isinstance(shown, Image.Image) and shown.size == (7 * 100 - 4, 8 * 100 - 4)
  pixels = np.asarray(shown)
  original = pixels[:96, :96][6::12, 6::12]
  assert (dataset.train.images == original).all((1, 2, 3)).any()
  plain = edjax.Curriculum.plain(epochs=1)
  with pytest.raises(UserError, match="every image is seen as it is"):
    edjax.views(dataset, "tests.small:SMALL", curriculum=plain, devices=1)


def test_the_page_holds_a_sheet_to_the_pixel():
  draw = np.random.default_rng(0)
  sheet = images.Sheet(
    "grade_1",
    draw.integers(0, 256, (2, 8, 8, 1), np.uint8),
    draw.integers(0, 256, (2, 3, 4, 4, 1), np.uint8),
  )
  made, rows = school()
  text = page.render(made, rows, images.Pictures(sheets=[sheet]))
  wanted = [images.inline(image) for row in sheet.rows for image in row]
  assert [source for source in wanted if f'<img src="{source}"' in text] == wanted
  assert "repeat(4,minmax(" in text and "What the student saw" in Page(text).headings
  two = images.Pictures(sheets=[sheet, dataclasses.replace(sheet, grade="grade_2")])
  assert "grade 2, 4 × 4 pixels" in Page(page.render(made, rows, two)).texts


def test_a_call_is_timed_by_the_median_after_a_first(monkeypatch):
  clock, spans = [0.0], iter([9.0, 0.3, 0.1, 0.2, 0.5, 0.4])

  def ask():
    clock[0] += next(spans)

  monkeypatch.setattr(latency.time, "perf_counter", lambda: clock[0])
  milliseconds, runs = latency.milliseconds(ask, seconds=1.0)
  assert runs == 4 and milliseconds == pytest.approx(250.0)  # of 300, 100, 200, 500
  monkeypatch.setattr(latency, "RUNS", 1)
  assert latency.milliseconds(lambda: None)[1] == 1
