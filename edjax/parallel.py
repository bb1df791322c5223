"""Devices and processes, and only here: pmap, replication, how many steps one dispatch runs.

On GPU and TPU one dispatch runs a whole chunk of steps in a loop with traced bounds, which compiles
once for every chunk length and gives the same bits for any chunking. On CPU it runs one step:
inside a loop XLA's convolution gradients are more than ten times slower (jax issue 12868). Several
host devices are waited for after every dispatch, since their collectives dead-lock when many steps
are queued.

Several processes, each with its own devices, run the same program in step. The first of them alone
opens the work directory and the terminal: `tell` and `alone` say what only it does. An array is
always held by a process's own devices; pmap sees those of all processes as one.
"""

import atexit
import collections
import contextlib
import ctypes
import dataclasses
import functools
import os
import pickle
import re
import signal
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding, PartitionSpec

from edjax.data import residence
from edjax.errors import UserError
from edjax.step import AXIS

_BLOCK_BYTES = 1 << 26  # of images that are copied to the devices at a time
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_SILENCE_SECONDS = 60  # after which a process counts as lost
_GRACE_SECONDS = 3  # in which the others say what they have been told is wrong
_LONGEST_REASON = 1000  # bytes
_PIECE = 2**26  # bytes that are sent at once
_LOST = (
  "another process of this run has ended or cannot be reached; start all of them again with the "
  "same commands, which continue from the last checkpoint"
)


@dataclasses.dataclass(frozen=True)
class Fleet:
  """The devices a run uses, of all processes, in order and as many of each."""

  devices: tuple[jax.Device, ...]

  @property
  def size(self):
    return len(self.devices)

  @property
  def on_cpu(self):
    return self.devices[0].platform == "cpu"

  @property
  def memory(self):
    """Bytes that a device has for arrays; None where it does not say, as on a CPU."""
    return (self.devices[self._own[0]].memory_stats() or {}).get("bytes_limit")

  @property
  def _own(self):
    """Places of this process's devices."""
    return [n for n, d in enumerate(self.devices) if d.process_index == jax.process_index()]

  def replicate(self, tree):
    """Puts a copy of every array on every device; processes must have the same arrays."""
    return jax.device_put(tree, self._sharding(PartitionSpec()))

  def divide(self, tree):
    """Puts slice i of every array's leading axis, which is `size` long, on device i."""
    own = slice(self._own[0], self._own[-1] + 1)
    return jax.device_put(
      jax.tree.map(lambda leaf: leaf[own], tree), self._sharding(PartitionSpec(AXIS))
    )

  def settle(self, images, divided=False):
    """Copies images that the host's memory may not hold, a block at a time.

    Args:
      images: uint8 [n, …], an array or `splits.Rows`.
      divided: whether a device is to have a stretch of them or all.

    Returns:
      uint8 [n, …] on every device, or [devices, ceil(n / devices), …] of which each has its own;
      past the last image of the last stretch others are repeated.
    """
    stretch = -(-len(images) // self.size) if divided else len(images)
    starts = stretch * np.arange(self.size)[:, None] if divided else np.array(0)
    block = min(stretch, max(1, _BLOCK_BYTES // max(1, starts.size * images[:1].nbytes)))
    shape = (*((len(self._own),) if divided else ()), stretch, *images.shape[1:])
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
      part = self.divide(part) if divided else self.replicate(part)
      whole = jax.block_until_ready(write(whole, part, start))  # else the parts pile up
    return whole

  @property
  def at_once(self):
    """Images per device that a frozen network is asked about in one go; more are no quicker."""
    return 128 if self.on_cpu else 512

  def _sharding(self, spec):
    own = np.array([self.devices[place] for place in self._own])
    return NamedSharding(jax.sharding.Mesh(own, (AXIS,)), spec)

  def finder(self, divided=False):
    """Maps the looking up of images; returns `find(images, rows)`.

    `images` are from `settle` or `replicate` and `divided` alike, `rows` int32 [devices, …] from
    `divide`; what is found is uint8 [devices, …, height, width, channels], each device its own.
    """
    by_all = functools.partial(residence.look_up_divided, axis=AXIS)
    mapped = jax.pmap(
      by_all if divided else residence.look_up,
      AXIS,
      in_axes=(0 if divided else None, 0),
      devices=self.devices,
    )
    if not self.on_cpu or self.size == 1:
      return mapped
    return lambda *arguments: jax.block_until_ready(mapped(*arguments))

  def trainer(self, step):
    """Maps a train step over the devices and over the steps of a chunk.

    Args:
      step: `(state, key, labels, rows, teachers, seats, ahead) -> state`, per device.

    Returns:
      `run(state, key, labels, order, first, last, teachers, seats, ahead, start) -> state`,
      which runs steps first…last−1 of an epoch. `order` is int32 [devices, steps, batch / devices],
      `seats` have a leading device axis, and `ahead` is a tree of [devices, steps, …] for the steps
      from `start` on, all from `divide`; everything else comes from `replicate`. The state is
      donated.
    """

    def one(position, state, key, labels, order, teachers, seats, ahead, start):
      laid = jax.tree.map(lambda leaf: leaf[position - start], ahead)
      return step(state, key, labels, order[position], teachers, seats, laid)

    def chunk(state, key, labels, order, first, last, *others):
      if self.on_cpu:
        return one(first, state, key, labels, order, *others)
      return jax.lax.fori_loop(
        first, last, lambda p, s: one(p, s, key, labels, order, *others), state
      )

    mapped = jax.pmap(
      chunk,
      AXIS,
      in_axes=(None, None, None, 0, None, None, None, 0, 0, None),
      out_axes=None,
      devices=self.devices,
      donate_argnums=0,
    )
    if not self.on_cpu:
      return mapped

    def run(state, key, labels, order, first, last, *others):
      for position in range(first, last):
        state = mapped(state, key, labels, order, position, last, *others)
        if self.size > 1:
          jax.block_until_ready(state)
      return state

    return run

  def examiner(self, step):
    """Maps an exam step; returns `run(variables, images) -> logits`.

    `images` are uint8 [devices, batch / devices, …] from `divide` or a `finder`; the logits are
    host arrays [batch, classes], the same in every process.
    """

    def everyone(variables, images):
      return jax.lax.all_gather(step(variables, images), AXIS)

    mapped = jax.pmap(everyone, AXIS, in_axes=(None, 0), out_axes=None, devices=self.devices)

    def run(variables, images):
      logits = np.asarray(mapped(variables, images))
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
  """Returns a `Fleet` of `count` devices (0: all there are), as many of each process.

  Raises:
    UserError: if there are fewer, or if they do not divide over the processes, or the batch not
      over them.
  """
  there, processes = jax.devices(), jax.process_count()
  by_process = [[d for d in there if d.process_index == number] for number in range(processes)]
  if not 0 <= count <= len(there):
    raise UserError(f"devices is {count}, but there are {len(there)} ({there[0].platform})")
  if count % processes:
    raise UserError(
      f"devices is {count}, of all processes together; use a multiple of {processes}, one or more "
      "for each process"
    )
  each = (count or len(there)) // processes
  chosen = tuple(device for devices in by_process for device in devices[:each])
  if chosen[0].platform == "cpu":
    _keep_freed_memory()
  if batch_size % len(chosen):
    raise UserError(
      f"recipe.batch_size {batch_size} does not divide over {len(chosen)} devices; "
      f"use a multiple of {len(chosen)} or set devices"
    )
  return Fleet(chosen)


@contextlib.contextmanager
def join(coordinator=None, num_processes=None, process_id=None):
  """Makes this process one of those that train together; a context to run the school in.

  Enter it before anything asks JAX for a device. A process that leaves it by an error does not
  wait for the others, and a process that has lost another one ends with exit code 1: within
  `_SILENCE_SECONDS`, or at once if the first process is the one that is lost. Those that have not
  all met after JAX's five minutes end in the same way.

  Args:
    coordinator: "host:port" of the first process. Slurm, Open MPI, Kubernetes and TPU pods tell JAX
      this and the rest, which all stay None there.
    num_processes: how many there are.
    process_id: of this one, from 0.

  Raises:
    UserError: if only some are given, or the others do not come.
  """
  _check_address(coordinator, num_processes, process_id)
  # JAX's runtime aborts a process whose fellow is lost or does not come; only C can say more then.
  ctypes.CDLL(None).signal(signal.SIGABRT, _at_abort)
  try:
    jax.distributed.initialize(
      coordinator, num_processes, process_id, heartbeat_timeout_seconds=_SILENCE_SECONDS
    )
  except (ValueError, RuntimeError) as error:
    reason = " ".join(str(error).split())[:300]
    if coordinator is None:
      reason = (
        f"JAX recognises no cluster here ({reason}); give --coordinator=host:port, "
        "--num_processes and --process_id"
      )
    raise UserError(f"--multihost: {reason}") from error
  atexit.register(_end_alone)
  counts = collections.Counter(device.process_index for device in jax.devices())
  if len(set(counts.values())) > 1:
    there = ", ".join(str(counts[number]) for number in sorted(counts))
    raise UserError(f"the processes have {there} devices; each must have as many as the others")
  try:
    yield
  except jax.errors.JaxRuntimeError as error:
    if "gloo" in str(error).lower():
      raise UserError(_LOST) from error
    raise
  jax.distributed.shutdown()


def _check_address(coordinator, num_processes, process_id):
  given = {"coordinator": coordinator, "num_processes": num_processes, "process_id": process_id}
  missing = [f"--{name}" for name, value in given.items() if value is None]
  if 0 < len(missing) < len(given):
    raise UserError(
      f"{' and '.join(missing)} missing: give --coordinator, --num_processes and --process_id, or "
      "none of them where JAX recognises the cluster"
    )
  if missing:
    return
  if not re.fullmatch(r".+:\d+", coordinator):
    raise UserError(
      f"--coordinator is {coordinator!r}; give the first process's host and a free port of it, "
      "such as 10.0.0.1:1234"
    )
  if not 0 <= process_id < num_processes:
    raise UserError(
      f"--process_id is {process_id}; of {num_processes} processes (--num_processes) it is one of "
      f"0 to {num_processes - 1}"
    )


@ctypes.CFUNCTYPE(None, ctypes.c_int)
def _at_abort(_):
  os.write(2, f"edjax: aborted by JAX's runtime (see above), most likely as {_LOST}\n".encode())
  os._exit(1)


def _end_alone():
  """Ends a process that has failed; JAX would wait for the others, who wait for this one."""
  if jax.distributed.is_initialized():
    sys.stdout.flush()
    sys.stderr.flush()
    if jax.process_index() == 0:
      time.sleep(_GRACE_SECONDS)  # JAX aborts the others as soon as this one is gone
    os._exit(1)


def tell(work):
  """Lets the first process do something, and returns in every process what `work()` returns there.

  What it returns must pickle. A UserError that it raises is raised in every process.
  """
  if jax.process_count() == 1:
    return work()
  message = b""
  if jax.process_index() == 0:
    try:
      message = pickle.dumps((work(), None))
    except UserError as error:
      message = pickle.dumps((None, str(error)))
  value, wrong = pickle.loads(_send(message))
  if wrong:
    raise UserError(wrong)
  return value


def _send(message):
  """Returns the first process's bytes."""
  length = multihost_utils.broadcast_one_to_all(np.array(divmod(len(message), _PIECE), np.int32))
  length = int(length[0]) * _PIECE + int(length[1])
  # Few sizes, since each is compiled.
  piece = min(_PIECE, max(1024, 1 << (length - 1).bit_length()))
  padded = np.zeros(-(-length // piece) * piece, np.uint8)
  padded[: len(message)] = np.frombuffer(message, np.uint8)
  sent = [multihost_utils.broadcast_one_to_all(part) for part in padded.reshape(-1, piece)]
  return np.concatenate(sent)[:length].tobytes()


def together(work):
  """Returns `work()`, which every process does; a user's error in one of them is raised in all."""
  if jax.process_count() == 1:
    return work()
  result, wrong = None, ""
  try:
    result = work()
  except (UserError, OSError) as error:
    wrong = str(error)
  said = wrong.encode()[:_LONGEST_REASON].ljust(_LONGEST_REASON, b"\0")
  for number, row in enumerate(multihost_utils.process_allgather(np.frombuffer(said, np.uint8))):
    reason = row.tobytes().rstrip(b"\0").decode(errors="ignore")
    if reason:
      raise UserError(f"process {number}: {reason}")
  return result


def agree(name, make):
  """Raises UserError in every process if `make()` is not in all of them what it is in the first."""
  if jax.process_count() > 1:
    own = make()
    first = tell(lambda: own)

    def check():
      if own != first:
        raise UserError(f"{name} differs from that of process 0; give all processes the same")

    together(check)


def alone(make):
  """Returns `make()` in the first process; in others something that does nothing when called."""
  return make() if jax.process_index() == 0 else _Bystander()


class _Bystander:
  """Takes every call, and does nothing."""

  def __getattr__(self, name):
    return lambda *_, **__: None

  def __enter__(self):
    return self

  def __exit__(self, *_):
    pass


def _keep_freed_memory():
  """Tells the C library to keep what XLA frees at every step and asks for again at the next.

  It would hand large buffers back to the kernel, which clears every page when it is touched again:
  that takes a tenth of a step. Elsewhere than under glibc nothing happens.
  """
  mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
  if mallopt is not None:
    mallopt(_M_MMAP_THRESHOLD, 2**30)
    mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
