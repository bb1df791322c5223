"""Several processes that train one student in step, each on its own devices.

The first of them alone opens the work directory and the terminal: `tell` and `alone` say what only
it does. What a user got wrong in one of them ends all.
"""

import atexit
import collections
import contextlib
import ctypes
import os
import pickle
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Self, TypeVar, cast

import jax
import numpy as np
from jax.experimental import multihost_utils

from edjax.errors import Stopped, UserError

T = TypeVar("T")

_SILENCE_SECONDS = 60  # after which a process counts as lost
_GRACE_SECONDS = 3  # in which the others say what they have been told is wrong
_LONGEST_REASON = 1000  # bytes
_PIECE = 2**26  # bytes that are sent at once
_LOST = (
  "another process of this run has ended or cannot be reached; start all of them again with the "
  "same commands, which continue from the last checkpoint"
)


@contextlib.contextmanager
def join(
  coordinator: str | None = None, num_processes: int | None = None, process_id: int | None = None
) -> Iterator[None]:
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
  counts = collections.Counter(device.process_index for device in devices())
  if len(set(counts.values())) > 1:
    there = ", ".join(str(counts[number]) for number in sorted(counts))
    raise UserError(f"the processes have {there} devices; each must have as many as the others")
  try:
    yield
  except Stopped:  # all of them at once
    jax.distributed.shutdown()
    raise
  except jax.errors.JaxRuntimeError as error:
    if "gloo" in str(error).lower():
      raise UserError(_LOST) from error
    raise
  jax.distributed.shutdown()


def _check_address(
  coordinator: str | None, num_processes: int | None, process_id: int | None
) -> None:
  given = {"coordinator": coordinator, "num_processes": num_processes, "process_id": process_id}
  missing = [f"--{name}" for name, value in given.items() if value is None]
  if 0 < len(missing) < len(given):
    raise UserError(
      f"{' and '.join(missing)} missing: give --coordinator, --num_processes and --process_id, or "
      "none of them where JAX recognises the cluster"
    )
  if coordinator is None or num_processes is None or process_id is None:
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
def _at_abort(_: int) -> None:
  os.write(2, f"edjax: aborted by JAX's runtime (see above), most likely as {_LOST}\n".encode())
  os._exit(1)


def _end_alone() -> None:
  """Ends a process that has failed; JAX would wait for the others, who wait for this one."""
  if jax.distributed.is_initialized():
    sys.stdout.flush()
    sys.stderr.flush()
    if jax.process_index() == 0:
      time.sleep(_GRACE_SECONDS)  # JAX aborts the others as soon as this one is gone
    os._exit(1)


def devices() -> list[jax.Device]:
  """Returns the devices that JAX finds, those of all processes.

  Raises:
    UserError: if it cannot use what it has been told to, or finds that another process has it.
  """
  try:
    return jax.devices()
  except (RuntimeError, AssertionError) as error:  # the latter where a platform has no plugin
    wanted = jax.config.jax_platforms  # type: ignore[attr-defined]
    told = f"JAX_PLATFORMS is {wanted!r}, but " if wanted else ""
    reason = " ".join(str(error).split())[:200] or "nothing for it is installed"
    raise UserError(
      f"{told}JAX cannot use the device: {reason}; install edjax[cuda] or edjax[tpu], see that no "
      "other process holds the device, or set JAX_PLATFORMS=cpu"
    ) from error


def count() -> int:
  """How many processes train together."""
  return jax.process_count()


def tell(work: Callable[[], T]) -> T:
  """Lets the first process do something, and returns in every process what `work()` returns there.

  What it returns must pickle. A UserError that it raises is raised in every process.
  """
  if count() == 1:
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


def _send(message: bytes) -> bytes:
  """Returns the first process's bytes."""
  length = multihost_utils.broadcast_one_to_all(np.array(divmod(len(message), _PIECE), np.int32))
  length = int(length[0]) * _PIECE + int(length[1])
  # Few sizes, since each is compiled.
  piece = min(_PIECE, max(1024, 1 << (length - 1).bit_length()))
  padded = np.zeros(-(-length // piece) * piece, np.uint8)
  padded[: len(message)] = np.frombuffer(message, np.uint8)
  sent = [multihost_utils.broadcast_one_to_all(part) for part in padded.reshape(-1, piece)]
  return np.concatenate(sent)[:length].tobytes()


def together(work: Callable[[], T]) -> T:
  """Returns `work()`, which every process does; a user's error in one of them is raised in all."""
  if count() == 1:
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
  return cast(T, result)


def agree(name: str, make: Callable[[], object]) -> None:
  """Raises UserError in every process if `make()` is not in all of them what it is in the first."""
  if count() > 1:
    own = make()
    first = tell(lambda: own)

    def check() -> None:
      if own != first:
        raise UserError(f"{name} differs from that of process 0; give all processes the same")

    together(check)


def any_of(said: bool) -> bool:
  """Returns whether `said` is true in any of the processes, all of which ask."""
  if count() == 1:
    return said
  return bool(multihost_utils.process_allgather(np.array(said)).any())


def alone(make: Callable[[], T]) -> T:
  """Returns `make()` in the first process; in others something that does nothing when called."""
  return make() if jax.process_index() == 0 else cast(Any, _Bystander())


class _Bystander:
  """Takes every call, and does nothing."""

  def __getattr__(self, name: str) -> Callable[..., None]:
    return lambda *_, **__: None

  def __enter__(self) -> Self:
    return self

  def __exit__(self, *_: object) -> None:
    pass
