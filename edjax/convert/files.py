"""Tensors in files of PyTorch's world: .pth, .pt, .tar (a pickle) and .safetensors (plain data).

A checkpoint is data, and is never allowed to run code: of a pickle only tensors, plain Python
values and the few harmless classes named here are read. PyTorch is needed for pickles alone.
"""

import argparse
import pathlib

import numpy as np
import safetensors.numpy

from edjax.errors import UserError

PICKLES = (".pth", ".pt", ".tar")
ENDINGS = (*PICKLES, ".safetensors")
_WRAPPERS = ("model", "state_dict", "net", "model_state_dict")  # what training scripts save under
_PREFIXES = ("module.", "model.", "_orig_mod.")  # what their wrappers put before every name
_COUNTER = "num_batches_tracked"
# Types of numbers that stand for themselves, as safetensors and as PyTorch call them; NumPy has
# learned bfloat16 from jax. Others, such as float8, come with scales that are kept elsewhere.
_TYPES = {
  **{"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"},
  **{"I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool"},
}


def read(path):
  """Returns ({name: float32 array}, {key: text}): a file's tensors and its notes.

  Counters of batches are left out. Half precision (float16, bfloat16) becomes float32 without loss,
  double precision is rounded.

  Raises:
    UserError: if there is no such file, or it is damaged, or it would have to run code to be read,
      or holds something else than a network, or numbers of another type, or one not finite.
  """
  path = pathlib.Path(path)
  if not path.is_file():
    raise UserError(f"no file {path}")
  tensors, notes = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
  tensors = {n: array for n, array in _bare(tensors).items() if not n.endswith(_COUNTER)}
  if not tensors:
    raise UserError(f"{path} holds no tensors")
  broken = sorted(name for name, array in tensors.items() if not np.isfinite(array).all())
  if broken:
    raise UserError(f"{path} holds numbers that are not finite, in {', '.join(broken)}")
  return tensors, notes


def write(path, tensors, notes):
  """Writes {name: array} to a file, as a whole or not at all.

  Args:
    path: its ending says what is written; a pickle is a plain state dict.
    tensors: {name: float32 array}.
    notes: {key: text}, which only .safetensors can keep.
  """
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  unfinished = path.with_name(f".{path.name}.unfinished")
  if path.suffix == ".safetensors":
    safetensors.numpy.save_file(tensors, unfinished, metadata=notes)
  else:
    torch = _torch(path)
    torch.save({name: torch.from_numpy(array) for name, array in tensors.items()}, unfinished)
  unfinished.replace(path)


def _read_safetensors(path):
  try:
    with safetensors.safe_open(path, "numpy") as file:
      notes = file.metadata() or {}
      types = {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
      tensors = {n: _array(file.get_tensor(n)) for n, kind in types.items() if kind in _TYPES}
  except (safetensors.SafetensorError, OSError, ValueError, TypeError) as error:
    raise UserError(
      f"{path} is no sound .safetensors file ({_line(error)}); get it anew"
    ) from error
  _check_types(path, types, _TYPES)
  return tensors, notes


def _read_pickle(path):
  torch = _torch(path)
  harmless = [argparse.Namespace, np.dtype, np._core.multiarray.scalar, *_number_types()]
  try:
    with torch.serialization.safe_globals(harmless):
      found = torch.load(path, map_location="cpu", weights_only=True)
  except Exception as error:  # whatever a damaged archive makes PyTorch raise
    text = str(error)
    if "WeightsUnpickler" in text or "Unsupported" in text or "GLOBAL" in text:
      wants = next(
        (line for line in text.split("\n") if "GLOBAL" in line or "Unsupp" in line), text
      )
      raise UserError(
        f"{path} is refused, since reading it could run code that it holds ({_line(wants)}); where "
        "you trust its origin, load it in PyTorch there and save its state_dict with "
        "safetensors.torch.save_file"
      ) from error
    raise UserError(f"{path} is no sound PyTorch file ({_line(text)}); get it anew") from error
  for key in _WRAPPERS:
    if isinstance(found, dict) and isinstance(found.get(key), dict):
      found = found[key]
  if not isinstance(found, dict):
    raise UserError(f"{path} holds a {type(found).__name__}, not a state dict")
  tensors = {name: value for name, value in found.items() if isinstance(value, torch.Tensor)}
  types = {name: str(value.dtype).removeprefix("torch.") for name, value in tensors.items()}
  _check_types(path, types, _TYPES.values())
  return {name: _array(value.float().numpy()) for name, value in tensors.items()}, {}


def _check_types(path, types, known):
  odd = [f"{name} ({kind})" for name, kind in sorted(types.items()) if kind not in known]
  if odd:
    raise UserError(
      f"{path} holds numbers of a type that edjax does not read: {', '.join(odd)}; save the "
      "network as float32"
    )


def _number_types():
  """The types of NumPy's own numbers, such as a best accuracy that is kept beside the weights."""
  return {type(np.dtype(kind)) for kind in ("f8", "f4", "i8", "i4")}


def _bare(tensors):
  """Takes off what every name begins with."""
  for prefix in _PREFIXES * 2:
    if tensors and all(name.startswith(prefix) for name in tensors):
      tensors = {name.removeprefix(prefix): array for name, array in tensors.items()}
  return tensors


def _array(value):
  return np.asarray(value).astype(np.float32)


def _torch(path):
  try:
    import torch  # only here: edjax does not depend on it
  except ImportError as error:
    raise UserError(
      f"{path} needs PyTorch (pip install torch); .safetensors files do not"
    ) from error
  return torch


def _line(error):
  return " ".join(str(error).split())[:200]
