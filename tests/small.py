"""The least network that can go to school, which processes find as "tests.small:SMALL"."""

import functools

import flax.linen as nn

from edjax.models import layers


class Layer(nn.Module):
  """A convolution, a normalisation and a ReLU: the least a fragment can be."""

  channels: int
  stride: int

  @nn.compact
  def __call__(self, x, norm):
    x = norm(name="bn")(layers.conv(self.channels, 3, self.stride, name="conv")(x))
    return nn.relu(x), (nn.relu(x),), (x,)


# Three fragments that compile in a fraction of a second.
SMALL = layers.Body(
  fragments=tuple(
    functools.partial(Layer, channels, stride) for channels, stride in ((4, 2), (6, 1), (8, 2))
  ),
  head=layers.Classifier,
  width=8,
)
