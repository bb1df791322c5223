"""From a light curve as it was measured to one orbit: flattened, folded, binned.

Times are in days and of a star's whole observation, so they are float64 and numpy's: JAX, where it
is not allowed float64, has no digits for a minute of four years. Fluxes are relative to the star.
"""

import numpy as np
from jaxtyping import Bool, Float, Integer
from numpy.typing import ArrayLike

PLACES, LOCAL_PLACES = 201, 61  # of the views, as long as those of Yu et al. 2019 (AJ 158, 25)
LOCAL_SPAN = 2.0  # durations on either side of the middle

Points = Float[np.ndarray, " n"]
Mask = Bool[np.ndarray, " n"]


def detrended(
  time: Points,
  flux: Points,
  segments: Integer[np.ndarray, " n"],
  left_out: Mask | None = None,
  window: float = 2.0,
) -> Points:
  """Takes out what changes slowly, by a running median of each segment.

  A median of two days keeps dips of up to ten hours: they are a fifth of what it sees, and it is
  off by a third of the spread of the points in its window, slope and all; more within a day of an
  end of a segment. Where dips are known, it is told.

  Args:
    time: in days, rising, more or less evenly spaced but for gaps.
    flux: in any unit that is the same within a segment.
    segments: a number for every point; those of one (a quarter) were measured alike.
    left_out: points that no median may look at, as known transits.
    window: of the median, in days.

  Returns:
    Flux relative to the star's, less 1, of all points, those left out too.
  """
  used = np.ones(len(time), bool) if left_out is None else ~left_out
  flat = np.empty(len(time))
  for segment in np.unique(segments):
    own = segments == segment
    trend = _running_median(time[own], np.where(used, flux, np.nan)[own], window)
    flat[own] = flux[own] / trend - 1
  return flat


def fold(time: ArrayLike, period: ArrayLike, epoch: ArrayLike) -> Float[np.ndarray, "*shape"]:
  """The phase of each time, in [−½, ½) periods from the nearest middle of a transit.

  Args:
    time, period, epoch: in days, broadcast; the epoch is the middle of any transit.
  """
  time, period, epoch = (np.asarray(each, float) for each in (time, period, epoch))
  cycles = (time - epoch) / period + 0.5
  return cycles - np.floor(cycles) - 0.5


def within(time: ArrayLike, period: ArrayLike, epoch: ArrayLike, width: ArrayLike) -> np.ndarray:
  """Says which times are less than half of `width` (days) from the middle of a transit."""
  return np.abs(fold(time, period, epoch)) * period < np.asarray(width) / 2


def binned(
  place: Points, flux: Points, low: float, high: float, places: int
) -> Float[np.ndarray, " places"]:
  """The median flux in each of so many equal parts of [low, high); empty ones are interpolated.

  Args:
    place: of the points, as their phase; those outside are left out.
    flux: of the points.

  Raises:
    ValueError: if no point is inside.
  """
  part = np.floor((place - low) / (high - low) * places)
  inside = (part >= 0) & (part < places)
  part, flux = part[inside], flux[inside]
  if not len(part):
    raise ValueError(f"no point is between {low} and {high}")
  order = np.lexsort((flux, part))
  part, flux = part[order], flux[order]
  first = np.searchsorted(part, np.arange(places + 1))
  count = np.diff(first)
  there = np.flatnonzero(count)
  start, last = first[there], count[there] - 1
  median = (flux[start + last // 2] + flux[start + (last + 1) // 2]) / 2
  return np.interp(np.arange(places), there, median)


def views(
  time: Points, flux: Points, period: float, epoch: float, duration: float
) -> tuple[Float[np.ndarray, " places"], Float[np.ndarray, " local"]]:
  """The orbit and the transit as networks see them: median 0, minimum −1 (docs/sky.md).

  Args:
    time: in days.
    flux: without trends.
    period, epoch, duration: of the transit, in days.

  Returns:
    (the whole orbit [201], two durations on either side of the middle [61]), the transit in the
    middle of both.
  """
  phase = fold(time, period, epoch)
  local = phase * period / duration
  return (
    dipping(binned(phase, flux, -0.5, 0.5, PLACES)),
    dipping(binned(local, flux, -LOCAL_SPAN, LOCAL_SPAN, LOCAL_PLACES)),
  )


def close_up(
  orbit: Float[np.ndarray, "n places"], middle: float, width: Float[np.ndarray, " n"], places: int
) -> Float[np.ndarray, "n part"]:
  """A part of folded curves, by linear interpolation; phases go round.

  Args:
    orbit: the whole orbit in equal parts, the transit in the middle, as `views` makes it.
    middle: phase of the part's middle: 0, the transit; ½, where a circular orbit is eclipsed.
    width: of the part, in periods; no more than one is shown.
    places: of the part.
  """
  centres = (np.arange(orbit.shape[1]) + 0.5) / orbit.shape[1] - 0.5
  phases = middle + np.minimum(width, 1)[:, None] * np.linspace(-0.5, 0.5, places)
  pairs = zip(phases, orbit, strict=True)
  return np.stack([np.interp(phase, centres, curve, period=1) for phase, curve in pairs])


def dipping(views: Float[np.ndarray, "*curves places"]) -> Float[np.ndarray, "*curves places"]:
  """Views brought to a median of 0 and a minimum of −1; flat ones to 0."""
  level = views - np.median(views, axis=-1, keepdims=True)
  deepest = -level.min(axis=-1, keepdims=True)
  return level / np.where(deepest > 0, deepest, 1)


def _running_median(time: Points, flux: Points, window: float) -> Points:
  """Of what is not NaN within half a window on either side, at every time.

  On an even grid, so that all windows are one array: cells without a point are NaN, which sorting
  puts behind the numbers. A median stands at the median place of its points, not in the middle of
  its window, and a line leads from each to the next: so it does not lag beside what is hidden.
  """
  cadence = np.median(np.diff(time))
  cell = np.rint((time - time[0]) / cadence).astype(int)
  half = max(1, round(window / cadence / 2))
  grid = np.full(max(cell[-1], 2 * half) + 1, np.nan)
  grid[cell] = flux
  grid = np.concatenate([_before(grid, half), grid, _before(grid[::-1], half)[::-1]])
  place = np.where(np.isfinite(grid), np.arange(-half, len(grid) - half), np.nan)
  windows = np.lib.stride_tricks.sliding_window_view
  median, middle = (_middle(windows(each, 2 * half + 1)[cell]) for each in (grid, place))
  there = np.isfinite(median)
  return np.interp(cell, middle[there], median[there])


def _before(grid: Points, half: int) -> Points:
  """What stands before a grid so that its median does not lag where the flux rises or falls.

  The first cells turned about the point that a line through two medians of them leads to.
  """
  near, far = _middle(grid[: 2 * half].reshape(2, half))
  first = near + (near - far) / 2
  return 2 * first - grid[1 : half + 1][::-1]


def _middle(rows: Float[np.ndarray, "rows window"]) -> Float[np.ndarray, " rows"]:
  """The median of each row's numbers; NaN where there is none."""
  rows = np.sort(rows, axis=1)
  last = np.maximum(np.isfinite(rows).sum(1) - 1, 0)
  row = np.arange(len(rows))
  return (rows[row, last // 2] + rows[row, (last + 1) // 2]) / 2
