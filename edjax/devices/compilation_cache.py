"""Compiled programs, kept for later runs: compiling is most of what a short run does."""

import contextlib
import hashlib
import importlib
import os
import pathlib
import platform
import stat
import sys
import zlib

import jax

from edjax.errors import UserError

AUTO = "auto"
_SWEPT = ".swept"  # a file as old as the newest program that has been looked at
_ZSTD = b"\x28\xb5\x2f\xfd"  # what begins as these is packed by Zstandard, if that is installed
_MOST = 2 << 30  # bytes of the user's own folder; half of it stays when it is cleared


def keep(setting: str) -> None:
  """Lets JAX keep compiled programs in a folder, and find them there.

  They are code that will run, so the folder must be its owner's alone; it is made so if missing.

  Args:
    setting: a folder; "" or "auto" change nothing.

  Raises:
    UserError: if others may write there.
  """
  if setting in ("", AUTO):
    return
  place = pathlib.Path(setting).expanduser().absolute()
  place.mkdir(mode=0o700, parents=True, exist_ok=True)
  if not _own(place):
    raise UserError(
      f"compilation_cache {place} may be written by others, whose code a run would then run; give "
      "a folder of your own (chmod go-w)"
    )
  _use(place)


def keep_for_user(setting: str) -> None:
  """The same for a command: "auto" is a folder in the user's own cache.

  Where the user has told JAX of another folder, or this one cannot be had, nothing changes.
  """
  told = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]
  if setting != AUTO or told:
    return
  place = folder()
  try:
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    usable = _own(place) and os.access(place, os.W_OK)
    if usable:
      _clear(place)
  except (OSError, RuntimeError):  # a full or read-only disk; no home
    return
  if usable:
    _use(place)


def folder() -> pathlib.Path:
  """Returns the folder of the user's programs on processors such as this one.

  A program that was compiled for one processor may stop with an illegal instruction on another, and
  home folders are shared.
  """
  default = "Library/Caches" if sys.platform == "darwin" else ".cache"
  cache = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / default
  kind = hashlib.sha256(_processor().encode()).hexdigest()[:8]
  return pathlib.Path(cache) / "edjax" / f"programs_{kind}"


def _processor() -> str:
  try:
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
  except OSError:
    lines = []
  flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
  return f"{platform.machine()} {platform.processor()} {flags}"


def _own(place: pathlib.Path) -> bool:
  found = place.stat()
  shared = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
  return found.st_uid == os.getuid() and not shared


def _use(place: pathlib.Path) -> None:
  with contextlib.suppress(OSError):  # others clear it away as well, or it cannot be written
    _sweep(place)
  jax.config.update("jax_compilation_cache_dir", str(place))
  jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
  jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def _sweep(place: pathlib.Path) -> None:
  """Removes programs of which a killed process has written a part, so that they are made anew.

  JAX writes them in place, warns of a part whenever it meets it, and does not replace it. What has
  been looked at once is not looked at again.
  """
  stamp = place / _SWEPT
  since = stamp.stat().st_mtime_ns if stamp.exists() else 0
  found = [(entry.stat().st_mtime_ns, pathlib.Path(entry.path)) for entry in _files(place)]
  fresh = [(at, path) for at, path in found if at >= since and path.name.endswith("-cache")]
  for _, path in fresh:
    if not _whole(path.read_bytes()):
      path.unlink(missing_ok=True)
  if fresh:
    newest = max(at for at, _ in fresh)
    stamp.touch()
    os.utime(stamp, ns=(newest, newest))


def _whole(program: bytes) -> bool:
  """Whether a program can be unpacked, as far as can be told here."""
  if program.startswith(_ZSTD):
    for name in ("compression.zstd", "zstandard"):  # as JAX looks for them
      with contextlib.suppress(ImportError):
        unpack = importlib.import_module(name)
        break
    else:
      return True
    try:
      unpack.decompress(program)
    except unpack.ZstdError:
      return False
  elif program.startswith(b"\x78"):
    try:
      zlib.decompress(program)
    except zlib.error:
      return False
  return bool(program)


def _clear(place: pathlib.Path, most: int = _MOST) -> None:
  """Removes the programs that were written first, down to half, if there are more than `most`."""
  found = sorted(
    (entry.stat().st_mtime, entry.stat().st_size, entry.path) for entry in _files(place)
  )
  size = sum(each for _, each, _ in found)
  if size <= most:
    return
  for _, each, path in found:
    if size <= most // 2:
      return
    pathlib.Path(path).unlink(missing_ok=True)
    size -= each


def _files(place: pathlib.Path) -> list[os.DirEntry[str]]:
  with os.scandir(place) as entries:
    return [entry for entry in entries if entry.is_file(follow_symlinks=False)]
