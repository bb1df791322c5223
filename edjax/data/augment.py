"""Images on the device: uint8 to normalised floats, padded, cropped and flipped inside the step."""

import dataclasses

import jax
import jax.numpy as jnp

from edjax.data.strong import Strong


@dataclasses.dataclass(frozen=True)
class Augment:
  """How the images of a data set enter a network.

  Attributes:
    mean, std: per channel, of pixels scaled to [0, 1].
    pad: black pixels added on every side before a random crop of the old size; 0: no crop.
    flip: mirror left and right with probability one half.
    mixup: α of Beta(α, α), from which the share of an image in its mixture with another is drawn,
      once per step; 0: no mixing (Zhang et al. 2018, arXiv:1710.09412).
    strong: what is done to a second view besides, or None for one view.
  """

  mean: tuple[float, ...]
  std: tuple[float, ...]
  pad: int = 0
  flip: bool = False
  mixup: float = 0.0
  strong: Strong | None = None


def normalise(augment, images):
  """uint8 [batch, height, width, channels] to float32, zero mean and unit variance per channel."""
  mean, std = (
    jnp.asarray(value, jnp.float32)[None, None, None] for value in (augment.mean, augment.std)
  )
  return (images.astype(jnp.float32) / 255.0 - mean) / std


def draw(augment, key, count):
  """Draws one view per image: int32 [count, 3] of row offset, column offset, mirrored or not."""
  offsets = jax.random.randint(key, (count, 2), 0, 2 * augment.pad + 1)
  mirrored = jax.random.bernoulli(jax.random.fold_in(key, 1), 0.5, (count, 1)) & augment.flip
  return jnp.concatenate([offsets, mirrored.astype(jnp.int32)], axis=1)


def view(augment, images, draws):
  """Crops, then mirrors uint8 images [batch, height, width, channels] by draws [batch, 3]."""
  height, width, channels = images.shape[1:]
  pad = augment.pad
  padded = jnp.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0)))

  def one(image, row, column, mirrored):
    cropped = jax.lax.dynamic_slice(image, (row, column, 0), (height, width, channels))
    return jnp.where(mirrored, cropped[:, ::-1], cropped)

  return jax.vmap(one)(padded, *draws.T)


def mixture(augment, key):
  """Draws the share of an image in its mixture: float32, at least one half, as mixing is mutual."""
  share = jax.random.beta(key, augment.mixup, augment.mixup)
  return jnp.maximum(share, 1 - share)
