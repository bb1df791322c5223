"""Checkpoints, atomic, asynchronous, bounded, digested; the only file that knows orbax.

Orbax renames a finished step into place, so a killed save leaves no half step; it does not notice
an altered byte, so every step carries a sha256 of its arrays, and a step that cannot be read, or
reads differently, is passed over for the one before, with a warning that names it.
"""

import contextlib
import errno
import hashlib
import json
import logging
import os
import pathlib
import re
import shutil

import jax
import numpy as np
import orbax.checkpoint as ocp
from flax.traverse_util import unflatten_dict

from edjax.errors import UserError

# Of several processes the first comes here alone, and orbax must not wait for the others.
_FIRST_ALONE = ocp.options.MultiprocessingOptions(primary_host=0, active_processes={0})


def flatten(tree):
  """Returns {path: host array}, paths like "variables/params/head/dense/kernel"."""
  return {path: np.asarray(leaf) for path, leaf in _by_path(jax.device_get(tree)).items()}


def unflatten(like, arrays):
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


def sha256(tree):
  """Returns the hex digest over names, types, shapes and bytes of all leaves, in sorted order."""
  digest = hashlib.sha256()
  for path, array in sorted(flatten(tree).items()):
    digest.update(f"{path} {array.dtype} {array.shape}\n".encode())
    digest.update(np.ascontiguousarray(array).tobytes())
  return digest.hexdigest()


def _by_path(tree):
  return {
    jax.tree_util.keystr(path, simple=True, separator="/"): leaf
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
  }


class Store:
  """The checkpoints of one stretch of training, in `directory`, at most `keep` of them.

  Use it as a context: leaving it waits for what is still being written.
  """

  def __init__(self, directory, keep=2):
    self.directory = pathlib.Path(directory).absolute()
    # Orbax would clear away what a killed run was writing while this one may be writing it anew.
    for unfinished in self.directory.glob("*.orbax-checkpoint-tmp*"):
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

  def __enter__(self):
    return self

  def __exit__(self, *_):
    with _disk_errors(self.directory):
      self._manager.close()

  def save(self, step, state, meta):
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

  def wait(self):
    """Waits until everything is on disk."""
    with _disk_errors(self.directory):
      self._manager.wait_until_finished()

  def newest(self):
    """Returns (step, {path: array}, meta) of the newest sound step, or None.

    Steps that are not sound are named in a warning and renamed, so that they are not met again.
    """
    for step in sorted(self._manager.all_steps(), reverse=True):
      try:
        arrays, meta = self._read(step)
      except Exception as error:  # orbax raises many kinds for damaged files
        first_line = str(error).strip().split("\n")[0][:200]
        folder = self.directory / str(step)
        logging.warning("checkpoint %s is damaged (%s); passing it over", folder, first_line)
        aside = folder.with_name(f"damaged_{step}")
        shutil.rmtree(aside, ignore_errors=True)
        folder.rename(aside)
        self._manager.reload()
        continue
      return step, arrays, meta
    return None

  def _read(self, step):
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


def save_variables(directory, variables, info):
  """Writes student variables and `info` (JSON) to `directory`, whole or not at all."""
  directory = pathlib.Path(directory).absolute()
  # Runs that share a cache of teachers may write the same one at the same time.
  unfinished = directory.with_name(f".{directory.name}.{os.getpid()}.unfinished")
  shutil.rmtree(unfinished, ignore_errors=True)
  with _disk_errors(directory):
    unfinished.mkdir(parents=True)
    arrays = flatten(variables)
    _check_space(unfinished, arrays)
    with _checkpointer() as checkpointer:
      checkpointer.save(unfinished / "variables", arrays)
    info = info | {"sha256": sha256(variables)}
    info = info | {"digest": _digest(arrays, info)}
    (unfinished / "info.json").write_text(json.dumps(info, indent=2) + "\n")
    if directory.exists():
      before = directory.with_name(f".{directory.name}.before")
      shutil.rmtree(before, ignore_errors=True)
      directory.rename(before)
      unfinished.rename(directory)
      shutil.rmtree(before)
    else:
      unfinished.rename(directory)


def load_variables(directory):
  """Returns (variables, info) as `save_variables` wrote them.

  Raises:
    UserError: if there are none, or they are damaged.
  """
  directory = pathlib.Path(directory).absolute()
  if not (directory / "info.json").exists():
    raise UserError(f"{directory} holds no network (a folder with info.json and variables/)")
  try:
    info = json.loads((directory / "info.json").read_text())
    with _checkpointer() as checkpointer:
      arrays = checkpointer.restore(directory / "variables", args=_to_host(directory / "variables"))
    variables = unflatten_dict(arrays, sep="/")
    if info.pop("digest") != _digest(arrays, info):
      raise ValueError("it is not what was saved")
  except Exception as error:
    reason = str(error).strip().split("\n")[0][:200]
    raise UserError(f"the network in {directory} is damaged ({reason}); write it anew") from error
  return variables, info


def _checkpointer():
  return ocp.Checkpointer(
    ocp.PyTreeCheckpointHandler(multiprocessing_options=_FIRST_ALONE),
    multiprocessing_options=_FIRST_ALONE,
  )


def _to_host(directory):
  with _checkpointer() as checkpointer:
    tree = checkpointer.metadata(directory).item_metadata.tree
  return ocp.args.PyTreeRestore(
    restore_args=jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree)
  )


def _digest(arrays, meta):
  note = np.frombuffer(json.dumps(meta, sort_keys=True).encode(), np.uint8)
  return sha256(arrays | {"meta": note})


def _check_space(directory, arrays):
  """Finds a full disk before orbax does, whose threads would each print a traceback."""
  needed = 3 * sum(array.nbytes for array in arrays.values()) + 2**20  # it writes, merges, deletes
  free = shutil.disk_usage(directory).free
  if free < needed:
    text = f"the disk is full: {needed / 2**20:.1f} MB are needed, {free / 2**20:.1f} MB are free"
    raise OSError(errno.ENOSPC, text)


@contextlib.contextmanager
def _disk_errors(directory):
  try:
    yield
  except (OSError, ValueError) as error:  # tensorstore's are ValueErrors with the code in the text
    code = re.search(r"os_error_code='(\d+)'", str(error))
    if not code and not isinstance(error, OSError):
      raise
    reason = os.strerror(int(code[1])) if code else error.strerror or error
    raise UserError(
      f"cannot write to {directory}: {reason}; put that right and start again with the same "
      "command, which continues from the last checkpoint"
    ) from error
