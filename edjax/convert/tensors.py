"""Variables of a network ⇄ the tensors of a PyTorch state dict, under one scheme of names.

A network's tensors and ours are one to one: the same numbers, transposed where PyTorch's layout
differs. Only the counters of batches (`num_batches_tracked`), which nothing reads, are dropped.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from edjax import models
from edjax.convert.names.naming import Names
from edjax.types import Variables

# (last name of the path, axes) -> (last name in PyTorch, order of axes there)
_LEAVES = {
  ("kernel", 2): ("weight", (1, 0)),  # dense: [in, out] to [out, in]
  ("kernel", 4): ("weight", (3, 2, 0, 1)),  # convolution: HWIO to OIHW
  ("scale", 1): ("weight", (0,)),
  ("bias", 1): ("bias", (0,)),
  ("mean", 1): ("running_mean", (0,)),
  ("var", 1): ("running_var", (0,)),
}


@dataclasses.dataclass(frozen=True)
class Place:
  """Where one tensor lives in a network.

  Attributes:
    path: such as "params/fragment_0/conv/kernel".
    order: of our axes, as PyTorch has them.
    shape: in PyTorch.
  """

  path: str
  order: tuple[int, ...]
  shape: tuple[int, ...]


Places = dict[str, Place]  # by PyTorch name


def layout(model: str, names: Names, num_classes: int, image_shape: tuple[int, int, int]) -> Places:
  """Returns {PyTorch name: Place} of every tensor of a network; nothing is computed.

  Args:
    model: a row of `models.MODELS`.
    names: a scheme: path of a module -> PyTorch name, see `edjax.convert.names.naming`.
    num_classes: columns of the classifier.
    image_shape: (height, width, channels).

  Raises:
    ValueError: if the scheme leaves a tensor without a name, or gives one name to two.
  """
  places = {}
  for path, shape in _shapes(model, num_classes, image_shape).items():
    name, order = _named(path, len(shape), names)
    if name is None or name in places:
      raise ValueError(f"{model}: {'no' if name is None else 'another'} PyTorch name for {path}")
    places[name] = Place(path, order, tuple(shape[axis] for axis in order))
  return places


@functools.lru_cache(maxsize=256)
def _shapes(
  model: str, num_classes: int, image_shape: tuple[int, int, int]
) -> dict[str, tuple[int, ...]]:
  """Returns {path: shape} of a network's variables; tracing takes up to a second."""
  network = models.graduate(models.body(model), num_classes)
  image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
  variables = jax.eval_shape(network.init, jax.random.key(0), image)
  return {path: leaf.shape for path, leaf in flatten_dict(variables, sep="/").items()}


def to_torch(variables: Variables, model: str, names: Names) -> dict[str, np.ndarray]:
  """Returns {PyTorch name: float32 array} of the variables of a whole network, or of a tree of
  that form, such as its gradients.

  Raises:
    ValueError: if a leaf has no name.
  """
  tensors = {}
  for path, leaf in flatten_dict(jax.device_get(variables), sep="/").items():
    name, order = _named(path, leaf.ndim, names)
    if name is None or name in tensors:
      raise ValueError(f"{model}: {'no' if name is None else 'another'} PyTorch name for {path}")
    tensors[name] = np.ascontiguousarray(np.transpose(leaf, order))
  return tensors


def from_torch(tensors: Mapping[str, np.ndarray], places: Places) -> Variables:
  """Returns the variables that `tensors` hold.

  Args:
    tensors: {PyTorch name: array}, exactly those of `places` (see `differences`).
    places: from `layout`.
  """
  arrays = {}
  for name, place in places.items():
    back = np.argsort(place.order)
    arrays[place.path] = np.ascontiguousarray(np.transpose(tensors[name], back), np.float32)
  return unflatten_dict(arrays, sep="/")


def differences(
  tensors: Mapping[str, Any], places: Places
) -> tuple[list[str], list[str], list[tuple[str, tuple[int, ...], tuple[int, ...]]]]:
  """Returns (missing names, names too many, [(name, shape, shape wanted)]), each sorted."""
  missing = sorted(set(places) - set(tensors))
  extra = sorted(set(tensors) - set(places))
  wrong = [
    (name, tuple(tensors[name].shape), places[name].shape)
    for name in sorted(set(places) & set(tensors))
    if tuple(tensors[name].shape) != places[name].shape
  ]
  return missing, extra, wrong


def _named(path: str, axes: int, names: Names) -> tuple[str | None, tuple[int, ...]]:
  """Returns (PyTorch name or None, order of axes)."""
  _, *scope, leaf = path.split("/")
  suffix, order = _LEAVES.get((leaf, axes), (None, tuple(range(axes))))
  if suffix is None:  # a bare parameter, such as a class token
    return names("/".join([*scope, leaf])), order
  module = names("/".join(scope))
  return module and f"{module}.{suffix}", order
