"""A season of the bulge that never was: events of every class, as many as are asked for.

What is drawn stands in `rises.py`, what telescope and pipeline make of it in `peaks.py`. Kept is
what stands out by 7.1 σ, as in `source.py`. A planet is there if the light curve would be another
by 10 σ without it, and stands out by that from every point lens.
"""

import functools

import jax
import numpy as np

from edjax.errors import choose
from edjax.et import events, peaks, rises, source

SEASON = source.Sky(
  days=190.0,
  red=0.3,
  # The first is what a sky is known by, see `edjax.data.simulation`: it has most physics in it.
  mixture={"planetary": 1.0, "finite": 0.4, "point": 0.6, "outburst": 1.0, "flat": 1.0},
)
DEVIATION = 10.0  # σ
_BATCH = 64


def events_of(name: str, count: int, sky: source.Sky, seed: int) -> peaks.Peak:
  """Draws events of a class until there are enough.

  Args:
    name: a key of `rises.CLASSES`.
    count: of events.
    sky: how they come about.
    seed: of the draw; each class has its own numbers.

  Returns:
    A `Peak` of numpy arrays.

  Raises:
    UserError: if the class is none, or nothing of it can be found.
  """
  choose(rises.CLASSES, name, "objects")
  time = events.times(sky.days)

  def drawn(key: jax.Array) -> peaks.Peak:
    light, rest = jax.random.split(key)
    return _seen(rest, rises.CLASSES[name](light, _BATCH, time), time, sky.red)

  def kept(event: peaks.Peak) -> np.ndarray:
    stands = np.asarray(event.signal) >= source.LEAST
    if name != "planetary":
      return stands
    return stands & (np.minimum(event.companion, event.deviation) >= DEVIATION)

  place = [*rises.CLASSES].index(name)
  key = jax.random.fold_in(jax.random.key(seed), place)
  return source.gathered(drawn, kept, key, count, name)


@functools.partial(jax.jit, static_argnums=3)
def _seen(key: jax.Array, rise: rises.Rise, time: jax.Array, red: float) -> peaks.Peak:
  """A batch, also of what nobody would report."""
  strong, noise = jax.random.split(key)
  slowly = source.slowly(strong, red, len(rise.flux))
  flux, error = peaks.measured(noise, rise, time, slowly)
  return peaks.reported(flux, error, time, rise.flux - rise.alone)
