"""A grade made ready."""

import pathlib

from edjax import curriculum, methods, rows
from edjax.data.datasets import Dataset, Split
from edjax.study import Study
from edjax.training import grade
from edjax.training.evaluation import Classroom
from tests import school


def test_all_but_the_newest_subjects_are_rehearsed_until_the_end():
  """Also in a grade that adds none; 60 images, 20 of each subject."""
  images, labels = school.pictures()
  split = Split(images, labels)
  names = tuple(map(str, range(school.CLASSES)))
  dataset = Dataset("random", names, split, split, split, (0.5,) * 3, (0.25,) * 3)
  shares = (1, 0.5), (2, 0.5), (2, 0.2), (3, 0.1), (3, 0.5)
  plan = [rows.GradeRow(subjects=seen, teachers="none", rehearsal=share) for seen, share in shares]
  study = Study(
    label="student",
    model="resnet8_half",
    curriculum=curriculum.build(plan, (1, 1, 1), school.CLASSES, 3),
    order=tuple(range(school.CLASSES)),
    teachers={},
    recipe=curriculum.Recipe(batch_size=4),
    methods=methods.build({"ce": {"weight": 1.0}}),
    seed=0,
    directory=pathlib.Path(),
    every_seconds=0.0,
    keep=1,
  )
  room = Classroom(dataset, school.fleet())
  shown = [grade.prepare(study, room, number, 0).seating.images for number in range(5)]
  assert shown == [(20,), (10, 20), (4, 20), (2, 2, 20), (10, 10, 20)]
