"""Raw light curves: medians one by one, known phases, boxes that were put in."""

import numpy as np
import pytest

from edjax.et import fold


def noise(count, seed=0, sigma=1e-4):
  return np.random.default_rng(seed).normal(0, sigma, count)


def long(days, cadence=0.02):
  return 131.5 + np.arange(0, days, cadence)


# --- trends --------------------------------------------------------------------------------------


def test_the_running_median_is_that_of_each_window():
  """Point by point, of unlike segments; where no window reaches over an end."""
  time = long(9.0, 0.05)
  flux, segments = 500 + noise(len(time), sigma=5), np.arange(len(time)) // 80
  found = fold.detrended(time, flux, segments, window=1.0)
  seen = 0
  for at, own, part, result in zip(time, flux, segments, found, strict=True):
    same = segments == part
    if min(at - time[same][0], time[same][-1] - at) > 0.49:
      median = np.median(flux[(np.abs(time - at) < 0.525) & same])
      assert result == pytest.approx(own / median - 1, abs=1e-12)
      seen += 1
  assert seen > 100


def test_what_is_slow_goes_and_a_dip_of_ten_hours_stays():
  time = long(58.0)  # no dip is within two days of an end
  segments = (time > 160).astype(int)
  level = np.where(segments, 9000.0, 4000.0) * (1 + 0.0005 * np.sin(2 * np.pi * time / 30))
  dip = fold.within(time, 7.0, 135.0, 10 / 24)
  sigma = 1e-4
  flat = fold.detrended(time, level * (1 - 8 * sigma * dip + noise(len(time))), segments)
  assert np.abs(flat[~dip].mean()) < 0.3 * sigma
  assert flat[~dip].std() == pytest.approx(sigma, rel=0.1)
  depth = flat[~dip].mean() - flat[dip].mean()
  assert 7.6 * sigma < depth < 8.0 * sigma  # the median is pulled down
  told = fold.detrended(time, level * (1 - 8 * sigma * dip + noise(len(time))), segments, dip)
  assert told[~dip].mean() - told[dip].mean() == pytest.approx(8 * sigma, rel=0.02)


def test_a_line_goes_to_its_very_ends_and_where_all_is_hidden():
  time = long(20.0)
  hidden = np.abs(time - 141.5) < 3
  flat = fold.detrended(time, 100 + time, np.zeros(len(time), int), hidden, window=1.0)
  assert np.abs(flat).max() < 1e-4  # a point is 1e-4 above the one before it
  short = fold.detrended(time[:9], 7 - time[:9], np.zeros(9, int))
  assert np.abs(short).max() < 1e-2


# --- phases --------------------------------------------------------------------------------------


def test_phases_are_from_the_middle_of_a_transit():
  times = [10.0, 12.5, 7.4, 15.0, 14.99, 5.0]
  wanted = [0.0, 0.25, -0.26, -0.5, 0.499, -0.5]
  np.testing.assert_allclose(fold.fold(times, 10.0, 10.0), wanted, atol=1e-12)
  far = fold.fold(2454833.0 + np.array(times), 10.0, 2454843.0 - 10.0 * 200)
  np.testing.assert_allclose(far, wanted, atol=1e-9)
  both = fold.fold(np.array(times), np.array([[10.0], [20.0]]), 10.0)
  assert both.shape == (2, 6) and both[1, 1] == pytest.approx(0.125)


def test_within_is_half_a_width_on_either_side():
  times = np.array([9.79, 9.81, 10.0, 10.19, 10.21, 20.19, 25.0])
  wanted = [False, True, True, True, False, True, False]
  assert fold.within(times, 10.0, 10.0, 0.4).tolist() == wanted


# --- views ---------------------------------------------------------------------------------------


def test_parts_have_their_medians_and_empty_ones_what_lies_between():
  rng = np.random.default_rng(2)
  place, flux = rng.uniform(-0.6, 0.6, 300), rng.normal(size=300)
  edges = np.linspace(-0.5, 0.5, 21)
  empty = 7
  keep = (place < edges[empty]) | (place >= edges[empty + 1])
  place, flux = place[keep], flux[keep]
  found = fold.binned(place, flux, -0.5, 0.5, 20)
  for part in range(20):
    own = flux[(place >= edges[part]) & (place < edges[part + 1])]
    if part != empty:
      assert found[part] == pytest.approx(np.median(own))
  assert found[empty] == pytest.approx((found[empty - 1] + found[empty + 1]) / 2)
  with pytest.raises(ValueError, match="no point"):
    fold.binned(place, flux, 2.0, 3.0, 20)


def test_views_are_those_that_networks_know():
  time = long(80.0)
  period, epoch, duration = 7.3, 133.0, 0.4
  dip = fold.within(time, period, epoch, duration)
  whole, near = fold.views(
    time, 3e-5 - 1e-3 * dip + noise(len(time), sigma=1e-6), period, epoch, duration
  )
  for view, places, share in ((whole, 201, duration / period), (near, 61, 1 / 4)):
    assert view.shape == (places,)
    assert np.median(view) == pytest.approx(0, abs=1e-12) and view.min() == pytest.approx(-1)
    deep = np.flatnonzero(view < -0.5)
    assert abs(len(deep) - share * places) <= 1
    assert abs(deep.mean() - (places - 1) / 2) <= 1


def test_a_flat_curve_is_no_dip():
  whole, near = fold.views(long(20.0), np.full(1000, 0.5), 3.0, 133.0, 0.2)
  assert not whole.any() and not near.any()


def test_a_close_up_goes_round_the_orbit():
  """What is straight in phase is kept by linear interpolation, at every width and middle."""
  phase = (np.arange(200) + 0.5) / 200 - 0.5
  orbit = np.stack([np.abs(phase), 1 - np.abs(phase)])
  width = np.array([0.1, 3.0])  # the second: no more than all of it
  seen = np.linspace(-0.5, 0.5, 41)
  near, far = (fold.close_up(orbit, middle, width, 41) for middle in (0, 0.5))
  tip = 0.5 / 200  # both tips lie between two parts of the orbit
  np.testing.assert_allclose(near[0], np.abs(0.1 * seen), atol=tip)
  np.testing.assert_allclose(far[0], 0.5 - np.abs(0.1 * seen), atol=tip)
  np.testing.assert_allclose(near[1], 1 - np.abs(seen), atol=tip)
  np.testing.assert_allclose(far[1], 0.5 + np.abs(seen), atol=tip)
