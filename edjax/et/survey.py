"""What a survey looks at, which of its planets it finds, and how many there are. Pure, batched.

Periods are in days, radii in that of the Earth, noise and depths in one unit. Arguments broadcast,
and the result has their widest type.
"""

import dataclasses
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax.scipy.special import gammainc
from jax.typing import ArrayLike

from edjax.et.numbers import alike, cell, nodes

YEAR = 365.25  # days
THRESHOLD = 7.1  # σ by which an event stands out that Kepler looked at
Density = Callable[[ArrayLike, ArrayLike], jax.Array]
Ends = tuple[ArrayLike, ArrayLike]  # of boxes, low and high
_NODES = 32


@dataclasses.dataclass(frozen=True)
class Survey:
  """Telescopes that all look at one field, without a break but for what `duty` leaves out."""

  telescopes: int
  aperture: float  # of each, in metres
  field: float  # square degrees
  stars: int  # dwarfs that are looked at
  years: float = 4.0
  duty: float = 0.95  # a hope: a star of Kepler's, Kepler-11, has 0.826

  @property
  def light(self) -> float:
    """Collecting area by Kepler's, of 0.95 m: as much more light, if all else is equal."""
    return self.telescopes * (self.aperture / 0.95) ** 2

  @property
  def span(self) -> float:
    """Days from the first to the last picture."""
    return self.years * YEAR


# Earth 2.0's transit telescopes, as two abstracts have them: Ge et al. 2022 (SPIE 12180,
# doi:10.1117/12.2630656, and the white paper, arXiv:2206.06693); Ge et al. 2024 (SPIE 13092), where
# the number of stars is from a talk of 2025, "over two million".
SURVEYS = {
  "white_paper": Survey(telescopes=6, aperture=0.30, field=500.0, stars=1_200_000),
  "phase_b": Survey(telescopes=6, aperture=0.28, field=550.0, stars=2_000_000),
}


def window(period: ArrayLike, span: ArrayLike, duty: ArrayLike) -> jax.Array:
  """The probability that three or more transits are seen (Burke et al. 2015, arXiv:1506.04175).

  1 − Σ_{k<3} C(M, k) f^k (1 − f)^(M − k), of which C for M = span / period, no whole number, is
  Γ(M + 1) / (Γ(k + 1) Γ(M − k + 1)): 1, M and M (M − 1) / 2. Transits counted at random phases are
  as many where M is a whole number, and fewer between: 0.43 for 0.59 at M = 2.5 and f = 0.95.

  Args:
    period: of the planet.
    span: from the survey's first to its last picture.
    duty: f, the share of this in which a transit is seen, below 1.

  Returns:
    0 for fewer than two periods.
  """
  period, span, duty = alike(period, span, duty)
  many = jnp.maximum(span / period, 2)
  missed = 1 - duty
  none, one = missed**many, many * duty * missed ** (many - 1)
  two = many * (many - 1) / 2 * duty**2 * missed ** (many - 2)
  return jnp.clip(1 - none - one - two, 0, 1)


def significance(depth: ArrayLike, noise: ArrayLike, transits: ArrayLike) -> jax.Array:
  """By how many σ a planet stands out (the multiple event statistic): depth / σ · √transits.

  Args:
    depth: of one transit.
    noise: σ of the mean light over as long as a transit takes.
    transits: how many are seen.
  """
  depth, noise, transits = alike(depth, noise, transits)
  return depth / noise * jnp.sqrt(transits)


@dataclasses.dataclass(frozen=True)
class Efficiency:
  """How many of the planets that could be seen are found: a Γ distribution's CDF of their σ."""

  shape: float
  scale: float
  start: float = 0.0
  most: float = 1.0

  def __call__(self, sigmas: ArrayLike) -> jax.Array:
    """The share, of planets that stand out by so many σ; `THRESHOLD` is Kepler's."""
    (sigmas,) = alike(sigmas)
    beyond = jnp.maximum(sigmas - self.start, 0) / self.scale
    return self.most * gammainc(jnp.asarray(self.shape, beyond.dtype), beyond)


# Of planets injected into Kepler's pixels: by the pipeline of the first 16 quarters (Christiansen
# et al. 2015), and by that of DR25 (Christiansen 2017, KSCI-19110-001).
CHRISTIANSEN = Efficiency(shape=4.65, scale=0.98, start=4.1)
DR25 = Efficiency(shape=30.87, scale=0.271, most=0.940)

# Least number of transits, shape, scale, most.
_HSU = (
  (0, 33.3884, 0.264472, 0.699093),
  (4, 32.886, 0.269577, 0.768366),
  (5, 31.5196, 0.282741, 0.833673),
  (6, 30.9919, 0.286979, 0.859865),
  (7, 30.1906, 0.294688, 0.875042),
  (10, 31.6342, 0.279425, 0.886144),
  (19, 32.6448, 0.268898, 0.889724),
  (37, 27.8185, 0.32432, 0.945075),
)


def accepted(sigmas: ArrayLike, transits: ArrayLike) -> jax.Array:
  """The share of planets that DR25 finds and does not reject (Hsu et al. 2019, arXiv:1902.01417).

  Args:
    sigmas: by how many a planet stands out.
    transits: how many are seen; fewer than three count as three.
  """
  sigmas, transits = alike(sigmas, transits)
  least, shape, scale, most = (jnp.asarray(each, sigmas.dtype) for each in zip(*_HSU, strict=True))
  row = jnp.searchsorted(least[1:], transits, side="right")
  return most[row] * gammainc(shape[row], jnp.maximum(sigmas, 0) / scale[row])


def planets(density: Density, periods: Sequence[float], radii: Sequence[float]) -> jax.Array:
  """How many planets a star has in a box, the integral of a density over ln P and ln R.

  By 32 Gauss-Legendre nodes between every two edges: exact for what the densities below are made
  of, if the edges have among them all periods and radii at which the density breaks.

  Args:
    density: of period and radius, d²N / (d ln P d ln R).
    periods, radii: edges in rising order, the first and last of which are those of the box.
  """
  (period, along), (radius, across) = _spread(periods), _spread(radii)
  weight = along[:, None] * across[None]
  return (weight * density(period[:, None], radius[None])).sum()


@dataclasses.dataclass(frozen=True)
class PowerLaw:
  """Planets whose density is a product of a power of the period and one of the radius.

  Either has another exponent beyond its break. The number in a box says how many there are.
  """

  count: ArrayLike
  periods: tuple[float, float]  # of the box
  radii: tuple[float, float]
  breaks: tuple[ArrayLike, ArrayLike]  # period, radius
  period_powers: tuple[ArrayLike, ArrayLike]  # below and above it, in d²N / (d ln P d ln R)
  radius_powers: tuple[ArrayLike, ArrayLike]

  @property
  def height(self) -> jax.Array:
    """The density at both breaks."""
    return jnp.asarray(self.count) / self._shape(self.periods, self.radii)

  def within(self, periods: Ends, radii: Ends) -> jax.Array:
    """How many planets a star has in other boxes, exactly."""
    return self.height * self._shape(periods, radii)

  def _shape(self, periods: Ends, radii: Ends) -> jax.Array:
    """The integral of a density that is 1 at both breaks."""
    along = _integral(periods, self.breaks[0], self.period_powers)
    return along * _integral(radii, self.breaks[1], self.radius_powers)

  def __call__(self, period: ArrayLike, radius: ArrayLike) -> jax.Array:
    """d²N / (d ln P d ln R), of a star; also outside of the box."""
    period, radius = alike(period, radius)
    density = jnp.full_like(period, self.height)
    powers = self.period_powers, self.radius_powers
    for each, at, (below, above) in zip((period, radius), self.breaks, powers, strict=True):
      density *= (each / at) ** jnp.where(each < at, below, above)
    return density


# Burke et al. 2015 (arXiv:1506.04175), of G and K dwarfs. They write d²N / (dP dR), whose exponents
# are less by one: 19.68 and −1.78 in radius, −0.65 in period, which does not break.
BURKE = PowerLaw(
  count=0.731,
  periods=(50.0, 300.0),
  radii=(0.75, 2.5),
  breaks=(50.0, 0.94),
  period_powers=(0.35, 0.35),
  radius_powers=(20.68, -0.78),
)
# The form of Mulders et al. 2018 (arXiv:1805.08211), fitted here to 2,591 planets of dwarfs in DR25
# with their grid of completeness. Their own figures are of systems, not of planets.
MULDERS = PowerLaw(
  count=3.11,
  periods=(2.0, 400.0),
  radii=(0.5, 6.0),
  breaks=(7.24, 2.74),
  period_powers=(1.88, 0.36),
  radius_powers=(-0.606, -4.01),
)
# The form of Bryson et al. 2020 (arXiv:1906.03575), fitted here to their 114 candidates of G and K
# dwarfs by their reliabilities. It has an eighth of the Earths of the fit above.
BRYSON = PowerLaw(
  count=0.451,
  periods=(50.0, 400.0),
  radii=(0.75, 2.5),
  breaks=(50.0, 0.75),
  period_powers=(0.184, 0.184),
  radius_powers=(1.83, 1.83),
)


def sag13(period: ArrayLike, radius: ArrayLike) -> jax.Array:
  """d²N / (d ln P d ln R) as NASA's SAG13 agreed on: powers of radius and of period in years.

  It has no break in period, and so has far too many planets below about 10 days.
  """
  period, radius = alike(period, radius)
  years = period / YEAR
  small = 0.38 * radius**-0.19 * years**0.26
  return jnp.where(radius < 3.4, small, 0.73 * radius**-1.18 * years**0.59)


# Fressin et al. 2013 (arXiv:1301.0842): planets of a hundred stars of Kepler's, by period along the
# rows and radius down them. 0: none were found, or it could not be said.
FRESSIN_PERIODS = (0.8, 2.0, 3.4, 5.9, 10.0, 17.0, 29.0, 50.0, 85.0, 145.0, 245.0, 418.0)
FRESSIN_RADII = (0.8, 1.25, 2.0, 4.0, 6.0, 22.0)
_FRESSIN = (
  (0.18, 0.61, 1.72, 2.70, 2.70, 2.93, 4.08, 3.46, 0.0, 0.0, 0.0),
  (0.17, 0.74, 1.49, 2.90, 4.30, 4.49, 5.29, 3.66, 6.54, 0.0, 0.0),
  (0.035, 0.18, 0.73, 1.93, 3.67, 5.29, 6.45, 5.25, 4.31, 3.09, 0.0),
  (0.004, 0.006, 0.11, 0.091, 0.29, 0.32, 0.49, 0.66, 0.43, 0.53, 0.24),
  (0.015, 0.067, 0.17, 0.18, 0.27, 0.23, 0.35, 0.71, 1.25, 0.94, 1.05),
)


def fressin(period: ArrayLike, radius: ArrayLike) -> jax.Array:
  """d²N / (d ln P d ln R) of Fressin's table, even in both logarithms within a cell; 0 outside."""
  period, radius = alike(period, radius)
  column, wide, there = cell(period, FRESSIN_PERIODS)
  row, high, also = cell(radius, FRESSIN_RADII)
  table = jnp.asarray(_FRESSIN, period.dtype) / 100
  return jnp.where(there & also, table[row, column] / (wide * high), 0)


def _integral(box: Ends, at: ArrayLike, powers: tuple[ArrayLike, ArrayLike]) -> jax.Array:
  """Of a power of x / at that is another below `at` than above, over ln x."""
  low, high = (jnp.log(edge / jnp.asarray(at)) for edge in box)
  below, above = powers
  under = _exponential(jnp.minimum(low, 0), jnp.minimum(high, 0), below)
  return under + _exponential(jnp.maximum(low, 0), jnp.maximum(high, 0), above)


def _exponential(low: jax.Array, high: jax.Array, power: ArrayLike) -> jax.Array:
  """The integral of exp(power · x), without a division by a power of 0."""
  low, high, power = alike(low, high, power)
  rise = power * (high - low)
  little = jnp.abs(rise) < 1e-3
  safe = jnp.where(little, 1, rise)
  mean = jnp.where(little, 1 + rise / 2 + rise**2 / 6, jnp.expm1(safe) / safe)
  return (high - low) * jnp.exp(power * low) * mean


def _spread(edges: Sequence[float]) -> tuple[jax.Array, jax.Array]:
  """Places between all edges, even in the logarithm, and their weights in it."""
  (edge,) = alike(jnp.asarray(edges))
  logarithm = jnp.log(edge)
  wide = jnp.diff(logarithm)
  place, weight = nodes(_NODES, wide)
  return (
    jnp.exp(logarithm[:-1, None] + wide[:, None] * place).ravel(),
    (wide[:, None] * weight).ravel(),
  )
