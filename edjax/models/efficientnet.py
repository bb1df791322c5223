"""EfficientNet-B0 (Tan and Le 2019, arXiv:1905.11946) and Lite0, without dropout and stochastic
depth.

Published training has both: 20 % of the embedding and, rising with depth, up to 20 % of the blocks
are dropped. The network is MobileNetV2's plan with other counts, 5×5 convolutions in some stages,
squeeze-and-excitation in every block and SiLU; paddings are symmetric, as PyTorch's networks have
them. Lite0, for devices that compute in whole numbers, has no squeezing, and ReLU6.

It is cut where MobileNetV2 is (`edjax.models.mobilenetv2`): fragment 0 is the stem and stages 0 and
1, fragment 1 is stage 2, fragment 2 is stages 3 and 4, fragment 3 is stages 5 and 6. Taps and the
teaching reference's width are those of MobileNetV2 too.
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
from jax import Array

from edjax.models import layers, mobilenetv2
from edjax.types import Map

Maker = Callable[..., Any]
_STAGES = (  # channels, blocks, stride of the first block, kernel size, expansion
  (16, 1, 1, 3, 1),
  (24, 2, 2, 3, 6),
  (40, 2, 2, 5, 6),
  (80, 3, 2, 3, 6),
  (112, 3, 1, 5, 6),
  (192, 4, 2, 5, 6),
  (320, 1, 1, 3, 6),
)


class MBConv(nn.Module):
  """An inverted residual with squeeze-and-excitation between the depthwise and the last 1×1.

  Attributes:
    channels: of the output.
    stride: of the depthwise convolution.
    size: of its kernel.
    expansion: its channels as a multiple of the input's; with 1 there is no first convolution.
  """

  channels: int
  stride: int
  size: int
  expansion: int

  @nn.compact
  def __call__(self, x: Map, norm: layers.Norm) -> Map:
    y, inputs = x, x.shape[-1]
    if self.expansion != 1:
      y = nn.silu(norm(name="expand_bn")(layers.conv(inputs * self.expansion, 1, name="expand")(y)))
    middle = y.shape[-1]
    y = layers.conv(middle, self.size, self.stride, groups=middle, name="depthwise")(y)
    y = nn.silu(norm(name="depthwise_bn")(y))
    # A quarter of the block's input, not of the expanded channels.
    gate = y.mean(axis=(1, 2), keepdims=True)
    gate = nn.silu(layers.conv(inputs // 4, 1, bias=True, name="squeeze")(gate))
    y = y * nn.sigmoid(layers.conv(middle, 1, bias=True, name="excite")(gate))
    y = norm(name="project_bn")(layers.conv(self.channels, 1, name="project")(y))
    return x + y if self.stride == 1 and inputs == self.channels else y


def efficientnet() -> layers.Body:
  """Returns the `Body` of EfficientNet-B0."""
  return mobilenetv2.assemble(
    _stages(functools.partial(functools.partial, MBConv)), 32, _head(nn.silu), nn.silu, width=320
  )


def efficientnet_lite() -> layers.Body:
  """Returns the `Body` of EfficientNet-Lite0 (github.com/tensorflow/tpu, efficientnet/lite).

  Paddings and epsilon are TensorFlow's, in which its weights were trained.
  """

  def block(channels: int, stride: int, size: int, expansion: int) -> Callable[..., nn.Module]:
    widened = None if expansion == 1 else expansion
    residual = functools.partial(mobilenetv2.InvertedResidual, size=size, same=True)
    return functools.partial(residual, channels, stride, widened, nn.relu6)

  head = _head(nn.relu6)
  return mobilenetv2.assemble(_stages(block), 32, head, nn.relu6, 320, same=True, epsilon=1e-3)


def _stages(block: Maker) -> tuple[tuple[Maker, ...], ...]:
  """Makers of the blocks of each stage, by `block(channels, stride, size, expansion)`."""
  return tuple(
    tuple(block(channels, 1 if number else stride, size, expansion) for number in range(blocks))
    for channels, blocks, stride, size, expansion in _STAGES
  )


def _head(activation: Callable[[Array], Array]) -> Callable[..., nn.Module]:
  """The maker of a head whose classifier starts uniformly with bound 1/sqrt(its inputs).

  TensorFlow's code has 1/sqrt(classes), which is nearly the same for ImageNet's 1,000. For a dozen
  it is ten times as much: logits then start at several units, and a body that has been trained is
  torn by their gradients.
  """
  return functools.partial(mobilenetv2.Head, activation=activation, dense_init=layers.dense_init)
