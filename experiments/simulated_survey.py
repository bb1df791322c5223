"""A survey of simulated stars: the share of planets that it finds, and what it finds of a law."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from edjax.et import occurrence, population, survey

_LATTICE = 4096  # stars that stand for all of them
_BLOCK = 4096  # whose multiples are computed, so that few lengths compile
_SPARE = 6  # standard deviations of a Poisson number that there is room for


@dataclasses.dataclass(frozen=True)
class Simulated:
  """Who looks at how many stars, and which share of what stands out is found."""

  chosen: survey.Survey
  stars: int
  found: population.Found = survey.accepted

  def completeness(self, periods=(1.9, 420.0, 24), radii=(0.45, 6.5, 32)):
    """Returns the share of planets found, their mean over stars and impacts.

    Args:
      periods, radii: least, most, how many.
    """
    along, across = np.geomspace(*periods), np.geomspace(*radii)
    share = [
      [_mean(self.chosen, self.found, period, radius) for radius in across] for period in along
    ]
    return occurrence.Completeness(along, across, np.array(share), float(self.stars))

  def candidates(self, law, periods, radii, key):
    """Returns what the survey finds, as candidates of reliability 1."""
    mean = self.stars * float(law.within(periods, radii))
    number, drawn, stars, chance = jax.random.split(key, 4)
    count = np.random.default_rng(np.asarray(jax.random.key_data(number))).poisson(mean)
    most = int(mean + _SPARE * np.sqrt(mean))  # the same for all, so that nothing compiles twice
    period, radius = population.planets(drawn, law, periods, radii, most)
    numbers = jax.random.uniform(stars, (most, 3))
    impact, passing, noticed = jax.random.uniform(chance, (3, most))
    crossing = population.crossing(population.stars(numbers), period)
    kept = np.flatnonzero((passing < crossing)[:count])
    padded = np.pad(kept, (0, -len(kept) % _BLOCK))
    own = (np.asarray(each)[padded] for each in (numbers, period, radius, impact))
    share = _seen(self.chosen, self.found, *own)[: len(kept)]
    kept = kept[np.asarray(noticed)[kept] < share]
    return occurrence.Candidates(
      np.asarray(period)[kept], np.asarray(radius)[kept], np.ones(len(kept))
    )


def lattice(count, axes):
  """Returns places that fill a cube evenly: multiples of powers of a root of x^(axes + 1) = x + 1.

  With `count` of them a mean is off by about 1 / count instead of 1 / √count of its spread.
  """
  root = 2.0
  for _ in range(50):
    root = (1 + root) ** (1 / (axes + 1))
  steps = np.arange(1, count + 1)[:, None] / root ** np.arange(1, axes + 1)
  return np.mod(steps + 0.5, 1)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _mean(chosen, found, period, radius):
  places = jnp.asarray(lattice(_LATTICE, 4))
  star = population.stars(places[:, :3])
  share = population.seen(chosen, star, period, radius, places[:, 3], found)
  return (population.crossing(star, period) * share).mean()


@functools.partial(jax.jit, static_argnums=(0, 1))
def _seen(chosen, found, numbers, period, radius, impact):
  return population.seen(chosen, population.stars(numbers), period, radius, impact, found)
