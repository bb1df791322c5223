"""From what brightens to an event as a survey of the bulge reports it. Pure, batched.

A telescope of Earth 2.0's kind in space looks at the bulge for a season, every half hour, and loses
a day or less of every month. Noise is of photons, unresolved light, a floor, and slow. Light is
shown upside down, so that a peak is a dip as transits are.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from edjax.et import event, events, noise, paczynski
from edjax.et.boxed import Seen
from edjax.et.draws import EXPOSURE, Key, Numbers, slow_noise
from edjax.et.fold import LOCAL_PLACES, LOCAL_SPAN, PLACES
from edjax.et.paczynski import Flux, Times
from edjax.et.rises import Rise

LIGHT = (0.30 / 0.95) ** 2  # collecting area of ET's microlensing telescope by Kepler's
_BRIGHT, _FAINT = 15.0, 22.0  # magnitudes of stars
_MONTH = 30.0  # days from one gap to the next
_SHOWN = 3  # exposures of a peak's upper half, at least
_AROUND = 5.0  # widths of what deviates, on either side of it


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Peak:
  """What a pipeline says of an object, its views with a median of 0 and a minimum of −1.

  Attributes:
    whole, near, rest: the season; two widths of the peak on either side; what is left of the best
      point lens in σ, five widths on either side of where it deviates most.
    width: of the fitted peak at half its height, in days; season: of the light curve.
    signal: by how many σ a point lens is better than no change, √Δχ²; 0 if nobody saw its peak.
    deviation: by how many σ the light stands out from the best point lens in one place, √Δχ².
    asymmetry: light behind the peak less light before it, by both, from −1 to 1.
    misfit: χ² by degrees of freedom.
    companion: by how many σ it would be another without a planet, which no pipeline knows.
  """

  whole: Float[Array, "n places"]
  near: Float[Array, "n local"]
  rest: Float[Array, "n local"]
  width: Numbers
  season: Numbers
  signal: Numbers
  deviation: Numbers
  asymmetry: Numbers
  misfit: Numbers
  companion: Numbers


def measured(key: Key, rise: Rise, time: Times, red: Numbers) -> tuple[Flux, Flux]:
  """Adds noise and gaps, to stars of all magnitudes from 15 to 22.

  Args:
    key: of the draw.
    rise: of the objects.
    time: of the exposures.
    red: σ of slow noise, in that of the white noise of the quiet star.

  Returns:
    (flux, σ of its white noise), both relative to the quiet star; σ is infinite where an exposure
    is missing: in one stretch a month, and 3 % besides.
  """
  stars, white, slow, pace, missing, gaps = jax.random.split(key, 6)
  count = len(red)
  magnitude = jax.random.uniform(stars, (count,), minval=_BRIGHT, maxval=_FAINT)
  quiet = 10 ** (0.4 * (22 - magnitude))[:, None]
  total = jnp.maximum(1 + rise.flux, 0)
  sigma, level = (
    noise.crowded(quiet * each, 24 * EXPOSURE, LIGHT) / quiet
    for each in (total, jnp.ones((count, 1)))
  )
  rate = 10 ** jax.random.uniform(pace, (count,), minval=0.5, maxval=1.7)  # µHz
  flicker = slow_noise(slow, rate, len(time)) * level * red[:, None]
  flux = rise.flux + flicker + sigma * jax.random.normal(white, sigma.shape)
  begin, long = jax.random.uniform(gaps, (2, count, 1))
  there = (time[None] + _MONTH * begin) % _MONTH > 0.2 + 0.8 * long
  there &= jax.random.uniform(missing, flux.shape) > 0.03
  return flux, jnp.where(there, sigma, jnp.inf)


def reported(flux: Flux, error: Flux, time: Times, alone: Flux) -> Peak:
  """The event of each light curve, whether it is one or not.

  Args:
    flux, error: as `measured` returns them.
    time: of the exposures.
    alone: by how much light would be another without a companion.
  """
  seen = jnp.isfinite(error)
  peak = paczynski.standing(flux - _quiet(flux, seen)[:, None], error, time)
  fit = paczynski.fitted(flux, error, time, peak)
  light = paczynski.light(fit, time)
  source, blend = (each[:, None] for each in event.shares(light, flux, error))
  rest = (flux - source * light - blend) / error
  chi, constant = (
    (each**2).sum(1) for each in (rest, (flux - _mean(flux, error)[:, None]) / error)
  )
  there = jnp.where(seen, 1.0, jnp.inf)
  off = paczynski.standing(rest, there, time, dark=True)
  near = (time[None] - fit.closest[:, None]) / fit.width[:, None]
  around = (time[None] - off.middle[:, None]) / off.width[:, None]
  season = jnp.full(len(flux), time[-1] + EXPOSURE)
  place = jnp.broadcast_to(time[None] / season[:, None] - 0.5, flux.shape)
  views = (
    events.view(-flux, seen, place, 0.5, PLACES),
    events.view(-flux, seen, near, LOCAL_SPAN, LOCAL_PLACES),
    events.view(-rest, seen, around, _AROUND, LOCAL_PLACES),
  )
  # A dip is no peak, nor is one that nobody saw or of which the light curve shows one end only.
  shown = ((seen & (jnp.abs(near) < 0.5)).sum(1) >= _SHOWN) & (source[:, 0] > 0)
  shown &= views[1].min(1) < 0
  return Peak(
    *views,
    width=fit.width,
    season=season,
    signal=jnp.where(shown, jnp.sqrt(jnp.maximum(constant - chi, 0)), 0),
    deviation=off.sigmas,
    asymmetry=_asymmetry(flux - source - blend, seen, near),
    misfit=chi / jnp.maximum(seen.sum(1) - 5, 1),
    companion=jnp.sqrt(((alone / error) ** 2).sum(1)),
  )


def _quiet(flux: Flux, seen: Seen) -> Numbers:
  """The light of a star that does nothing: what three tenths of its days are below."""
  day = round(1 / EXPOSURE)
  whole = flux.shape[1] // day * day
  total, count = (
    each[:, :whole].reshape(len(flux), -1, day).sum(-1) for each in (jnp.where(seen, flux, 0), seen)
  )
  return jnp.nanquantile(jnp.where(count > 0, total / jnp.maximum(count, 1), jnp.nan), 0.3, axis=1)


def _mean(flux: Flux, error: Flux) -> Numbers:
  weight = 1 / error**2
  return (weight * flux).sum(1) / weight.sum(1)


def _asymmetry(above: Flux, seen: Seen, near: Flux) -> Numbers:
  before, behind = (
    jnp.where(part, above, 0).sum(1) / jnp.maximum(part.sum(1), 1)
    for part in (seen & (near > -LOCAL_SPAN) & (near < 0), seen & (near > 0) & (near < LOCAL_SPAN))
  )
  return (behind - before) / jnp.maximum(jnp.abs(behind) + jnp.abs(before), 1e-9)
