"""Planets in a light curve: box least squares (Kovács, Zucker & Mazeh 2002, A&A 391, 369).

A box is a curve that is high but for a dip of even depth in each period. Among all boxes the best
one of a period leaves least squares. Points are first summed in even cells of time, so that a fold
is a sum of rows of cells, each of which begins where its orbit does. Where rows begin is reckoned
in float64 by numpy; the sums are JAX's, float32, and no digit of a time is asked of them.
"""

import functools
import math
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Integer

_CELLS = 4  # to the shortest box, if nothing else is said
_RATIO = 1.5  # of the longest to the shortest period of a compiled program
_BATCH, _NUMBERS = 64, 2**22  # most periods at once, and most numbers at once
_ROUND = 256  # cells


class Boxes(NamedTuple):
  """The best box of each period; all are [*curves, periods].

  Attributes:
    power: √(what the box takes from the mean square), in units of the flux: SR of the paper.
    depth: the mean outside the box less that inside, in units of the flux; dips are positive.
    epoch: the first middle of the box that is not before the first time, in days.
    duration: of the box, in days.
    points: in the box, over all orbits.
    signal: depth / (σ / √points), with σ = 1.4826 median |flux − median|: its S/N.
  """

  power: np.ndarray
  depth: np.ndarray
  epoch: np.ndarray
  duration: np.ndarray
  points: np.ndarray
  signal: np.ndarray


def bls(
  time: Float[np.ndarray, " n"],
  flux: Float[np.ndarray, "*curves n"],
  periods: Float[np.ndarray, " periods"],
  durations: Float[np.ndarray, " durations"],
  step: float | None = None,
) -> Boxes:
  """Finds the best box of each period; points have equal weights.

  Args:
    time: in days, the same for all curves, with any gaps.
    flux: without trends; a curve, or a batch of them, which cost less together.
    periods: in days, longer than twice the longest box.
    durations: of boxes, in days, rounded to whole cells.
    step: length of a cell in days, by which epochs are known and times are rounded; a quarter of
      the shortest box if not given.

  Returns:
    A dip for every period, however shallow; power, depth and signal are 0 where there is none.
  """
  step = float(np.min(durations)) / _CELLS if step is None else step
  widths = tuple(sorted({max(1, round(float(each) / step)) for each in durations}))
  if np.min(periods) < 2 * widths[-1] * step:
    raise ValueError(f"a box of {widths[-1] * step} days is over half of {np.min(periods)} days")
  cell = np.rint((time - time.min()) / step).astype(int)
  curves = (flux - flux.mean(-1, keepdims=True)).reshape(-1, len(time))
  # Rounded up, so that a curve with a few points less at its ends needs no other program.
  cells = -(-(cell.max() + 1) // _ROUND) * _ROUND
  rows = np.stack([np.bincount(cell, each, cells) for each in (*curves, np.ones(len(time)))])
  found = np.empty((5, len(curves), len(periods)))  # of a box: Σ flux, points, place, width, power
  most = _NUMBERS // (len(rows) * len(widths))
  for chosen, length, orbits in _groups(periods / step, cells, most):
    spare = length + widths[-1]  # empty cells on either side, as boxes reach over the ends
    padded = np.pad(rows, ((0, 0), (spare, spare))).astype(np.float32)
    begins = np.rint(np.arange(-1, orbits) * (periods[chosen] / step)[:, None]).astype(np.int32)
    begins = np.minimum(begins, cells) + spare
    found[:, :, chosen] = _best(padded, begins, len(time), length, widths)
  found = found.reshape(5, *flux.shape[:-1], len(periods))
  total, points, place, width, power = found
  share = points / len(time)
  dips = power > 0
  depth = np.where(dips, -total / len(time) / np.where(dips, share * (1 - share), 1), 0)
  noise = robust(flux)[..., None]
  return Boxes(
    power=power,
    depth=depth,
    epoch=time.min() + (place + (width - 1) / 2) * step % periods,
    duration=width * step,
    points=points.astype(int),
    signal=np.divide(depth * np.sqrt(points), noise, out=np.zeros_like(depth), where=dips),
  )


def robust(values: Float[np.ndarray, "*rows n"]) -> Float[np.ndarray, "*rows"]:
  """The standard deviation, by the median distance from the median: what is far is no matter."""
  return 1.4826 * np.median(np.abs(values - np.median(values, -1, keepdims=True)), -1)


def _groups(
  periods: Float[np.ndarray, " periods"], cells: int, most: int
) -> Iterator[tuple[Integer[np.ndarray, " chosen"], int, int]]:
  """Yields (which periods, cells of the longest, orbits of the shortest) of those done at once.

  Lengths and orbits are those of a whole group, so that few programs are compiled. The last period
  stands for those that lack to a power of two.
  """
  group = np.floor(np.log(periods / periods.min()) / math.log(_RATIO)).astype(int)
  for number in np.unique(group):
    own = np.flatnonzero(group == number)
    length = math.ceil(periods[own].max())
    orbits = math.ceil(cells / periods[own].min())
    batch = min(_BATCH, 1 << (len(own) - 1).bit_length())
    while batch > 1 and batch * length > most:
      batch //= 2
    for begin in range(0, len(own), batch):
      chosen = own[begin : begin + batch]
      yield np.pad(chosen, (0, batch - len(chosen)), mode="edge"), length, orbits


@functools.partial(jax.jit, static_argnames=("length", "widths"))
def _best(
  rows: Float[jax.Array, "curves_and_count cells"],
  begins: Integer[jax.Array, "periods orbits"],
  count: int,
  length: int,
  widths: tuple[int, ...],
) -> Float[jax.Array, "5 curves periods"]:
  """Returns Σ flux, points, first cell, width and power of the best box of every period."""
  reach = (len(rows), length + widths[-1])
  cut = jax.vmap(lambda begin: jax.lax.dynamic_slice(rows, (0, begin), reach))
  folded = jax.lax.fori_loop(
    0,
    begins.shape[1],
    lambda orbit, sums: sums + cut(begins[:, orbit]),
    jnp.zeros((len(begins), *reach), rows.dtype),
  )
  boxes = jnp.stack([_sums(folded, width, length) for width in widths], 2)
  total, points = boxes[:, :-1], boxes[:, -1:]
  share = points / count
  some = (points > 0) & (points < count) & (total < 0)
  power = jnp.where(some, (total / count) ** 2 / jnp.where(some, share * (1 - share), 1), 0)
  flat = power.reshape(*power.shape[:2], -1)
  best = jnp.argmax(flat, -1)[..., None]
  total, points, power = (
    jnp.take_along_axis(jnp.broadcast_to(each, power.shape).reshape(flat.shape), best, -1)
    for each in (total, points, power)
  )
  width = jnp.array(widths)[best // length]
  found = (total, points, best % length, width, jnp.sqrt(power))
  return jnp.stack([each[..., 0].T.astype(rows.dtype) for each in found])


def _sums(
  values: Float[jax.Array, "*rows cells"], width: int, length: int
) -> Float[jax.Array, "*rows length"]:
  """The sums of `width` neighbours, from each of the first cells on, of sums of 1, 2, 4, …"""
  total = jnp.zeros((*values.shape[:-1], length), values.dtype)
  offset, size = 0, 1
  while size <= width:
    if width & size:
      total += values[..., offset : offset + length]
      offset += size
    values = values[..., :-size] + values[..., size:]
    size *= 2
  return total
