"""Wide residual networks (Zagoruyko and Komodakis 2016, arXiv:1605.07146), without dropout.

Depth 6n+4, width factor k: a stem of 16 channels, three groups of n pre-activation blocks of 16k,
32k and 64k channels, a last normalisation, a classifier. Fragment 0 is stem and group 1. The taps
are the field's: a group's raw sum, and that sum after the normalisation which the next group (or
the head) begins with.
"""

import functools
from collections.abc import Callable

import flax.linen as nn

from edjax.models import layers
from edjax.models.cut import Blocks
from edjax.types import Map


class PreactivationBlock(nn.Module):
  """BN–ReLU–conv twice and a shortcut; also returns its input after the first normalisation."""

  channels: int
  stride: int = 1

  @nn.compact
  def __call__(self, x: Map, norm: layers.Norm) -> tuple[Map, Map]:
    preactivation = norm(name="bn1")(x)
    y = nn.relu(preactivation)
    if x.shape[-1] != self.channels:
      x = layers.conv(self.channels, 1, self.stride, name="shortcut_conv")(y)
    y = layers.conv(self.channels, 3, self.stride, name="conv1")(y)
    y = nn.relu(norm(name="bn2")(y))
    return x + layers.conv(self.channels, 3, name="conv2")(y), preactivation


class Group(nn.Module):
  """`blocks` blocks, the first with `stride`; a 3×3 convolution before them where `stem` > 0."""

  channels: int
  blocks: int
  stride: int = 1
  stem: int = 0

  @nn.compact
  def __call__(self, x: Map, norm: layers.Norm) -> layers.Passed:
    features: tuple[Map, ...] = ()
    if self.stem:
      x = layers.conv(self.stem, 3, name="conv")(x)
      features = (x,)
    x, preactivation = PreactivationBlock(self.channels, self.stride, name="block_0")(x, norm)
    for number in range(1, self.blocks):
      x, _ = PreactivationBlock(self.channels, name=f"block_{number}")(x, norm)
    return x, (*features, x), (preactivation,)


def wrn(depth: int, factor: int) -> layers.Body:
  """Returns the `Body` of WRN-`depth`-`factor`."""
  blocks, rest = divmod(depth - 4, 6)
  if rest or blocks < 1:
    raise ValueError(f"a wide residual network has depth 6n+4, not {depth}")

  def shallow(most: int) -> tuple[Callable[..., nn.Module], ...]:
    count = min(blocks, most)
    return (
      functools.partial(Group, 16 * factor, count, stem=16),
      functools.partial(Group, 32 * factor, count, stride=2),
      functools.partial(Group, 64 * factor, count, stride=2),
    )

  return layers.Body(
    fragments=shallow(blocks),
    head=functools.partial(
      layers.Classifier, preactivated=True, bias_init=nn.initializers.zeros_init()
    ),
    width=64 * factor,
    preactivated=True,
    blocks=Blocks((blocks,) * 3, shallow, ends=("conv2",)),
  )
