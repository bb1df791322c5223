"""What a run says before it begins, and how well it foretells its end, on clocks made up."""

import types

import numpy as np
import pytest

from edjax import curriculum, rows
from edjax.data.datasets import Dataset
from edjax.data.splits import Split
from edjax.report.outlook import Outlook, announcement
from edjax.study import Study
from edjax.teachers import faculty


class _Clock:
  now = 7.0

  def __call__(self):
    return self.now


def _train(outlook, clock, label, number, chunks, seconds, compiling):
  """Goes through a stage; returns what was foretold after each chunk."""
  outlook.begin(label, number)
  told = []
  for chunk in range(1, chunks + 1):
    clock.now += seconds + (compiling if chunk == 1 else 0.0)
    told.append(outlook.left(chunk / chunks))
  return told


def test_what_is_left_is_of_the_whole_run():
  """Four stages of 100, 100, 200, 400 MACs at 1 MAC a second; each compiles for 30 seconds."""
  clock = _Clock()
  outlook = Outlook({"teacher a": [100.0], "teacher b": [100.0], "student": [200.0, 400.0]}, clock)
  first = _train(outlook, clock, "teacher a", 0, 10, 10.0, 30.0)
  assert first[0] is None  # a chunk that compiles says nothing of the pace
  # 80 s of this one, then 100 + 200 + 400 s and three times 30 s to compile.
  assert first[1] == pytest.approx(80 + 700 + 90) and first[-1] == pytest.approx(790)
  assert outlook.is_telling
  _train(outlook, clock, "teacher b", 0, 10, 10.0, 30.0)
  # A stage that is half as fast tells of itself at once.
  third = _train(outlook, clock, "student", 0, 10, 40.0, 30.0)
  assert third[4] > 5 * 40 + 400
  last = _train(outlook, clock, "student", 1, 10, 80.0, 30.0)
  assert last[4] == pytest.approx(5 * 80) and last[-1] == 0


def test_a_run_that_goes_on_counts_only_what_is_left():
  clock = _Clock()
  outlook = Outlook({"student": [100.0, 100.0]}, clock)
  outlook.begin("student", 1, 0.5)
  clock.now += 40.0
  assert outlook.left(0.6) is None
  clock.now += 10.0
  assert outlook.left(0.7) == pytest.approx(30.0)


def test_what_was_not_foreseen_has_no_time_left():
  outlook = Outlook({}, _Clock())
  outlook.begin("teacher of the class order", 0)
  assert outlook.left(0.5) is None and not outlook.is_telling


def _study(ratios=(1, 1)):
  grades = [
    rows.GradeRow(fragments=1, subjects=1),
    rows.GradeRow(fragments=3, teachers="both", epochs=12),
  ]
  return Study(
    label="student",
    model="resnet8_half",
    curriculum=curriculum.build(grades, ratios, 4, 3),
    order=(0, 1, 2, 3),
    teachers={"generalist": faculty.Teacher("generalist", "resnet14", (0, 1, 2, 3), {})},
    recipe=curriculum.Recipe(batch_size=20),
    methods=(),
    seed=0,
    directory="runs/mine",
    every_seconds=30.0,
    keep=2,
  )


def test_the_start_says_what_will_happen():
  def split(count):
    return Split(np.zeros((count, 8, 8, 1), np.uint8), np.zeros(count, np.int32))

  data = Dataset("shapes", ("a", "b", "c", "d"), split(1300), split(20), split(30), (0.5,), (0.5,))
  device = types.SimpleNamespace(device_kind="abacus")
  loader = types.SimpleNamespace(
    dataset=data,
    image_shape=(8, 8, 1),
    fleet=types.SimpleNamespace(size=2, devices=(device, device)),
  )
  options = types.SimpleNamespace(model="resnet8", epochs=5, start="")
  sources = {"subject_1": "", "subject_2": "cache", "generalist": "given"}
  lines = announcement(_study(), loader, lambda _: options, sources, begun=True)
  text = "\n".join(lines)
  for words in (
    "shapes: 1,300 for training, 20 for choices, 30 for the exam; 4 classes, 8×8×1",
    "2 × abacus, batches of 20",
    "resnet8_half, 19.",
    "k MACs per image",
    "specialist 1: resnet8, 77.",
    "; to be trained, 5 epochs",
    "specialist 2: resnet8, ",
    "; from the cache",
    "generalist: resnet14, ",
    "; given",
    "1: 1 fragment, 2 classes, 1 epoch, specialist 1",
    "2: 3 fragments, 4 classes, 12 epochs, specialists 1–2, generalist",
    "runs/mine (begun before: goes on)",
  ):
    assert words in text, words
  assert {line[8] for line in lines} == {" "} and all(line[9] != " " for line in lines)
  fresh = announcement(_study(), loader, lambda _: options, {}, begun=False)
  assert "runs/mine (new)" in fresh[-1] and not [line for line in fresh if "teacher" in line]
