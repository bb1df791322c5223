"""One distillation on both sides of a race: edjax's compiled grades, and plain PyTorch's.

Images are random bytes of CIFAR-100's shape and teachers are random, which costs the same. Both
sides take the same networks, grades, images per step, augmentation and losses, in float32; the
PyTorch side is eager and channels_last, its images in memory.
"""

import dataclasses
import functools
import os
import pathlib

import jax
import numpy as np
import torch
from torch import nn

from edjax import curriculum, methods, models
from edjax.data.datasets import Dataset, Split
from edjax.devices import pmap
from edjax.study import Study
from edjax.teachers.faculty import Teacher
from edjax.training.evaluation import Loader
from edjax.training.grade import ReadyGrade
from tests.reference import training, zoo

CLASSES = 100


def schools(pair, school, epochs):
  """Returns (subjects, grades) of "kd", one grade, or "ed", one grade per fragment and subject.

  In the last of the three grades of "ed" the lowest fragment is frozen. A pair: "teacher-student".
  """
  whole = len(models.body(pair.split("-")[1]).fragments)
  subjects = curriculum.subjects_of((1, 1, 1) if school == "ed" else (1,), CLASSES)
  names = tuple(subject.name for subject in subjects)
  if school == "kd":
    return subjects, (curriculum.Grade("grade_1", whole, subjects, names, epochs),)
  grades = (
    curriculum.Grade(
      f"grade_{seen}", seen, subjects[:seen], names[:seen], epochs, frozen=int(seen == 3)
    )
    for seen in (1, 2, 3)
  )
  return subjects, tuple(grades)


def pixels(count, side, classes=CLASSES):
  """Returns random images uint8 [count, side, side, 3] and labels int32 [count], all classes."""
  images = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
  return images, np.arange(count, dtype=np.int32) % classes


def terms(pair, school, images, labels, *, epochs, batch, devices, bank=None):
  """Makes edjax's grades of a school ready, nothing compiled yet; `bank`: a `bank.Settings`.

  Returns:
    A function from the number of a grade to its `grade.Term`.
  """
  plan = curriculum.Curriculum(*schools(pair, school, epochs))
  return prepared(pair, plan, images, labels, batch, devices, bank)


def prepared(pair, plan, images, labels, batch, devices, bank=None):
  """As `terms`, of a `curriculum.Curriculum` taught by specialists."""
  teacher, student = pair.split("-")
  classes = sum(len(subject.classes) for subject in plan.subjects)
  split = Split(images, labels)
  names = tuple(str(label) for label in range(classes))
  dataset = Dataset("random", names, split, split, split, (0.5,) * 3, (0.25,) * 3)
  loader = Loader(dataset, pmap.fleet(devices, batch))
  faculty = {}
  for subject in plan.subjects:
    network = models.graduate(models.body(teacher), len(subject.classes))
    variables = jax.device_get(models.begin(network, jax.random.key(0), images.shape[1:]))
    faculty[subject.name] = Teacher(subject.name, teacher, subject.classes, variables)
  study = Study(
    label="student",
    model=student,
    curriculum=plan,
    order=tuple(range(classes)),
    teachers=faculty,
    recipe=curriculum.Recipe(batch, pad=4, flip=True),
    methods=methods.build({"ce": {"weight": 0.3}, "kd": {"weight": 0.7}}),
    seed=0,
    directory=pathlib.Path(),
    every_seconds=0.0,
    keep=1,
    bank=bank,
  )
  return functools.partial(ReadyGrade, study, loader, first_step=0)


class Pupil(nn.Module):
  """The lowest fragments of a CIFAR ResNet under a teaching reference: 1×1, normalised, pooled."""

  def __init__(self, body, fragments, classes):
    super().__init__()
    self.conv1, self.bn1 = body.conv1, body.bn1
    self.stages = nn.ModuleList([body.layer1, body.layer2, body.layer3][:fragments])
    width = self.stages[-1][-1].conv2.out_channels
    self.reference = nn.Conv2d(width, body.fc.in_features, 1, bias=False)
    self.bn = nn.BatchNorm2d(body.fc.in_features)
    self.fc = nn.Linear(body.fc.in_features, classes)

  def forward(self, images):
    x = torch.relu(self.bn1(self.conv1(images)))
    for block in (block for stage in self.stages for block in stage):
      x = torch.relu(block(x))
    x = torch.relu(self.bn(self.reference(x)))
    return Logits(self.fc(x.mean((2, 3))))


@dataclasses.dataclass(frozen=True)
class Logits:
  """What a step asks of a network's output."""

  logits: torch.Tensor


class Frozen(nn.Module):
  """The whole student, its stem and first stage as they are, in inference mode, without tape."""

  def __init__(self, body):
    super().__init__()
    self.body = body
    names = ("conv1", "bn1", "layer1") if hasattr(body, "layer1") else ("conv1", "block1")  # or WRN
    self.lowest = [getattr(body, name).requires_grad_(False) for name in names]

  def train(self, mode=True):
    super().train(mode)
    for module in self.lowest:
      module.eval()
    return self

  def forward(self, images):
    return self.body(images)


def torch_grades(pair, school, labels):
  """Yields (maker of the student, teachers, which images) of plain PyTorch's grades."""
  torch.set_num_threads(len(os.sched_getaffinity(0)))
  teacher, student = pair.split("-")
  subjects, grades = schools(pair, school, 1)
  faculty = {
    subject.name: training.Teacher(
      zoo.make(teacher, len(subject.classes)), torch.tensor(subject.classes)
    )
    for subject in subjects
  }
  body = zoo.make(student, CLASSES)
  for grade in grades:
    make = functools.partial(_of_grade, body, grade)
    shown = np.flatnonzero(labels < grade.num_classes)
    yield make, [faculty[name] for name in grade.teachers], shown


def _of_grade(body, grade):
  if grade.frozen:
    return Frozen(body)
  whole = grade.num_classes == CLASSES
  return body if whole else Pupil(body, grade.fragments, grade.num_classes)
