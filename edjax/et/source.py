"""A survey that never was: events of every class, as many as are asked for, always the same.

What is drawn stands in `objects.py`, what telescope and pipeline make of it in `events.py`. Of what
is drawn those are kept that a search would report, by 7.1 σ or more.
"""

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from edjax import ahead
from edjax.errors import UserError, choose
from edjax.et import events, objects, survey
from edjax.et.boxed import Flux, Seen
from edjax.et.draws import Numbers

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


class _Seen(NamedTuple):
  """Objects before a pipeline makes views of them; see `events.reported`."""

  flux: Flux
  seen: Seen
  dips: events.Dips
  moved: Numbers


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
  time = events.times(sky.days)

  def drawn(key: jax.Array) -> _Seen:
    """A batch, also of what no search would report."""
    lit, noise, search, strong, slow = jax.random.split(key, 5)
    light = objects.CLASSES[name](lit, _BATCH, time)
    sigma = events.white(light, _standing_out(strong, name), len(time))
    red = slowly(slow, sky.red, _BATCH)
    flux, seen = events.measured(noise, light.flux, time, sigma, red)
    flux = events.flattened(flux, seen)
    dips = events.found(search, light, flux, seen, time)
    return _Seen(flux, seen, dips, light.moved)

  place = [*objects.CLASSES].index(name)
  key = jax.random.fold_in(jax.random.key(seed), place)
  return _reported(gathered(drawn, _kept, key, count, name), time)


def _kept(every: _Seen) -> np.ndarray:
  return np.asarray(every.dips.signal) >= LEAST


def _reported(every: _Seen, time: jax.Array) -> events.Event:
  """Only of what is kept, as views take long; in batches of one length, so one program does."""
  count = len(every.flux)

  def report(start: int) -> events.Event:
    rows = np.minimum(np.arange(start, start + _BATCH), count - 1)
    flux, seen, dips, moved = jax.tree.map(lambda leaf: leaf[rows], every)
    return jax.device_get(events.reported(flux, seen, time, dips, moved))

  parts = ahead.in_order(report, range(0, count, _BATCH), 1)
  return jax.tree.map(lambda *leaves: np.concatenate(leaves)[:count], *parts)


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
  parts, found, last = [], 0, -1

  def batch(number: int) -> Found:
    return jax.device_get(drawn(jax.random.fold_in(key, number)))

  # The first is drawn alone, or each thread would compile the same program.
  first = batch(0)
  with contextlib.closing(ahead.in_order(batch, itertools.count(1), 1)) as more:
    for number, each in enumerate(itertools.chain([first], more)):
      seen = np.flatnonzero(kept(each))
      parts.append(jax.tree.map(lambda leaf, seen=seen: leaf[seen], each))
      found += len(seen)
      last = number if len(seen) else last
      if found >= count:
        break
      if number - last == _FRUITLESS:
        raise UserError(
          f"of {name} nothing stands out by {LEAST} σ; take less red noise, or more days"
        )
  return jax.tree.map(lambda *leaves: np.concatenate(leaves)[:count], *parts)


def slowly(key: jax.Array, red: float, count: int) -> jax.Array:
  """Draws how strong slow noise is beside white: half of a normal distribution, `red` in median."""
  return red / 0.6745 * jnp.abs(jax.random.normal(key, (count,)))


def _standing_out(key: jax.Array, name: str) -> jax.Array:
  """Draws by how many σ of white noise a batch of a class stands out."""
  if name in _SIGNAL:
    return 10 ** (_SIGNAL[name] + _SPREAD * jax.random.normal(key, (_BATCH,)))
  return LEAST * 10 ** (_BEYOND * jax.random.exponential(key, (_BATCH,)))
