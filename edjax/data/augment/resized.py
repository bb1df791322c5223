"""Random windows of images, stretched to the images' size, on the device.

The usual training view of photographs (Szegedy et al. 2015, arXiv:1409.4842, section 6): a window
of an area that is a uniform share of the image's and of a width by height between 3/4 and 4/3, its
logarithm uniform, anywhere in the image. Of ten windows that are drawn the first that fits is
taken; where none does, the largest in the middle whose width by height is within these bounds.

The pixels are interpolated bilinearly between the centres of pixels inside the window, without
rounding to whole levels. A window is never larger than the view, so there is nothing to smooth
against aliasing. In images one pixel high, or wide, windows are that too, and their length is the
share of the image's. Where images have been cut to squares beforehand, windows are of these
squares.
"""

import math

import jax.numpy as jnp
import jax.random
from jax import Array
from jaxtyping import Float32, Int32, UInt8

from edjax.types import RandomKey

ATTEMPTS = 10
ASPECT = (3 / 4, 4 / 3)


def draw(key: RandomKey, count: int) -> Float32[Array, "{count} 22"]:
  """Draws windows, of any image: float32 [count, 22] in [0, 1)."""
  return jax.random.uniform(key, (count, 2 * ATTEMPTS + 2))


def windows(
  least: float, shape: tuple[int, int], draws: Float32[Array, "count 22"]
) -> Int32[Array, "count 4"]:
  """Where the windows are in an image.

  Args:
    least: share of the area, above 0 and below 1; the largest is 1.
    shape: (height, width).
    draws: from `draw`.

  Returns:
    int32 [count, 4]: top, left, height, width.
  """
  size = jnp.array(shape, jnp.float32)[None, None]
  share, slant, where = jnp.split(draws, (ATTEMPTS, 2 * ATTEMPTS), axis=1)
  area = math.prod(shape) * (least + (1 - least) * share)
  low, high = map(math.log, ASPECT)
  aspect = jnp.exp(low + (high - low) * slant)
  sizes = jnp.round(jnp.sqrt(jnp.stack([area / aspect, area * aspect], axis=-1)))
  if 1 in shape:  # a line, of which a window is a stretch
    length = jnp.maximum(jnp.round(area), 1)
    sizes = jnp.stack([jnp.minimum(length, side) for side in shape], axis=-1)
  fits = ((sizes > 0) & (sizes <= size)).all(-1)
  first = jnp.argmax(fits, axis=1)[:, None, None]
  chosen = jnp.take_along_axis(sizes, first, axis=1)[:, 0]
  room = size[0] - chosen
  corner = jnp.minimum(jnp.floor(where * (room + 1)), room)
  middle = jnp.array(_middle(*shape), jnp.int32)[None]
  found = jnp.concatenate([corner, chosen], axis=1).astype(jnp.int32)
  return jnp.where(fits.any(1)[:, None], found, middle)


def view(
  images: UInt8[Array, "batch height width channels"], windows: Int32[Array, "batch 4"]
) -> Float32[Array, "batch height width channels"]:
  """Stretches windows [batch, 4] of images [batch, height, width, channels] to float32 images."""
  height, width = images.shape[1:3]
  top, left, rows, columns = windows.astype(jnp.float32).T
  # Sums of two products each: exact in float32 but for the weights, on every device.
  tall = jnp.einsum(
    "bip,bpwc->biwc", _weights(height, top, rows), images.astype(jnp.float32), precision="highest"
  )
  return jnp.einsum("bjp,bipc->bijc", _weights(width, left, columns), tall, precision="highest")


def _weights(
  size: int, start: Float32[Array, " batch"], length: Float32[Array, " batch"]
) -> Float32[Array, "batch {size} {size}"]:
  """What each of `size` pixels takes of the image's: [batch, size, size], rows summing to 1."""
  pixels = jnp.arange(size, dtype=jnp.float32)[None]
  at = (pixels + 0.5) * (length / size)[:, None] - 0.5
  at = jnp.clip(at, 0, length[:, None] - 1)
  distance = at[:, :, None] - (pixels - start[:, None])[:, None]
  return jnp.maximum(1 - jnp.abs(distance), 0)


def _middle(height: int, width: int) -> tuple[int, int, int, int]:
  low, high = ASPECT
  rows, columns = min(height, round(width / low)), min(width, round(height * high))
  return (height - rows) // 2, (width - columns) // 2, rows, columns
