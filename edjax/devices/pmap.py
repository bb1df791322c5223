"""Devices, and only here: pmap, replication, and how many steps one dispatch runs.

On GPU and TPU one dispatch runs a whole chunk of steps in a loop with traced bounds, which compiles
once for every chunk length and gives the same bits for any chunking. On CPU it runs one step:
inside a loop XLA's convolution gradients are more than ten times slower (jax issue 12868). Several
host devices are waited for after every dispatch, since their collectives dead-lock when many steps
are queued.

Several processes, each with its own devices, run the same program in step (`processes`). An array
is always held by a process's own devices; pmap sees those of all processes as one.
"""

import ctypes
import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import UInt8

from edjax.data import placement
from edjax.data.splits import Rows
from edjax.devices import processes
from edjax.errors import UserError
from edjax.types import Variables

AXIS = "devices"  # what mapped functions call the axis of devices

_BLOCK_BYTES = 1 << 26  # of images that are copied to the devices at a time
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


@dataclasses.dataclass(frozen=True)
class Fleet:
  """The devices a run uses, of all processes, in order and as many of each."""

  devices: tuple[jax.Device, ...]

  @property
  def size(self) -> int:
    return len(self.devices)

  @property
  def on_cpu(self) -> bool:
    return self.devices[0].platform == "cpu"

  @property
  def memory(self) -> int | None:
    """Bytes that a device has for arrays; None where it does not say, as on a CPU."""
    return (self.devices[self._own[0]].memory_stats() or {}).get("bytes_limit")

  @property
  def _own(self) -> list[int]:
    """Places of this process's devices."""
    return [n for n, d in enumerate(self.devices) if d.process_index == jax.process_index()]

  def replicate(self, tree: Any) -> Any:
    """Puts a copy of every array on every device; processes must have the same arrays."""
    return jax.device_put(tree, self._sharding(PartitionSpec()))

  def divide(self, tree: Any) -> Any:
    """Puts slice i of every array's leading axis, which is `size` long, on device i."""
    return self.hand_out(jax.tree.map(self.own, tree))

  def own(self, array: np.ndarray) -> np.ndarray:
    """The slices of a leading axis, which is `size` long, that this process's devices get."""
    own = self._own
    return array[own[0] : own[-1] + 1]

  def hand_out(self, tree: Any) -> Any:
    """As `divide`, of arrays that hold this process's own slices only."""
    return jax.device_put(tree, self._sharding(PartitionSpec(AXIS)))

  def settle(
    self, images: UInt8[np.ndarray, "images ..."] | Rows, divided: bool = False
  ) -> UInt8[jax.Array, "..."]:
    """Copies images that the host's memory may not hold, a block at a time.

    Args:
      images: uint8 [n, …], an array or `splits.Rows`.
      divided: whether a device is to have a stretch of them or all.

    Returns:
      uint8 [n, …] on every device, or [devices, ceil(n / devices), …] of which each has its own;
      past the last image of the last stretch others are repeated.
    """
    stretch = -(-len(images) // self.size) if divided else len(images)
    starts = stretch * self.own(np.arange(self.size))[:, None] if divided else np.array(0)
    block = min(stretch, max(1, _BLOCK_BYTES // max(1, starts.size * images[:1].nbytes)))
    shape = (*starts.shape[:1], stretch, *images.shape[1:])
    sharding = self._sharding(PartitionSpec(AXIS) if divided else PartitionSpec())
    whole = jax.jit(lambda: jnp.zeros(shape, images.dtype), out_shardings=sharding)()
    write = jax.jit(
      lambda whole, part, start: jax.lax.dynamic_update_slice_in_dim(
        whole, part, start, starts.ndim // 2
      ),
      donate_argnums=0,
      out_shardings=sharding,
    )
    for start in range(0, stretch, max(1, block)):
      start = min(start, stretch - block)  # blocks of one shape compile once
      part = images[np.minimum(starts + start + np.arange(block), len(images) - 1)]
      part = self.hand_out(part) if divided else self.replicate(part)
      whole = jax.block_until_ready(write(whole, part, start))  # else the parts pile up
    return whole

  @property
  def at_once(self) -> int:
    """Images per device that a frozen network is asked about in one go; more are no quicker."""
    return 64 if self.on_cpu else 512

  def _sharding(self, spec: PartitionSpec) -> NamedSharding:
    own = np.array([self.devices[place] for place in self._own])
    return NamedSharding(jax.sharding.Mesh(own, (AXIS,)), spec)

  def finder(self, divided: bool = False) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """Maps the looking up of images; returns `find(images, rows)`.

    `images` are from `settle` or `replicate` and `divided` alike, `rows` int32 [devices, …] from
    `divide`; what is found is uint8 [devices, …, height, width, channels], each device its own.
    """
    by_all = functools.partial(placement.look_up_divided, axis=AXIS)
    mapped = jax.pmap(
      by_all if divided else placement.look_up,
      AXIS,
      in_axes=(0 if divided else None, 0),
      devices=self.devices,
    )
    if not self.on_cpu or self.size == 1:
      return mapped
    return lambda *arguments: jax.block_until_ready(mapped(*arguments))

  def trainer(self, step: Callable[..., Any]) -> Callable[..., Any]:
    """Maps a train step over the devices and over the steps of a chunk.

    Args:
      step: `(state, constants, rows, seats, ahead) -> state`, per device.

    Returns:
      `run(state, constants, order, seats, ahead, (first, last, start)) -> state`, which runs steps
      first…last−1 of an epoch. `order` is int32 [devices, steps, batch / devices], `seats` have a
      leading device axis, and `ahead` is a tree of [devices, steps, …] for the steps from `start`
      on, all from `divide`; everything else comes from `replicate`. The state is donated.
    """

    def chunk(
      state: Any, constants: Any, order: Any, seats: Any, ahead: Any, span: tuple[Any, Any, Any]
    ) -> Any:
      first, last, start = span

      def one(position: Any, state: Any) -> Any:
        laid = jax.tree.map(lambda leaf: leaf[position - start], ahead)
        return step(state, constants, order[position], seats, laid)

      return one(first, state) if self.on_cpu else jax.lax.fori_loop(first, last, one, state)

    mapped = jax.pmap(
      chunk,
      AXIS,
      in_axes=(None, None, 0, 0, 0, None),
      out_axes=None,
      devices=self.devices,
      donate_argnums=0,
    )
    if not self.on_cpu:
      return mapped

    def run(
      state: Any, constants: Any, order: Any, seats: Any, ahead: Any, span: tuple[int, int, int]
    ) -> Any:
      first, last, start = span
      for position in range(first, last):
        state = mapped(state, constants, order, seats, ahead, (position, last, start))
        if self.size > 1:
          jax.block_until_ready(state)
      return state

    return run

  def examiner(
    self, step: Callable[[Variables, jax.Array], jax.Array]
  ) -> Callable[[Variables, jax.Array], np.ndarray]:
    """Maps an exam step; returns `run(variables, images) -> logits`.

    `images` are uint8 [devices, batch / devices, …] from `divide` or a `finder`; the logits are
    host arrays [batch, classes], the same in every process.
    """

    def everyone(variables: Variables, images: jax.Array) -> jax.Array:
      return jax.lax.all_gather(step(variables, images), AXIS)

    mapped = jax.pmap(everyone, AXIS, in_axes=(None, 0), out_axes=None, devices=self.devices)

    def run(variables: Variables, images: jax.Array) -> np.ndarray:
      logits = np.asarray(mapped(variables, images))
      return logits.reshape(-1, logits.shape[-1])

    return run

  def asker(self, step: Callable[..., jax.Array]) -> Callable[..., np.ndarray]:
    """Maps what a teacher is asked apart from training; returns `run(variables, *batch) -> logits`.

    The arrays of `batch` are the host's, [devices · n, …]; the logits are host arrays [devices · n,
    classes].
    """
    mapped = jax.pmap(step, AXIS, in_axes=(None, 0, 0, 0), devices=self.devices)

    def run(variables: Variables, *batch: np.ndarray) -> np.ndarray:
      parts = [array.reshape(self.size, -1, *array.shape[1:]) for array in batch]
      logits = np.asarray(mapped(variables, *self.divide(parts)))
      return logits.reshape(-1, logits.shape[-1])

    return run


def fleet(count: int, batch_size: int) -> Fleet:
  """Returns a `Fleet` of `count` devices (0: all there are), as many of each process.

  Raises:
    UserError: if there are fewer, or if they do not divide over the processes, or the batch not
      over them.
  """
  there, number_of = processes.devices(), jax.process_count()
  by_process = [[d for d in there if d.process_index == number] for number in range(number_of)]
  if not 0 <= count <= len(there):
    raise UserError(f"devices is {count}, but there are {len(there)} ({there[0].platform})")
  if count % number_of:
    raise UserError(
      f"devices is {count}, of all processes together; use a multiple of {number_of}, one or more "
      "for each process"
    )
  each = (count or len(there)) // number_of
  chosen = tuple(device for devices in by_process for device in devices[:each])
  if batch_size % len(chosen):
    raise UserError(
      f"recipe.batch_size {batch_size} does not divide over {len(chosen)} devices; "
      f"use a multiple of {len(chosen)} or set devices"
    )
  return Fleet(chosen)


def keep_freed_memory() -> None:
  """Tells the C library to keep what XLA frees on CPUs at every step and asks for at the next.

  It would hand large buffers back to the kernel, which clears every page when it is touched again:
  that takes a tenth of a step. Elsewhere than under glibc nothing happens. It is for a process that
  does nothing but train, such as the command.
  """
  if processes.devices()[0].platform != "cpu":
    return
  mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
  if mallopt is not None:
    mallopt(_M_MMAP_THRESHOLD, 2**30)
    mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
