"""Networks for light curves: CIFAR ResNets whose kernels are one pixel high. edjax's own.

A light curve is an image of height one, [batch, 1, places, channels]: time runs along the width,
views and scalars are channels. Two thirds of a 3×3 kernel would see nothing but padding there, so
all kernels are 1×5, and every stage halves the places. A dip is short: the head keeps of every
channel its mean and its largest value, one beside the other.
"""

import flax.linen as nn
import jax.numpy as jnp

from edjax.models import layers
from edjax.models.pooling import largest
from edjax.models.resnet import staged
from edjax.types import Map

KERNEL = (1, 5)


class MeanMax(nn.Module):
  """Global average and maximum pooling, beside each other, and one dense layer.

  Attributes:
    num_classes: columns of the logits.
  """

  num_classes: int

  @nn.compact
  def __call__(self, x: Map, norm: layers.Norm) -> layers.Answer:
    embedding = jnp.concatenate([x.mean(axis=(1, 2)), largest(x)], axis=-1)
    return embedding, layers.dense(embedding, self.num_classes), ()


def curve(widths: tuple[int, int, int, int], blocks: int = 1) -> layers.Body:
  """Returns the `Body` of a network for light curves.

  Args:
    widths: channels of the stem and of the three stages; the embedding is twice as wide.
    blocks: of every stage.
  """
  return staged(
    widths, blocks, strides=((1, 2),) * 3, head=MeanMax, width=2 * widths[-1], kernel=KERNEL
  )
