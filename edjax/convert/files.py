"""Tensors in files of PyTorch's world: pickles of torch.save, and .safetensors (plain data).

A checkpoint is data, and is never allowed to run code: of a pickle only tensors, plain Python
values and the few harmless classes named here are read. PyTorch is needed for pickles alone.
"""

import argparse
import errno
import io
import os
import pathlib
import re
import warnings
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import safetensors.numpy
from jaxtyping import Float32

from edjax.convert import kinds
from edjax.errors import UserError
from edjax.storage import files

# What is written by which ending, in lower case; what is read is told by the content.
ENDINGS = (".pth", ".pt", ".tar", ".th", ".ckpt", ".bin", ".safetensors")
# Types of numbers that stand for themselves, as safetensors and as PyTorch call them; NumPy has
# learned bfloat16 from jax. Others, such as float8, come with scales that are kept elsewhere.
_TYPES = {
  **{"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"},
  **{"I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool"},
}


def read(path: str | os.PathLike[str]) -> tuple[Any, dict[str, str]]:
  """Returns (content, {key: text}): what a file holds, and its notes.

  Content is {name: array} of a .safetensors file, and of a pickle whatever was saved, most often
  dicts within dicts; `edjax.convert.networks` finds the network in it.

  Raises:
    UserError: if there is no such file, or it is damaged, or no file of tensors, or it would have
      to run code to be read.
  """
  path = pathlib.Path(path).expanduser()
  if not path.is_file():
    raise UserError(f"no file {path}")
  if kinds.tell(path) == kinds.SAFETENSORS:
    return _read_safetensors(path)
  return _read_pickle(path), {}


def arrays(
  path: str | os.PathLike[str], tensors: Mapping[str, Any]
) -> dict[str, Float32[np.ndarray, "..."]]:
  """Returns {name: float32 array} of {name: tensor}, as `read` found them.

  Half precision (float16, bfloat16) becomes float32 without loss, double precision is rounded.

  Raises:
    UserError: if there are numbers of another type, or one not finite.
  """
  types = {name: str(value.dtype).removeprefix("torch.") for name, value in tensors.items()}
  _check_types(path, types, _TYPES.values())
  found = {
    name: np.asarray(value if isinstance(value, np.ndarray) else value.detach().float().numpy())
    for name, value in tensors.items()
  }
  found = {name: array.astype(np.float32, copy=False) for name, array in found.items()}
  broken = sorted(name for name, array in found.items() if not np.isfinite(array).all())
  if broken:
    raise UserError(f"{path} holds numbers that are not finite, in {', '.join(broken)}")
  return found


def write(
  path: str | os.PathLike[str], tensors: dict[str, np.ndarray], notes: dict[str, str]
) -> None:
  """Writes {name: array} to a file, as a whole or not at all.

  Args:
    path: its ending says what is written; a pickle is a plain state dict.
    tensors: {name: float32 array}.
    notes: {key: text}, which only .safetensors can keep.
  """
  path = pathlib.Path(path)
  if path.suffix.lower() == ".safetensors":
    data = safetensors.numpy.save(tensors, metadata=notes)
  else:
    torch, buffer = _torch(path), io.BytesIO()
    torch.save({name: torch.from_numpy(array) for name, array in tensors.items()}, buffer)
    data = buffer.getvalue()
  path.parent.mkdir(parents=True, exist_ok=True)
  files.replace_file(path, data)


def is_own(path: str | os.PathLike[str]) -> bool:
  """Says whether a file is one that `write` wrote, which holds a network and nothing else."""
  try:
    content, notes = read(path)
  except UserError:
    return False
  if notes or type(content) is dict and all(isinstance(v, np.ndarray) for v in content.values()):
    return "edjax" in notes
  # Training scripts save more, and PyTorch's own state dicts are of another type, with counters.
  return type(content) is dict and all(
    str(getattr(value, "dtype", "")) == "torch.float32" for value in content.values()
  )


def _read_safetensors(path: pathlib.Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
  try:
    with safetensors.safe_open(path, "numpy") as file:
      notes = file.metadata() or {}
      types = {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
      tensors = {n: file.get_tensor(n) for n, kind in types.items() if kind in _TYPES}
  except (safetensors.SafetensorError, ValueError, TypeError) as error:
    raise UserError(
      f"{path} is no sound .safetensors file ({_line(error)}); get it anew"
    ) from error
  _check_types(path, types, _TYPES)
  return tensors, notes


def _read_pickle(path: pathlib.Path) -> Any:
  torch = _torch(path)
  try:
    with torch.serialization.safe_globals(_harmless()), warnings.catch_warnings(action="ignore"):
      return torch.load(path, map_location="cpu", weights_only=True)
  except Exception as error:  # whatever a damaged archive makes PyTorch raise
    if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
      raise  # it says nothing about what the file holds
    text = str(error)
    if "WeightsUnpickler" in text or "Unsupported" in text or "GLOBAL" in text:
      raise UserError(_refusal(path, torch, text)) from error
    raise UserError(f"{path} is no sound PyTorch file ({_line(text)}); get it anew") from error


def _harmless() -> list[Any]:
  """Classes that run nothing: options, and NumPy's numbers and arrays, which are kept beside the
  weights, such as a best accuracy or a generator's state; with the names that NumPy 1 gave them.
  """
  core = np._core.multiarray  # type: ignore[attr-defined]
  return [
    *(argparse.Namespace, np.ndarray, np.dtype, core.scalar, core._reconstruct),
    (core.scalar, "numpy.core.multiarray.scalar"),
    (core._reconstruct, "numpy.core.multiarray._reconstruct"),
    *{type(np.dtype(kind)) for kind in ("f8", "f4", "i8", "i4", "u4", "u1", "?")},
  ]


def _refusal(path: pathlib.Path, torch: Any, text: str) -> str:
  """Says which classes a pickle wants, and what to do about them."""
  with warnings.catch_warnings(action="ignore"), torch.serialization.safe_globals(_harmless()):
    try:
      classes = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # it looks into archives alone
      classes = []
  classes = sorted(classes) or re.findall(r"GLOBAL (\S+\w)", text)[:1]
  wants = ", ".join(classes[:5]) + " …" * (len(classes) > 5) or _line(text)
  start = f"{path} is refused, since reading it could run code that it holds ({wants})"
  if any(name.startswith("torch.nn.modules.") for name in classes):
    return (
      f"{start}: it is a whole network as a Python object; where you trust its origin, load it in "
      "PyTorch there and save its state_dict with safetensors.torch.save_file"
    )
  return (
    f"{start}; where you trust its origin, load it in PyTorch there and save the state_dict that "
    "it holds with safetensors.torch.save_file"
  )


def _check_types(
  path: str | os.PathLike[str], types: dict[str, str], known: Collection[str]
) -> None:
  odd = [f"{name} ({kind})" for name, kind in sorted(types.items()) if kind not in known]
  if odd:
    raise UserError(
      f"{path} holds numbers of a type that edjax does not read: {', '.join(odd)}; save the "
      "network as float32"
    )


def _torch(path: pathlib.Path) -> Any:
  try:
    import torch  # only here: edjax does not depend on it
  except ImportError as error:
    raise UserError(
      f"{path} needs PyTorch (pip install torch); .safetensors files do not"
    ) from error
  return torch


def _line(error: object) -> str:
  return " ".join(str(error).split())[:200]
