"""Strong views of light curves: place by place against loops, and what is drawn for them."""

import functools

import jax
import numpy as np
import pytest

from edjax.data.augment import disturbed, strong, views
from edjax.data.augment.disturbed import Disturbed, Draws
from edjax.data.augment.pipeline import Augment
from edjax.errors import UserError

COUNT, PLACES, CHANNELS = 6, 40, 4
view = jax.jit(disturbed.view)


def curves():
  """Three channels of views, and one of a scalar."""
  drawn = np.random.default_rng(0).integers(0, 256, (COUNT, 1, PLACES, CHANNELS))
  drawn[..., 3] = drawn[:, :, :1, 3]
  return drawn.astype(np.uint8)


def draws(noise=0.0, shift=0, hidden=0.0, begin=0.0):
  return Draws(
    seed=np.arange(COUNT, dtype=np.uint32),
    noise=np.full(COUNT, noise, np.float32),
    shift=np.full(COUNT, shift, np.int32),
    hidden=np.full(COUNT, hidden, np.float32),
    begin=np.broadcast_to(np.asarray(begin, np.float32), (COUNT, CHANNELS)),
  )


def test_nothing_drawn_is_nothing_done():
  np.testing.assert_array_equal(view(curves(), draws()), curves())


@pytest.mark.parametrize("shift", [-3, 5])
def test_what_is_not_there_is_as_the_end(shift):
  got, whole = view(curves(), draws(shift=shift)), curves()
  for place in range(PLACES):
    np.testing.assert_array_equal(got[:, :, place], whole[:, :, min(max(place + shift, 0), 39)])


@pytest.mark.parametrize("begin", [(0.0, 0.0, 0.0, 0.0), (0.0, 0.5, 0.999, 0.2)])
def test_a_stretch_of_each_view_is_its_median(begin):
  """Ten of forty places, which begin at up to the thirtieth; the scalar stays."""
  got = np.asarray(view(curves(), draws(hidden=0.25, begin=begin)))
  expected = curves().astype(float)
  for channel, share in enumerate(begin[:3]):
    first = round(share * 30)
    medians = np.median(curves()[..., channel], axis=2, keepdims=True)
    expected[:, :, first : first + 10, channel] = medians
  np.testing.assert_array_equal(got[..., 3], curves()[..., 3])
  assert np.abs(got - expected).max() <= 0.5  # half bytes are rounded
  assert (got != curves()).any(axis=(1, 2, 3)).all()


def test_noise_is_white_and_of_its_size():
  flat = np.full((64, 1, 500, 2), 128, np.uint8)
  flat[..., 0, :] = 127  # else they would be scalars
  given = disturbed.draw(Disturbed(noise=20.0, shift=0, hidden=0.0), jax.random.key(1), 64, 2)
  away = np.asarray(view(flat, given)).astype(float) - flat
  much = given.noise > 2  # bytes round less away
  np.testing.assert_allclose(away.std(axis=(1, 2, 3))[much], given.noise[much], rtol=0.12)
  assert abs(away.mean()) < 0.3
  together = (away[:, :, 1:] * away[:, :, :-1]).mean() / away.var()
  assert abs(together) < 0.02 and abs((away[..., 0] * away[..., 1]).mean() / away.var()) < 0.02


def test_all_that_may_be_drawn_is():
  drawn = disturbed.draw(Disturbed(noise=14.0, shift=2, hidden=0.25), jax.random.key(0), 5000, 3)
  times = np.unique(drawn.shift, return_counts=True)
  assert times[0].tolist() == [-2, -1, 0, 1, 2] and np.abs(times[1] - 1000).max() < 150
  for values, most in ((drawn.noise, 14.0), (drawn.hidden, 0.25), (drawn.begin, 1.0)):
    shares = np.asarray(values) / most
    assert 0 <= shares.min() < 0.01 and 0.99 < shares.max() <= 1 and abs(shares.mean() - 0.5) < 0.02
  assert len(np.unique(drawn.seed)) > 4990


def test_a_step_sees_two_views_and_devices_what_one_would():
  """Each has half of the batch; the first view is only reversed in time, or not."""
  figures = ((0.5,) * CHANNELS,) * 2
  how = Augment(*figures, flip=True, flat=(True, False), strong=Disturbed())

  def seen(own):
    mine = functools.partial(jax.tree.map, lambda drawn: drawn[own])
    key = jax.random.key(2)
    return views.drawn(how, key, curves()[own], np.arange(COUNT)[own], COUNT, mine)

  first, second = map(np.asarray, seen(slice(COUNT)))
  for one, curve in zip(first, curves(), strict=True):
    assert (one == curve).all() or (one == curve[:, ::-1]).all()
  assert (second[..., :3] != first[..., :3]).any(axis=(1, 2, 3)).all()
  np.testing.assert_array_equal(second[..., 3], curves()[..., 3])
  for half in (slice(0, 3), slice(3, 6)):
    for whole, part in zip((first, second), seen(half), strict=True):
      np.testing.assert_array_equal(part, whole[half])


@pytest.mark.parametrize("wrong", [{"noise": -1}, {"shift": -1}, {"hidden": 1.5}])
def test_settings_that_make_no_sense(wrong):
  with pytest.raises(UserError, match="0 to 1"):
    Disturbed(**wrong)


def test_pictures_operations_are_not_for_light_curves():
  """Though there are three channels of them."""
  with pytest.raises(UserError, match="one pixel high"):
    strong.view(strong.Strong(), np.zeros((1, 1, 40, 3), np.uint8), None)
