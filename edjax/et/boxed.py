"""Boxes in the folded light of many objects at a time, each at its own period. Pure, batched.

`boxes.py` searches all periods of one measured star; this looks at one period of thousands.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from edjax.et.draws import EXPOSURE, Numbers
from edjax.et.objects import since

_PHASES = 288
_BOXES = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144)  # of so many phases
_LEAST = 2  # exposures in a box
_APART = 1.5  # durations from the first dip, nearer than which no second is looked for

Flux = Float[Array, "n times"]
Seen = Bool[Array, "n times"]
Bins = Float[Array, "n places"]
Places = Float[Array, "places n"]


def sigma(flux: Flux, used: Seen) -> Numbers:
  """The standard deviation without what is more than three of it from the mean."""

  def spread(used: Seen) -> tuple[Numbers, Numbers]:
    count = jnp.maximum(used.sum(1), 1)
    mean = jnp.where(used, flux, 0).sum(1) / count
    return mean, jnp.sqrt(jnp.where(used, (flux - mean[:, None]) ** 2, 0).sum(1) / count)

  for _ in range(2):
    mean, wide = spread(used)
    used = used & (jnp.abs(flux - mean[:, None]) <= 3 * wide[:, None])
  return spread(used)[1]


def binned(flux: Flux, seen: Seen, part: Flux, places: int) -> tuple[Bins, Bins]:
  """Returns (sum, count) of what lies in each of so many parts, which are counted from 0."""
  inside = seen & (part >= 0) & (part < places)
  row = jnp.arange(len(flux))[:, None] * (places + 1)
  at = (row + jnp.where(inside, jnp.floor(part), places).astype(int)).ravel()
  both = jnp.stack([jnp.where(inside, flux, 0), inside.astype(flux.dtype)], -1)
  summed = jax.ops.segment_sum(both.reshape(-1, 2), at, len(flux) * (places + 1))
  kept = summed.reshape(len(flux), places + 1, 2)[:, :places]
  return kept[..., 0], kept[..., 1]


def best(
  flux: Flux, seen: Seen, time: Float[Array, " times"], period: Numbers
) -> tuple[Numbers, Numbers, Numbers]:
  """The box of the folded light that stands out most.

  Returns:
    (by how much, in the unit of the flux; its middle and its duration, in days).
  """
  bins = binned(flux, seen, (time[None] / period[:, None]) % 1 * _PHASES, _PHASES)
  scores = jnp.concatenate(_squares(*(each.T for each in bins)))
  place = scores.argmax(0)
  wide, first = jnp.asarray(_BOXES)[place // _PHASES], place % _PHASES
  duration = jnp.maximum(wide / _PHASES * period, EXPOSURE)
  return _signed_root(scores.max(0)), (first + wide / 2) / _PHASES * period, duration


def strengths(
  flux: Flux, seen: Seen, time: Float[Array, " times"], periods: Float[Array, " periods"]
) -> Float[Array, "periods n"]:
  """By how much `best` stands out at each of the periods, which are the same for all.

  Sooner than by `best`, as an exposure is in the same bin for all objects, and as to tell which box
  is the largest takes longer than how large it is.
  """
  count = len(flux)
  both = jnp.concatenate([jnp.where(seen, flux, 0).T, seen.T.astype(flux.dtype)], 1)

  def strength(period: jax.Array) -> Numbers:
    at = (time / period % 1 * _PHASES).astype(int)
    summed = jax.ops.segment_sum(both, at, _PHASES)
    squares = _squares(summed[:, :count], summed[:, count:])
    return _signed_root(functools.reduce(jnp.maximum, squares).max(0))

  return jax.lax.map(strength, periods)


def _squares(total: Places, count: Places) -> list[Places]:
  """By how much each box stands out, squared but for the sign: roots would take half of the time.

  Args:
    total, count: of the light that lies in each phase.

  Returns:
    One array for every length of box. Together they would not fit into a processor's cache.
  """
  every = jnp.maximum(count.sum(0, keepdims=True), 1)
  total = total - count * total.sum(0, keepdims=True) / every
  sums = [_sums(each) for each in (total, count)]

  def score(wide: int) -> Places:
    dip, many = (each[wide : wide + _PHASES] - each[:_PHASES] for each in sums)
    own = -dip * jnp.abs(dip) / (jnp.maximum(many, 1) * jnp.clip(1 - many / every, 0.1))
    return jnp.where(many >= _LEAST, own, -jnp.inf)

  return [score(wide) for wide in _BOXES]


def _signed_root(square: Numbers) -> Numbers:
  return jnp.sign(square) * jnp.sqrt(jnp.abs(square))


def stands_out(flux: Flux, seen: Seen, days: Flux, duration: Numbers) -> Numbers:
  """Depth / σ · √exposures of a box, σ of single exposures outside; 0.1 at least.

  Args:
    flux, seen: of the exposures.
    days: from the middle of the nearest dip.
    duration: of the box, in days.
  """
  inside = seen & (jnp.abs(days) < duration[:, None] / 2)
  outside = seen & (jnp.abs(days) > duration[:, None])
  level, dip = (
    jnp.where(part, flux, 0).sum(1) / jnp.maximum(part.sum(1), 1) for part in (outside, inside)
  )
  noise = sigma(flux, outside)
  sigmas = (level - dip) / jnp.where(noise > 0, noise, 1) * jnp.sqrt(inside.sum(1))
  return jnp.clip(jnp.where(noise > 0, sigmas, 0), 0.1, 1e4)


def again(
  flux: Flux,
  seen: Seen,
  time: Float[Array, " times"],
  dips: tuple[Numbers, Numbers, Numbers],
) -> Numbers:
  """The middle of the next dip, apart from the first and as long, in days.

  Args:
    flux, seen: of the exposures.
    time: of them.
    dips: period, middle and duration of the first, in days.
  """
  period, epoch, duration = dips
  phase = since(time, period, epoch) / period[:, None] % 1
  total, count = binned(flux, seen, phase * _PHASES, _PHASES)
  wide = jnp.maximum(duration / period * _PHASES, 1)[:, None]
  near = jnp.minimum(jnp.arange(_PHASES), _PHASES - jnp.arange(_PHASES))[None]
  # A window of each object's own width: a product of waves.
  window = jnp.fft.rfft((near <= wide / 2).astype(flux.dtype))
  dip, many = (jnp.fft.irfft(jnp.fft.rfft(each) * window, _PHASES) for each in (total, count))
  score = -dip / jnp.sqrt(jnp.maximum(many, 0.5))
  score = jnp.where((near > _APART * wide) & (many > 0.5), score, -jnp.inf)
  return epoch + (score.argmax(1) + 0.5) / _PHASES * period


def _sums(values: Places) -> Float[Array, "further n"]:
  """Of all before each place, on around the circle for the longest box."""
  around = jnp.concatenate([jnp.zeros_like(values[:1]), values, values[: _BOXES[-1]]])
  return jax.lax.associative_scan(jnp.add, around)
