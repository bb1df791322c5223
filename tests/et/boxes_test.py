"""Box least squares: every box tried one by one, closed forms, astropy, boxes that were put in."""

import numpy as np
import pytest

from edjax.et import boxes, fold, search

CADENCE = 0.02


def curve(days, planets=(), sigma=1e-4, seed=0, start=131.5):
  """(times with gaps, flux with a box for each (period, epoch, duration, depth))."""
  rng = np.random.default_rng(seed)
  time = start + CADENCE * np.arange(round(days / CADENCE))
  time = time[(rng.random(len(time)) < 0.9) & (np.abs(time - start - days / 3) > 0.5)]
  flux = rng.normal(0, sigma, len(time))
  for period, epoch, duration, depth in planets:
    flux -= depth * fold.within(time, period, start + epoch, duration)
  return time, flux


def by_hand(cell, flux, period, widths):
  """(power, depth, first cell, width) of the best box, in cells, by trying each."""
  x = flux - flux.mean()
  best = (0.0, 0.0, 0, 0)
  for width in widths:
    for first in range(period):
      inside = (cell - first) % period < width
      share, total = inside.mean(), x[inside].sum() / len(x)
      if 0 < share < 1 and total < 0:
        power = abs(total) / np.sqrt(share * (1 - share))
        if power > best[0]:
          best = power, x[~inside].mean() - x[inside].mean(), first, width
  return best


# --- one period ----------------------------------------------------------------------------------


def test_the_best_box_is_the_best_of_all():
  """Periods of whole cells, for which rows are rounded nowhere; a dip is cut by the beginning."""
  time, flux = curve(30.0, [(2.4, 0.02, 0.2, 4e-4)])
  cells, widths = [60, 97, 120, 121, 400], [3, 5, 10]
  found = boxes.bls(time, flux, CADENCE * np.array(cells), CADENCE * np.array(widths), CADENCE)
  whole = np.rint((time - time[0]) / CADENCE).astype(int)
  for number, period in enumerate(cells):
    power, depth, first, width = by_hand(whole, flux, period, widths)
    assert found.power[number] == pytest.approx(power, rel=1e-4)
    assert found.depth[number] == pytest.approx(depth, rel=1e-4)
    assert found.duration[number] == pytest.approx(width * CADENCE)
    middle = time[0] + CADENCE * ((first + (width - 1) / 2) % period)
    assert found.epoch[number] == pytest.approx(middle, abs=1e-6)
    assert found.points[number] == ((whole - first) % period < width).sum()


def test_signal_is_what_it_says():
  """S/N √(1 − r) = SR √n / σ for any box; and depth / (σ / √points)."""
  time, flux = curve(40.0, [(3.3, 1.0, 0.2, 1e-4)])
  found = boxes.bls(time, flux, np.linspace(2, 6, 40), np.array([0.1, 0.2]))
  sigma = np.median(np.abs(flux - np.median(flux))) / 0.674490
  share = found.points / len(time)
  wanted = found.power * np.sqrt(len(time)) / sigma
  np.testing.assert_allclose(found.signal * np.sqrt(1 - share), wanted, rtol=1e-3)
  np.testing.assert_allclose(found.signal, found.depth * np.sqrt(found.points) / sigma, rtol=1e-3)


def test_a_batch_of_curves_is_each_of_them():
  time, flux = curve(30.0, [(2.4, 0.3, 0.2, 2e-4)])
  batch = np.stack([flux, np.roll(flux, 40), np.flip(flux)])[:, None]
  periods, durations = np.linspace(2, 2.9, 50), np.array([0.1, 0.2])
  together = boxes.bls(time, batch, periods, durations)
  for number, own in enumerate(batch[:, 0]):
    alone = boxes.bls(time, own, periods, durations)
    for both, single in zip(together, alone, strict=True):
      assert both.shape == (3, 1, 50)
      np.testing.assert_allclose(both[number, 0], single, rtol=1e-5)


def test_a_signal_is_as_large_as_points_and_noise_make_it():
  """δ √points / σ, mean of 64 draws, of a box that lies on the cells."""
  cell = np.arange(3000)
  time, inside = CADENCE * cell, (cell - 30) % 150 < 10
  flux = np.random.default_rng(3).normal(0, 1e-4, (64, 3000)) - 1.5e-4 * inside
  found = boxes.bls(time, flux, np.array([3.0]), np.array([0.2]), CADENCE)
  wanted = 1.5 * np.sqrt(inside.sum())  # 21.2
  assert found.signal.mean() == pytest.approx(wanted, rel=0.06)
  np.testing.assert_allclose(found.epoch, CADENCE * 34.5, atol=2 * CADENCE)


def test_digits_of_a_julian_date_are_kept():
  """An epoch of 2,454,833 days leaves float32 a quarter of a day."""
  near = curve(60.0, [(2.4, 0.3, 0.2, 2e-4)])
  periods, durations = np.linspace(2.35, 2.45, 60), np.array([0.2])
  found = boxes.bls(*near, periods, durations, CADENCE)
  far = boxes.bls(near[0] + 2454833.0, near[1], periods, durations, CADENCE)
  np.testing.assert_allclose(far.power, found.power, rtol=1e-5)
  np.testing.assert_allclose(far.epoch - 2454833.0, found.epoch, atol=1e-6)
  assert found.epoch.min() >= near[0][0] and (found.epoch - near[0][0] < periods).all()


def test_boxes_longer_than_half_a_period_are_refused():
  time, flux = curve(10.0)
  with pytest.raises(ValueError, match="over half of 1.0 days"):
    boxes.bls(time, flux, np.array([1.0, 9.0]), np.array([0.6]))


def test_a_curve_without_a_dip():
  time, _ = curve(10.0)
  found = boxes.bls(time, np.ones(len(time)), np.array([2.0]), np.array([0.2]))
  assert found.power[0] == found.depth[0] == 0


def test_as_astropy_finds():
  """Its depth of our box exactly; its own best box nearly, as its cells are others."""
  periodograms = pytest.importorskip("astropy.timeseries")
  time, flux = curve(60.0, [(3.37, 0.7, 0.2, 2e-4)])
  oracle = periodograms.BoxLeastSquares(time, flux, np.full(len(time), 1e-4))
  periods, durations = np.linspace(2.9, 4.3, 200), np.array([0.12, 0.2, 0.3])
  periods[0] = 3.36  # whole cells
  found = boxes.bls(time, flux, periods, durations, CADENCE / 2)
  theirs = oracle.power(periods, durations, oversample=12)
  share = found.points / len(time)
  sigma = np.median(np.abs(flux - np.median(flux))) / 0.674490
  ours = found.depth * np.sqrt(found.points * (1 - share)) / 1e-4
  assert np.abs(ours - np.sqrt(2 * theirs.power)).max() < 0.12 * ours.max()
  assert periods[ours.argmax()] == periods[theirs.power.argmax()]
  assert sigma == pytest.approx(1e-4, rel=0.1)
  own = oracle.compute_stats(3.36, found.duration[0], found.epoch[0])
  assert found.depth[0] == pytest.approx(own["depth"][0], rel=1e-4)
  assert found.points[0] == own["per_transit_count"].sum()


# --- a search ------------------------------------------------------------------------------------


def test_neighbouring_trials_differ_by_a_third_of_a_transit():
  """Of a planet before the middle of a Sun, over the whole span."""
  periods = search.trial_periods(1459.0, shortest=0.8)
  assert periods[0] == pytest.approx(0.8) and periods[-1] == pytest.approx(1459 / 3)
  drift = 1459.0 * np.diff(periods) / periods[:-1]
  # An Earth crosses in 13.0 hours, one in an orbit of another period in so much of it.
  transit = 13.0 / 24 * (periods[:-1] / 365.25) ** (1 / 3)
  np.testing.assert_allclose(drift / transit, 1 / 3, rtol=0.02)


def test_planets_are_found_one_by_one():
  put = [(5.234, 1.1, 0.2, 1e-3), (8.011, 3.0, 0.25, 8e-4)]
  time, flux = curve(40.0, put)
  segments = (time > time[0] + 20).astype(int)
  raw = np.where(segments, 3000.0, 5000.0) * (1 + flux + 0.0005 * np.sin(time / 6))
  found = search.planets(time, raw, segments, shortest=5.0)
  assert len(found) == 2
  for period, epoch, duration, depth in put:
    (own,) = [each for each in found if abs(each.period - period) < 0.02]
    assert abs(fold.fold(own.epoch, period, time[0] + epoch)) * period < 0.04
    assert own.duration == pytest.approx(duration, abs=0.05)
    assert own.depth == pytest.approx(depth, rel=0.1)
    assert own.transits >= 4
    assert own.signal == pytest.approx(own.depth / 1e-4 * np.sqrt(own.points), rel=0.1)
    assert own.scatter < 1.5 and own.steady == pytest.approx(own.signal, rel=0.3)


def test_two_dips_are_no_planet():
  time, flux = curve(50.0)
  dips = sum(np.abs(time - time[0] - at) < 0.15 for at in (11.0, 26.0))
  assert (
    search.planets(time, 100 * (1 + flux - 1e-3 * dips), np.zeros(len(time), int), shortest=8.0)
    == []
  )


@pytest.mark.parametrize("depths, count", [((16, 16, 16, 16), 1), ((30, 11, 11, 12), 0)])
def test_transits_that_are_not_alike_are_no_planet(depths, count):
  """Four dips as far from each other, with the same mean."""
  time, flux = curve(50.0)
  for number, depth in enumerate(depths):
    flux -= 2e-5 * depth * (np.abs(time - time[0] - 6.0 - 12.0 * number) < 0.15)
  found = search.planets(time, 100 * (1 + flux), np.zeros(len(time), int), shortest=8.0)
  assert len(found) == count


def test_noise_that_lasts_counts_as_more():
  """Of as many σ by points; noise is the same for three hours, six points or so, at a time."""
  draw = np.random.default_rng(3)
  time = np.arange(0, 60, CADENCE)
  slow = 1e-4 * np.repeat(draw.normal(size=len(time) // 6 + 1), 6)[: len(time)]
  dip = 1e-3 * fold.within(time, 7.0, 2.0, 0.24)
  quick, lasting = (
    search.sharpened(time, noise - dip, 7.0, 0.24)
    for noise in (1e-4 * draw.normal(size=len(time)), slow)
  )
  assert quick.steady == pytest.approx(quick.signal, rel=0.3)
  # Means of 12 points have σ / √2 and not σ / √12.
  assert lasting.steady == pytest.approx(lasting.signal / np.sqrt(6), rel=0.3)


def test_alike_is_by_the_chi_square_of_depths():
  """Depths that are off by as many σ as was drawn, of transits of whole cells."""
  draw = np.random.default_rng(5)
  time = np.arange(0, 300, CADENCE)
  orbit = np.rint((time - 2.0) / 7.0).astype(int)
  off = draw.normal(size=orbit.max() + 1)
  dip = fold.within(time, 7.0, 2.0, 0.24) * (1e-3 + 2e-4 * off[orbit])
  planet = search.sharpened(time, 1e-5 * draw.normal(size=len(time)) - dip, 7.0, 0.24)
  # Besides noise a tenth of the depth is allowed for.
  wanted = 2e-4**2 * off.var(ddof=1) / (1e-5**2 / 12 + 1e-4**2)
  assert planet.scatter == pytest.approx(wanted, rel=0.15)
