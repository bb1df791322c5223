"""CIFAR ResNets (He et al. 2016, arXiv:1512.03385, section 4.2), with either kind of shortcut.

Where a block changes the shape its shortcut is a 1×1 convolution, as in most of the literature on
distillation, or has no parameters (option A, as in the paper): every second pixel, with channels of
zeros on both sides.

Depth 6n+2: a stem, three stages of n basic blocks, a classifier. The `x4` networks of the
distillation literature (Tian et al. 2020, arXiv:1910.10699) have a stem of 32 and stages of 64, 128
and 256 channels. Fragment 0 is stem and stage 1; fragments 1 and 2 are stages 2 and 3.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from edjax.models import layers
from edjax.models.cpu.fusion import stored
from edjax.models.cut import Blocks
from edjax.types import Map


class BasicBlock(nn.Module):
  """Two convolutions and a shortcut; returns the block's output before its last ReLU.

  Attributes:
    channels: of the output.
    stride: of the first convolution and the shortcut, see `layers.conv`.
    option_a: whether the shortcut has no parameters; it strides alike down and right.
    kernel: size of both convolutions.
  """

  channels: int
  stride: layers.Sides = 1
  option_a: bool = False
  kernel: layers.Sides = 3

  @nn.compact
  def __call__(self, x: Map, norm: layers.Norm) -> Map:
    y = layers.conv(self.channels, self.kernel, self.stride, name="conv1")(x)
    y = nn.relu(norm(name="bn1")(y))
    y = norm(name="bn2")(layers.conv(self.channels, self.kernel, name="conv2")(y))
    if self.option_a:
      more = self.channels - x.shape[-1]
      x = stored(x)[:, :: self.stride, :: self.stride]
      x = jnp.pad(x, ((0, 0), (0, 0), (0, 0), (more // 2, more - more // 2)))
    elif self.stride != 1 or x.shape[-1] != self.channels:
      x = layers.conv(self.channels, 1, self.stride, name="shortcut_conv")(x)
      x = norm(name="shortcut_bn")(x)
    else:
      x = stored(x)
    return x + y


class Stage(nn.Module):
  """`blocks` basic blocks, the first with `stride`; with a stem before them where `stem` > 0.

  Attributes:
    channels: of every block.
    blocks: how many.
    stride: of the first block.
    stem: channels of a convolution, normalisation and ReLU in front, 0 for none.
    option_a: whether shortcuts have no parameters.
    kernel: size of all convolutions but those of shortcuts.
  """

  channels: int
  blocks: int
  stride: layers.Sides = 1
  stem: int = 0
  option_a: bool = False
  kernel: layers.Sides = 3

  @nn.compact
  def __call__(self, x: Map, norm: layers.Norm) -> layers.Passed:
    taps = []
    if self.stem:
      taps.append(norm(name="bn")(layers.conv(self.stem, self.kernel, name="conv")(x)))
      x = nn.relu(taps[-1])
    for number in range(self.blocks):
      stride = self.stride if number == 0 else 1
      block = BasicBlock(self.channels, stride, self.option_a, self.kernel, name=f"block_{number}")
      preactivation = block(x, norm)
      x = nn.relu(preactivation)
    taps.append(preactivation)
    return x, tuple(map(nn.relu, taps)), tuple(taps)


def resnet(
  depth: int, widths: tuple[int, int, int, int] = (16, 16, 32, 64), option_a: bool = False
) -> layers.Body:
  """Returns the `Body` of a ResNet.

  Args:
    depth: 6n+2.
    widths: channels of the stem and of the three stages.
    option_a: whether shortcuts have no parameters.
  """
  blocks, rest = divmod(depth - 2, 6)
  if rest or blocks < 1:
    raise ValueError(f"a CIFAR ResNet has depth 6n+2, not {depth}")
  return staged(
    widths,
    blocks,
    strides=(1, 2, 2),
    head=layers.Classifier,
    width=widths[-1],
    option_a=option_a,
  )


def staged(
  widths: tuple[int, int, int, int],
  blocks: int,
  strides: Sequence[layers.Sides],
  head: Callable[..., nn.Module],
  width: int,
  **how: Any,
) -> layers.Body:
  """Returns the `Body` of three stages of basic blocks, which may be cut by depth.

  Args:
    widths: channels of the stem and of the three stages.
    blocks: of every stage.
    strides: of the three stages.
    head, width: see `layers.Body`.
    **how: other attributes of every `Stage`.
  """
  stem, *channels = widths

  def shallow(most: int) -> tuple[Callable[..., nn.Module], ...]:
    return tuple(
      functools.partial(Stage, each, min(blocks, most), stride, stem=0 if number else stem, **how)
      for number, (each, stride) in enumerate(zip(channels, strides, strict=True))
    )

  return layers.Body(
    fragments=shallow(blocks),
    head=head,
    width=width,
    blocks=Blocks((blocks,) * len(channels), shallow, ends=("bn2",)),
  )
