"""ShuffleNet V1 (Zhang et al. 2018, arXiv:1707.01083) and V2 (Ma et al. 2018, arXiv:1807.11164).

Three stages that halve the map, each a down unit and plain units. Fragment 0 is stem and stage 1,
fragments 1 and 2 are stages 2 and 3. Maps of 32×32 images are 32, 16, 8 and 4 wide, maps of 224×224
images 112, 28, 14 and 7; any image size and number of channels will do.

The small-image networks are those of the distillation literature (Tian et al. 2020,
arXiv:1910.10699), whose checkpoints follow code that leaves the papers in four places: the stem is
a 1×1 convolution without max pooling; V1 has a ReLU after its depthwise convolution as well; the
bottleneck of a V1 down unit is a quarter of the channels it adds, not of those it ends with; the
very first V1 unit, whose first convolution is not grouped, does not shuffle. Convolutions start as
PyTorch's do, uniform up to 1/sqrt(fan in). V2 shuffles after its last ReLU, so the channels of the
two taps of a stage stand in different orders, and in the preactivation the half that only passes
through the last unit is rectified already. All of that is as in the field; only the preactivation
of the stem, which the field rectifies too, is here before its ReLU, as in edjax's other families.
"""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from edjax.models import layers
from edjax.models.cut import Blocks
from edjax.models.pooling import edged
from edjax.types import Map

STEM = 24  # channels
UNITS = (4, 8, 4)  # per stage, the down unit included
WIDE = 1024  # channels that V2 pools

_conv = functools.partial(layers.conv, init=layers.dense_init)


class UnitV1(nn.Module):
  """Grouped 1×1, shuffle, depthwise 3×3, grouped 1×1, and a shortcut.

  A down unit concatenates the average-pooled input, so that `channels` is what comes out of both.
  """

  channels: int
  stride: int
  groups: int

  @nn.compact
  def __call__(self, x: Map, norm: layers.Norm) -> tuple[Map, Map]:
    down = self.stride == 2
    outer = self.channels - x.shape[-1] if down else self.channels
    groups = 1 if x.shape[-1] == STEM else self.groups  # too few channels to be worth dividing
    y = _conv(outer // 4, 1, groups=groups, name="conv1")(x)
    y = shuffle(nn.relu(norm(name="bn1")(y)), groups)
    y = _conv(outer // 4, 3, self.stride, groups=outer // 4, name="conv2")(y)
    y = nn.relu(norm(name="bn2")(y))
    y = norm(name="bn3")(_conv(outer, 1, groups=self.groups, name="conv3")(y))
    if down:
      x = nn.avg_pool(edged(x), window_shape=(3, 3), strides=(2, 2))  # zeros count
      preactivation = jnp.concatenate([y, x], axis=-1)
    else:
      preactivation = x + y
    return nn.relu(preactivation), preactivation


class UnitV2(nn.Module):
  """1×1, depthwise 3×3, 1×1 on the right half of the channels; the left half passes; shuffle.

  In a down unit both sides see the whole input, and the left side is depthwise 3×3, 1×1.
  """

  channels: int
  stride: int

  @nn.compact
  def __call__(self, x: Map, norm: layers.Norm) -> tuple[Map, Map]:
    half = self.channels // 2
    if self.stride == 2:
      left = _conv(x.shape[-1], 3, 2, groups=x.shape[-1], name="left_conv1")(x)
      left = _conv(half, 1, name="left_conv2")(norm(name="left_bn1")(left))
      left = nn.relu(norm(name="left_bn2")(left))
    else:
      left, x = jnp.split(x, 2, axis=-1)
    y = nn.relu(norm(name="right_bn1")(_conv(half, 1, name="right_conv1")(x)))
    y = _conv(half, 3, self.stride, groups=half, name="right_conv2")(y)
    y = _conv(half, 1, name="right_conv3")(norm(name="right_bn2")(y))
    y = norm(name="right_bn3")(y)
    out = shuffle(jnp.concatenate([left, nn.relu(y)], axis=-1), 2)
    return out, jnp.concatenate([left, y], axis=-1)


class Stage(nn.Module):
  """A down unit and plain ones, `units` in all, and a stem before them where `stem` > 0.

  Attributes:
    unit: maker of a unit, called with `channels`, `stride` and `name`.
    channels: of the output.
    units: how many.
    stem: side of the stem's convolution, 0 for none; 1 keeps the size, 3 halves it and then again
      by max pooling.
  """

  unit: Callable[..., nn.Module]
  channels: int
  units: int
  stem: int = 0

  @nn.compact
  def __call__(self, x: Map, norm: layers.Norm) -> layers.Passed:
    features: tuple[Map, ...] = ()
    preactivations: tuple[Map, ...] = ()
    if self.stem:
      x = _conv(STEM, self.stem, 1 if self.stem == 1 else 2, name="conv")(x)
      preactivations = (norm(name="bn")(x),)
      x = nn.relu(preactivations[0])
      features = (x,)
    if self.stem > 1:
      x = nn.max_pool(edged(x), window_shape=(3, 3), strides=(2, 2))
    for number in range(self.units):
      unit = self.unit(channels=self.channels, stride=1 if number else 2, name=f"unit_{number}")
      x, preactivation = unit(x, norm)
    return x, (*features, x), (*preactivations, preactivation)


class HeadV2(nn.Module):
  """1×1 convolution to 1024 channels, normalisation, ReLU, average pooling, dense layer."""

  num_classes: int

  @nn.compact
  def __call__(self, x: Map, norm: layers.Norm) -> layers.Answer:
    x = nn.relu(norm(name="bn")(_conv(WIDE, 1, name="conv")(x)))
    embedding = x.mean(axis=(1, 2))
    return embedding, layers.dense(embedding, self.num_classes), ()


def shuffle(
  x: Float[Array, "batch height width channels"], groups: int
) -> Float[Array, "batch height width channels"]:
  """Deals the channels of `groups` groups out in turn: first those that come first in each."""
  return x.reshape(*x.shape[:3], groups, -1).swapaxes(3, 4).reshape(x.shape)


def shufflenetv1(groups: int, widths: tuple[int, int, int]) -> layers.Body:
  """Returns the `Body` of a small-image ShuffleNet V1.

  Args:
    groups: of the 1×1 convolutions.
    widths: channels of the three stages.
  """

  def shallow(most: int) -> tuple[Callable[..., nn.Module], ...]:
    return _stages(functools.partial(UnitV1, groups=groups), widths, 1, most)

  return layers.Body(
    fragments=shallow(max(UNITS)),
    head=layers.Classifier,
    width=widths[-1],
    blocks=Blocks(UNITS, shallow, ends=("bn3",), name="unit"),
  )


def shufflenetv2(widths: tuple[int, int, int], stem: int = 1) -> layers.Body:
  """Returns the `Body` of a ShuffleNet V2 whose head widens the map to 1024 channels.

  Its `width` is that of the highest fragment's map, not of the embedding: a teaching reference
  stands in for the fragments above, and what widens their map belongs to the head. Besides, a 1×1
  convolution to 1024 channels would be four times as large as fragment 0 under it.

  Args:
    widths: channels of the three stages.
    stem: 1 for small images, 3 for ImageNet's (see `Stage`).
  """
  return layers.Body(_stages(UnitV2, widths, stem, max(UNITS)), HeadV2, widths[-1])


def _stages(
  unit: Callable[..., nn.Module], widths: tuple[int, int, int], stem: int, most: int
) -> tuple[Callable[..., nn.Module], ...]:
  first, *others = (
    functools.partial(Stage, unit, width, min(units, most))
    for width, units in zip(widths, UNITS, strict=True)
  )
  return (functools.partial(first, stem=stem), *others)
