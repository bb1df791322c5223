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
import itertools
import json
import logging
import os
import pathlib
import re
import shutil
from collections.abc import Iterator
from typing import Any, Self

import jax
import numpy as np
import orbax.checkpoint as ocp
from flax.traverse_util import unflatten_dict

from edjax.errors import UserError
from edjax.storage import files
from edjax.storage.damage import Damage, whole
from edjax.storage.replacing import absolute, check_target
from edjax.storage.trees import Arrays, digest, flatten, sha256
from edjax.types import Variables

# Of several processes the first comes here alone, and orbax must not wait for the others.
_FIRST_ALONE = ocp.options.MultiprocessingOptions(primary_host=0, active_processes={0})


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
    meta = meta | {"sha256": digest(arrays, meta)}
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
        return step, *whole(folder, functools.partial(self._read, step))
      except Damage as damage:
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
    if meta.pop("sha256") != digest(arrays, meta):
      raise ValueError("its arrays are not those that were saved")
    return arrays, meta


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
  info = info | {"digest": digest(arrays, info)}

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
      return whole(directory, lambda: _load(directory)[:2])
    except (Damage, UserError) as error:
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
  saved = info.pop("digest")
  if saved != digest(arrays, info):
    raise ValueError("it is not what was saved")
  return variables, info, saved


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
