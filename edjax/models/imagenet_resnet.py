"""ImageNet ResNets (He et al. 2016, arXiv:1512.03385, table 1), for large and for small images.

Depths 18 and 34 stack basic blocks, 50, 101 and 152 bottlenecks, whose stride is on the 3×3
convolution, not on the paper's first 1×1, as in every published checkpoint of today ("v1.5"). Four
stages of 64, 128, 256 and 512 channels, four times that for bottlenecks. The stem for large images
is 7×7 with stride 2 and a 3×3 max-pool with stride 2; the distillation literature's networks for
CIFAR (Tian et al. 2020, arXiv:1910.10699) keep the resolution by a 3×3 convolution and no pool.

Fragment 0 is stem and stage 1; fragments 1 to 3 are stages 2 to 4. The stem is tapped at its ReLU,
so before the max-pool, as timm and mdistiller do. The last normalisation of a block begins at one,
not at zero as in timm's training; there is no stochastic depth.
"""

import functools
from collections.abc import Callable

import flax.linen as nn

from edjax.models import layers
from edjax.models.cut import Blocks
from edjax.models.pooling import edged
from edjax.models.resnet import BasicBlock
from edjax.types import Map


class Bottleneck(nn.Module):
  """1×1, 3×3, 1×1 convolution and a shortcut; returns the block's output before its last ReLU.

  Attributes:
    channels: of the output, four times those of the 3×3 convolution.
    stride: of the 3×3 convolution and the shortcut.
  """

  channels: int
  stride: int = 1

  @nn.compact
  def __call__(self, x: Map, norm: layers.Norm) -> Map:
    inner = self.channels // 4
    y = nn.relu(norm(name="bn1")(layers.conv(inner, 1, name="conv1")(x)))
    y = nn.relu(norm(name="bn2")(layers.conv(inner, 3, self.stride, name="conv2")(y)))
    y = norm(name="bn3")(layers.conv(self.channels, 1, name="conv3")(y))
    if self.stride != 1 or x.shape[-1] != self.channels:
      x = layers.conv(self.channels, 1, self.stride, name="shortcut_conv")(x)
      x = norm(name="shortcut_bn")(x)
    return x + y


class Stage(nn.Module):
  """`blocks` residual blocks, the first with `stride`; with a stem before them where there is one.

  Attributes:
    block: `BasicBlock` or `Bottleneck`.
    channels: that every block puts out.
    blocks: how many.
    stride: of the first block.
    stem: `large_stem`, `small_stem` or None.
  """

  block: type[BasicBlock] | type[Bottleneck]
  channels: int
  blocks: int
  stride: int = 1
  stem: Callable[..., tuple[Map, Map]] | None = None

  @nn.compact
  def __call__(self, x: Map, norm: layers.Norm) -> layers.Passed:
    taps = []
    if self.stem:
      x, preactivation = self.stem(x, norm)
      taps.append(preactivation)
    for number in range(self.blocks):
      stride = self.stride if number == 0 else 1
      preactivation = self.block(self.channels, stride, name=f"block_{number}")(x, norm)
      x = nn.relu(preactivation)
    taps.append(preactivation)
    return x, tuple(map(nn.relu, taps)), tuple(taps)


def large_stem(x: Map, norm: layers.Norm) -> tuple[Map, Map]:
  """Quarters the resolution; returns what stage 1 sees and the stem before its ReLU."""
  preactivation = norm(name="bn")(layers.conv(64, 7, 2, name="conv")(x))
  x = edged(nn.relu(preactivation))
  x = nn.max_pool(x, window_shape=(3, 3), strides=(2, 2))
  return x, preactivation


def small_stem(x: Map, norm: layers.Norm) -> tuple[Map, Map]:
  """Keeps the resolution; returns what stage 1 sees and the stem before its ReLU."""
  preactivation = norm(name="bn")(layers.conv(64, 3, name="conv")(x))
  return nn.relu(preactivation), preactivation


DEPTHS = {
  18: (BasicBlock, (2, 2, 2, 2)),
  34: (BasicBlock, (3, 4, 6, 3)),
  50: (Bottleneck, (3, 4, 6, 3)),
  101: (Bottleneck, (3, 4, 23, 3)),
  152: (Bottleneck, (3, 8, 36, 3)),
}


def imagenet_resnet(depth: int, small_images: bool = False) -> layers.Body:
  """Returns the `Body` of a ResNet.

  Args:
    depth: 18, 34, 50, 101 or 152.
    small_images: keep the resolution in the stem.

  Raises:
    ValueError: if there is no ResNet of that depth.
  """
  if depth not in DEPTHS:
    raise ValueError(f"an ImageNet ResNet has depth {', '.join(map(str, DEPTHS))}, not {depth}")
  block, blocks = DEPTHS[depth]
  width = 64 if block is BasicBlock else 256
  stem = small_stem if small_images else large_stem

  def shallow(most: int) -> tuple[Callable[..., nn.Module], ...]:
    first, *others = (min(count, most) for count in blocks)
    return (
      functools.partial(Stage, block, width, first, stem=stem),
      *(
        functools.partial(Stage, block, width * 2**number, count, stride=2)
        for number, count in enumerate(others, 1)
      ),
    )

  return layers.Body(
    fragments=shallow(max(blocks)),
    head=layers.Classifier,
    width=width * 8,
    blocks=Blocks(blocks, shallow, ends=("bn2",) if block is BasicBlock else ("bn3",)),
  )
