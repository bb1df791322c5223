"""VGG networks for small images (Simonyan and Zisserman 2015, arXiv:1409.1556, table 1).

With batch normalisation (arXiv:1502.03167), which makes the convolutions' biases idle, though they
are there, and one dense layer for a classifier, as the distillation literature has them (Tian et
al. 2020, arXiv:1910.10699), without dropout. Five blocks of 3×3 convolutions have 64, 128, 256, 512
and 512 channels; depth 8, the literature's own, has one convolution per block.

Fragment 0 is blocks 0 and 1; fragments 1 to 3 are blocks 2 to 4. Every block is tapped at its last
ReLU, and the 2×2 max-pool that halves the resolution opens the next block. The field's networks
pool before block 4 for images of exactly 64 pixels, so that its map is 4×4 as with 32; here, images
whose shorter side has 64 pixels or more are pooled there, and smaller ones are not.
"""

import functools

import flax.linen as nn

from edjax.models import layers
from edjax.types import Map

WIDTHS = (64, 128, 256, 512, 512)


class Block(nn.Module):
  """3×3 convolutions, each normalised; returns the last one's values before their ReLU."""

  channels: int
  convolutions: int

  @nn.compact
  def __call__(self, x: Map, norm: layers.Norm) -> Map:
    for number in range(self.convolutions):
      x = x if number == 0 else nn.relu(x)
      x = layers.conv(self.channels, 3, bias=True, name=f"conv_{number}")(x)
      x = norm(name=f"bn_{number}")(x)
    return x


class Blocks(nn.Module):
  """A fragment: consecutive blocks, with the max-pools in front of them.

  Attributes:
    first: the first block's number in the whole network.
    convolutions: of each block.

  Raises:
    ValueError: if images of fewer than 8×8 pixels leave nothing to pool.
  """

  first: int
  convolutions: tuple[int, ...]

  @nn.compact
  def __call__(self, x: Map, norm: layers.Norm) -> layers.Passed:
    taps = []
    for number, count in enumerate(self.convolutions, self.first):
      side = min(x.shape[1:3])
      if number in (1, 2, 3) or (number == 4 and side >= 8):
        if side < 2:
          raise ValueError("a VGG network needs images of 8×8 pixels or more")
        x = nn.max_pool(x, window_shape=(2, 2), strides=(2, 2))
      taps.append(Block(WIDTHS[number], count, name=f"block_{number}")(x, norm))
      x = nn.relu(taps[-1])
    return x, tuple(map(nn.relu, taps)), tuple(taps)


def vgg(convolutions: tuple[int, ...]) -> layers.Body:
  """Returns the `Body` of a VGG network.

  Args:
    convolutions: of each of the five blocks; (2, 2, 3, 3, 3) is VGG-16.

  Raises:
    ValueError: if there are not five blocks of one convolution or more.
  """
  if len(convolutions) != len(WIDTHS) or min(convolutions) < 1:
    raise ValueError(f"a VGG network has convolutions in five blocks, not {convolutions}")
  return layers.Body(
    fragments=tuple(
      functools.partial(Blocks, first, convolutions[first:end])
      for first, end in ((0, 2), (2, 3), (3, 4), (4, 5))
    ),
    head=functools.partial(
      layers.Classifier,
      kernel_init=nn.initializers.normal(0.01),
      bias_init=nn.initializers.zeros_init(),
    ),
    width=WIDTHS[-1],
  )
