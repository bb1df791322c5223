"""Devices, and only here: pmap, replication, and how many steps one dispatch runs.

On GPU and TPU one dispatch runs a whole chunk of steps in a loop with traced bounds, which compiles
once for every chunk length and gives the same bits for any chunking. On CPU it runs one step:
inside a loop XLA's convolution gradients are more than ten times slower (jax issue 12868). Several
host devices are waited for after every dispatch, since their collectives dead-lock when many steps
are queued.
"""

import ctypes
import dataclasses

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from edjax.errors import UserError
from edjax.step import AXIS

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


@dataclasses.dataclass(frozen=True)
class Fleet:
  """The devices a run uses, in order."""

  devices: tuple[jax.Device, ...]

  @property
  def size(self):
    return len(self.devices)

  @property
  def on_cpu(self):
    return self.devices[0].platform == "cpu"

  def replicate(self, tree):
    """Puts a copy of every array on every device."""
    return jax.device_put(tree, self._sharding(PartitionSpec()))

  def divide(self, tree):
    """Puts slice i of every array's leading axis, which is `size` long, on device i."""
    return jax.device_put(tree, self._sharding(PartitionSpec(AXIS)))

  @property
  def at_once(self):
    """Images per device that a frozen network is asked about in one go; more are no quicker."""
    return 128 if self.on_cpu else 512

  def _sharding(self, spec):
    return NamedSharding(jax.sharding.Mesh(np.array(self.devices), (AXIS,)), spec)

  def trainer(self, step):
    """Maps a train step over the devices and over the steps of a chunk.

    Args:
      step: `(state, key, images, labels, rows, teachers, seats, ahead) -> state`, per device.

    Returns:
      `run(state, key, images, labels, order, first, last, teachers, seats, ahead, start) -> state`,
      which runs steps first…last−1 of an epoch. `order` is int32 [devices, steps, batch / devices],
      `seats` have a leading device axis, and `ahead` is a tree of [devices, steps, …] for the steps
      from `start` on, all from `divide`; everything else comes from `replicate`. The state is
      donated.
    """

    def one(position, state, key, images, labels, order, teachers, seats, ahead, start):
      laid = jax.tree.map(lambda leaf: leaf[position - start], ahead)
      return step(state, key, images, labels, order[position], teachers, seats, laid)

    def chunk(state, key, images, labels, order, first, last, *others):
      if self.on_cpu:
        return one(first, state, key, images, labels, order, *others)
      return jax.lax.fori_loop(
        first, last, lambda p, s: one(p, s, key, images, labels, order, *others), state
      )

    mapped = jax.pmap(
      chunk,
      AXIS,
      in_axes=(None, None, None, None, 0, None, None, None, 0, 0, None),
      out_axes=None,
      devices=self.devices,
      donate_argnums=0,
    )
    if not self.on_cpu:
      return mapped

    def run(state, key, images, labels, order, first, last, *others):
      for position in range(first, last):
        state = mapped(state, key, images, labels, order, position, last, *others)
        if self.size > 1:
          jax.block_until_ready(state)
      return state

    return run

  def examiner(self, step):
    """Maps an exam step; returns `run(variables, images, rows) -> logits`.

    `rows` is int32 [devices, batch / devices] from `divide`; the logits are host arrays [batch,
    classes].
    """
    mapped = jax.pmap(step, AXIS, in_axes=(None, None, 0), devices=self.devices)

    def run(variables, images, rows):
      logits = np.asarray(mapped(variables, images, rows))
      return logits.reshape(-1, logits.shape[-1])

    return run

  def asker(self, step):
    """Maps what a teacher is asked apart from training; returns `run(variables, *batch) -> logits`.

    The arrays of `batch` are the host's, [devices · n, …]; the logits are host arrays [devices · n,
    classes].
    """
    mapped = jax.pmap(step, AXIS, in_axes=(None, 0, 0, 0), devices=self.devices)

    def run(variables, *batch):
      parts = [array.reshape(self.size, -1, *array.shape[1:]) for array in batch]
      logits = np.asarray(mapped(variables, *self.divide(parts)))
      return logits.reshape(-1, logits.shape[-1])

    return run


def fleet(count, batch_size):
  """Returns a `Fleet` of `count` devices (0: all there are).

  Raises:
    UserError: if there are fewer, or if the batch does not divide over them.
  """
  there = jax.local_devices()
  if not 0 <= count <= len(there):
    raise UserError(f"devices is {count}, but there are {len(there)} ({there[0].platform})")
  chosen = tuple(there[: count or len(there)])
  if chosen[0].platform == "cpu":
    _keep_freed_memory()
  if batch_size % len(chosen):
    raise UserError(
      f"recipe.batch_size {batch_size} does not divide over {len(chosen)} devices; "
      f"use a multiple of {len(chosen)} or set devices"
    )
  return Fleet(chosen)


def _keep_freed_memory():
  """Tells the C library to keep what XLA frees at every step and asks for again at the next.

  It would hand large buffers back to the kernel, which clears every page when it is touched again:
  that takes a tenth of a step. Elsewhere than under glibc nothing happens.
  """
  mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
  if mallopt is not None:
    mallopt(_M_MMAP_THRESHOLD, 2**30)
    mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
