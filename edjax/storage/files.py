"""Folders that are replaced whole or not at all, and locks that no killed process leaves behind."""

import contextlib
import ctypes
import os
import pathlib
import re
import shutil
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from typing import BinaryIO

from edjax.errors import Foreign

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # fcntl.h, linux/fs.h


class InUse(Foreign):
  """Another process holds a lock."""


def replace_folder(
  directory: pathlib.Path,
  write: Callable[[pathlib.Path], None],
  check: Callable[[pathlib.Path], None],
  same: Callable[[pathlib.Path, pathlib.Path], bool],
) -> None:
  """Writes a folder whole or not at all; any number of processes may do so at once.

  Who reads meanwhile finds the old folder or the new one. What a killed process leaves beside it is
  cleared away by the next.

  Args:
    directory: an absolute `pathlib.Path`.
    write: `folder -> None`, fills a new folder.
    check: `directory -> None`, raises `UserError` if what is there must not be replaced.
    same: `(directory, folder) -> bool`, whether what is there is as good as the new one.

  Raises:
    UserError: from `check`.
    OSError: if the disk is full or not writable; what was there stays.
  """
  check(directory)
  parent = directory.parent
  parent.mkdir(parents=True, exist_ok=True)
  unfinished = parent / f".{directory.name}.{uuid.uuid4().hex[:12]}.unfinished"
  with _locked(parent):
    _clear(directory)
    unfinished.mkdir()
    alive = os.open(unfinished, os.O_RDONLY)
    _try_lock(alive)
  try:
    write(unfinished)
    with _locked(parent):
      check(directory)
      if not directory.exists():
        unfinished.rename(directory)
      elif not same(directory, unfinished):
        _exchange(unfinished, directory)
  finally:
    shutil.rmtree(unfinished, ignore_errors=True)
    os.close(alive)


def _exchange(one: pathlib.Path, other: pathlib.Path) -> None:
  """Gives two folders each other's name; at once where the system can."""
  rename = getattr(ctypes.CDLL(None), "renameat2", None)
  names = os.fsencode(one), os.fsencode(other)
  if rename and not rename(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE):
    return
  before = one.with_suffix(".before")
  other.rename(before)
  one.rename(other)
  before.rename(one)


def _clear(directory: pathlib.Path) -> None:
  """Clears away what dead processes left while they replaced a folder; puts back what it was."""
  ours = re.compile(rf"\.{re.escape(directory.name)}\.[0-9a-f]{{12}}\.(unfinished|before)")
  for left in list(directory.parent.iterdir()):
    if not ours.fullmatch(left.name):
      continue
    try:
      handle = os.open(left, os.O_RDONLY)
    except OSError:
      continue  # it is gone, or another user's
    try:
      if not _try_lock(handle):
        continue  # its process lives
      if left.suffix == ".before" and not directory.exists():
        left.rename(directory)
      else:
        shutil.rmtree(left, ignore_errors=True)
    finally:
      os.close(handle)


@contextlib.contextmanager
def _locked(folder: pathlib.Path) -> Iterator[None]:
  """Waits for the lock of a folder and holds it; goes on without one where there are no locks."""
  import fcntl

  handle = os.open(folder, os.O_RDONLY)
  try:
    with contextlib.suppress(OSError):
      fcntl.flock(handle, fcntl.LOCK_EX)
    yield
  finally:
    os.close(handle)


def _try_lock(handle: int) -> bool:
  """Takes the lock of an open file, for as long as it is open; says whether that went well."""
  import fcntl  # there is none on Windows

  try:
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except OSError:
    return False
  return True


@contextlib.contextmanager
def held(path: pathlib.Path, tell: Callable[[str], None], waiting: str = "") -> Iterator[None]:
  """Holds a lock file, which is there only as long as its process.

  Args:
    path: of the file; it says who holds it.
    tell: `text -> None`, of what a person should know: that the file system keeps no locks.
    waiting: what else it is told, once, while another process holds the lock; "": nobody waits.

  Raises:
    InUse: if another process holds it and nobody waits, saying which.
  """
  import fcntl

  told = False
  while True:
    # Unbuffered: what a full disk does not take would come up again when it is closed.
    file = open(path, "a+b", buffering=0)  # noqa: SIM115  # it is closed below, whatever happens
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
      if not waiting:
        raise _in_use(path, file) from error
      if not told:
        tell(waiting)
        told = True
      fcntl.flock(file, fcntl.LOCK_EX)
    except OSError as error:
      tell(
        f"{path}: this file system keeps no locks ({error.strerror}); take care that no other run "
        f"uses {path.parent}"
      )
      break
    with contextlib.suppress(FileNotFoundError):
      if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
        break
    file.close()  # who held it has removed it meanwhile
  with contextlib.suppress(OSError):  # it is the lock that counts, not what is in the file
    file.truncate(0)
    began = time.strftime("%Y-%m-%d %H:%M:%S")
    file.write(f"process {os.getpid()} on {socket.gethostname()}, since {began}\n".encode())
  try:
    yield
  finally:
    path.unlink(missing_ok=True)
    file.close()


def _in_use(path: pathlib.Path, file: BinaryIO) -> InUse:
  """Closes a lock file that another process holds; returns the error that says so."""
  with file:
    file.seek(0)
    who = file.read(200).decode(errors="replace").strip() or "which has just begun"
  return InUse(
    f"{path.parent} is in use by another run ({who})",
    "wait until it has ended, or use another --workdir",
  )


@contextlib.contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
  """Lets errors of the disk say which file they are about, which those of writing do not."""
  try:
    yield
  except OSError as error:
    if error.filename is None:
      error.filename = str(path)
    raise


def replace_file(path: str | os.PathLike[str], data: bytes) -> None:
  """Writes bytes so that `path` holds either its old content or all of the new, never a part."""
  path = pathlib.Path(path)
  temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
  try:
    with naming(path):
      with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
      os.replace(temporary, path)
  finally:
    temporary.unlink(missing_ok=True)


def clear_leftovers(directory: str | os.PathLike[str]) -> None:
  """Removes what processes killed within `replace_file` left in a directory.

  To be called by who writes there alone: another's write that is under way would fail.
  """
  for leftover in pathlib.Path(directory).glob(".*.tmp"):
    leftover.unlink(missing_ok=True)
