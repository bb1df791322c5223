"""Surveys that graduates vet: what they keep and take by the rows, false ones, who expects them."""

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
  made = vetted.vetting(ROWS)
  assert made.edges == (0, 10, 300.0) and made.kept == (0.5, 0.9)
  # For every planet of the sky: of 100 events there 83.1 are junk, 13.9 eclipse, 3 are planets.
  assert made.false == pytest.approx((83.1 / 3 * 6 / 100, 13.9 / 3 * 10 / 20))
  sigmas = np.array([9.0, 20.0])
  np.testing.assert_allclose(made(sigmas, 3), survey.DR25(sigmas) * np.array([0.5, 0.9]))


def test_false_ones_stand_out_as_they_should(vetted):
  """Periods even in the logarithm; radii within the box, larger of those that are louder."""
  chosen, known = survey.SURVEYS["white_paper"], vetted.vetting(ROWS)
  faint, loud = (
    vetted.alarms(chosen, known, np.array(counts), np.random.default_rng(0))
    for counts in ((2000, 0), (0, 2000))
  )
  for period, radius in (faint, loud):
    assert 100 < len(period) == len(radius) < 2000
    assert period.min() >= 2 and period.max() < 400 and radius.min() >= 0.5 and radius.max() < 6
  assert np.median(loud[1]) > 1.5 * np.median(faint[1])
  # A few more long ones are as loud as a planet of the box: most are even from 2 to 400 days.
  assert np.log(faint[0]).mean() == pytest.approx(np.log(2 * 400) / 2, abs=0.3)
  # A dark disk's depth goes with the square of its radius, but for how long it takes to cross.
  star = population.stars(np.full((1, 3), 0.5))
  one, other = (float(population.stands_out(chosen, star, 30.0, r, 0.3)[0][0]) for r in (1, 2))
  assert other == pytest.approx(4 * one, rel=0.02)


@pytest.mark.slow
def test_a_survey_with_labels_that_are_not_true(vetted):
  """Few stars, two surveys: every figure has a row, whoever labels, and about what is true."""
  options = types.SimpleNamespace(stars=50_000, runs=2, seed=0)
  # 0.6 false ones beside a planet.
  rows = [row(0, 10, 8, (600, 6), (20, 2)), row(10, 30, 27, (400, 0), (200, 20))]
  known = vetted.vetting(rows)
  with jax.enable_x64(True):
    rows = list(vetted.rows(options, known, known))
  assert len(rows) == 2 * 14
  assert all(each["runs"] == 2 and np.isfinite(each["mean"]) for each in rows)
  by = {}
  for each in rows:
    if each["figure"] == "all":
      by[each["labels"]] = each["mean"] / each["truth"]
  assert by == {"true": pytest.approx(1, abs=0.25), "the graduates'": pytest.approx(1, abs=0.4)}
