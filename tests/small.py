"""The least network that can go to school, which processes find as "tests.small:SMALL"."""

import functools

import flax.linen as nn

from configs import digits
from edjax import models, settings
from edjax.models import layers


class Layer(nn.Module):
  """A convolution, a normalisation and a ReLU: the least a fragment can be."""

  channels: int
  stride: int

  @nn.compact
  def __call__(self, x, norm):
    x = norm(name="bn")(layers.conv(self.channels, 3, self.stride, name="conv")(x))
    return nn.relu(x), (nn.relu(x),), (x,)


class Blocks(nn.Module):
  """A layer, and others that add to what they are given: the least that can be cut by depth."""

  channels: int
  blocks: int

  @nn.compact
  def __call__(self, x, norm):
    x, _, _ = Layer(self.channels, 2, name="block_0")(x, norm)
    for number in range(1, self.blocks):
      x = nn.relu(x + Residual(name=f"block_{number}")(x, norm))
    return x, (x,), (x,)


class Residual(nn.Module):
  """What a block adds: a convolution, normalised."""

  @nn.compact
  def __call__(self, x, norm):
    return norm(name="bn")(layers.conv(x.shape[-1], 3, name="conv")(x))


# Three fragments that compile in a fraction of a second.
SMALL = layers.Body(
  fragments=tuple(
    functools.partial(Layer, channels, stride) for channels, stride in ((4, 2), (6, 1), (8, 2))
  ),
  head=layers.Classifier,
  width=8,
)


def _deep(most):
  return tuple(
    functools.partial(Blocks, channels, min(count, most)) for channels, count in ((4, 1), (8, 2))
  )


# Two stages, of one block and of two.
DEEP = layers.Body(
  fragments=_deep(2),
  head=layers.Classifier,
  width=8,
  blocks=models.Blocks((1, 2), _deep, ends=("bn",)),
)


def config(arg="ce,smoke", **changes):
  """Returns the config of a school of two seconds, every step a checkpoint.

  Args:
    arg: the variants of `configs/digits.py`.
    **changes: settings by their dotted names; "grades.epochs" and the like are columns.
  """
  made = digits.get_config(arg)
  made.devices, made.checkpoint.every_seconds = 1, 0.0
  for part in (made.student, made.faculty.specialist, made.faculty.generalist):
    part.model = "small"
  columns = {key: value for key, value in changes.items() if key.startswith("grades.")}
  settings.set_columns(made, {key.removeprefix("grades."): columns[key] for key in columns})
  made.update_from_flattened_dict({key: changes[key] for key in changes if key not in columns})
  return made
