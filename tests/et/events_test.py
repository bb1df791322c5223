"""Events from light: histograms, known boxes and trapezoids, and the path of one measured star."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from edjax.errors import UserError
from edjax.et import boxed, events, fold, objects, source

TIME = events.times(27.4)
ALL = jnp.ones((1, len(TIME)), bool)
best, again, stands_out = map(jax.jit, (boxed.best, boxed.again, boxed.stands_out))


def dips(period, epoch, duration, depth=1.0, ingress=0.0):
  """A light curve [1, times] with trapezoids."""
  days = np.abs(np.asarray(objects.since(TIME, np.array([period]), np.array([epoch]))))
  fall = max(ingress * duration, 1e-9)
  return -depth * np.clip((duration / 2 - days) / fall, 0, 1).astype(np.float32)


def noise(sigma, seed=0, count=1):
  return np.random.default_rng(seed).normal(0, sigma, (count, len(TIME))).astype(np.float32)


def one(*values):
  return tuple(jnp.array([value], jnp.float32) for value in values)


def test_bins_are_a_histogram():
  part = np.random.default_rng(0).uniform(-2, 12, (3, 500))
  flux, seen = noise(1, 1, 3)[:, :500], np.random.default_rng(2).uniform(size=(3, 500)) > 0.2
  binned = jax.jit(boxed.binned, static_argnums=3)
  total, count = binned(jnp.asarray(flux), jnp.asarray(seen), jnp.asarray(part), 10)
  for row in range(3):
    used = seen[row]
    edges = np.arange(11)
    wanted = np.histogram(part[row][used], edges)[0]
    assert count[row].tolist() == wanted.tolist()
    sums = np.histogram(part[row][used], edges, weights=flux[row][used])[0]
    np.testing.assert_allclose(total[row], sums, atol=1e-4)


@pytest.mark.parametrize("period, epoch, duration", [(3.3, 1.7, 0.2), (0.9, 0.2, 0.1)])
def test_the_best_box_is_the_dip(period, epoch, duration):
  flux = dips(period, epoch, duration) + noise(0.2)
  _, middle, long = best(jnp.asarray(flux), ALL, TIME, *one(period))
  assert abs(float(objects.since(middle, *one(period, epoch))[0, 0])) < duration / 3
  assert 0.5 * duration < float(long[0]) < 1.7 * duration


def test_how_far_the_best_box_stands_out():
  """Every box of a histogram, one by one: the missing light by √(exposures in, their share out)."""
  period, flux = 2.3, noise(1.0, 4) + 0.5
  seen = np.random.default_rng(5).uniform(size=flux.shape) > 0.1
  part = np.floor(np.asarray(TIME / np.float32(period)) % 1 * 288)[seen[0]]
  count, total = (np.bincount(part.astype(int), each, 288) for each in (None, flux[seen]))
  total = total - count * flux[seen].mean()
  most = -np.inf
  for wide in (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144):
    for first in range(288):
      own = (first + np.arange(wide)) % 288
      many = count[own].sum()
      if many >= 2:
        out = max(0.1, 1 - many / seen.sum())
        most = max(most, -total[own].sum() / np.sqrt(many * out))
  given = jnp.asarray(flux), jnp.asarray(seen), TIME, *one(period)
  assert float(jax.jit(boxed.strengths)(*given)[0, 0]) == pytest.approx(most, rel=1e-4)
  assert float(best(*given)[0][0]) == pytest.approx(most, rel=1e-4)


def test_a_dip_stands_out_by_its_depth_and_points():
  """depth / σ · √points, within four of its own σ, which is 1."""
  period, epoch, duration, sigma = 2.5, 1.0, 0.2, 0.5
  flux = dips(period, epoch, duration) + noise(sigma, 3)
  days = objects.since(TIME, *one(period, epoch))
  points = int((np.abs(np.asarray(days)) < duration / 2).sum())
  found = float(stands_out(jnp.asarray(flux), ALL, days, *one(duration))[0])
  assert abs(found - np.sqrt(points) / sigma) < 4


def test_sigma_passes_over_dips():
  flux = noise(2.0) + 40 * dips(3.0, 1.0, 0.1)
  assert abs(float(boxed.sigma(jnp.asarray(flux), ALL)[0]) / 2 - 1) < 0.06


def test_the_next_dip_is_found():
  period, epoch, duration = 4.0, 1.0, 0.2
  flux = dips(period, epoch, duration) + 0.5 * dips(period, epoch + 1.3, duration) + noise(0.05)
  at = again(jnp.asarray(flux), ALL, TIME, one(period, epoch, duration))
  assert abs(float(objects.since(at, *one(period, epoch + 1.3))[0, 0])) < duration / 3


def test_trends_go_and_dips_stay():
  slow = 5 * np.sin(2 * np.pi * np.asarray(TIME)[None] / 20)
  sharp = dips(5.0, 2.0, 0.15)
  flat = np.asarray(events.flattened(jnp.asarray(slow + sharp + noise(0.02)), ALL))
  inside = sharp[0] < -0.5
  assert abs(flat[0][inside].mean() + 1) < 0.15
  assert np.abs(flat[0][~inside][40:-40]).max() < 0.3


def test_missing_exposures_are_of_no_account():
  seen = np.asarray(ALL).copy()
  seen[0, 300:340] = False
  flux = dips(5.0, 2.0, 0.15) + noise(0.02)
  other = np.where(seen, flux, 1e6).astype(np.float32)
  both = [events.flattened(jnp.asarray(each), jnp.asarray(seen)) for each in (flux, other)]
  np.testing.assert_array_equal(*both)
  where = events.Dips(*one(5.0, 2.0, 0.15, 9.0))
  made = [events.reported(each, jnp.asarray(seen), TIME, where, *one(0.0)) for each in both]
  jax.tree.map(np.testing.assert_array_equal, *made)


def test_views_are_those_of_a_measured_star():
  """`fold.views` takes medians in float64, and is told the same dips."""
  period, epoch, duration = 3.21, 1.4, 0.3
  flux = dips(period, epoch, duration, ingress=0.3) + noise(0.03)
  where = events.Dips(*one(period, epoch, duration, 9.0))
  found = events.reported(jnp.asarray(flux), ALL, TIME, where, *one(0.1))
  whole, local = fold.views(np.asarray(TIME, float), flux[0].astype(float), period, epoch, duration)
  for view, wanted in ((found.whole, whole), (found.local, local)):
    assert view.shape[1:] == wanted.shape
    assert np.abs(np.asarray(view[0]) - wanted).mean() < 0.05
    assert float(view.min()) == -1 and abs(float(jnp.median(view))) < 1e-6


@pytest.mark.parametrize("ingress", [0.1, 0.25, 0.5])
def test_the_fall_of_a_dip(ingress):
  flux = dips(3.2, 1.4, 0.8, ingress=ingress) + noise(0.01)
  where = events.Dips(*one(3.2, 1.4, 0.8, 9.0))
  found = events.reported(jnp.asarray(flux), ALL, TIME, where, *one(0.0))
  assert abs(float(found.ingress[0]) - ingress) < 0.06


def test_noise_is_as_strong_as_asked():
  """In all of sixteen objects a dip of S/N 40 stands out by 40, as far as it was not smeared."""
  count = 16
  flux = jnp.asarray(np.repeat(dips(2.0, 0.7, 0.3), count, 0))
  many = (jnp.full(count, value) for value in (1.0, 0.0, 2.0, 0.7, 0.3))
  depth, moved, period, epoch, duration = many
  light = objects.Light(flux, depth, moved, period, (epoch, duration))
  sigma = events.white(light, jnp.full(count, 40.0), len(TIME))
  noisy, seen = events.measured(jax.random.key(0), flux, TIME, sigma, jnp.zeros(count))
  found = stands_out(noisy, seen, objects.since(TIME, period, epoch), duration)
  share = np.asarray(seen).mean()
  assert 0.85 < share < 0.98
  assert abs(float(found.mean()) / (40 * share**0.5) - 1) < 0.05


def test_a_sky_is_the_same_again_and_all_of_it_stands_out():
  sky = source.Sky()
  first, again, other = (source.events_of("planet", 20, sky, seed) for seed in (0, 0, 1))
  jax.tree.map(np.testing.assert_array_equal, first, again)
  assert not np.array_equal(first.whole, other.whole)
  assert len(first.period) == 20 and (first.signal >= source.LEAST).all()


def test_what_does_not_repeat_is_folded_at_the_deepest():
  """A search of many periods stands out more than one of the periods tried at random."""
  flux = noise(1.0, 5, 8)
  seen = jnp.ones(flux.shape, bool)
  nothing = jnp.ones(8)
  light = objects.Light(jnp.zeros(flux.shape), nothing, nothing)
  period = events.found(jax.random.key(0), light, jnp.asarray(flux), seen, TIME).period
  at_random = best(jnp.asarray(flux), seen, TIME, nothing * 2.0)[0]
  assert (best(jnp.asarray(flux), seen, TIME, period)[0] > at_random).all()


def test_objects_that_there_are_not():
  with pytest.raises(UserError, match="comet.*planet"):
    source.events_of("comet", 5, source.Sky(), 0)
