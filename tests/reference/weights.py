"""Copies variables of edjax networks into the PyTorch re-statements, one name map per family."""

import re

import numpy as np
import torch

_COMMON = (
  (r"head/dense", "fc"),
  (r"fragment_0/conv", "conv1"),
)
NAMES = {
  "ResNet": (
    *_COMMON,
    (r"fragment_0/bn", "bn1"),
    (r"fragment_(\d)/block_(\d+)/shortcut_conv", "layer{}.{}.downsample.0"),
    (r"fragment_(\d)/block_(\d+)/shortcut_bn", "layer{}.{}.downsample.1"),
    (r"fragment_(\d)/block_(\d+)/(\w+)", "layer{}.{}.{}"),
  ),
  "WideResNet": (
    *_COMMON,
    (r"head/bn_in", "bn1"),
    (r"fragment_(\d)/block_(\d+)/shortcut_conv", "block{}.layer.{}.convShortcut"),
    (r"fragment_(\d)/block_(\d+)/(\w+)", "block{}.layer.{}.{}"),
  ),
}
LEAVES = {
  ("params", "kernel", 2): ("weight", (1, 0)),  # dense: [in, out] to [out, in]
  ("params", "kernel", 4): ("weight", (3, 2, 0, 1)),  # convolution: HWIO to OIHW
  ("params", "scale", 1): ("weight", (0,)),
  ("params", "bias", 1): ("bias", (0,)),
  ("batch_stats", "mean", 1): ("running_mean", (0,)),
  ("batch_stats", "var", 1): ("running_var", (0,)),
}


def convert(variables, module):
  """Returns {PyTorch name: tensor} of every leaf of `variables`, named for `module`.

  Args:
    variables: {"params": tree, "batch_stats": tree}, or one of the two; trees of that form, such as
      gradients, convert as well.
    module: a `ResNet` or `WideResNet`.

  Raises:
    ValueError: if a leaf has no place, or another leaf has it already, or the shape differs.
  """
  expected, state = module.state_dict(), {}
  for path, leaf in _leaves(variables):
    collection, *scope, kind = path
    name = _name("/".join(scope), type(module).__name__)
    suffix, order = LEAVES.get((collection, kind, leaf.ndim), (None, None))
    key = f"{name}.{suffix}"
    if name is None or key not in expected or key in state:
      raise ValueError(f"no place for {'/'.join(path)} {leaf.shape}: {key}")
    state[key] = torch.from_numpy(np.array(leaf.transpose(order)))
    if state[key].shape != expected[key].shape:
      raise ValueError(f"{'/'.join(path)} is {leaf.shape}, {key} {tuple(expected[key].shape)}")
  return state


def load(module, variables):
  """Copies `variables` into `module` and returns it; `ValueError` unless they match one to one."""
  state = convert(variables, module)
  missing = set(module.state_dict()) - set(state)
  missing = sorted(key for key in missing if not key.endswith("num_batches_tracked"))
  if missing:
    raise ValueError(f"nothing for {missing}")
  module.load_state_dict(state, strict=False)  # only the counters of batches are left
  return module


def _leaves(tree, path=()):
  if not hasattr(tree, "items"):
    yield path, np.asarray(tree)
    return
  for key, value in tree.items():
    yield from _leaves(value, (*path, key))


def _name(scope, family):
  for pattern, name in NAMES[family]:
    match = re.fullmatch(pattern, scope)
    if match:
      first, *rest = match.groups() or (None,)
      return name if first is None else name.format(int(first) + 1, *rest)
  return None
