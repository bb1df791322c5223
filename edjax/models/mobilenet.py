"""MobileNetV1 for ImageNet (Howard et al. 2017, arXiv:1704.04861), width multiplier 1.

A strided stem of 32 channels, thirteen depthwise separable blocks (a 3×3 convolution per channel,
then a 1×1 convolution, each with normalisation and ReLU), a classifier. It is cut where the
resolution changes: fragment 0 is the stem and the blocks down to a quarter of the image's side (128
channels), fragments 1, 2 and 3 are the blocks at an eighth (256), a sixteenth (512) and a 32nd
(1024). The taps are those of mdistiller, after and before the last ReLU of each, and the stem's.
"""

import functools

import flax.linen as nn

from edjax.models import layers
from edjax.types import Map

# The field's code leaves convolutions as PyTorch makes them: uniform, bound 1/sqrt(fan in).
_conv = functools.partial(layers.conv, init=layers.dense_init)

_STAGES = (  # per block: channels, stride
  ((64, 1), (128, 2), (128, 1)),
  ((256, 2), (256, 1)),
  ((512, 2), *((512, 1),) * 5),
  ((1024, 2), (1024, 1)),
)


class SeparableBlock(nn.Module):
  """A depthwise 3×3 and a 1×1 convolution; returns the block's output before its last ReLU."""

  channels: int
  stride: int

  @nn.compact
  def __call__(self, x: Map, norm: layers.Norm) -> Map:
    inputs = x.shape[-1]
    x = _conv(inputs, 3, self.stride, groups=inputs, name="depthwise")(x)
    x = nn.relu(norm(name="depthwise_bn")(x))
    x = _conv(self.channels, 1, name="pointwise")(x)
    return norm(name="pointwise_bn")(x)


class Stage(nn.Module):
  """Separable blocks in a row; with a strided stem before them where `stem` > 0.

  Attributes:
    blocks: (channels, stride) of each.
    stem: channels of a 3×3 convolution of stride 2, normalisation and ReLU in front, 0 for none.
  """

  blocks: tuple[tuple[int, int], ...]
  stem: int = 0

  @nn.compact
  def __call__(self, x: Map, norm: layers.Norm) -> layers.Passed:
    taps = []
    if self.stem:
      taps.append(norm(name="bn")(_conv(self.stem, 3, 2, name="conv")(x)))
      x = nn.relu(taps[-1])
    for number, (channels, stride) in enumerate(self.blocks):
      preactivation = SeparableBlock(channels, stride, name=f"block_{number}")(x, norm)
      x = nn.relu(preactivation)
    taps.append(preactivation)
    return x, tuple(map(nn.relu, taps)), tuple(taps)


def mobilenet() -> layers.Body:
  """Returns the `Body` of MobileNetV1: four fragments, 1024 channels.

  At the lowest grade's resolution a teaching reference of that width costs three times as much as
  the fragment below it; a config can ask for a narrower one.
  """
  first, *others = _STAGES
  return layers.Body(
    fragments=(
      functools.partial(Stage, first, stem=32),
      *(functools.partial(Stage, blocks) for blocks in others),
    ),
    head=layers.Classifier,
    width=1024,
  )
