"""From light that was never measured to an event as a survey's pipeline reports it. Pure, batched.

`fold.py` does the same for one measured star, in float64 and with medians. This is for thousands at
a time: means instead of medians, a trend by running means, no search for what repeats, as its
period is known. What does not repeat is folded at the best of some periods.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from edjax.et import boxed
from edjax.et.boxed import Flux, Seen
from edjax.et.draws import EXPOSURE, Key, Numbers, slow_noise
from edjax.et.fold import LOCAL_PLACES, LOCAL_SPAN, PLACES
from edjax.et.objects import SHORTEST, Light, since

TRIALS = 64  # periods at which what does not repeat is folded
_WINDOW = 1.2  # days, of the running mean
# Trapezoids that a dip is compared with: how wide beside the reported duration, and which share of
# it the fall takes.
_WIDE = (0.6, 0.8, 1.0, 1.2)
_FALL = (0.02, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5)


class Dips(NamedTuple):
  """Where a search finds one: all but `signal` in days.

  Attributes:
    period, epoch, duration: of the dip.
    signal: by how many σ it stands out.
  """

  period: Numbers
  epoch: Numbers
  duration: Numbers
  signal: Numbers


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Event:
  """What a pipeline says of an object, its views with a median of 0 and a minimum of −1.

  Attributes:
    whole, local, second: the orbit, two durations on either side of the dip, and of the next dip.
    period, duration: in days.
    signal: by how many σ the dip stands out.
    moved: by what share it is deeper in a wider aperture.
    ingress: the share of the dip that its fall takes, 0 of a box and 1/2 of a V.
  """

  whole: Float[Array, "n places"]
  local: Float[Array, "n local"]
  second: Float[Array, "n local"]
  period: Numbers
  duration: Numbers
  signal: Numbers
  moved: Numbers
  ingress: Numbers


def times(days: float) -> Float[Array, " times"]:
  """Of the exposures of a light curve of so many days."""
  return jnp.arange(round(days / EXPOSURE)) * EXPOSURE


def white(light: Light, signal: Numbers, exposures: int) -> Numbers:
  """σ of an exposure, if white noise alone lets objects stand out by so many σ.

  Args:
    light: of the objects.
    signal: by how many σ the dip, or a quarter of what waves, is to stand out.
    exposures: of a light curve.
  """
  if light.dips is None or light.period is None:
    inside = jnp.full_like(signal, 1 / 4)
  else:
    inside = light.dips[1] / light.period
  return light.depth * jnp.sqrt(inside * exposures) / signal


@jax.jit
def measured(
  key: Key, flux: Flux, time: Float[Array, " times"], sigma: Numbers, red: Numbers
) -> tuple[Flux, Seen]:
  """Adds noise and gaps.

  Args:
    key: of the draw.
    flux: of the objects, without noise.
    time: of the exposures.
    sigma: of an exposure's white noise, see `white`.
    red: σ of slow noise, in that of an exposure's white noise.

  Returns:
    (flux, which exposures there are): the middle is missing, the beginning, and 3 % besides.
  """
  each, slow, missing, pace, lost = jax.random.split(key, 5)
  days = time[-1] + EXPOSURE
  rate = 10 ** jax.random.uniform(pace, sigma.shape, minval=0.5, maxval=1.7)  # µHz
  flicker = slow_noise(slow, rate, len(time))
  noise = jax.random.normal(each, flux.shape) + red[:, None] * flicker
  begin, gap = jax.random.uniform(lost, (2, len(sigma), 1))
  there = (time[None] > 0.3 * begin) & (jnp.abs(time - days / 2)[None] > 0.3 + 0.7 * gap)
  kept = jax.random.uniform(missing, flux.shape) > 0.03
  return flux + sigma[:, None] * noise, there & kept


@jax.jit
def flattened(flux: Flux, seen: Seen) -> Flux:
  """Takes out what changes slowly: twice a running mean, the second without what is far below.

  Args:
    flux: of the exposures; where they are missing it is of no account.
    seen: which there are.

  Returns:
    0 where they are missing.
  """
  half = round(_WINDOW / EXPOSURE / 2)

  def trend(used: Seen) -> Flux:
    total, count = (_around(jnp.where(used, each, 0), half) for each in (flux, 1.0))
    return total / jnp.maximum(count, 1)

  rest = flux - trend(seen)
  low = rest < -2.5 * boxed.sigma(rest, seen)[:, None]
  return jnp.where(seen, flux - trend(seen & ~low), 0)


@jax.jit
def found(key: Key, light: Light, flux: Flux, seen: Seen, time: Float[Array, " times"]) -> Dips:
  """What a search makes of each object.

  Where its dips are known the duration is off by a fifth at most. Where only its period is, the
  best box of the folded light is taken; where that is not, of the best of `TRIALS` periods, which
  are even in frequency and the same for all, as those of searches are.

  Args:
    key: of the draw.
    light: of the objects.
    flux, seen: as `flattened` and `measured` return them.
    time: of the exposures.
  """
  trial, off = jax.random.split(key)
  if light.period is not None:
    period = light.period
  else:
    stepped = jnp.arange(TRIALS, dtype=float) + jax.random.uniform(trial, (TRIALS,))
    slowest = 1 / time[-1]
    periods = 1 / (slowest + (1 / SHORTEST - slowest) * stepped / TRIALS)
    period = periods[boxed.strengths(flux, seen, time, periods).argmax(0)]
  if light.dips is not None:
    epoch, long = light.dips
    guess = long * (0.8 + 0.4 * jax.random.uniform(off, long.shape))
    duration = jnp.maximum(guess, EXPOSURE)
  else:
    _, epoch, duration = boxed.best(flux, seen, time, period)
  signal = boxed.stands_out(flux, seen, since(time, period, epoch), duration)
  return Dips(period, epoch, duration, signal)


@jax.jit
def reported(
  flux: Flux, seen: Seen, time: Float[Array, " times"], dips: Dips, moved: Numbers
) -> Event:
  """The events at these dips, of flux without its trend.

  Args:
    flux, seen: as `flattened` and `measured` return them.
    time: of the exposures.
    dips: of each object.
    moved: see `Light`.
  """
  period, epoch, duration, signal = dips
  days = since(time, period, epoch)
  local = view(flux, seen, days / duration[:, None], LOCAL_SPAN, LOCAL_PLACES)
  again = since(time, period, boxed.again(flux, seen, time, dips[:3]))
  second = view(flux, seen, again / duration[:, None], LOCAL_SPAN, LOCAL_PLACES)
  whole = view(flux, seen, days / period[:, None], 0.5, PLACES)
  return Event(whole, local, second, period, duration, signal, moved, _ingress(local))


def _around(values: Flux, half: int) -> Flux:
  """The sum of each and its `half` neighbours on either side."""
  summed = jnp.pad(values, ((0, 0), (half + 1, half))).cumsum(1)
  return summed[:, 2 * half + 1 :] - summed[:, : -2 * half - 1]


def view(flux: Flux, seen: Seen, place: Flux, reach: float, places: int) -> Float[Array, "n _"]:
  """Means in equal parts of [−reach, reach), empty ones interpolated; median 0, minimum −1."""
  total, count = boxed.binned(flux, seen, (place + reach) / (2 * reach) * places, places)
  at, there = jnp.arange(places)[None], count > 0
  before = jax.lax.cummax(jnp.where(there, at, -1), axis=1)
  after = jax.lax.cummin(jnp.where(there, at, places), axis=1, reverse=True)
  low = jnp.where(before < 0, jnp.minimum(after, places - 1), before)
  high = jnp.where(after >= places, jnp.maximum(before, 0), after)
  mean = total / jnp.maximum(count, 1)
  one, other = (jnp.take_along_axis(mean, each, 1) for each in (low, high))
  view = one + (at - low) / jnp.maximum(high - low, 1) * (other - one)
  level = view - jnp.median(view, 1, keepdims=True)
  deepest = -level.min(1, keepdims=True)
  return level / jnp.where(deepest > 0, deepest, 1)


def _ingress(local: Float[Array, "n local"]) -> Numbers:
  """That of the trapezoid which fits a dip best, in the mean square, at any depth and level."""
  place = jnp.abs(jnp.linspace(-LOCAL_SPAN, LOCAL_SPAN, LOCAL_PLACES))[None]
  wide, fall = (
    jnp.ravel(each)[:, None] for each in jnp.meshgrid(jnp.array(_WIDE), jnp.array(_FALL))
  )
  shapes = jnp.clip((wide / 2 - place) / (fall * wide), 0, 1)
  shapes -= shapes.mean(1, keepdims=True)
  shapes /= jnp.linalg.norm(shapes, axis=1, keepdims=True)
  return jnp.ravel(fall)[(-local @ shapes.T).argmax(1)]
