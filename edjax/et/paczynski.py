"""The point lens that fits a light curve best, for many curves at a time. Pure, batched, float32.

`event.fit` does the same for one event, with SciPy's steps in float64, and is slower by a lot. Here
a light curve is some hundred means, dense about its peak and ever wider away from it, to which a
fixed number of Levenberg-Marquardt steps fit t₀, u₀ and t_E; fluxes are in closed form.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from edjax.et import event, lens
from edjax.et.draws import EXPOSURE, Numbers

_BINS = 256
_STEPS = 16
_STARTS = (0.03, 0.2, 0.7)  # of u₀
# Of ln u₀ and ln t_E / the width of the peak: fits do not run away further than this.
_LEAST, _MOST = (-7.0, -7.0), (1.0, 7.0)
_WIDE = tuple(2**power for power in range(1, 13))  # exposures of boxes, up to 85 days

Flux = Float[Array, "n times"]
Times = Float[Array, " times"]


class Box(NamedTuple):
  """Exposures that stand out most: by how many σ, their middle and width in days."""

  sigmas: Numbers
  middle: Numbers
  width: Numbers


class Fit(NamedTuple):
  """A point lens: t₀ and t_E in days, u₀, and the width of its peak at half its height, in days."""

  closest: Numbers
  least: Numbers
  crossing: Numbers
  width: Numbers


def standing(rest: Flux, error: Flux, time: Times, dark: bool = False) -> Box:
  """The box of two to 4,096 exposures whose mean stands out most, its place to an eighth of it.

  Args:
    rest: what is not expected.
    error: σ of each; infinite where there is none.
    time: of the exposures.
    dark: whether what is too dark counts as much as what is too bright.
  """
  weight = 1 / error**2
  summed, known = (
    jnp.pad(each.cumsum(1), ((0, 0), (1, 0)))
    for each in (jnp.where(weight > 0, rest, 0) * weight, weight)
  )
  best = Box(*(jnp.zeros(len(rest)) for _ in range(3)))
  for wide in (wide for wide in _WIDE if wide < len(time)):
    stride = max(1, wide // 8)
    total, much = (each[:, wide::stride] - each[:, :-wide:stride] for each in (summed, known))
    # What rounding leaves of no exposures at all is no box.
    sigmas = jnp.where(much > 1e-5 * known[:, -1:], total / jnp.sqrt(jnp.maximum(much, 1e-9)), 0)
    sigmas = jnp.abs(sigmas) if dark else sigmas
    middle = time[sigmas.argmax(1) * stride] + (wide - 1) / 2 * EXPOSURE
    own = Box(sigmas.max(1), middle, jnp.full(len(middle), wide * EXPOSURE))
    more = own.sigmas > best.sigmas
    best = Box(*(jnp.where(more, a, b) for a, b in zip(own, best, strict=True)))
  return best


def half(least: Numbers) -> Numbers:
  """Half the width of a peak at half its height, in t_E: √(u² − u₀²), of A(u) = (A₀ + 1) / 2.

  With u² = 2 A / √(A² − 1) − 2.
  """
  level = (lens.point(least) + 1) / 2
  rise = level - 1
  square = 2 * level / jnp.sqrt(rise * (level + 1)) - 2
  return jnp.sqrt(jnp.maximum(square - least**2, 1e-12))


def fitted(flux: Flux, error: Flux, time: Times, peak: Box) -> Fit:
  """The point lens with the least χ² near a peak.

  Args:
    flux: measured, from any level.
    error: σ of each; infinite where there is none.
    time: of the exposures.
    peak: where one was found, see `standing`.
  """
  means = _means(flux, error, time, peak)
  place, logs = jax.vmap(_searched)(*means)
  least, crossing = jnp.exp(logs[:, 0]), jnp.exp(logs[:, 1]) * peak.width
  width = jnp.clip(2 * half(least) * crossing, 2 * EXPOSURE, time[-1])
  return Fit(peak.middle + place * peak.width, least, crossing, width)


def light(fit: Fit, time: Times) -> Flux:
  """Its magnification [n, times]."""
  closest, least, crossing, _ = (each[:, None] for each in fit)
  u = lens.path(time[None], closest, least, crossing)
  return lens.point(jnp.maximum(u, 1e-6))


def _means(
  flux: Flux, error: Flux, time: Times, peak: Box
) -> tuple[Float[Array, "n bins"], Float[Array, "n bins"], Float[Array, "n bins"]]:
  """Returns (place in widths from the peak, flux, σ) of means over exposures.

  They are even in arsinh of the place, by half a width.
  """
  place = (time[None] - peak.middle[:, None]) / peak.width[:, None]
  part = jnp.arcsinh(2 * place)
  first, last = part[:, :1], part[:, -1:]
  number = jnp.clip((part - first) / (last - first) * _BINS, 0, _BINS - 1).astype(int)
  weight = 1 / error**2
  known = jnp.where(weight > 0, flux, 0)
  columns = jnp.stack([weight, weight * known, weight * place], -1)
  at = (number + jnp.arange(len(flux))[:, None] * _BINS).ravel()
  summed = jax.ops.segment_sum(
    columns.reshape(-1, 3), at, len(flux) * _BINS, indices_are_sorted=True
  )
  total, *means = jnp.moveaxis(summed.reshape(len(flux), _BINS, 3), -1, 0)
  there = total > 0
  mean, middle = (each / jnp.where(there, total, 1) for each in means)
  spread = jnp.where(there, 1 / jnp.sqrt(jnp.where(there, total, 1)), jnp.inf)
  return middle, mean, spread


def _searched(
  place: Numbers, flux: Numbers, error: Numbers
) -> tuple[Float[Array, ""], Float[Array, "2"]]:
  """The best end of some starts for one curve: (place of the peak, ln u₀ and ln t_E)."""
  least = jnp.array(_STARTS)
  begin = jnp.stack([jnp.zeros(len(_STARTS)), jnp.log(least), -jnp.log(2 * half(least))], -1)
  low, high = (jnp.array([sign * 2.0, *ends]) for sign, ends in ((-1, _LEAST), (1, _MOST)))

  def magnified(lens_: Float[Array, "3"]) -> Numbers:
    u = lens.path(place, lens_[0], jnp.exp(lens_[1]), jnp.exp(lens_[2]))
    return lens.point(jnp.maximum(u, 1e-6))

  def left(shape: Numbers, values: Numbers) -> Numbers:
    """What neither source nor blend explains, in σ."""
    source, blend = event.shares(shape, values, error)
    return (values - source * shape - blend) / error

  def chi(lens_: Float[Array, "3"]) -> Float[Array, ""]:
    return (left(magnified(lens_), flux) ** 2).sum()

  def step(_: int, state: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, ...]:
    lens_, least_chi, damping = state
    shape, slopes = magnified(lens_), jax.jacfwd(magnified)(lens_)
    source = event.shares(shape, flux, error)[0]
    columns = jax.vmap(lambda slope: left(shape, source * slope), 1, 1)(slopes)
    normal = columns.T @ columns
    scale = jnp.maximum(jnp.diag(normal), 1e-6 * normal.max() + 1e-12)
    towards = jnp.linalg.solve(normal + damping * jnp.diag(scale), columns.T @ left(shape, flux))
    tried = jnp.clip(lens_ + towards, low, high)
    found = chi(tried)
    better = found < least_chi
    return (
      jnp.where(better, tried, lens_),
      jnp.where(better, found, least_chi),
      jnp.where(better, damping / 5, damping * 5),
    )

  def ended(start: Float[Array, "3"]) -> tuple[jax.Array, jax.Array]:
    state = start, chi(start), jnp.float32(1e-2)
    lens_, found, _ = jax.lax.fori_loop(0, _STEPS, step, state)
    return lens_, found

  ends, chis = jax.vmap(ended)(begin)
  best = ends[jnp.nanargmin(chis)]
  return best[0], best[1:]
