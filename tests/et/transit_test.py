"""Transits: adaptive quadrature of the hidden light, known numbers, orbits integrated in time."""

import itertools

import jax
import numpy as np
import pytest
from scipy import integrate, optimize, stats

from edjax.et import transit

depth = jax.jit(transit.depth)


pytestmark = pytest.mark.usefixtures("precisely")


def hidden(z, k, u1, u2):
  """The light behind the disk, ring by ring of the star: no integral along a limb."""

  def ring(r):
    if r <= abs(z - k):
      share = float(k > z)
    else:
      share = np.arccos(np.clip((r**2 + z**2 - k**2) / max(2 * r * z, 1e-300), -1, 1)) / np.pi
    mu = np.sqrt(max(0.0, 1 - r**2))
    return 2 * np.pi * r * share * (1 - u1 * (1 - mu) - u2 * (1 - mu) ** 2)

  edges = sorted({0.0, 1.0, *(min(1, abs(z + sign * k)) for sign in (-1, 1))})
  light = 0.0
  for low, high in itertools.pairwise(edges):  # r = low + …(1 − cos a): smooth at both ends
    middle, wide = (low + high) / 2, (high - low) / 2
    light += integrate.quad(
      lambda a, m=middle, w=wide: ring(m - w * np.cos(a)) * w * np.sin(a),
      0,
      np.pi,
      epsabs=1e-13,
      epsrel=1e-12,
      limit=400,
    )[0]
  return light / (np.pi * (1 - u1 / 3 - u2 / 6))


PLACES = [
  (k, z)
  for k in (0.003, 0.05, 0.1, 0.2)
  for z in (0.0, 0.3, 1 - k - 1e-6, 1 - k, 1 - 0.7 * k, 1.0, 1 + 0.4 * k, 1 + 0.99 * k)
]
LAWS = ((0.4, 0.25), (0.9, -0.2))


@pytest.mark.parametrize("law", LAWS)
def test_depth_is_the_hidden_light(law):
  k, z = np.array(PLACES).T
  wanted = np.array([hidden(*place, *law) for place in zip(z, k, strict=True)])
  found = depth(z, k, *law)
  assert found.dtype == np.float64
  np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-9)
  small = k <= 0.1
  single = depth(*(np.float32(each) for each in (z[small], k[small], *law)))
  assert single.dtype == np.float32
  exact = depth(*(np.float64(np.float32(each)) for each in (z[small], k[small], *law)))
  np.testing.assert_allclose(single, exact, rtol=0, atol=1e-7)


def test_what_covers_all_or_nothing():
  z, k = np.array([[0.2, 1.3], [0.0, 1.0], [0.0, 2.0], [1.5, 0.5], [9.0, 0.1], [0.3, 0.0]]).T
  np.testing.assert_allclose(depth(z, k, 0.4, 0.25), [1, 1, 1, 0, 0, 0], atol=1e-12)


def test_earth_before_the_sun():
  """84.05 ppm of a uniform star; what batman says of quadratic limb darkening is 101.88 ppm."""
  k = 6.3781e6 / 6.957e8
  assert 1e6 * depth(0.0, k, 0.0, 0.0) == pytest.approx(84.05, abs=5e-3)
  assert 1e6 * depth(0.0, k, 0.4, 0.25) == pytest.approx(101.88, abs=5e-3)
  assert 24 * transit.duration(365.25, 215.03, k) == pytest.approx(13.095, abs=5e-3)
  assert 24 * transit.duration(365.25, 215.03, k, 0.5) == pytest.approx(11.375, abs=5e-3)
  assert transit.duration(365.25, 215.03, k, 1.1) == 0


def test_gradients_are_differences_and_finite_everywhere():
  k, z = np.array(PLACES).T
  slopes = [jax.grad(lambda *a: depth(*a).sum(), n)(z, k, 0.4, 0.25) for n in (0, 1)]
  assert all(np.isfinite(slope).all() for slope in slopes)
  smooth = (np.abs(z + k - 1) > 1e-3) & (np.abs(np.abs(z - k) - 1) > 1e-3) & (z > 0)
  step = 1e-6
  for slope, (dz, dk) in zip(slopes, ((step, 0), (0, step)), strict=True):
    ends = [depth(z + s * dz, k + s * dk, 0.4, 0.25) for s in (1, -1)]
    difference = (ends[0] - ends[1]) / (2 * step)
    np.testing.assert_allclose(slope[smooth], difference[smooth], atol=2e-5)


def test_shapes_are_those_that_broadcast():
  z, k = np.linspace(0, 1.2, 5), np.array([[0.01], [0.1], [0.2]])
  found = depth(z, k, 0.4, 0.25)
  assert found.shape == (3, 5)
  np.testing.assert_allclose(found[1], depth(z, 0.1, 0.4, 0.25), rtol=1e-14)


@pytest.mark.parametrize("eccentricity", [0.0, 0.1, 0.6, 0.95])
def test_keplers_equation_is_solved(eccentricity):
  mean = np.linspace(-9, 9, 401)
  true = transit.true_anomaly(mean, eccentricity)
  eccentric = np.array(
    [optimize.brentq(lambda E, m=m: E - eccentricity * np.sin(E) - m, m - 1, m + 1) for m in mean]
  )
  wanted = 1 - eccentricity * np.cos(eccentric)  # the distance, in half long axes
  found = (1 - eccentricity**2) / (1 + eccentricity * np.cos(true))
  np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)


def test_an_orbit_is_the_one_that_gravity_makes():
  """Position on the sky against an integration of x'' = −(2π/P)² a³ x/r³ from periastron."""
  period, axis, tilt, eccentricity, argument = 10.0, 12.0, 1.5, 0.4, 0.7
  pull = (2 * np.pi / period) ** 2 * axis**3
  start = [axis * (1 - eccentricity), 0, 0, 0]
  start[3] = np.sqrt(pull / axis * (1 + eccentricity) / (1 - eccentricity))

  def force(_, state):
    x, y, vx, vy = state
    strength = -pull / np.hypot(x, y) ** 3
    return [vx, vy, strength * x, strength * y]

  times = np.linspace(0, period, 60)
  path = integrate.solve_ivp(
    force, (0, period), start, "DOP853", rtol=1e-12, atol=1e-12, dense_output=True
  ).sol
  angle = np.arctan2(path(times)[1], path(times)[0]) + argument
  distance = np.hypot(*path(times)[:2])
  sky = distance * np.sqrt(np.cos(angle) ** 2 + (np.sin(angle) * np.cos(tilt)) ** 2)
  conjunction = optimize.brentq(  # nearest to us, a quarter of a turn from the plane of the sky
    lambda time: np.arctan2(path(time)[1], path(time)[0]) + argument - np.pi / 2, 0, period / 2
  )
  z, front = transit.separation(times - conjunction, period, axis, tilt, eccentricity, argument)
  np.testing.assert_allclose(z, sky, atol=1e-6 * axis)
  np.testing.assert_array_equal(front, np.sin(angle) > 0)
  close = np.linspace(-0.3, 0.3, 41)  # in float32 to a thousandth of the star
  orbit = period, axis, tilt, eccentricity, argument
  single = transit.separation(close.astype(np.float32), *orbit)[0]
  assert single.dtype == np.float32
  np.testing.assert_allclose(single, transit.separation(close, *orbit)[0], atol=1e-3)


@pytest.mark.parametrize("eccentricity, argument", [(0.0, 0.0), (0.3, 0.8), (0.3, -1.2)])
def test_a_transit_lasts_from_contact_to_contact(eccentricity, argument):
  """On a circle to the last digits; on an ellipse Winn's formula leaves out the third order."""
  period, axis, k, impact = 20.0, 30.0, 0.1, 0.4
  nearer = (1 - eccentricity**2) / (1 + eccentricity * np.sin(argument))
  tilt = np.arccos(impact / (axis * nearer))
  orbit = period, axis, tilt, eccentricity, argument

  def gap(time):
    return float(transit.separation(time, *orbit)[0]) - (1 + k)

  ends = [optimize.brentq(gap, 0, sign * 0.5, xtol=1e-12) for sign in (-1, 1)]
  found = transit.duration(period, axis, k, impact, eccentricity, argument)
  assert found == pytest.approx(ends[1] - ends[0], rel=1e-3 if eccentricity else 1e-9)


def test_odd_and_even_transits():
  """Means 10 and 14 of errors √(1/2) and 2: a difference of −4 / √(1/2 + 4)."""
  depths, errors = np.array([9.0, 14.0, 11.0]), np.array([1.0, 2.0, 1.0])
  found = transit.odd_even(depths, errors)
  np.testing.assert_allclose(found, [-4 / np.sqrt(4.5), 0.0593], rtol=1e-3)
  surer = transit.odd_even(depths, np.array([1.0, 2.0, 0.5]))  # (9 + 4 · 11) / 5
  assert surer[0] == pytest.approx((10.6 - 14) / np.sqrt(1 / 5 + 4))
  missed = transit.odd_even(np.array([*depths, np.nan]), np.array([*errors, np.inf]))
  np.testing.assert_allclose(missed, found, rtol=1e-14)
  np.testing.assert_array_equal(transit.odd_even(depths[:2], np.array([1.0, np.inf])), [0, 1])
  slope = jax.grad(lambda each: transit.odd_even(each, np.array([1.0, 2.0, np.inf]))[0])(depths)
  np.testing.assert_allclose(slope, np.array([1, -1, 0]) / np.sqrt(5))


def test_noise_alone_makes_no_odd_transit():
  random = np.random.default_rng(0)
  errors = random.uniform(0.5, 2, (4000, 7))
  sigmas, chance = transit.odd_even(5 + errors * random.normal(size=errors.shape), errors)
  assert stats.kstest(sigmas, "norm").pvalue > 0.01
  np.testing.assert_allclose(chance, 2 * stats.norm.sf(np.abs(sigmas)), rtol=1e-9)
