"""A microlensing event as several telescopes see it: its light, χ², and fits from many starts.

Days, and Einstein radii. Places of telescopes are in au across the line of sight. Functions are of
one event, and `jax.vmap` makes them of many; but for fits, which are SciPy's and need float64:
`jax.config.update("jax_enable_x64", True)`.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from edjax.et import lens
from edjax.et.numbers import alike
from edjax.et.observers import Across

_LN = 0.4 * math.log(10)  # of a flux to a magnitude
_NEAR = 1e-9  # a point exactly behind a lens has no finite light
_STEPS = 40  # times as many models as there are parameters, at most
_TOLERANCE = 1e-12
_SAME = 0.1  # σ of every parameter, and of χ²; so near two ends are one solution


class Event(NamedTuple):
  """A lens that passes a source, see `lens.track`; what is None has no effect and is not fitted."""

  closest: ArrayLike  # t₀
  least: ArrayLike  # u₀, with its sign
  crossing: ArrayLike  # t_E
  parallax: lens.Pair | None = None  # π_E, north and east
  radius: ArrayLike | None = None  # ρ, of the source's disk; of a point if None


class Curve(NamedTuple):
  """What one telescope measured [n]."""

  time: ArrayLike
  flux: ArrayLike
  error: ArrayLike  # of the flux; infinite where there is no point
  place: Across  # of the telescope, see `observers.uneven`
  veil: ArrayLike | None = None  # σ of the blend about 0, where the star's own light is known


class Fit(NamedTuple):
  """Where a search for the least χ² ended."""

  event: Event
  chi_square: float
  # Of t₀, u₀, ln t_E, then π_E (2) and ln ρ, if they are fitted. No numbers where data do not tell.
  covariance: np.ndarray
  source: np.ndarray  # flux of the star that is magnified, by curve
  blend: np.ndarray  # flux that is not, by curve
  ended: bool  # at a least place; otherwise it ran out of steps


def fluxes(magnitude: ArrayLike, error: ArrayLike) -> tuple[jax.Array, jax.Array]:
  """Flux and its error of a magnitude and its error, of which 22 is the flux 1."""
  magnitude, error = alike(magnitude, error)
  flux = 10 ** (0.4 * (22 - magnitude))
  return flux, _LN * error * flux


def magnification(event: Event, time: ArrayLike, place: lens.Pair = (0.0, 0.0)) -> jax.Array:
  """The magnification of the source at these times, as seen from a place. Arguments broadcast."""
  parallax = (0.0, 0.0) if event.parallax is None else event.parallax
  u = lens.path(time, event.closest, event.least, event.crossing, parallax, place)
  if event.radius is not None:
    return lens.finite(u, event.radius)
  return lens.point(jnp.where(u > _NEAR, u, _NEAR))


def shares(light: ArrayLike, flux: ArrayLike, error: ArrayLike) -> tuple[jax.Array, jax.Array]:
  """The fluxes of source and blend that fit best: of flux = source · light + blend.

  Linear least squares in closed form, along the last axis.

  Args:
    light: magnification [..., n].
    flux, error: measured; an infinite error counts for nothing.

  Returns:
    (source, blend) [...]. Where the light does not change all of it is the blend's.
  """
  light, flux, error = alike(light, flux, error)
  weight = 1 / error**2
  weight /= weight.sum(-1, keepdims=True)
  mean, level = (weight * light).sum(-1), (weight * flux).sum(-1)
  over = light - mean[..., None]
  spread = (weight * over**2).sum(-1)
  source = (weight * over * (flux - level[..., None])).sum(-1)
  source = jnp.where(spread > 0, source / jnp.where(spread > 0, spread, 1), 0)
  return source, level - source * mean


def residuals(event: Event, curves: Sequence[Curve]) -> jax.Array:
  """(measured − model) / error of all points, with the best fluxes of every curve, one behind
  another. The sum of their squares is χ²."""
  return _compared(event, curves)[0]


def chi_square(event: Event, curves: Sequence[Curve]) -> jax.Array:
  """χ² of all points, with the best fluxes of every curve."""
  return (residuals(event, curves) ** 2).sum()


def fit(curves: Sequence[Curve], start: Event) -> Fit:
  """Finds the least χ² near a start, by MINPACK's Levenberg-Marquardt method with exact slopes.

  Its steps are of t₀, u₀, ln t_E, π_E and ln ρ, as far as the start has them. Slopes go through the
  best fluxes, too.

  Args:
    curves: at least one; of the same shapes again the next fit is not compiled again.
    start: where to look.

  Raises:
    ValueError: where JAX is not allowed float64, or the start has no finite χ².
  """
  if jnp.result_type(float) != jnp.float64:
    raise ValueError("fits need float64: jax.config.update('jax_enable_x64', True)")
  from scipy import optimize  # a quarter of a second to import, for the few who need it

  begin, curves = _packed(start), tuple(curves)
  found = optimize.least_squares(
    lambda vector: np.asarray(_model(vector, start, curves)[0]),
    begin,
    lambda vector: np.asarray(_slopes(vector, start, curves)[0]),
    method="lm",
    ftol=_TOLERANCE,
    xtol=_TOLERANCE,
    gtol=_TOLERANCE,
    max_nfev=_STEPS * len(begin),
  )
  event = jax.tree.map(float, _unpacked(found.x, start))
  if start.parallax is None:  # nothing tells the sign
    event = event._replace(least=abs(event.least))
  source, blend = map(np.asarray, _model(found.x, start, curves)[1])
  covariance = _covariance(found.jac)
  return Fit(event, 2 * float(found.cost), covariance, source, blend, found.status > 0)


def solutions(curves: Sequence[Curve], starts: Iterable[Event]) -> list[Fit]:
  """All different ends of fits from these starts, the best first.

  Left out are fits that ran out of steps, and ends at which a source's flux is negative. Two ends
  are the same where no parameter differs by more than a tenth of its error, nor χ² by 0.1.
  """
  ends = [fit(curves, start) for start in starts]
  different: list[Fit] = []
  for end in sorted(ends, key=lambda end: end.chi_square):
    physical = end.ended and not (end.source < 0).any()
    if physical and not any(_same(end, other) for other in different):
      different.append(end)
  return different


def starts(alone: Event, lengths: Sequence[float], directions: int = 8) -> list[Event]:
  """Places to look for all solutions with parallax, from an event fitted without.

  Both signs of u₀ by parallaxes of these lengths, in so many directions all round. Of two observers
  a distance D apart, lengths of about 1 / D and less are in question.
  """
  angles = 2 * np.pi * (np.arange(directions) + 0.5) / directions
  return [
    alone._replace(least=sign * float(jnp.abs(alone.least)), parallax=_vector(length, angle))
    for sign in (1, -1)
    for length in lengths
    for angle in angles
  ]


def _vector(length: float, angle: float) -> lens.Pair:
  return float(length * np.cos(angle)), float(length * np.sin(angle))


def _covariance(slopes: np.ndarray) -> np.ndarray:
  """Of parameters at the least χ², from the slopes of the residuals [n, parameters]."""
  size = np.linalg.norm(slopes, axis=0)
  try:
    with np.errstate(all="ignore"):
      inverse = np.linalg.inv((slopes / size).T @ (slopes / size))
    return inverse / np.outer(size, size)
  except np.linalg.LinAlgError:
    return np.full((len(size), len(size)), np.nan)


def _same(one: Fit, other: Fit) -> bool:
  step = _packed(one.event, other.event) - _packed(other.event)
  with np.errstate(invalid="ignore"):
    error = np.nan_to_num(np.sqrt(np.diag(other.covariance)), nan=np.inf)
  near = np.abs(step) <= _SAME * error + 1e-9
  return bool(near.all()) and one.chi_square - other.chi_square < _SAME


def _packed(event: Event, like: Event | None = None) -> np.ndarray:
  """The parameters that are fitted, t₀ from that of `like`, as steps should not depend on dates."""
  origin = event if like is None else like
  parts = [jnp.subtract(event.closest, origin.closest), event.least, jnp.log(event.crossing)]
  parts += [] if event.parallax is None else list(event.parallax)
  parts += [] if event.radius is None else [jnp.log(event.radius)]
  return np.array(parts, float)


def _unpacked(vector: jax.Array, like: Event) -> Event:
  closest, least, crossing, *others = vector
  event = Event(jnp.add(like.closest, closest), least, jnp.exp(crossing))
  if like.parallax is not None:
    event, others = event._replace(parallax=(others[0], others[1])), others[2:]
  return event if like.radius is None else event._replace(radius=jnp.exp(others[0]))


def _compared(
  event: Event, curves: Sequence[Curve]
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
  """Returns residuals, and the fluxes [curves] of source and blend."""
  parts, pairs = [], []
  for time, flux, error, place, veil in curves:
    light = magnification(event, time, place)
    if veil is not None:  # as a point would say it at which nothing is magnified
      light, flux, error = (
        jnp.append(each, more) for each, more in ((light, 0), (flux, 0), (error, veil))
      )
    source, blend = shares(light, flux, error)
    parts.append((flux - source * light - blend) / error)
    pairs.append((source, blend))
  sources, blends = (jnp.stack(each) for each in zip(*pairs, strict=True))
  return jnp.concatenate(parts), (sources, blends)


def _of(
  vector: jax.Array, like: Event, curves: tuple[Curve, ...]
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
  return _compared(_unpacked(vector, like), curves)


_model = jax.jit(_of)
_slopes = jax.jit(jax.jacfwd(_of, has_aux=True))
