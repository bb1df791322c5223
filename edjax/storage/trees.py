"""Trees of arrays as {path: array}, and digests of them."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, TypeVar

import jax
import numpy as np

T = TypeVar("T")
Arrays = dict[str, np.ndarray]


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


def digest(arrays: Arrays, meta: dict[str, Any]) -> str:
  """Returns the hex digest over arrays and what is said of them, JSON."""
  note = np.frombuffer(json.dumps(meta, sort_keys=True).encode(), np.uint8)
  return sha256(arrays | {"meta": note})
