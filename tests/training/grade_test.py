"""A grade made ready."""

import dataclasses
import pathlib

import pytest

from edjax import curriculum, methods, rows
from edjax.data.datasets import Dataset, Split
from edjax.models.cut import BODY
from edjax.start import Start
from edjax.study import Study
from edjax.training import grade
from edjax.training.evaluation import Loader
from tests import school


def study(plan, **recipe):
  return Study(
    label="student",
    model="resnet8_half",
    curriculum=curriculum.build(plan, (1, 1, 1), school.CLASSES, 3),
    order=tuple(range(school.CLASSES)),
    teachers={},
    recipe=curriculum.Recipe(batch_size=4, **recipe),
    methods=methods.build({"ce": {"weight": 1.0}}),
    seed=0,
    directory=pathlib.Path(),
    every_seconds=0.0,
    keep=1,
  )


@pytest.fixture
def loader():
  """Where 60 images are, 20 of each subject."""
  images, labels = school.pictures()
  split = Split(images, labels)
  names = tuple(map(str, range(school.CLASSES)))
  dataset = Dataset("random", names, split, split, split, (0.5,) * 3, (0.25,) * 3)
  return Loader(dataset, school.fleet())


def test_all_but_the_newest_subjects_are_rehearsed_until_the_end(loader):
  """Also in a grade that adds none."""
  shares = (1, 0.5), (2, 0.5), (2, 0.2), (3, 0.1), (3, 0.5)
  plan = [rows.GradeRow(subjects=seen, teachers="none", rehearsal=share) for seen, share in shares]
  shown = [grade.ReadyGrade(study(plan), loader, number, 0).seating.images for number in range(5)]
  assert shown == [(20,), (10, 20), (4, 20), (2, 2, 20), (10, 10, 20)]


@pytest.mark.parametrize("recipe", [{}, {"randaugment": 3, "magnitude": 7}])
def test_a_recipe_says_how_images_are_augmented(recipe, loader):
  schooling = study([rows.GradeRow(teachers="none")], pad=2, flip=True, **recipe)
  _, _, seating = grade.seat(schooling, loader, 0)
  how = grade.make_spec(schooling, loader, 0, seating, lambda _: 0.1).augment
  assert (how.pad, how.flip, how.strong, how.distinct) == (2, True, None, 50)
  if recipe:
    assert (how.randaugment.layers, how.randaugment.magnitude) == (3, (7, 7))
  else:
    assert how.randaugment is None


@pytest.mark.parametrize("keeps", [False, True])
@pytest.mark.parametrize(
  "model, number, begun",
  [("resnet8_half", 0, 2), ("resnet8_half", 1, BODY), ("resnet8_half+simkd8", 1, 3)],
)
def test_what_a_student_has_of_its_start(model, number, begun, keeps, loader):
  """Neither a teaching reference, nor its last layer, nor the projector to its teacher's."""
  plan = [
    rows.GradeRow(fragments=count, teachers="none", frozen=frozen)
    for count, frozen in ((2, 2), (0, 3))
  ]
  given = Start("a", "resnet8_half", 7, {}, "0")
  schooling = dataclasses.replace(study(plan), model=model, start=given, keep_statistics=keeps)
  _, _, seating = grade.seat(schooling, loader, number)
  spec = grade.make_spec(schooling, loader, number, seating, lambda _: 0.1)
  assert (spec.frozen, spec.lower, spec.kept) == (begun, begun, begun if keeps else 0)
