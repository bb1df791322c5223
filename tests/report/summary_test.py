"""What a run says it has cost and how sure it says its figures are."""

import types

import numpy as np
import pytest
from scipy import stats

from edjax.report import scores, summary
from edjax.teachers import faculty


def _teacher(name, source, macs, seconds):
  return faculty.Teacher(name, "resnet8", (0, 1), {}, macs, seconds, source)


def _grade(student, teachers, seconds):
  return {"train_macs_student": student, "train_macs_teachers": teachers, "seconds": seconds}


def test_the_cost_of_a_run_includes_the_training_of_its_own_teachers_only():
  hired = (
    _teacher("subject_1", "trained", 1000, 10.0),
    _teacher("subject_2", "trained", 500, 5.0),
    _teacher("generalist", "cache", 70_000, 700.0),
    _teacher("generalist_2", "given", None, None),
  )
  told = summary.costs([_grade(3, 4, 1.0), _grade(30, 40, 2.0)], hired, 0.5)
  assert told == {
    "train_macs": 33 + 44 + 1500,
    "train_macs_student": 33,
    "train_macs_teachers": 44,
    "teacher_training_macs": 1500,
    "seconds": 18.5,
    "seconds_student": 3.0,
    "seconds_teachers": 15.0,
    "seconds_between": 0.5,
  }


@pytest.mark.parametrize("right, count", [(448, 451), (0, 1), (1, 1), (7, 7), (3, 10), (0, 400)])
def test_intervals_are_wilsons(right, count):
  theirs = stats.binomtest(right, count).proportion_ci(0.95, method="wilson")
  assert scores.interval(right / count, count) == pytest.approx(list(theirs), abs=1e-9)


def test_a_share_is_told_with_its_count_and_its_interval():
  assert scores.percent_of(448 / 451, 451) == "99.3 % of 451 (95 % interval 98.1–99.8)"
  assert scores.interval(0.5, 0) is None


def test_what_an_epoch_leaves_out_is_one_line_with_its_reason():
  even, whole = (
    {"name": f"grade_{k + 1}", "left_over": n, "again": 0, "even": True}
    for k, n in ((0, 0), (1, 7))
  )
  assert summary.left_out([even]) == ""
  said = summary.left_out([even, whole])
  assert said.endswith("in each: grade 2 7; batches are whole") and "grade 1" not in said
  seated = {"name": "grade_3", "left_over": 44, "again": 7, "even": False}
  said = summary.left_out([even, whole, seated])
  assert "grade 2 7, grade 3 44 (and shows 7 again)" in said and "\n" not in said
  assert said.endswith("batches are whole, and so are the seats of a subject in them")


def test_a_graduate_with_one_answer_is_told_in_one_line():
  exam = types.SimpleNamespace(labels=np.array([0, 0, 1]))
  dataset = types.SimpleNamespace(test=exam, what="light curves", class_names=("J", "PC"))
  (said,) = summary.the_same([[2, 0], [1, 0]], dataset)
  assert said.startswith("the graduate takes all 3 test light curves for J: ") and "\n" not in said
  assert summary.the_same([[2, 0], [0, 1]], dataset) == []
