"""Stars that a survey looks at, their planets, and which of these are found. Pure, batched.

Radii of stars and their masses are in those of the Sun, periods in days, radii of planets in that
of the Earth. Orbits are circles. Arguments broadcast.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Float

from edjax.et import noise, survey
from edjax.et.numbers import alike
from edjax.types import RandomKey

DEPTH = 84.05  # ppm that an Earth takes from a Sun without limb darkening
_AXIS = 215.03  # of the Earth's orbit, in radii of the Sun
_SUN = 5772.0  # kelvin
_CELLS = 64
# The share of planets found, by how many σ they stand out and how many transits are seen.
Found = Callable[[ArrayLike, ArrayLike], jax.Array]


@dataclasses.dataclass(frozen=True)
class Kind:
  """Dwarfs of one spectral type, taken to be alike but for their magnitude and noise."""

  radius: float
  mass: float
  temperature: float  # kelvin
  share: float  # of all stars


# Radii and masses are the medians of Kepler's dwarfs, by radii of Gaia (Mulders et al. 2018; of
# 51,603, 42,926, 22,089 and 2,803 stars). Temperatures and shares are assumptions.
KINDS = {
  "F": Kind(radius=1.30, mass=1.104, temperature=6300.0, share=0.30),
  "G": Kind(radius=0.96, mass=0.926, temperature=5650.0, share=0.40),
  "K": Kind(radius=0.73, mass=0.748, temperature=4800.0, share=0.25),
  "M": Kind(radius=0.55, mass=0.434, temperature=3700.0, share=0.05),
}
# A step of 0.27 in the logarithm of the number for every magnitude, to 16: assumptions, too.
SLOPE, FAINTEST = 0.27, 16.0


class Stars(NamedTuple):
  """What matters of stars, all of one shape."""

  magnitude: jax.Array
  radius: jax.Array
  mass: jax.Array
  temperature: jax.Array
  noise: jax.Array  # ppm in 6.5 hours, their own and the instrument's


def stars(
  numbers: Float[ArrayLike, "*batch 3"],
  kinds: Sequence[Kind] = tuple(KINDS.values()),
  faintest: ArrayLike = FAINTEST,
) -> Stars:
  """Stars by three numbers each, drawn evenly in (0, 1): their kind, magnitude, noise.

  Args:
    numbers: random ones, or places that fill the cube more evenly.
    kinds: whose shares need not have the sum 1.
    faintest: no star is fainter.
  """
  (numbers,) = alike(numbers)
  which, bright, loud = jnp.moveaxis(numbers, -1, 0)
  shares = jnp.cumsum(jnp.asarray([kind.share for kind in kinds], numbers.dtype))
  kind = jnp.searchsorted(shares[:-1] / shares[-1], which)
  radius, mass, temperature = (
    jnp.asarray([getattr(each, name) for each in kinds], numbers.dtype)[kind]
    for name in ("radius", "mass", "temperature")
  )
  magnitude = jnp.asarray(faintest, numbers.dtype) + jnp.log10(bright) / SLOPE
  return Stars(magnitude, radius, mass, temperature, noise.stellar(loud))


def crossing(star: Stars, period: ArrayLike) -> jax.Array:
  """The probability that a planet of this period passes before its star: R / a, at most 1."""
  period, radius, mass = alike(period, star.radius, star.mass)
  return jnp.minimum(radius / (_AXIS * _size(period, mass)), 1)


def seen(
  chosen: survey.Survey,
  star: Stars,
  period: ArrayLike,
  radius: ArrayLike,
  impact: ArrayLike,
  found: Found = survey.accepted,
) -> jax.Array:
  """The share of planets that pass before their star which a survey finds.

  `survey.window` times the share found of those that stand out so far, see `stands_out`.

  Args:
    star, period, radius, impact: of the planets.
    found: by σ and transits.
  """
  sigmas, transits = stands_out(chosen, star, period, radius, impact)
  return survey.window(period, chosen.span, chosen.duty) * found(sigmas, transits)


def stands_out(
  chosen: survey.Survey, star: Stars, period: ArrayLike, radius: ArrayLike, impact: ArrayLike
) -> tuple[jax.Array, jax.Array]:
  """By how many σ a planet stands out, and its mean number of transits.

  All of the star's noise in a transit's hours against the depth of a dark disk.

  Args:
    star, period, radius: of the planets.
    impact: how far from the star's middle they pass, in its radii, from 0 to 1.
  """
  period, radius, impact = alike(period, radius, impact)
  ratio = jnp.sqrt(DEPTH * 1e-6) * radius / star.radius
  chord = jnp.sqrt((1 + ratio) ** 2 - impact**2)
  hours = 24 * period / jnp.pi * crossing(star, period) * chord
  ppm = noise.cdpp(star.magnitude, hours, star.noise, 0.0, chosen.light)
  transits = chosen.span * chosen.duty / period
  return survey.significance(1e6 * ratio**2, ppm, transits), transits


def planets(
  key: RandomKey,
  density: survey.Density,
  periods: Sequence[float],
  radii: Sequence[float],
  count: int,
) -> tuple[Float[jax.Array, " count"], Float[jax.Array, " count"]]:
  """Draws periods and radii of so many planets, from 64 even cells between every two edges.

  Args:
    key: of the draw.
    density: d²N / (d ln P d ln R).
    periods, radii: edges in rising order, as `survey.planets` has them.
    count: how many to draw.
  """
  (period, wide), (radius, high) = _cells(periods), _cells(radii)
  weight = wide[:, None] * high[None] * density(jnp.exp(period)[:, None], jnp.exp(radius)[None])
  which, within = jax.random.split(key)
  cell = jax.random.choice(which, weight.size, (count,), p=(weight / weight.sum()).ravel())
  row, column = jnp.divmod(cell, len(radius))
  along, across = jax.random.uniform(within, (2, count)) - 0.5
  return (
    jnp.exp(period[row] + wide[row] * along),
    jnp.exp(radius[column] + high[column] * across),
  )


# Kopparapu et al. 2014 (arXiv:1404.5292), for planets like the Earth: the light of the Sun on the
# Earth by which it is too hot, and too cold, as polynomials of the star's temperature − 5780 K.
# Runaway and maximum greenhouse; recent Venus and early Mars. For 2,600 to 7,200 K.
ZONES = {
  "conservative": (
    (1.107, 1.332e-4, 1.58e-8, -8.308e-12, -1.931e-15),
    (0.356, 6.171e-5, 1.698e-9, -3.198e-12, -5.575e-16),
  ),
  "optimistic": (
    (1.776, 2.136e-4, 2.533e-8, -1.332e-11, -3.097e-15),
    (0.320, 5.547e-5, 1.526e-9, -2.874e-12, -5.011e-16),
  ),
}


def habitable(star: Stars, period: ArrayLike, zone: str) -> jax.Array:
  """Whether a planet has as much light as one of `ZONES` allows."""
  period, radius, mass, temperature = alike(period, star.radius, star.mass, star.temperature)
  light = (radius / _size(period, mass)) ** 2 * (temperature / _SUN) ** 4
  hot, cold = (
    jnp.polyval(jnp.asarray(each[::-1], period.dtype), temperature - 5780) for each in ZONES[zone]
  )
  return (light < hot) & (light > cold)


def _size(period: jax.Array, mass: jax.Array) -> jax.Array:
  """Half the long axis of an orbit, in that of the Earth's (Kepler's third law)."""
  return (mass * (period / survey.YEAR) ** 2) ** (1 / 3)


def _cells(edges: Sequence[float]) -> tuple[jax.Array, jax.Array]:
  """Logarithms of the middles of cells between all edges, and how wide they are."""
  (edge,) = alike(jnp.log(jnp.asarray(edges)))
  wide = jnp.diff(edge) / _CELLS
  middle = edge[:-1, None] + wide[:, None] * (jnp.arange(_CELLS) + 0.5)[None]
  return middle.ravel(), jnp.repeat(wide, _CELLS)
