"""A season of the bulge: closed forms, a lens fitted by other means, planets by another program."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from edjax.errors import UserError
from edjax.et import bulge, companions, event, events, lens, paczynski, peaks, rises, source
from edjax.et.draws import EXPOSURE

TIME = events.times(60.0)
COUNT = 16
SKY = source.Sky(days=60.0, red=0.3)


@functools.cache
def drawn(name):
  return jax.device_get(rises.CLASSES[name](jax.random.key(0), COUNT, TIME))


@jax.jit
def reported(flux, error, alone):
  return peaks.reported(flux, error, TIME, alone)


@jax.jit
def piped(rise, red):
  flux, error = peaks.measured(jax.random.key(1), rise, TIME, jnp.full(COUNT, red))
  return peaks.reported(flux, error, TIME, rise.flux - rise.alone)


@functools.cache
def seen(name, red=0.0):
  """What the pipeline says of such objects."""
  return jax.device_get(piped(drawn(name), red))


@pytest.mark.parametrize("name", rises.CLASSES)
def test_objects_are_light(name):
  rise = drawn(name)
  assert rise.flux.shape == (COUNT, len(TIME)) and rise.flux.dtype == np.float32
  assert np.isfinite(rise.flux).all() and (rise.flux > -1).all()
  assert len(np.unique(rise.flux, axis=0)) == COUNT
  assert (name == "planetary") == (rise.flux != rise.alone).any()


def test_the_peak_of_a_point_lens_is_paczynskis():
  """Its shape is (u² + 2) / (u √(u² + 4)) on a straight way: A gives u, and u² is a parabola."""
  flux = np.asarray(drawn("point").flux, float)
  for row in flux[flux.max(1) > 0.3][:6]:
    near = np.arange(*(row.argmax() + np.array([-3, 4])))
    if near[0] < 0 or near[-1] >= len(TIME):
      continue
    # Of a blended source with share f: u² = 2 A / √(A² − 1) − 2, f as makes it a parabola.
    time = np.asarray(TIME, float)[:, None] * [[1.0]]
    best = min(_parabola(row, time[:, 0], share) for share in np.geomspace(0.1, 1, 400))
    assert best < 2e-3


def _parabola(row, time, share):
  magnified = 1 + row / share
  high = magnified > 1 + 0.3 * (magnified.max() - 1)
  square = 2 * magnified[high] / np.sqrt(magnified[high] ** 2 - 1) - 2
  fit = np.polyfit(time[high] - time[high].mean(), square, 2)
  off = square - np.polyval(fit, time[high] - time[high].mean())
  return np.abs(off).max() / np.ptp(square)


def test_outbursts_rise_faster_than_they_fade():
  flux = np.asarray(drawn("outburst").flux)
  at = flux.argmax(1)
  inside = (at > 200) & (at < len(TIME) - 1000)
  assert inside.sum() > 3
  for row, peak in zip(flux[inside], at[inside], strict=True):
    high = np.flatnonzero(row[max(peak - 400, 0) : peak + 400] > row[peak] / 2) + max(peak - 400, 0)
    assert high[-1] - peak >= peak - high[0]


def lenses(least, crossing, closest, share=1.0):
  u = np.hypot((np.asarray(TIME, float)[None] - closest) / crossing, least)
  return jnp.asarray(share * (np.asarray(lens.point(u)) - 1), jnp.float32)


@jax.jit
def fitted(flux, error):
  peak = paczynski.standing(flux, error, TIME)
  return peak, paczynski.fitted(flux, error, TIME, peak)


@pytest.mark.parametrize("least, crossing", [(0.03, 10.0), (0.3, 3.0), (0.8, 8.0)])
def test_a_point_lens_without_noise_is_found_again(least, crossing):
  flux = lenses(least, crossing, 27.3, 0.5)
  peak, fit = fitted(flux, jnp.full(flux.shape, 1e-3))
  assert float(fit.closest[0]) == pytest.approx(27.3, abs=0.01)
  assert float(fit.least[0]) == pytest.approx(least, rel=0.03)
  assert float(fit.crossing[0]) == pytest.approx(crossing, rel=0.03)
  high = np.asarray(flux[0]) > float(flux.max()) / 2
  assert float(fit.width[0]) == pytest.approx(high.sum() * EXPOSURE, rel=0.03)


def test_the_fit_is_that_of_a_single_event(precisely):
  """χ² is no more than a thousandth above that of SciPy's steps from the truth, in float64."""
  random = np.random.default_rng(0)
  flux = np.asarray(lenses(0.2, 6.0, 30.0, 0.4)) + 0.02 * random.normal(size=(1, len(TIME)))
  error = np.full(flux.shape, 0.02)
  with jax.enable_x64(False):
    ours = jax.device_get(
      fitted(jnp.asarray(flux, jnp.float32), jnp.asarray(error, jnp.float32))[1]
    )
  curve = event.Curve(np.asarray(TIME, float), flux[0], error[0], (0.0, 0.0))
  best = event.fit([curve], event.Event(30.0, 0.2, 6.0))
  found = event.Event(*(float(each[0]) for each in ours[:3]))
  assert float(event.chi_square(found, [curve])) < best.chi_square * 1.001


def test_the_width_of_a_peak_by_halving():
  least = np.array([0.01, 0.3, 1.0, 2.0])
  level = (np.asarray(lens.point(least)) + 1) / 2
  low, high = least.copy(), np.full(4, 50.0)
  for _ in range(60):
    middle = (low + high) / 2
    above = np.asarray(lens.point(middle)) > level
    low, high = np.where(above, middle, low), np.where(above, high, middle)
  np.testing.assert_allclose(paczynski.half(least), np.sqrt(low**2 - least**2), rtol=2e-3)


def test_the_box_that_stands_out_is_found():
  rest = np.random.default_rng(0).normal(size=(2, len(TIME))).astype(np.float32)
  rest[1, 1000:1032] -= 3
  error = jnp.ones(rest.shape).at[:, 100:110].set(jnp.inf)
  found = paczynski.standing(jnp.asarray(rest), error, TIME, dark=True)
  assert float(found.sigmas[0]) < 6 and float(found.sigmas[1]) == pytest.approx(3 * 32**0.5, abs=4)
  assert float(found.middle[1]) == pytest.approx(1015.5 * EXPOSURE, abs=6 * EXPOSURE)
  assert not (np.asarray(paczynski.standing(jnp.asarray(rest), error, TIME).sigmas) > 6).any()


def test_planets_deviate_from_every_point_lens_and_points_do_not():
  points, planets = seen("point"), seen("planetary")
  assert (points.deviation < 7).all() and (points.companion == 0).all()
  assert (points.misfit < 1.2).all()
  assert np.mean((planets.deviation > 10) & (planets.companion > 10)) > 0.5


@pytest.mark.parametrize("name", rises.CLASSES)
def test_views_have_a_median_of_0_and_a_minimum_of_minus_1(name):
  found = seen(name, red=0.3)
  found = jax.tree.map(lambda leaf: leaf[found.signal > 0], found)
  assert len(found.signal) > COUNT // 2
  for view in (found.whole, found.near, found.rest):
    np.testing.assert_allclose(view.min(1), -1, atol=1e-5)
    assert np.abs(np.median(view, 1)).max() < 1e-5
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))
  assert (np.abs(found.asymmetry) <= 1).all()


def test_missing_exposures_are_of_no_account():
  flux, error = jax.jit(peaks.measured)(jax.random.key(1), drawn("point"), TIME, jnp.zeros(COUNT))
  gone = np.isinf(error)
  assert 0.02 < gone.mean() < 0.1
  one, two = (reported(jnp.where(gone, each, flux), error, flux) for each in (flux, 99.0))
  for name in ("whole", "near", "rest", "signal", "deviation", "asymmetry", "misfit"):
    np.testing.assert_array_equal(getattr(one, name), getattr(two, name), name)


def test_every_class_has_events():
  for name in rises.CLASSES:
    found = bulge.events_of(name, 5, SKY, 0)
    assert len(found.signal) == 5 and (found.signal >= source.LEAST).all()
  assert name == "planetary"
  assert (np.minimum(found.deviation, found.companion) >= bulge.DEVIATION).all()
  assert jnp.result_type(float) == jnp.float32  # float64 is left behind
  first, again, other = (bulge.events_of("outburst", 5, SKY, seed) for seed in (0, 0, 1))
  jax.tree.map(np.testing.assert_array_equal, first, again)
  assert not np.array_equal(first.whole, other.whole)
  with pytest.raises(UserError, match="comet.*planetary"):
    bulge.events_of("comet", 5, SKY, 0)


def test_vbmicrolensing_of_planets():
  """Disks on caustics as another program has them; seven points are not a disk to every digit."""
  vbm = pytest.importorskip("VBMicrolensing").VBMicrolensing()
  scene = jax.device_get(companions.paths(jax.random.key(3), 4, TIME))
  ours, alone = (np.asarray(each) for each in companions.magnified(scene, TIME))
  for row in range(4):
    closest, least, crossing, angle, s, q, rho, passed = (float(each[row]) for each in scene)
    near = np.abs(np.asarray(TIME, float) - passed) < 1.0
    when = np.asarray(TIME, float)[near]
    zeta = ((when - closest) / crossing + 1j * least) * np.exp(1j * angle) - s * q / (1 + q)
    wanted = np.array([vbm.BinaryMag2(s, q, z.real, z.imag, rho) for z in zeta])
    off = np.abs(ours[row][near] / wanted - 1)
    assert np.median(off) < 1e-3 and np.quantile(off, 0.9) < 0.03
