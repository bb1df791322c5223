"""PyTorch checkpoints ⇄ edjax's folders of networks: teachers come in, graduates go out.

`python -m edjax.convert SOURCE TARGET` is the command. A network that came in is a teacher whose
columns stand for the data set's labels in their order, unless its file says which classes it knows
(a .safetensors file that edjax wrote does).
"""

import json
import logging
import os
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from edjax.convert import files, networks, tensors
from edjax.convert.names.families import NAMES, SCHEMES
from edjax.convert.recognise import recognise
from edjax.errors import UserError, choose
from edjax.storage import checkpoint, replacing
from edjax.types import Variables

__all__ = [
  "NAMES",
  "SCHEMES",
  "check_target",
  "first_scheme",
  "has_notes",
  "is_file",
  "model_of",
  "read",
  "write",
]

_NOTE = "edjax"  # the key of what .safetensors files say beside the tensors
_KEPT = ("classes", "dataset", "image_shape", "mean", "std")


def is_file(path: str | os.PathLike[str]) -> bool:
  """Says whether a path is a file, or would become one: it ends as files of tensors do."""
  path = pathlib.Path(path).expanduser()
  return path.is_file() or (path.suffix.lower() in files.ENDINGS and not path.is_dir())


def has_notes(path: str | os.PathLike[str]) -> bool:
  """Says whether what is written there keeps more than tensors, as pickles do not."""
  return not is_file(path) or pathlib.Path(path).suffix.lower() == ".safetensors"


def first_scheme(model: str) -> str:
  """Returns the scheme of names that a network is written with unless another is asked for."""
  return next(iter(choose(NAMES, model, "model with PyTorch names")))


def read(
  source: str | os.PathLike[str],
  model: str | None = None,
  num_classes: int | None = None,
  scheme: str | None = None,
  key: str | None = None,
  tell: Callable[[str], object] | None = None,
) -> tuple[Variables, dict[str, Any], str | None]:
  """Reads a network.

  Args:
    source: a file of torch.save or safetensors, whatever its ending, or a folder that
      `faculty.save` wrote.
    model, num_classes, scheme: of a file, where the caller knows them; otherwise its tensors tell.
    key: of a file, where in it the network is, such as "state_dict_ema", or "student" for names
      that begin so. Without it weights are taken rather than their running average.
    tell: is called with a line on which of a file's tensors were taken and left out, where there
      was anything else. If None, what was chosen or left out is a warning.

  Returns:
    (variables, info, scheme): `info` as in a folder's info.json, with `classes` None where nothing
    says which they are; `scheme` of the file's names, None for a folder.

  Raises:
    UserError: if the source is not sound, or holds no network that edjax knows, or more than one.
  """
  if not is_file(source):
    return *checkpoint.load_variables(source), None
  content, notes = files.read(source)
  found, state, said = networks.pick(
    source, content, key, lambda named: recognise(named, model, num_classes, scheme)
  )
  if said:
    plain = len(said) == 1 and state.key != networks.TOP  # only where it is
    tell = tell or (logging.info if plain else logging.warning)
    tell(f"{source}: {'; '.join(said)}")
  variables = tensors.from_torch(files.arrays(source, state.tensors), found.places)
  info = dict.fromkeys(_KEPT) | _own_note(notes, found.num_classes)
  info |= {"model": found.model, "num_classes": found.num_classes}
  return variables, info, found.scheme


def model_of(source: str | os.PathLike[str]) -> str:
  """Returns the model of the network in a file; Raises as `read`, which takes what it takes."""
  content, _ = files.read(source)
  return networks.pick(source, content, None, recognise)[0].model


def _own_note(notes: dict[str, str], num_classes: int) -> dict[str, Any]:
  """Returns what edjax noted in a file; what it can not have written says nothing."""
  try:
    note = json.loads(notes.get(_NOTE, "{}"))
  except ValueError:
    return {}
  if not isinstance(note, dict):
    return {}
  return {key: note[key] for key in _KEPT if key in note and _is_sound(key, note, num_classes)}


def _is_sound(key: str, note: dict[str, Any], num_classes: int) -> bool:
  value = note[key]
  if value is None or key == "dataset":
    return value is None or isinstance(value, str)
  if not isinstance(value, list):
    return False
  if key == "classes":
    return len(value) == num_classes and all(isinstance(name, str) for name in value)
  numbers = all(type(each) in (int, float) and np.isfinite(each) for each in value)
  if not numbers or len(value) not in (1, 3):
    return False
  return key == "mean" or min(value) > 0


def check_target(target: str | os.PathLike[str]) -> None:
  """Raises UserError if nothing can be written there without loss, or not as the ending says."""
  path = pathlib.Path(target).expanduser()
  ending = path.suffix.lower()
  if path.is_dir():
    return replacing.check_target(path)
  if ending in files.ENDINGS:
    if path.exists() and not files.is_own(path):
      raise UserError(
        f"{path} is there already, and is no file that this command wrote; name another, which "
        "need not exist"
      )
    return None
  if ending[1:] and not ending[1:].isdigit():  # a folder may be called resnet8_v1.5
    raise UserError(
      f"cannot write a {ending} file ({path}); a file ends in {', '.join(files.ENDINGS)}, and the "
      "name of a folder has no ending"
    )
  return replacing.check_target(path)


def write(
  target: str | os.PathLike[str],
  variables: Variables,
  info: dict[str, Any],
  scheme: str | None = None,
) -> str | None:
  """Writes a network to a file or a folder, as its ending says.

  Args:
    target: replaced as a whole, if it is a network that edjax wrote.
    variables, info: as from `read`.
    scheme: of a file's names; the network's first if None.

  Returns:
    The scheme, None for a folder.

  Raises:
    UserError: if the network has no such names, or nothing can be written to the target.
  """
  check_target(target)
  target = pathlib.Path(target).expanduser()
  if not is_file(target):
    checkpoint.save_variables(target, variables, info)
    return None
  scheme = scheme or first_scheme(info["model"])
  names = choose(NAMES[info["model"]], scheme, f"scheme of {info['model']}'s names")
  notes = {_NOTE: json.dumps({key: info.get(key) for key in _KEPT})}
  files.write(target, tensors.to_torch(variables, info["model"], names), notes)
  return scheme
