"""PyTorch checkpoints ⇄ edjax's folders of networks: teachers come in, graduates go out.

`python -m edjax.convert SOURCE TARGET` is the command. A network that came in is a teacher whose
columns stand for the data set's labels in their order, unless its file says which classes it knows
(a .safetensors file that edjax wrote does).
"""

import json
import pathlib

from edjax import checkpoint
from edjax.convert import files, tensors
from edjax.convert.families import NAMES, SCHEMES
from edjax.convert.recognise import recognise
from edjax.errors import UserError, choose

__all__ = ["NAMES", "SCHEMES", "is_file", "read", "write"]

_NOTE = "edjax"  # the key of what .safetensors files say beside the tensors
_KEPT = ("classes", "dataset", "image_shape", "mean", "std")


def is_file(path):
  """Says whether a path ends as files of tensors do."""
  return pathlib.Path(path).suffix in files.ENDINGS


def read(source, model=None, num_classes=None, scheme=None):
  """Reads a network.

  Args:
    source: a .pth, .pt, .tar or .safetensors file, or a folder that `faculty.save` wrote.
    model, num_classes, scheme: of a file, where the caller knows them; otherwise its tensors tell.

  Returns:
    (variables, info, scheme): `info` as in a folder's info.json, with `classes` None where nothing
    says which they are; `scheme` of the file's names, None for a folder.

  Raises:
    UserError: if the source is not sound, or holds no network that edjax knows.
  """
  if not is_file(source):
    return *checkpoint.load_variables(source), None
  named, notes = files.read(source)
  try:
    found = recognise(named, model, num_classes, scheme)
  except UserError as error:
    raise UserError(f"{source}: {error}") from error
  info = dict.fromkeys(_KEPT) | json.loads(notes.get(_NOTE, "{}"))
  info |= {"model": found.model, "num_classes": found.num_classes}
  return found.variables, info, found.scheme


def write(target, variables, info, scheme=None):
  """Writes a network to a file or a folder, as its ending says.

  Args:
    target: replaced as a whole.
    variables, info: as from `read`.
    scheme: of a file's names; the network's first if None.

  Returns:
    The scheme, None for a folder.

  Raises:
    UserError: if the network has no such names.
  """
  if not is_file(target):
    checkpoint.save_variables(target, variables, info)
    return None
  schemes = choose(NAMES, info["model"], "model with PyTorch names")
  scheme = scheme or next(iter(schemes))
  names = choose(schemes, scheme, f"scheme of {info['model']}'s names")
  notes = {_NOTE: json.dumps({key: info.get(key) for key in _KEPT})}
  files.write(target, tensors.to_torch(variables, info["model"], names), notes)
  return scheme
