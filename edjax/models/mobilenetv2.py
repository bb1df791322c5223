"""MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381), without dropout.

A strided stem, seven stages of inverted residuals, a 1×1 convolution to 1280 channels, a
classifier. Two forms: the paper's for ImageNet at width 1 (published training drops 20 % of the
embedding), and the student of the distillation literature for images of 32×32 (Tian et al. 2020,
arXiv:1910.10699): half as wide, ReLU in place of ReLU6, no stride in stage 1, and a 1×1 convolution
even in the block whose expansion is 1.

Fragment 0 is the stem and stages 0 and 1, fragment 1 is stage 2, fragment 2 is stages 3 and 4,
fragment 3 is stages 5 and 6. Stages end in a linear convolution, so the tap after a fragment is its
raw output, once as feature and once as preactivation. The convolution to 1280 channels belongs to
the head. `Body.width` is that of the last fragment's output instead: a teaching reference of 1280
channels at the lowest grade's resolution would cost more than that grade's fragment.
"""

import functools
from collections.abc import Callable, Sequence

import flax.linen as nn
from jax import Array
from jax.nn.initializers import Initializer

from edjax.models import layers
from edjax.models.cut import Blocks
from edjax.types import Map

_IMAGENET = (  # channels, blocks, stride of the first block, expansion
  (16, 1, 1, None),
  (24, 2, 2, 6),
  (32, 3, 2, 6),
  (64, 4, 2, 6),
  (96, 3, 1, 6),
  (160, 3, 2, 6),
  (320, 1, 1, 6),
)
_HALF = (
  (8, 1, 1, 1),
  (12, 2, 1, 6),
  (16, 3, 2, 6),
  (32, 4, 2, 6),
  (48, 3, 1, 6),
  (80, 3, 2, 6),
  (160, 1, 1, 6),
)
_CUTS = ((0, 2), (2, 3), (3, 5), (5, 7))  # stages of each fragment, from and up to


class InvertedResidual(nn.Module):
  """A 1×1 expansion, a depthwise and a linear 1×1 convolution.

  The input is added where the shape stays.

  Attributes:
    channels: of the output.
    stride: of the depthwise convolution.
    expansion: its channels as a multiple of the input's; `None` leaves the first convolution out.
    activation: after the first two normalisations.
    size: of the depthwise convolution's kernel.
    same: whether it is padded as TensorFlow does, see `layers.conv`.
  """

  channels: int
  stride: int
  expansion: int | None
  activation: Callable[[Array], Array]
  size: int = 3
  same: bool = False

  @nn.compact
  def __call__(self, x: Map, norm: layers.Norm) -> Map:
    y, inputs = x, x.shape[-1]
    if self.expansion is not None:
      y = layers.conv(inputs * self.expansion, 1, name="expand")(y)
      y = self.activation(norm(name="expand_bn")(y))
    middle = y.shape[-1]
    y = layers.conv(
      middle, self.size, self.stride, groups=middle, same=self.same, name="depthwise"
    )(y)
    y = self.activation(norm(name="depthwise_bn")(y))
    y = norm(name="project_bn")(layers.conv(self.channels, 1, name="project")(y))
    return x + y if self.stride == 1 and inputs == self.channels else y


class Fragment(nn.Module):
  """Stages of blocks that end without an activation; a stem before them where `stem` > 0.

  Attributes:
    stages: per stage, makers of its blocks, which are called as `block(x, norm)`.
    first: number of the first stage within the network.
    activation: the stem's.
    stem: channels of a 3×3 convolution of stride 2 in front, 0 for none.
    same: whether that is padded as TensorFlow does, see `layers.conv`.
  """

  stages: tuple[tuple[Callable[..., nn.Module], ...], ...]
  first: int
  activation: Callable[[Array], Array]
  stem: int = 0
  same: bool = False

  @nn.compact
  def __call__(self, x: Map, norm: layers.Norm) -> layers.Passed:
    features: tuple[Map, ...] = ()
    preactivations: tuple[Map, ...] = ()
    if self.stem:
      x = norm(name="bn")(layers.conv(self.stem, 3, 2, same=self.same, name="conv")(x))
      preactivations = (x,)
      x = self.activation(x)
      features = (x,)
    for stage, blocks in enumerate(self.stages, self.first):
      for number, block in enumerate(blocks):
        x = block(name=f"stage_{stage}_block_{number}")(x, norm)
    return x, (*features, x), (*preactivations, x)


class Head(nn.Module):
  """A 1×1 convolution to 1280 channels, normalisation, activation, average pooling, classifier."""

  num_classes: int
  activation: Callable[[Array], Array]
  dense_init: Initializer = nn.initializers.normal(0.01)

  @nn.compact
  def __call__(self, x: Map, norm: layers.Norm) -> layers.Answer:
    x = norm(name="bn")(layers.conv(1280, 1, name="conv")(x))
    embedding = self.activation(x).mean(axis=(1, 2))
    zeros = nn.initializers.zeros_init()
    return embedding, layers.dense(embedding, self.num_classes, self.dense_init, zeros), ()


def assemble(
  stages: tuple[tuple[Callable[..., nn.Module], ...], ...],
  stem: int,
  head: Callable[..., nn.Module],
  activation: Callable[[Array], Array],
  width: int,
  same: bool = False,
  epsilon: float = 1e-5,
) -> layers.Body:
  """Returns the `Body` of seven stages in four fragments; EfficientNet is cut the same way.

  Args:
    stages: per stage, makers of its blocks.
    stem: channels of the stem.
    head: maker of the head.
    activation: the stem's.
    width: channels of the last stage, and so of a teaching reference.
    same: whether the stem is padded as TensorFlow does.
    epsilon: of normalisations.
  """

  def shallow(most: int) -> tuple[Callable[..., nn.Module], ...]:
    present = tuple(blocks[:most] for blocks in stages)
    return tuple(
      functools.partial(Fragment, present[first:end], first, activation, 0 if first else stem, same)
      for first, end in _CUTS
    )

  counts = tuple(map(len, stages))
  return layers.Body(
    fragments=shallow(max(counts)),
    head=head,
    width=width,
    blocks=Blocks(counts, shallow, ends=("project_bn",)),
    epsilon=epsilon,
  )


def mobilenetv2() -> layers.Body:
  """Returns the `Body` of MobileNetV2 for ImageNet, width 1."""
  return _body(_IMAGENET, 32, nn.relu6)


def mobilenetv2_half() -> layers.Body:
  """Returns the `Body` of the half as wide MobileNetV2 of the distillation literature."""
  return _body(_HALF, 16, nn.relu)


def _body(
  rows: Sequence[tuple[int, int, int, int | None]], stem: int, activation: Callable[[Array], Array]
) -> layers.Body:
  stages = tuple(
    tuple(
      functools.partial(InvertedResidual, channels, 1 if number else stride, expansion, activation)
      for number in range(blocks)
    )
    for channels, blocks, stride, expansion in rows
  )
  head = functools.partial(Head, activation=activation)
  return assemble(stages, stem, head, activation, width=rows[-1][0])
