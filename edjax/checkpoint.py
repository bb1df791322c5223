"""Checkpoints, atomic, asynchronous, bounded, digested; the only file that knows orbax.

Orbax renames a finished step into place, so a killed save leaves no half step; it does not notice
an altered byte, so every step carries a sha256 of its arrays, and a step that reads differently, or
not at all though each of its files can be read, is damaged: it is passed over for the one before,
with a warning that names it. A file that cannot be read says nothing of its content, so it ends the
run, and everything stays as it was.
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
import tempfile

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

    Steps that are damaged are named in a warning and renamed, so that they are not met again.

    Raises:
      UserError: if a file cannot be read just now; nothing is renamed then.
    """
    for step in sorted(self._manager.all_steps(), reverse=True):
      folder = self.directory / str(step)
      try:
        return step, *_whole(folder, lambda step=step: self._read(step))
      except _Damage as damage:
        logging.warning("checkpoint %s is damaged (%s); passing it over", folder, damage)
        aside = folder.with_name(f"damaged_{step}")
        shutil.rmtree(aside, ignore_errors=True)
        folder.rename(aside)
        self._manager.reload()
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


class _Damage(Exception):
  """What was saved is not there any more; the text says why."""


def _whole(folder, read):
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
    raise _Damage(str(error).strip().split("\n")[0][:200]) from error


def _read_through(folder):
  def refuse(error):
    raise error

  try:
    for parent, _, names in os.walk(folder, onerror=refuse):
      for name in names:
        with open(os.path.join(parent, name), "rb") as file:
          while file.read(1 << 24):
            pass
  except OSError as error:
    raise UserError(
      f"cannot read {error.filename or folder}: {error.strerror or error}; nothing is lost: put "
      "that right and give the same command again"
    ) from error


def save_variables(directory, variables, info):
  """Writes a network's variables and `info` (JSON) to `directory`, whole or not at all.

  Only a network that `save_variables` wrote, or an empty folder, is replaced. Runs that share a
  cache of teachers may write the same one at the same time: the last one stays.

  Raises:
    UserError: if something else is there, or the disk is full or not writable.
  """
  directory = pathlib.Path(directory).absolute()
  _check_replaceable(directory)
  with _disk_errors(directory):
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
      prefix=f".{directory.name}.", suffix=".unfinished", dir=directory.parent
    ) as aside:
      # Within a folder that only its owner may enter, so that this one has the usual mode.
      unfinished, before = pathlib.Path(aside, "network"), pathlib.Path(aside, "before")
      unfinished.mkdir()
      arrays = flatten(variables)
      _check_space(unfinished, arrays)
      with _checkpointer() as checkpointer:
        checkpointer.save(unfinished / "variables", arrays)
      info = info | {"sha256": sha256(variables)}
      info = info | {"digest": _digest(arrays, info)}
      (unfinished / "info.json").write_text(json.dumps(info, indent=2) + "\n")
      while True:
        try:
          unfinished.rename(directory)  # over nothing, or an empty folder
          return
        except OSError as error:
          if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        _check_replaceable(directory)
        with contextlib.suppress(FileNotFoundError):  # another has just put it aside
          directory.rename(before)
          shutil.rmtree(before)


def _check_replaceable(directory):
  """Raises UserError unless a network may be written there without a loss."""
  while True:
    seen = _identity(directory)
    reason = _irreplaceable(directory)
    if not reason:
      return
    if _identity(directory) == seen:  # else another run has put its network there meanwhile
      raise UserError(
        f"{directory} is there already, and {reason}; name another folder, which need not exist"
      )


def _identity(path):
  try:
    return path.lstat().st_ino
  except FileNotFoundError:
    return None


def _irreplaceable(directory):
  """Says why what is there may not be replaced; "" if it may, or nothing is there."""
  if directory.is_symlink():
    return "is a link"
  if not directory.exists():
    return ""
  if not directory.is_dir():
    return "is a file"
  if directory == pathlib.Path.cwd() or directory in pathlib.Path.cwd().parents:
    return "is the current folder or holds it"
  try:
    held = sorted(path.name for path in directory.iterdir())
  except FileNotFoundError:
    return ""
  if not held or (set(held) <= {"info.json", "variables"} and _is_network(directory)):
    return ""
  some = ", ".join(held[:3]) + (", …" if len(held) > 3 else "")
  return f"holds something else than a network of edjax ({some})"


def _is_network(directory):
  """Says whether a folder holds nothing but what `save_variables` writes, sound or not."""
  try:
    info = json.loads((directory / "info.json").read_text())
  except FileNotFoundError:
    return False
  except ValueError:  # damaged; orbax's own files tell
    return (directory / "variables" / "manifest.ocdbt").exists()
  return isinstance(info, dict) and {"sha256", "digest"} <= set(info)


def load_variables(directory):
  """Returns (variables, info) as `save_variables` wrote them.

  Raises:
    UserError: if there are none, or they are damaged, or a file cannot be read.
  """
  directory = pathlib.Path(directory).absolute()
  if not (directory / "info.json").exists():
    raise UserError(f"{directory} holds no network (a folder with info.json and variables/)")

  def read():
    info = json.loads((directory / "info.json").read_text())
    with _checkpointer() as checkpointer:
      arrays = checkpointer.restore(directory / "variables", args=_to_host(directory / "variables"))
    variables = unflatten_dict(arrays, sep="/")
    if info.pop("digest") != _digest(arrays, info):
      raise ValueError("it is not what was saved")
    return variables, info

  try:
    return _whole(directory, read)
  except _Damage as damage:
    raise UserError(f"the network in {directory} is damaged ({damage}); write it anew") from damage


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
