"""A survey that never was: events of every class, as many as are asked for, always the same.

What is drawn stands in `objects.py`, what telescope and pipeline make of it in `events.py`. Of what
is drawn those are kept that a search would report, by 7.1 σ or more.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from edjax.errors import UserError, choose
from edjax.et import events, objects, survey

LEAST = survey.THRESHOLD
# By how many σ dips stand out before a pipeline sees them: mean of a normal distribution of the
# decadic logarithm, its standard deviation below. Two stars hide more of each other than a planet.
_SIGNAL = {"planet": 1.45, "eclipsing": 1.85, "blended": 1.65}
_SPREAD = 0.45
_BEYOND = 0.7  # of what does not dip: beyond the threshold, the mean of an exponential distribution
Found = TypeVar("Found")  # events, a tree of arrays
_BATCH = 256
_FRUITLESS = 200  # batches in a row that hold nothing to be found


@dataclasses.dataclass(frozen=True)
class Sky:
  """How events come about, and how often each class does.

  Attributes:
    days: of a light curve; at first a sector of TESS, as the pipeline of its events had it.
    red: how strong slow noise is beside white noise, in the median of an exposure.
    mixture: {class of `objects.CLASSES`, or `rises.CLASSES`: its share of the label it belongs to},
      as far as it is not left out.
  """

  days: float = 27.4
  red: float = 0.3
  mixture: Mapping[str, float] = dataclasses.field(
    default_factory=lambda: {
      "planet": 1.0,
      "eclipsing": 0.6,
      "blended": 0.4,
      "variable": 0.5,
      "systematic": 0.2,
      "orbital": 0.15,
      "flickering": 0.15,
    }
  )


def events_of(name: str, count: int, sky: Sky, seed: int) -> events.Event:
  """Draws events of a class until there are enough.

  Args:
    name: a key of `objects.CLASSES`.
    count: of events.
    sky: how they come about.
    seed: of the draw; each class has its own numbers.

  Returns:
    An `Event` of numpy arrays.

  Raises:
    UserError: if the class is none, or nothing of it can be found.
  """
  choose(objects.CLASSES, name, "objects")
  place = [*objects.CLASSES].index(name)
  key = jax.random.fold_in(jax.random.key(seed), place)
  drawn = functools.partial(_drawn, name, sky.days, sky.red)
  return gathered(drawn, lambda event: event.signal >= LEAST, key, count, name)


def gathered(
  drawn: Callable[[jax.Array], Found],
  kept: Callable[[Found], np.ndarray],
  key: jax.Array,
  count: int,
  name: str,
) -> Found:
  """Draws batches until there are enough events that are kept.

  Args:
    drawn: a batch of events, by a key.
    kept: which of a batch are.
    key: of all batches.
    count: of events.
    name: what they are called.

  Raises:
    UserError: if nothing is kept of many batches in a row.
  """
  parts, found, number, last = [], 0, 0, -1
  while found < count:
    batch = jax.device_get(drawn(jax.random.fold_in(key, number)))
    seen = np.flatnonzero(kept(batch))
    parts.append(jax.tree.map(lambda leaf, seen=seen: leaf[seen], batch))
    found += len(seen)
    last = number if len(seen) else last
    if number - last == _FRUITLESS:
      raise UserError(
        f"of {name} nothing stands out by {LEAST} σ; take less red noise, or more days"
      )
    number += 1
  return jax.tree.map(lambda *leaves: np.concatenate(leaves)[:count], *parts)


def slowly(key: jax.Array, red: float, count: int) -> jax.Array:
  """Draws how strong slow noise is beside white: half of a normal distribution, `red` in median."""
  return red / 0.6745 * jnp.abs(jax.random.normal(key, (count,)))


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _drawn(name: str, days: float, red: float, key: jax.Array) -> events.Event:
  """A batch of a class, also of what no search would report."""
  light, noise, search, strong, slow = jax.random.split(key, 5)
  time = events.times(days)
  drawn = objects.CLASSES[name](light, _BATCH, time)
  if name in _SIGNAL:
    signal = 10 ** (_SIGNAL[name] + _SPREAD * jax.random.normal(strong, (_BATCH,)))
  else:
    signal = LEAST * 10 ** (_BEYOND * jax.random.exponential(strong, (_BATCH,)))
  flux, seen = events.measured(noise, drawn, time, signal, slowly(slow, red, _BATCH))
  flux = events.flattened(flux, seen)
  dips = events.found(search, drawn, flux, seen, time)
  return events.reported(flux, seen, time, dips, drawn.moved)
