"""A light curve as a picture of height one: what the readers of light curves share.

Bytes [n, 1, places, channels]: time, or the phase of a folded curve, runs along the width; views
and scalars are channels, and a scalar is a channel that does not change. A byte v stands for
−1.5 + 4.5 v / 255, in a view whose median is 0 and whose minimum is −1: deeper and brighter values
are clipped. Scalars are brought to the same range by fixed formulas, so that a network can be asked
about another survey.
"""

import numpy as np
from jaxtyping import Bool, Float, Integer, UInt8

from edjax.data import splits
from edjax.errors import UserError

LOW, SPAN = -1.5, 4.5
PLACES = 201  # along the width
TEST_FRACTION = 0.2  # of the stars, where the exam is of whole stars
SPLITS = ("auto", "published", "stars")

Numbers = Float[np.ndarray, " n"]


def pictures(
  views: list[Float[np.ndarray, "n _"]], scalars: list[Numbers]
) -> UInt8[np.ndarray, "n 1 places channels"]:
  """Returns the light curves of views [n, any length], each stretched, and scalars [n]."""
  channels = [stretched(view) for view in views]
  channels += [np.repeat(scalar[:, None], PLACES, 1) for scalar in scalars]
  return np.stack([quantised(channel) for channel in channels], -1)[:, None]


def quantised(values: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
  """Values as bytes, clipped to what bytes can say; what is not a number is the median, 0."""
  steps = np.round((np.nan_to_num(values, nan=0.0) - LOW) * (255 / SPAN))
  return np.clip(steps, 0, 255).astype(np.uint8)


def stretched(view: Float[np.ndarray, "n length"]) -> Float[np.ndarray, "n places"]:
  """A view at `PLACES` even places from its first to its last, by linear interpolation."""
  at = np.linspace(0, view.shape[1] - 1, PLACES)
  low = np.minimum(at.astype(int), view.shape[1] - 2)
  share = at - low
  return view[:, low] * (1 - share) + view[:, low + 1] * share


def log_period(days: Numbers) -> Numbers:
  """Of a period in days: its logarithm to base 10; 0.03 to 1,000 days are in range."""
  return np.log10(days)


def log_signal(sigmas: Numbers) -> Numbers:
  """Of by how many σ something stands out: its logarithm to base 10, − 1.

  From 0.3 to 10,000 are in range; some are 0.
  """
  return np.log10(np.maximum(sigmas, 1e-3)) - 1


def log_duty(duration: Numbers, period: Numbers) -> Numbers:
  """Of the share of a period, in the same unit, that a dip lasts: its logarithm to base 10, + 2."""
  return np.log10(duration / period) + 2


def by_star(stars: Integer[np.ndarray, " n"], fraction: float) -> Bool[np.ndarray, " n"]:
  """Says which events a cut by star holds out: all those of so many stars, or of none at 0.

  Which stars depends on their numbers alone, see `splits.by_name`.
  """
  if not fraction:
    return np.zeros(len(stars), bool)
  names, event = np.unique(stars, return_inverse=True)
  if len(names) < 2:
    raise UserError("a cut by star needs two stars or more; set data.split to 'published'")
  return splits.by_name([str(name) for name in names], fraction)[event]


def by_stars(
  whole: splits.Split,
  stars: Integer[np.ndarray, " n"],
  class_names: tuple[str, ...],
  validation_fraction: float,
) -> splits.Parts:
  """Cuts events so that no star is in two parts: a fifth of the stars is for the exam."""
  out = by_star(stars, TEST_FRACTION)
  note = (
    f"no star is in two parts: {len(np.unique(stars[out])):,} of {len(np.unique(stars)):,} stars"
    " are for the exam"
  )
  return splits.Parts(
    train=splits.take(whole, ~out),
    test=splits.take(whole, out),
    class_names=class_names,
    notes=(note,),
    held_out=by_star(stars[~out], validation_fraction),
  )
