"""Checkpoints, atomic, asynchronous, bounded, digested; the only file that knows orbax.

Orbax renames a finished step into place, so a killed save leaves no half step; it does not notice
an altered byte, so every step carries a sha256 of its arrays, and a step that reads differently, or
not at all though each of its files can be read, is damaged: it is passed over for the one before,
with a warning that names it. A file that cannot be read says nothing of its content, so it ends the
run, and everything stays as it was.
"""

import contextlib
import errno
import functools
import hashlib
import itertools
import json
import logging
import os
import pathlib
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn, Self, TypeVar

import jax
import numpy as np
import orbax.checkpoint as ocp
from flax.traverse_util import unflatten_dict

from edjax.errors import UserError
from edjax.storage import files
from edjax.types import Variables

T = TypeVar("T")
Arrays = dict[str, np.ndarray]

# Of several processes the first comes here alone, and orbax must not wait for the others.
_FIRST_ALONE = ocp.options.MultiprocessingOptions(primary_host=0, active_processes={0})
_OF_ORBAX = re.compile(
  r"_.*|array_metadatas|commit_success\.txt|d|manifest\.ocdbt|ocdbt\.process_\d+"
)


def flatten(tree: Any) -> Arrays:
  """Returns {path: host array}, paths like "variables/params/head/dense/kernel"."""
  return {path: np.asarray(leaf) for path, leaf in _by_path(jax.device_get(tree)).items()}


def unflatten(like: T, arrays: Mapping[str, np.ndarray]) -> T:
  """Puts {path: array} into the structure of `like`.

  Raises:
    ValueError: listing every path that is missing, left over, or has another shape or type.
  """
  wanted = _by_path(like)
  wrong = [f"{path} is missing" for path in wanted if path not in arrays]
  wrong += [f"{path} is not expected" for path in arrays if path not in wanted]
  wrong += [
    f"{path} is {arrays[path].dtype}{list(arrays[path].shape)}, not {leaf.dtype}{list(leaf.shape)}"
    for path, leaf in wanted.items()
    if path in arrays
    and (arrays[path].shape != leaf.shape or arrays[path].dtype != np.dtype(leaf.dtype))
  ]
  if wrong:
    raise ValueError("; ".join(wrong))
  return jax.tree.unflatten(jax.tree.structure(like), [arrays[path] for path in wanted])


def sha256(tree: Any) -> str:
  """Returns the hex digest over names, types, shapes and bytes of all leaves, in sorted order."""
  digest = hashlib.sha256()
  for path, array in sorted(flatten(tree).items()):
    digest.update(f"{path} {array.dtype} {array.shape}\n".encode())
    digest.update(np.ascontiguousarray(array).tobytes())
  return digest.hexdigest()


def _by_path(tree: Any) -> dict[str, Any]:
  return {
    jax.tree_util.keystr(path, simple=True, separator="/"): leaf
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
  }


class Store:
  """The checkpoints of one training, in `directory`, at most `keep` of them.

  Use it as a context: leaving it waits for what is still being written.
  """

  def __init__(self, directory: str | os.PathLike[str], keep: int = 2) -> None:
    self.directory = pathlib.Path(directory).absolute()
    # Orbax would clear away what a killed run was writing while this one may be writing it anew.
    for unfinished in self.directory.glob("[0-9]*.orbax-checkpoint-tmp*"):
      shutil.rmtree(unfinished)
    self.directory.mkdir(parents=True, exist_ok=True)
    self._manager = ocp.CheckpointManager(
      self.directory,
      options=ocp.CheckpointManagerOptions(
        max_to_keep=keep,
        create=False,
        enable_async_checkpointing=True,
        multiprocessing_options=_FIRST_ALONE,
      ),
    )

  def __enter__(self) -> Self:
    return self

  def __exit__(self, *_: object) -> None:
    with _disk_errors(self.directory):
      self._manager.close()

  def save(self, step: int, state: Any, meta: dict[str, Any]) -> None:
    """Starts writing `state` (a pytree) and `meta` (JSON) as step `step`; returns soon.

    Raises:
      UserError: if the disk is full or not writable, now or while the save before was written.
    """
    arrays = flatten(state)
    meta = meta | {"sha256": _digest(arrays, meta)}
    with _disk_errors(self.directory):
      self._manager.wait_until_finished()
      _check_space(self.directory, arrays)
      self._manager.save(
        step,
        args=ocp.args.Composite(arrays=ocp.args.PyTreeSave(arrays), meta=ocp.args.JsonSave(meta)),
        force=True,
      )

  def wait(self) -> None:
    """Waits until everything is on disk."""
    with _disk_errors(self.directory):
      self._manager.wait_until_finished()

  def newest(self) -> tuple[int, Arrays, dict[str, Any]] | None:
    """Returns (step, {path: array}, meta) of the newest sound step, or None.

    Steps that are damaged are named in a warning and renamed, so that they are not met again.

    Raises:
      UserError: if a file cannot be read just now; nothing is renamed then.
    """
    for step in sorted(self._manager.all_steps(), reverse=True):
      folder = self.directory / str(step)
      try:
        return step, *_whole(folder, functools.partial(self._read, step))
      except _Damage as damage:
        logging.warning("checkpoint %s is damaged (%s); passing it over", folder, damage)
        folder.rename(self._aside(step))
        self._manager.reload()
    return None

  def _aside(self, step: int) -> pathlib.Path:
    names = itertools.chain(
      [f"damaged_{step}"], map(f"damaged_{step}_{{}}".format, itertools.count(2))
    )
    return next(self.directory / name for name in names if not (self.directory / name).exists())

  def _read(self, step: int) -> tuple[Arrays, dict[str, Any]]:
    read = self._manager.restore(
      step,
      args=ocp.args.Composite(
        arrays=_to_host(self.directory / str(step) / "arrays"), meta=ocp.args.JsonRestore()
      ),
    )
    meta, arrays = dict(read.meta), dict(read.arrays)
    if meta.pop("sha256") != _digest(arrays, meta):
      raise ValueError("its arrays are not those that were saved")
    return arrays, meta


_UNREADABLE = "cannot read {}: {}; nothing is lost: put that right and give the same command again"


class _Damage(Exception):
  """What was saved is not there any more; the text says why."""


def _whole(folder: pathlib.Path, read: Callable[[], T]) -> T:
  """Returns `read()`, of something that was saved in a folder.

  Orbax raises many kinds of errors for damaged files, and the same for files that cannot be read at
  the moment, some of which it hides. So the files are then read one by one: what cannot be read is
  no damage, and what can be is read again before it is called so.

  Raises:
    _Damage: if every file can be read, and yet what was saved is not there.
    UserError: if one cannot be.
  """
  try:
    return read()
  except Exception:
    _read_through(folder)
  try:
    return read()
  except MemoryError:
    raise
  except Exception as error:
    reason = _passing(error)
    if reason:
      raise UserError(_UNREADABLE.format(folder, reason)) from error
    raise _Damage((str(error).strip() or type(error).__name__).split("\n")[0][:200]) from error


def _passing(error: BaseException | None) -> str | None:
  """Returns why something could not be read, if that says nothing about its content, or None."""
  while error is not None:
    text = str(error)
    code = error.errno if isinstance(error, OSError) else None
    said = re.search(r"os_error_code='(\d+)'", text)  # tensorstore's
    code = int(said[1]) if said else code
    if code not in (None, errno.ENOENT, errno.ENOTDIR, errno.EISDIR):
      return os.strerror(code)
    if isinstance(error, RuntimeError) and "start new thread" in text:
      return text
    error = error.__cause__ or error.__context__
  return None


def _read_through(folder: pathlib.Path) -> None:
  def refuse(error: OSError) -> NoReturn:
    raise error

  try:
    for parent, _, names in os.walk(folder, onerror=refuse):
      for name in names:
        with open(os.path.join(parent, name), "rb") as file:
          while file.read(1 << 24):
            pass
  except OSError as error:
    raise UserError(
      _UNREADABLE.format(error.filename or folder, error.strerror or error)
    ) from error


def clear(directory: str | os.PathLike[str]) -> None:
  """Removes the checkpoints that a `Store` kept, and their folder if nothing else is in it."""
  for step in pathlib.Path(directory).glob("[0-9]*"):
    if (step / "arrays").is_dir():
      shutil.rmtree(step)
  with contextlib.suppress(OSError):
    pathlib.Path(directory).rmdir()


def save_variables(
  directory: str | os.PathLike[str], variables: Variables, info: dict[str, Any]
) -> None:
  """Writes student variables and `info` (JSON) to `directory`, whole or not at all.

  Several processes may do so at once. Where the same network is there already, it stays.

  Raises:
    UserError: if something else than a network is there, which stays as it is; or if the disk is
      full or not writable.
  """
  directory = absolute(directory)
  arrays = flatten(variables)
  info = info | {"sha256": sha256(variables)}
  info = info | {"digest": _digest(arrays, info)}

  def write(folder: pathlib.Path) -> None:
    _check_space(folder, arrays)
    with _checkpointer() as checkpointer:
      checkpointer.save(folder / "variables", arrays)
    text = json.dumps(info, indent=2) + "\n"
    with files.naming(directory / "info.json"):
      (folder / "info.json").write_text(text)

  def same(there: pathlib.Path, _: pathlib.Path) -> bool:
    try:
      return _load(there)[2] == info["digest"]
    except Exception:  # of whatever kind: a sound one takes its place
      return False

  with _disk_errors(directory):
    files.replace_folder(directory, write, check_target, same)


def absolute(path: str | os.PathLike[str]) -> pathlib.Path:
  """Returns a path without "." and "..", links as they are."""
  return pathlib.Path(os.path.abspath(pathlib.Path(path).expanduser()))


def check_target(directory: str | os.PathLike[str]) -> None:
  """Raises UserError if writing a network to `directory` would cost anything but a network."""
  directory = absolute(directory)
  while True:
    looked_at = _which(directory)
    what = _other_than_a_network(directory)
    if _which(directory) == looked_at:
      break  # else another process has replaced it meanwhile, and cleared away what was seen
  if what:
    raise UserError(
      f"{directory} is there already, and {what}; only a network of edjax's is ever replaced: name "
      "another folder, which need not exist"
    )


def _which(directory: pathlib.Path) -> tuple[int, int] | None:
  """Tells a folder from all that were or will be at its path; None if there is nothing."""
  try:
    status = os.lstat(directory)
  except OSError:
    return None
  return status.st_dev, status.st_ino


def _other_than_a_network(directory: pathlib.Path) -> str:
  """Says what is at a path, if it is neither nothing, nor empty, nor a network and nothing else."""
  if directory.is_symlink():
    return f"is a link to {os.readlink(directory)}"
  if directory == pathlib.Path.home():
    return "is the home folder"
  if directory == pathlib.Path(directory.anchor) or directory.is_mount():
    return "is a whole disk"
  if directory in (absolute("."), *absolute(".").parents):
    return "is the current folder, or holds it"
  if not directory.exists():
    return ""
  if not directory.is_dir():
    return "is a file"
  there = {path.name: path for path in directory.iterdir()}
  other = sorted(name for name in there if name not in ("info.json", "variables"))
  if other:
    return f"holds {', '.join(other[:3])}{' and more' if len(other) > 3 else ''}"
  if not there:
    return ""
  if set(there) != {"info.json", "variables"} or not there["variables"].is_dir():
    return "holds a part of a network only"
  if any(path.is_symlink() for path in there.values()):
    return "holds a link"
  within = {path.name for path in there["variables"].iterdir()}
  other = sorted(name for name in within if not _OF_ORBAX.fullmatch(name))
  if other:
    return f"holds variables/{other[0]}"
  try:
    ours = json.loads(there["info.json"].read_bytes()).keys() >= {"sha256", "digest"}
  except (ValueError, AttributeError):  # damaged; orbax's own files tell
    ours = "manifest.ocdbt" in within
  return "" if ours else "holds an info.json that is none of a network"


def load_variables(directory: str | os.PathLike[str]) -> tuple[Variables, dict[str, Any]]:
  """Returns (variables, info) as `save_variables` wrote them.

  Raises:
    UserError: if there are none, or they are damaged, or a file cannot be read.
  """
  directory = absolute(directory)
  while True:
    if not (directory / "info.json").exists():
      raise UserError(f"{directory} holds no network (a folder with info.json and variables/)")
    before = directory.stat().st_ino
    try:
      return _whole(directory, lambda: _load(directory)[:2])
    except (_Damage, UserError) as error:
      if directory.exists() and directory.stat().st_ino != before:
        continue  # another process has put a network there meanwhile
      if isinstance(error, UserError):
        raise
      raise UserError(
        f"the network in {directory} is damaged ({error}); remove that folder, and write it anew"
      ) from error


def _load(directory: pathlib.Path) -> tuple[Variables, dict[str, Any], str]:
  info = json.loads((directory / "info.json").read_text())
  with _checkpointer() as checkpointer:
    arrays = checkpointer.restore(directory / "variables", args=_to_host(directory / "variables"))
  variables = unflatten_dict(arrays, sep="/")
  digest = info.pop("digest")
  if digest != _digest(arrays, info):
    raise ValueError("it is not what was saved")
  return variables, info, digest


def _checkpointer() -> ocp.Checkpointer:
  return ocp.Checkpointer(
    ocp.PyTreeCheckpointHandler(multiprocessing_options=_FIRST_ALONE),
    multiprocessing_options=_FIRST_ALONE,
  )


def _to_host(directory: pathlib.Path) -> ocp.args.PyTreeRestore:
  with _checkpointer() as checkpointer:
    tree = checkpointer.metadata(directory).item_metadata.tree
  return ocp.args.PyTreeRestore(
    restore_args=jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree)
  )


def _digest(arrays: Arrays, meta: dict[str, Any]) -> str:
  note = np.frombuffer(json.dumps(meta, sort_keys=True).encode(), np.uint8)
  return sha256(arrays | {"meta": note})


def _check_space(directory: pathlib.Path, arrays: Arrays) -> None:
  """Finds a full disk before orbax does, whose threads would each print a traceback."""
  needed = 3 * sum(array.nbytes for array in arrays.values()) + 2**20  # it writes, merges, deletes
  free = shutil.disk_usage(directory).free
  if free < needed:
    text = f"the disk is full: {needed / 2**20:.1f} MB are needed, {free / 2**20:.1f} MB are free"
    raise OSError(errno.ENOSPC, text)


@contextlib.contextmanager
def _disk_errors(directory: pathlib.Path) -> Iterator[None]:
  try:
    yield
  except (OSError, ValueError) as error:  # tensorstore's are ValueErrors with the code in the text
    code = re.search(r"os_error_code='(\d+)'", str(error))
    if not code and not isinstance(error, OSError):
      raise
    reason = os.strerror(int(code[1])) if code else getattr(error, "strerror", None) or error
    raise UserError(
      f"cannot write to {directory}: {reason}; put that right and start again with the same "
      "command, which continues from the last checkpoint"
    ) from error
