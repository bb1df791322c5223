"""Arms of an experiment cost the same, and that is what their runs report."""

import math

import pytest

from edjax.data import datasets
from edjax.training import loop
from experiments import budgets

NETWORKS = {"student.model": "tests.small:SMALL", "faculty.generalist.model": "tests.small:SMALL"}
CHANGES = NETWORKS | {
  "devices": 1,
  "faculty.generalist.epochs": 1.0,
  "grades.image_size": (0.5, 0.0),
  "grades.epochs": (2.0, 1.0),
  "grades.teachers": ("none", "generalist"),
}


def test_a_run_costs_what_was_foretold(compiled, tmp_path):
  settings, data = budgets.settled("digits:kd,smoke", CHANGES), datasets.load("digits")
  (whole,) = budgets.work(budgets.settled("digits:kd,smoke", NETWORKS), data)
  epochs = budgets.lengths(settings, data, whole, (0.25, 0.75))
  changes = CHANGES | {"grades.epochs": epochs, "data.train_limit": 0}
  settings = budgets.settled("digits:kd,smoke", changes)
  told = loop.run(settings, tmp_path / "run")
  parts = [row["train_macs"] for row in told["grades"]]
  assert parts == budgets.work(settings, data)
  assert sum(parts) == pytest.approx(whole, rel=0.03)  # steps are whole
  assert parts[0] / sum(parts) == pytest.approx(0.25, rel=0.05)


def test_flags_are_the_changes(typed):
  given = budgets.flags("digits:kd", {"grades.epochs": (1.5, 2.0), "seed": 3})
  assert given == [
    "--config=configs/digits.py:kd",
    "--config.grades.epochs=1.5,2",
    "--config.seed=3",
  ]
  assert [row.epochs for row in typed(*given).grades.values()] == [1.5, 2.0]


def test_differences_are_of_the_same_seeds():
  """Student's t of three differences: 4.3027 · s / √3."""
  mean, half, count = budgets.paired({0: 3.0, 1: 5.0, 2: 4.0, 7: 9.0}, {0: 1.0, 1: 2.0, 2: 3.0})
  assert (mean, count) == (2.0, 3)
  assert half == pytest.approx(4.3027 * 1.0 / math.sqrt(3), rel=1e-4)
  assert budgets.paired({0: 3.0}, {0: 1.0})[0] == 2.0
  assert math.isnan(budgets.paired({0: 3.0}, {1: 1.0})[0])
