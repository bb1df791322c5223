"""Surveys that graduates vet: what they keep and take by the rows, reliabilities, false ones."""

import types

import jax
import numpy as np
import pytest

from edjax.et import population, survey
from tests import command


@pytest.fixture
def vetted(monkeypatch):
  monkeypatch.syspath_prepend(command.ROOT / "experiments")
  import et_vetted

  return et_vetted


def row(low, planets, kept, junk, eclipsing):
  """(of how many, how many are taken) of both classes that are no planets."""
  others, taken = ({"J": each[0], "EB": each[1]} for each in zip(junk, eclipsing, strict=True))
  return {"low": low, "planets": planets, "kept": kept, "others": others, "taken": taken}


ROWS = [row(0, 10, 5, (60, 6), (0, 0)), row(10, 30, 27, (40, 0), (20, 10))]


def test_what_graduates_keep_and_take(vetted):
  made = vetted.vetting(ROWS, {"J": 20.0, "EB": 4.0})
  assert made.edges == (0, 10, 300.0) and made.kept == (0.5, 0.9)
  assert made.false == pytest.approx((20 * 6 / 100, 4 * 10 / 20))  # for every planet of the sky
  sigmas = np.array([9.0, 20.0])
  np.testing.assert_allclose(made(sigmas, 3), survey.DR25(sigmas) * np.array([0.5, 0.9]))


def test_false_ones_stand_out_as_they_should(vetted):
  """Each between its edges; periods even in the logarithm; radii within the box."""
  chosen, known = survey.SURVEYS["white_paper"], vetted.vetting(ROWS, {"J": 1.0, "EB": 1.0})
  draw = np.random.default_rng(0)
  sigmas, period, radius = vetted.alarms(chosen, known, np.array([400, 600]), draw)
  assert len(sigmas) == len(period) == len(radius) > 100
  assert sigmas.min() >= survey.THRESHOLD and sigmas.max() < 300
  assert radius.min() >= 0.5 and radius.max() < 6
  count = vetted.cells(known, sigmas, period)
  assert count.sum() == len(sigmas) and count[0].sum() < 400 and count[1].sum() < 600
  # A dark disk's depth goes with the square of its radius, but for how long it takes to cross.
  star = population.stars(np.full((1, 3), 0.5))
  one, other = (float(population.stands_out(chosen, star, 30.0, r, 0.3)[0][0]) for r in (1, 2))
  assert other == pytest.approx(4 * one, rel=0.02)


def test_a_candidate_is_as_sure_as_its_cell(vetted):
  known = vetted.vetting(ROWS, {"J": 1.0, "EB": 1.0})
  sigmas, period = np.array([8.0, 8.0, 8.0, 8.0, 20.0]), np.array([3.0, 3.0, 3.0, 3.0, 200.0])
  expected = np.zeros((2, 4))
  expected[0, 0], expected[1, 3] = 1.0, 2.0
  found = vetted.reliability(known, expected, sigmas, period)
  assert found.tolist() == [0.75, 0.75, 0.75, 0.75, 0.0]


@pytest.mark.slow
def test_a_survey_with_labels_that_are_not_true(vetted):
  """Few stars, two surveys: every figure has a row, whoever labels."""
  options = types.SimpleNamespace(stars=20_000, runs=2, seed=0)
  known = vetted.vetting(ROWS, {"J": 1.0, "EB": 1.0})
  with jax.enable_x64(True):
    rows = list(vetted.surveyed(options, known, known))
  assert len(rows) == 14 and all(each["runs"] == 2 and np.isfinite(each["mean"]) for each in rows)
  (total,) = [each for each in rows if each["figure"] == "all"]
  assert total["mean"] == pytest.approx(total["truth"], rel=0.5)
