"""Every planet of a star, one after another: the one of highest S/N, then what is left."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Integer

from edjax.et import boxes, fold, survey

# A planet that crosses the middle of a star as dense as the Sun does so for 1.81 h · (period in
# days)^⅓: P / π · R / a, of Kepler's third law.
_DURATION = 0.0756  # days
# Durations that are tried, in these: of denser stars and grazing planets, and of thinner stars.
_TRIED = np.array([0.5, 0.7, 1.0, 1.4])
_CELLS = 8  # in such a duration, if the light curve has as many points
_FINELY = 20  # cells in the duration of a planet whose period is sharpened
_OVERSAMPLING = 3
_LEAST_TRANSITS = 3
_MISSED = 0.1  # of a transit's depth: what its edges may miss of a box, besides noise
_ROUNDING = 6e-8  # σ of a relative flux in float32, where there is no other noise
_HIDDEN = 2.0  # durations round the middle of a transit, as neighbours make planets early and late


class Planet(NamedTuple):
  """A dip that repeats.

  Attributes:
    period, epoch, duration: in days; the epoch is the middle of its first transit.
    depth: in the flux of the star.
    points: seen within it.
    transits: at least half as deep as their mean.
    signal: its S/N, see `boxes.Boxes`.
    scatter: χ² of the transits' depths about their mean, by its degrees of freedom; a tenth of the
      depth is allowed for besides noise. At most about 1 where all transits are alike.
    steady: S/N by σ of means over as many points as a transit has, not of single points, divided by
      √scatter where that is above 1 (Seader et al. 2013, ApJS 206, 25).
  """

  period: float
  epoch: float
  duration: float
  depth: float
  points: int
  transits: int
  signal: float
  scatter: float
  steady: float


def trial_periods(
  span: float, shortest: float = 1.0, longest: float | None = None
) -> Float[np.ndarray, " periods"]:
  """Periods so close that none between two of them is lost (Ofir 2014, A&A 561, A138).

  Two neighbours come apart by a third of a transit over the whole span. As transits of long periods
  are longer, frequencies are even in their cube roots.

  Args:
    span: of the light curve, in days.
    shortest, longest: of the periods, in days; the longest is a third of the span if not given.

  Returns:
    Rising, `shortest` and `longest` among them.
  """
  longest = span / _LEAST_TRANSITS if longest is None else longest
  ends = shortest ** (-1 / 3), longest ** (-1 / 3)
  count = math.ceil(3 * (ends[0] - ends[1]) * span * _OVERSAMPLING / _DURATION) + 1
  return np.linspace(*ends, max(count, 2)) ** -3


def planets(
  time: fold.Points,
  flux: fold.Points,
  segments: Integer[np.ndarray, " n"],
  least: float = survey.THRESHOLD,
  most: int = 10,
  shortest: float = 1.0,
) -> list[Planet]:
  """Searches, leaves out the transits that were found, and searches again.

  A dip that is seen in fewer than three transits is left out too, but is no planet, and neither is
  one whose transits are not alike, as two steps in the light that lie well.

  Args:
    time, flux, segments: as of `fold.detrended`, trends not yet removed.
    least: S/N of a planet, by `Planet.signal` and by `Planet.steady`.
    most: dips that are looked at.
    shortest: period that is tried, in days.

  Returns:
    In the order in which they were found, each measured anew without the others.
  """
  trials = trial_periods(float(np.ptp(time)), shortest)
  dips: list[Planet] = []
  while len(dips) < most:
    left = without(time, flux, segments, dips)
    dip = sharpened(*left, *_strongest(*left, trials))
    if dip.signal < least:
      break
    dips.append(dip)
  found = (
    sharpened(
      *without(time, flux, segments, [dip for dip in dips if dip != own], own),
      own.period,
      own.duration,
    )
    for own in dips
    if own.transits >= _LEAST_TRANSITS
  )
  return [planet for planet in found if planet.steady >= least]


def without(
  time: fold.Points,
  flux: fold.Points,
  segments: Integer[np.ndarray, " n"],
  others: Sequence[Planet],
  own: Planet | None = None,
) -> tuple[fold.Points, fold.Points]:
  """Returns times and flux without trends, of the points that are in no transit of the others.

  The transits of the others and of `own` are hidden from the running median, which they pull down.
  """
  hidden = np.zeros(len(time), bool)
  for each in others:
    hidden |= fold.within(time, each.period, each.epoch, _HIDDEN * each.duration)
  kept, unseen = ~hidden, hidden
  if own is not None:
    unseen = hidden | fold.within(time, own.period, own.epoch, _HIDDEN * own.duration)
  return time[kept], fold.detrended(time, flux, segments, unseen)[kept]


def sharpened(time: fold.Points, flux: fold.Points, period: float, duration: float) -> Planet:
  """The best box near a period: within one duration over the whole span, a twentieth at a time.

  Args:
    time, flux: trends removed.
    period, duration: roughly, in days.
  """
  apart = duration / np.ptp(time) * period
  near = period + apart * np.linspace(-1, 1, 2 * _FINELY + 1)
  durations = duration * np.linspace(0.6, 1.4, 5)
  found = boxes.bls(time, flux, near, durations, duration / _FINELY)
  top = int(np.argmax(found.signal))
  period, epoch, duration = (float(each[top]) for each in (near, found.epoch, found.duration))
  depth = float(found.depth[top])
  depths, points = _depths(time, flux, period, epoch, duration)
  weights = points / _variance(time, flux, duration)
  mean = np.average(depths, weights=weights)
  deviations = (depths - mean) ** 2 / (1 / weights + (_MISSED * mean) ** 2)
  scatter = float(deviations.sum()) / max(1, len(depths) - 1)
  return Planet(
    period=period,
    epoch=epoch,
    duration=duration,
    depth=depth,
    points=int(found.points[top]),
    transits=int((depths > depth / 2).sum()),
    signal=float(found.signal[top]),
    scatter=scatter,
    steady=float(mean * np.sqrt(weights.sum() / max(1, scatter))),
  )


def _depths(
  time: fold.Points, flux: fold.Points, period: float, epoch: float, duration: float
) -> tuple[np.ndarray, np.ndarray]:
  """Returns (mean depth, points) of each transit that has a point."""
  inside = fold.within(time, period, epoch, duration)
  _, orbit = np.unique(np.rint((time[inside] - epoch) / period), return_inverse=True)
  points = np.bincount(orbit)
  return -np.bincount(orbit, flux[inside]) / points, points


def _variance(time: fold.Points, flux: fold.Points, duration: float) -> float:
  """That of a point, by the scatter of means over so long: more than its own if noise lasts."""
  cell = np.floor((time - time[0]) / duration).astype(int)
  points, total = np.bincount(cell), np.bincount(cell, flux)
  usual = np.median(points[points > 0])
  whole = points >= 0.8 * usual  # no gap
  means = total[whole] / points[whole]
  return float(points[whole].mean()) * max(float(boxes.robust(means)), _ROUNDING) ** 2


def _strongest(
  time: fold.Points, flux: fold.Points, trials: Float[np.ndarray, " periods"]
) -> tuple[float, float]:
  """Returns (period, duration) of the dip of highest S/N, durations tried as periods are long."""
  cadence = float(np.median(np.diff(time)))
  best, place = 0.0, (float(trials[0]), _DURATION)
  half_octave = np.floor(2 * np.log2(trials)).astype(int)
  for number in np.unique(half_octave):
    own = trials[half_octave == number]
    typical = _DURATION * 2 ** ((number + 0.5) / 6)
    found = boxes.bls(time, flux, own, typical * _TRIED, max(cadence, typical / _CELLS))
    top = int(np.argmax(found.signal))
    if found.signal[top] > best:
      best, place = found.signal[top], (float(own[top]), float(found.duration[top]))
  return place
