"""Objects of a sky that never was: closed forms, and the same orbits looked at in another way."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from edjax.et import draws, events, objects, transit

TIME = events.times(27.4)
COUNT = 24


@functools.cache
def drawn(name):
  return jax.device_get(objects.CLASSES[name](jax.random.key(0), COUNT, TIME))


def test_a_dip_is_smeared_by_the_exposure():
  """The mean of a parabola |t| < w over an exposure is a difference of cubes."""
  half, days = np.array([0.05, 0.2]), np.linspace(-0.3, 0.3, 301)[None].repeat(2, 0)

  def hidden(t):
    return jnp.clip(1 - (t / half[:, None]) ** 2, 0)

  found = objects.smeared(hidden, 2 * half, jnp.asarray(days))

  def upto(t):
    inside = np.clip(t, -half[:, None], half[:, None])
    return inside - inside**3 / (3 * half[:, None] ** 2)

  ends = (upto(days + sign * draws.EXPOSURE / 2) for sign in (1, -1))
  wanted = next(ends) - next(ends)
  np.testing.assert_allclose(found, wanted / draws.EXPOSURE, atol=2e-3)


@pytest.mark.parametrize("name", objects.CLASSES)
def test_objects_are_light(name):
  light = drawn(name)
  assert light.flux.shape == (COUNT, len(TIME)) and np.isfinite(light.flux).all()
  assert (light.depth > 0).all() and np.isfinite(light.moved).all()
  assert len({*light.depth.tolist()}) == COUNT  # no two are alike
  if light.dips is not None:
    assert (light.flux > -1).all()


def test_planets_are_dark_at_their_times_only():
  light = drawn("planet")
  epoch, long = light.dips
  days = np.abs(np.asarray(objects.since(TIME, light.period, epoch)))
  reach = (long / 2)[:, None] + draws.EXPOSURE / 2
  assert (light.flux[days > reach + 1e-3] == 0).all()
  whole = days < (long / 2)[:, None] / 2 - draws.EXPOSURE / 2
  assert (light.flux[whole] < 0).all()
  cycles = np.floor((TIME[-1] - epoch) / light.period) + 1
  assert (cycles >= 1).all()


@pytest.mark.parametrize("name", ["eclipsing", "blended"])
def test_eclipses_are_where_the_stars_meet(name):
  """A dip's deepest place is one of two conjunctions, at half the period where that was halved."""
  light = drawn(name)
  epoch, long = light.dips
  days = np.abs(np.asarray(objects.since(TIME, light.period, epoch)))
  nearest = days[np.arange(COUNT), light.flux.argmin(1)]
  seen = days.min(1) < 0.1 * long  # an exposure lies at the middle
  assert seen.sum() > COUNT // 3
  assert (nearest < long / 2 + draws.EXPOSURE)[seen].all()


def test_the_second_conjunction_is_where_the_distance_says():
  """From one conjunction to the other by mean anomalies, and by looking for the least distance."""
  period, eccentricity, periastron = 3.0, np.array([0.0, 0.3, 0.6]), np.array([0.3, 1.0, 4.0])
  here, there = (
    np.asarray(transit.mean_anomaly(sign * np.pi / 2 - periastron, eccentricity))
    for sign in (1, -1)
  )
  found = (there - here) / (2 * np.pi) % 1 * period
  time = np.linspace(0, period, 30_001)[:, None]
  distance, before = transit.separation(time, period, 5.0, np.pi / 2, eccentricity, periastron)
  behind = np.where(before, np.inf, distance)
  np.testing.assert_allclose(time[behind.argmin(0), 0], found, atol=2e-3)


def test_true_and_mean_anomaly_are_inverse():
  mean = np.linspace(-3, 3, 50)
  back = transit.mean_anomaly(transit.true_anomaly(mean, 0.4), 0.4)
  np.testing.assert_allclose(back, mean, atol=1e-5)


def test_what_varies_has_its_period():
  """The strongest wave of the spectrum is at the period, its double or its half, or an overtone."""
  light = drawn("variable")
  power = np.abs(np.fft.rfft(light.flux - light.flux.mean(1, keepdims=True), axis=1)) ** 2
  strongest = power.argmax(1) / (len(TIME) * draws.EXPOSURE)
  ratio = strongest * light.period
  short = light.period < 6  # enough cycles to say
  known = np.array([1 / 2, 1, 3 / 2, 2, 3, 4])
  near = np.abs(ratio[:, None] / known - 1).min(1)
  assert np.mean(near[short] < 0.15) > 0.8
  assert (light.period >= 0.1 - 1e-6).all()


def test_a_neighbours_dip_moves():
  assert np.median(drawn("blended").moved) > 5 * np.abs(np.median(drawn("eclipsing").moved))


def test_slow_noise_is_slow():
  """σ is 1, and light an exposure later the same but for what a damped oscillator forgets by then.

  With Q = 1/√2 the correlation after t is exp(−x) (cos x + sin x), x = π √2 ν₀ t.
  """
  rate = jnp.full(64, 20.0)  # µHz
  flux = np.asarray(jax.jit(draws.slow_noise, static_argnums=2)(jax.random.key(0), rate, 1315))
  assert abs(flux.std() - 1) < 0.05
  x = np.pi * 2**0.5 * 20e-6 * draws.EXPOSURE * 86_400
  wanted = np.exp(-x) * (np.cos(x) + np.sin(x))
  found = np.mean(flux[:, 1:] * flux[:, :-1]) / np.mean(flux**2)
  assert abs(found - wanted) < 0.01
