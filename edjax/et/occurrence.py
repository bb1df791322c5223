"""How many planets stars have, by those that a survey found of them. Pure.

Periods are in days, radii in that of the Earth. Planets that are found are a Poisson process over
ln P and ln R: stars · share found · d²N / (d ln P d ln R). What was found may be no planet. Where
each candidate's probability to be one is known, it counts by this reliability (Bryson et al. 2020,
arXiv:1906.03575); 0 leaves one out, so that batches may be padded. Where it is known how many false
ones to expect, they are a second Poisson process beside the planets, see `Exposure.alarms`.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.interpolate import RegularGridInterpolator
from jax.typing import ArrayLike
from jaxtyping import Float
from scipy import optimize

from edjax.et import survey
from edjax.et.numbers import alike, cell

Parameters = Float[jax.Array, " parameters"]
Box = tuple[float, float]
_NONE = 1e-30  # a share whose logarithm stands for that of 0
_ENOUGH = 0.01  # of ln likelihood, of which a standard deviation is 0.5
_ROUNDS = 20


class Law(Protocol):
  """A density of planets and its integral, as `survey.PowerLaw` has them."""

  def __call__(self, period: ArrayLike, radius: ArrayLike) -> jax.Array:
    """d²N / (d ln P d ln R)."""

  def within(self, periods: survey.Ends, radii: survey.Ends) -> jax.Array:
    """How many planets a star has in boxes."""


Family = Callable[[Parameters], Law]  # hashable: what is compiled is kept by it


class Candidates(NamedTuple):
  """What a survey found."""

  period: Float[jax.Array, " found"]
  radius: Float[jax.Array, " found"]
  reliability: Float[jax.Array, " found"]


class Exposure(NamedTuple):
  """Of how many stars a survey finds the planets in the cells of a box, and what else it finds.

  Attributes:
    periods, radii: edges of the cells, rising.
    stars: stars · share found.
    alarms: false candidates that are expected, by cells.
  """

  periods: Float[jax.Array, " along+1"]
  radii: Float[jax.Array, " across+1"]
  stars: Float[jax.Array, "along across"]
  alarms: Float[ArrayLike, "along across"] | float = 0.0


@dataclasses.dataclass(frozen=True)
class Completeness:
  """Which share of all planets is found: those that pass before their star, and are noticed."""

  periods: Float[jax.Array, " periods"]  # rising
  radii: Float[jax.Array, " radii"]  # rising
  share: Float[jax.Array, "periods radii"]
  stars: float  # of which this is the mean

  def __call__(self, period: ArrayLike, radius: ArrayLike) -> jax.Array:
    """The share found, whose logarithm runs evenly between the grid's; 0 outside of the grid."""
    return _between(self.periods, self.radii, self.share, *alike(period, radius))

  def exposure(self, periods: Box, radii: Box, cells: int = 100) -> Exposure:
    """Of a box within the grid, cut evenly in both logarithms into `cells` by `cells`."""
    along, across = (jnp.geomspace(*box, cells + 1) for box in (periods, radii))
    return Exposure(along, across, self.stars * self(*_middles(along, across)))


def inverse_efficiency(
  share: Float[ArrayLike, "*batch found"],
  reliability: Float[ArrayLike, "*batch found"],
  stars: ArrayLike,
) -> tuple[Float[jax.Array, "*batch"], Float[jax.Array, "*batch"]]:
  """Planets of a star: every one found stands for 1 / share of them (Howard et al. 2012).

  The sum of w = reliability / (stars · share), and its standard deviation √Σ w², as a sum over a
  Poisson process has it. Unbiased, but the least likely planets found have most of the error, and
  those that are too unlikely to be found have all of the error and none of the estimate.

  Args:
    share: of such planets that are found, not 0.
    reliability: of each found one, or 0 for one to leave out.
    stars: how many were looked at.

  Returns:
    (planets of a star in the box that those found are from, its standard deviation).
  """
  share, reliability = alike(share, reliability)
  weight = reliability / share
  return weight.sum(-1) / stars, jnp.sqrt((weight**2).sum(-1)) / stars


@dataclasses.dataclass(frozen=True)
class Broken:
  """A power of the period and one of the radius, either with a break within or outside a box."""

  periods: Box
  radii: Box

  def __call__(self, parameters: Parameters) -> survey.PowerLaw:
    """ln of planets in the box, ln P and ln R of the breaks, powers of P and of R, below, above."""
    count, period, radius, *powers = parameters
    return survey.PowerLaw(
      count=jnp.exp(count),
      periods=self.periods,
      radii=self.radii,
      breaks=(jnp.exp(period), jnp.exp(radius)),
      period_powers=(powers[0], powers[1]),
      radius_powers=(powers[2], powers[3]),
    )


@dataclasses.dataclass(frozen=True)
class Straight:
  """A power of the period and one of the radius, without a break."""

  periods: Box
  radii: Box

  def __call__(self, parameters: Parameters) -> survey.PowerLaw:
    """ln of planets in the box, the power of P and that of R."""
    count, along, across = parameters
    return survey.PowerLaw(
      count=jnp.exp(count),
      periods=self.periods,
      radii=self.radii,
      breaks=(self.periods[0], self.radii[0]),
      period_powers=(along, along),
      radius_powers=(across, across),
    )


def expected(law: Law, exposure: Exposure) -> jax.Array:
  """How many planets a survey finds."""
  return (exposure.stars * _cells(law, exposure)).sum()


def log_likelihood(law: Law, candidates: Candidates, exposure: Exposure) -> jax.Array:
  """Of a Poisson process (Youdin 2011, arXiv:1105.1782): Σ reliability · ln density − expected.

  Without what does not depend on the density, which is that of planets and of false candidates
  together. With reliabilities below 1 no likelihood, but its slope still has the mean 0 at the
  truth.
  """
  place = candidates.period, candidates.radius
  seen = jnp.log(law(*place) + _spurious(exposure, *place))
  counted = jnp.where(candidates.reliability > 0, candidates.reliability * seen, 0)
  return counted.sum() - expected(law, exposure)


class Fit(NamedTuple):
  """The density of a family that what was found is most likely of."""

  parameters: np.ndarray  # float64 [parameters]
  covariance: np.ndarray  # float64 [parameters, parameters]
  log_likelihood: float


def fit(
  family: Family,
  starts: Float[ArrayLike, "starts parameters"],
  candidates: Candidates,
  exposure: Exposure,
) -> Fit:
  """The most likely parameters, by Nelder and Mead's simplex: where a law breaks, slopes jump.

  Every observed period and radius that a break passes is a kink, and there may be several maxima:
  the highest is returned of those that are found from the starts. Steps are in units of the
  standard deviations. The covariance is I⁻¹ J I⁻¹: I is what is expected of the slopes' products
  over all that would be found, which kinks do not matter to; J has their products at the
  candidates, by the square of their reliability, as some of them are no planets.

  Args:
    family: from parameters to a law, the same object for the same family.
    starts: parameters to begin with.
    candidates: all of them within the box of the exposure.
    exposure: see `Completeness.exposure`.

  Raises:
    ValueError: without float64, or if a start does not end in a maximum, or what would be found
      there does not tell the parameters apart.
  """
  if jnp.result_type(float) != jnp.float64:
    raise ValueError("fits need float64: jax.config.update('jax_enable_x64', True)")
  tops = [_climbed(family, start, candidates, exposure) for start in np.asarray(starts, float)]
  best, most = max(tops, key=lambda top: top[1])
  spread = _spread(_information(family, jnp.asarray(best), exposure))
  inverse = spread @ spread.T
  noise = np.asarray(_products(family, jnp.asarray(best), candidates, exposure))
  return Fit(best, inverse @ noise @ inverse, most)


def interval(fitted: Fit, figure: Callable[[Parameters], jax.Array]) -> tuple[float, float, float]:
  """(a positive figure of the parameters, the ends of its 68 % interval), even in its logarithm."""
  best = jnp.asarray(fitted.parameters)
  value, slope = jax.value_and_grad(lambda parameters: jnp.log(figure(parameters)))(best)
  spread = float(np.sqrt(slope @ fitted.covariance @ slope))
  middle = float(value)
  return math.exp(middle), math.exp(middle - spread), math.exp(middle + spread)


def _climbed(
  family: Family, start: np.ndarray, candidates: Candidates, exposure: Exposure
) -> tuple[np.ndarray, float]:
  """Parameters at a maximum of the likelihood, and its logarithm."""
  best, most = start, -np.inf
  for _ in range(_ROUNDS):
    spread = _spread(_information(family, jnp.asarray(best), exposure))

    def lost(steps: np.ndarray, best: np.ndarray = best, spread: np.ndarray = spread) -> float:
      return -float(_said(family, jnp.asarray(best + spread @ steps), candidates, exposure))

    count = len(start)
    simplex = np.vstack([np.zeros(count), np.eye(count)])
    options = {"initial_simplex": simplex, "adaptive": True, "fatol": _ENOUGH / 3, "xatol": 0.02}
    found = optimize.minimize(lost, simplex[0], method="Nelder-Mead", options=options)
    gained, best, most = -found.fun - most, best + spread @ found.x, -float(found.fun)
    if found.success and gained < _ENOUGH:
      return best, most
  raise ValueError(f"no maximum in {_ROUNDS} rounds from {start}: {found.message}")


def _spread(information: ArrayLike) -> np.ndarray:
  """A root of the covariance that information is the inverse of."""
  try:
    return np.linalg.cholesky(np.linalg.inv(information))
  except np.linalg.LinAlgError as error:
    raise ValueError("what would be found does not tell the parameters apart") from error


@jax.jit
def _between(
  periods: jax.Array, radii: jax.Array, share: jax.Array, period: jax.Array, radius: jax.Array
) -> jax.Array:
  """Interpolated in the logarithms of all three; 0 outside of the grid."""
  known = jnp.log(jnp.maximum(share, _NONE))
  axes = jnp.log(periods), jnp.log(radii)
  between = RegularGridInterpolator(axes, known, bounds_error=False, fill_value=-jnp.inf)
  at = jnp.stack([jnp.log(period).ravel(), jnp.log(radius).ravel()], -1)
  return jnp.exp(between(at)).reshape(period.shape)


def _middles(along: jax.Array, across: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Of cells between edges."""
  period, radius = (jnp.sqrt(each[:-1] * each[1:]) for each in (along, across))
  return period[:, None], radius[None]


def _cells(law: Law, exposure: Exposure) -> Float[jax.Array, "along across"]:
  """Planets of a star, by cells: exactly, as a midpoint would jump where a break passes it."""
  along, across = exposure.periods[:, None], exposure.radii[None]
  return law.within((along[:-1], along[1:]), (across[:, :-1], across[:, 1:]))


def _spurious(exposure: Exposure, period: jax.Array, radius: jax.Array) -> jax.Array:
  """How dense false candidates are, as though they were planets of a star, even within a cell."""
  row, long, _ = cell(jnp.asarray(period), exposure.periods)
  column, wide, _ = cell(jnp.asarray(radius), exposure.radii)
  alarms = jnp.broadcast_to(jnp.asarray(exposure.alarms), exposure.stars.shape)[row, column]
  return alarms / (long * wide * jnp.maximum(exposure.stars[row, column], _NONE))


def _slopes(
  family: Family, parameters: Parameters, period: jax.Array, radius: jax.Array, exposure: Exposure
) -> Float[jax.Array, "parameters places"]:
  """Of ln density by each parameter, at every place."""
  more = _spurious(exposure, period, radius)
  found = jax.jacfwd(lambda each: jnp.log(family(each)(period, radius) + more).ravel())(parameters)
  return found.T


@functools.partial(jax.jit, static_argnums=0)
def _information(
  family: Family, parameters: Parameters, exposure: Exposure
) -> Float[jax.Array, "parameters parameters"]:
  slopes = _slopes(family, parameters, *_middles(exposure.periods, exposure.radii), exposure)
  found = exposure.stars * _cells(family(parameters), exposure) + exposure.alarms
  return (slopes * found.reshape(1, -1)) @ slopes.T


@functools.partial(jax.jit, static_argnums=0)
def _products(
  family: Family, parameters: Parameters, candidates: Candidates, exposure: Exposure
) -> Float[jax.Array, "parameters parameters"]:
  slopes = _slopes(family, parameters, candidates.period, candidates.radius, exposure)
  slopes = slopes * jnp.asarray(candidates.reliability)[None]
  return slopes @ slopes.T


@functools.partial(jax.jit, static_argnums=0)
def _said(
  family: Family, parameters: Parameters, candidates: Candidates, exposure: Exposure
) -> jax.Array:
  return log_likelihood(family(parameters), candidates, exposure)
