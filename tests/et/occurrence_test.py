"""Occurrence rates: closed forms, quadrature, moments, intervals that hold what was drawn."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, optimize, stats

from edjax.et import occurrence, survey

pytestmark = pytest.mark.usefixtures("precisely")

BOX = ((10.0, 100.0), (1.0, 4.0))
AREA = np.log(10) * np.log(4)
STRAIGHT = occurrence.Straight(*BOX)
BROKEN = occurrence.Broken(*BOX)


@dataclasses.dataclass(frozen=True)
class Flat:
  """One density everywhere, whose logarithm is the only parameter."""

  density: jax.Array

  def __call__(self, period, radius):
    return self.density * jnp.ones_like(period) * jnp.ones_like(radius)

  def within(self, periods, radii):
    low, high = zip(periods, radii, strict=True)
    return self.density * jnp.log(high[0] / low[0]) * jnp.log(high[1] / low[1])


def flat(parameters):
  return Flat(jnp.exp(parameters[0]))


def completeness(share=lambda period, radius: 0.02 + 0 * period * radius, stars=5000.0, places=20):
  """A grid somewhat wider than the box."""
  periods, radii = np.geomspace(5, 200, places), np.geomspace(0.5, 8, places)
  return occurrence.Completeness(periods, radii, share(periods[:, None], radii), stars)


def found(generator, count, powers=(0.0, 0.0)):
  """Periods and radii of so many planets, by powers of both."""
  out = []
  for (low, high), power in zip(BOX, powers, strict=True):
    place = generator.random(count)
    if power:
      place = np.log1p(place * np.expm1(power * np.log(high / low))) / power / np.log(high / low)
    out.append(low * (high / low) ** place)
  return out


def test_a_flat_density_is_the_number_by_what_was_looked_at():
  """n / ∫ stars · share, with the standard deviation √n of n, or of reliabilities √Σ r² of Σ r."""
  generator = np.random.default_rng(0)
  period, radius = found(generator, 80)
  exposure = completeness().exposure(*BOX)
  for reliability in (np.ones(80), generator.uniform(0.2, 1, 80)):
    candidates = occurrence.Candidates(period, radius, reliability)
    fitted = occurrence.fit(flat, [[-3.0]], candidates, exposure)
    rate, low, high = occurrence.interval(fitted, lambda at: jnp.exp(at[0]))
    total, spread = reliability.sum(), np.sqrt((reliability**2).sum())
    assert rate == pytest.approx(total / (5000 * 0.02 * AREA), rel=2e-3)
    np.testing.assert_allclose(np.log([high / rate, rate / low]), spread / total, rtol=5e-3)
    wanted = (reliability * np.log(rate)).sum() - rate * 5000 * 0.02 * AREA
    assert fitted.log_likelihood == pytest.approx(wanted, abs=1e-3)


def test_inverse_efficiencies():
  """By hand; and 4,000 surveys at once, padded with what is left out, hold the truth as often."""
  rate, error = occurrence.inverse_efficiency(
    np.array([0.1, 0.02, 0.5]), np.array([1.0, 0.5, 0.0]), 100
  )
  np.testing.assert_allclose([rate, error], [0.1 + 0.25, np.hypot(0.1, 0.25)])
  generator = np.random.default_rng(1)
  runs, most, stars, wanted = 4000, 400, 1000, 1.5
  share = generator.uniform(0.01, 0.2, (runs, most))
  there = np.arange(most) < generator.poisson(stars * wanted * 0.2, (runs, 1))
  # As many of each share are there as stars · rate · 0.2, of which share / 0.2 are found.
  kept = there & (generator.random((runs, most)) < share / 0.2)
  rate, error = occurrence.inverse_efficiency(share, kept.astype(float), stars)
  assert rate.shape == error.shape == (runs,)
  rate, error = np.asarray(rate), np.asarray(error)
  assert rate.mean() == pytest.approx(wanted, abs=4 * rate.std() / np.sqrt(runs))
  assert error.mean() == pytest.approx(rate.std(), rel=0.04)
  assert (np.abs(rate - wanted) < error).mean() == pytest.approx(0.683, abs=0.03)


def test_the_share_between_the_grid_is_that_of_a_power():
  share = completeness(lambda period, radius: 0.3 * period**-0.7 * radius**2.5 / 181)
  period, radius = np.array([11.0, 60.0, 199.0]), np.array([1.1, 0.6, 7.9])
  np.testing.assert_allclose(
    share(period, radius), 0.3 * period**-0.7 * radius**2.5 / 181, rtol=1e-9
  )
  np.testing.assert_array_equal(share(np.array([4.0, 20.0]), np.array([2.0, 9.0])), 0)
  none = completeness(lambda period, radius: np.where(radius < 2, 0.0, 0.1) + 0 * period)
  assert 0 <= none(20.0, 1.0) < 1e-25 and none(20.0, 4.0) == pytest.approx(0.1)


LAW = (0.3, np.log(30), np.log(2.2), 1.4, -0.3, 0.5, -3.0)


def test_what_is_expected_is_an_integral():
  """By adaptive quadrature between the breaks, whose places are no edges of cells."""
  share = completeness(lambda period, radius: 0.05 * period**-0.6 * radius**0.8)
  count, middle, large, *powers = LAW
  ends = np.log(BOX[0]), np.log(BOX[1])

  def integral(at, pair, more, box):
    """Of exp(power · (x − at) + more · x), of another power on each side of `at`."""
    return sum(
      integrate.quad(lambda x, power=power: np.exp(power * (x - at) + more * x), *part)[0]
      for power, part in zip(pair, ((box[0], at), (at, box[1])), strict=True)
    )

  along, across = (middle, powers[:2]), (large, powers[2:])
  whole = integral(*along, 0, ends[0]) * integral(*across, 0, ends[1])
  seen = integral(*along, -0.6, ends[0]) * integral(*across, 0.8, ends[1])
  law = BROKEN(jnp.array(LAW))
  said = occurrence.expected(law, share.exposure(*BOX))
  assert float(said) == pytest.approx(5000 * 0.05 * np.exp(count) * seen / whole, rel=1e-4)
  assert float(law.within(*BOX)) == pytest.approx(np.exp(count), rel=1e-9)


def test_the_likelihood_has_a_slope():
  """Against differences, away from kinks; what is left out has none."""
  period, radius = found(np.random.default_rng(2), 40)
  reliability = np.r_[np.full(35, 0.8), np.zeros(5)]
  exposure = completeness().exposure(*BOX, cells=20)

  @jax.jit
  def said(at, period=period):
    candidates = occurrence.Candidates(period, radius, reliability)
    return occurrence.log_likelihood(BROKEN(at), candidates, exposure)

  at, step = np.array(LAW), 1e-5
  slopes = [(said(at + step * way) - said(at - step * way)) / (2 * step) for way in np.eye(7)]
  np.testing.assert_allclose(jax.grad(said)(at), slopes, rtol=1e-5, atol=1e-5)
  changed = np.r_[period[:35], np.full(5, np.nan)]
  assert said(at, changed) == said(at, period)


def test_powers_have_the_moments_of_what_was_found():
  """At the most likely power the law's mean of ln P is that of the planets, and so of ln R."""
  powers = (0.8, -1.2)
  period, radius = found(np.random.default_rng(3), 300, powers)
  candidates = occurrence.Candidates(period, radius, np.ones(300))
  fitted = occurrence.fit(STRAIGHT, [[0.0, 0.0, 0.0]], candidates, completeness().exposure(*BOX))
  assert np.exp(fitted.parameters[0]) == pytest.approx(300 / (5000 * 0.02), rel=5e-3)
  spread = np.sqrt(np.diag(fitted.covariance))
  for values, (low, high), own, error in zip(
    (period, radius), BOX, fitted.parameters[1:], spread[1:], strict=True
  ):
    wide, mean = np.log(high / low), np.log(values / low).mean()
    wanted = optimize.brentq(
      lambda power, wide=wide, mean=mean: wide / -np.expm1(-power * wide) - 1 / power - mean,
      -5,
      5.01,
    )
    assert own == pytest.approx(wanted, abs=0.05 * error)


def test_a_break_is_found_from_several_starts():
  """From both sides of it, and it is more likely than these and than the truth."""
  law = BROKEN(jnp.array(LAW))
  generator = np.random.default_rng(4)
  period, radius = found(generator, 10_000)
  density = np.asarray(law(period, radius))
  kept = generator.random(10_000) < density / 3
  assert 500 < kept.sum() and density.max() < 3
  candidates = occurrence.Candidates(period[kept], radius[kept], np.ones(kept.sum()))
  starts = np.array(LAW) + [[0, 0.3, -0.2, 0, 0, 0, 0], [0, -0.3, 0.2, 0, 0, 0, 0]]
  share = completeness(stars=10_000 / AREA / 3 / 0.02)
  exposure = share.exposure(*BOX, cells=10)
  fitted = occurrence.fit(BROKEN, starts, candidates, exposure)
  wide = np.sqrt(np.diag(fitted.covariance))
  assert np.all(np.abs(fitted.parameters - LAW) < 3.5 * wide) and np.all(wide < 0.6)
  for start in (starts[0], starts[1], np.array(LAW)):
    assert fitted.log_likelihood > occurrence.log_likelihood(
      BROKEN(jnp.array(start)), candidates, exposure
    )


def test_false_ones_are_as_dense_as_their_cell_says():
  """Σ ln(planets + false ones) − planets, by a loop; they only matter where they are."""
  period, radius = found(np.random.default_rng(7), 30)
  share = completeness(lambda period, radius: 0.05 * period**-0.6 * radius**0.8)
  exposure = share.exposure(*BOX, cells=4)
  false = np.random.default_rng(8).uniform(0, 30, (4, 4)) * (np.arange(4) != 2)
  law = BROKEN(jnp.array(LAW))
  steps = [np.log(box[0]) + np.log(box[1] / box[0]) * np.arange(5) / 4 for box in BOX]
  middles = [np.exp((each[:-1] + each[1:]) / 2) for each in steps]
  logarithm = -occurrence.expected(law, exposure)
  for one in zip(period, radius, strict=True):
    cell = tuple(
      int(np.floor((np.log(at) - each[0]) / (each[1] - each[0])))
      for at, each in zip(one, steps, strict=True)
    )
    stars = 5000 * 0.05 * middles[0][cell[0]] ** -0.6 * middles[1][cell[1]] ** 0.8
    logarithm += np.log(law(*one) + false[cell] / (AREA / 16) / stars)
  candidates = occurrence.Candidates(period, radius, np.ones(30))
  said = occurrence.log_likelihood(law, candidates, exposure._replace(alarms=false))
  assert float(said) == pytest.approx(float(logarithm), rel=1e-9)


@pytest.mark.parametrize("known", ["odds", "number"])
def test_candidates_that_may_be_no_planets(known):
  """5 surveys of 150 planets and as many false ones: 15 parameters, by their own deviations.

  Each counts by its odds; or nothing is known of any, but how many false ones there should be.
  """
  truth, generator = np.array([np.log(150 / 100), 0.5, -0.5]), np.random.default_rng(5)
  exposure, pulls = completeness().exposure(*BOX, cells=10), []
  if known == "number":
    exposure = exposure._replace(alarms=np.full((10, 10), 1.5))
  density = STRAIGHT(jnp.array(truth))
  for _ in range(5):
    parts = [found(generator, generator.poisson(150), powers) for powers in (truth[1:], (0.0, 0.0))]
    more = 400 - sum(len(period) for period, _ in parts)
    period, radius = (
      np.pad(np.concatenate(both), (0, more), "edge") for both in zip(*parts, strict=True)
    )
    planets = np.asarray(density(period, radius)) * 100
    odds = planets / (planets + 150 / AREA) if known == "odds" else 1
    candidates = occurrence.Candidates(
      period, radius, np.where(np.arange(400) < 400 - more, odds, 0)
    )
    fitted = occurrence.fit(STRAIGHT, truth[None], candidates, exposure)
    pulls.append((fitted.parameters - truth) / np.sqrt(np.diag(fitted.covariance)))
  assert stats.chi2(15).ppf(1e-3) < np.sum(np.square(pulls)) < stats.chi2(15).ppf(1 - 1e-3)


@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_fit_says_what_it_lacks():
  candidates = occurrence.Candidates(*found(np.random.default_rng(6), 30), np.ones(30))
  exposure = completeness().exposure(*BOX, cells=10)
  with pytest.raises(ValueError, match="no maximum"):
    occurrence.fit(flat, [[-3.0]], candidates._replace(reliability=np.full(30, np.inf)), exposure)
  beyond = (0.3, np.log(30), np.log(9.0), 1.4, -0.3, 0.5, -3.0)  # a break that no radius reaches
  with pytest.raises(ValueError, match="tell the parameters apart"):
    occurrence.fit(BROKEN, [beyond], candidates, exposure)
  with jax.enable_x64(False), pytest.raises(ValueError, match="float64"):
    occurrence.fit(flat, [[-3.0]], candidates, exposure)


def test_fits_to_kepler_say_what_is_published():
  """ζ of Bryson et al. 2020, 0.015 (0.008 to 0.026) with reliabilities; of Burke's box the sum."""
  twins = ((0.8 * survey.YEAR, 1.2 * survey.YEAR), (0.8, 1.2))
  assert survey.BRYSON.within(*twins) == pytest.approx(0.0159, abs=1e-4)
  assert survey.BURKE.within((50.0, 300.0), (0.75, 2.5)) == pytest.approx(0.731)
