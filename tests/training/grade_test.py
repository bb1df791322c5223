"""A grade made ready."""

import pathlib

from edjax import curriculum, methods
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
  columns = dict(fragments=(3,), subjects=(1, 2, 2, 3, 3), teachers=("none",), epochs=(1,))
  columns |= dict(learning_rate=(0.1,), final_rate=(0.0,), warmup_epochs=(0.0,), frozen=(0,))
  columns |= dict(lower_rate=(1.0,), carry_momentum=(False,), rehearsal=(0.5, 0.5, 0.2, 0.1, 0.5))
  columns |= dict(methods=("",), reference_width=(0,), reference_grid=(1,), reference_relu=(True,))
  study = Study(
    label="student",
    model="resnet8_half",
    curriculum=curriculum.build(columns, (1, 1, 1), school.CLASSES, 3),
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
