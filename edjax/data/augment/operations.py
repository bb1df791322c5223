"""The operations of AutoAugment and RandAugment on one image: whole numbers in, whole numbers out.

Every image is uint8 [height, width, channels], one channel (grey) or three (red, green, blue), of
at most eight million pixels; every function is pure and runs inside `jax.jit` and `jax.vmap` with
its numbers drawn on the device. The definitions are those of the Python Imaging Library, in which
AutoAugment (Cubuk et al. 2019, arXiv:1805.09501) describes its operations. Integer arithmetic makes
all devices agree, and equals Pillow's but for what `auto_contrast` and `blend` say.
"""

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float32, Int32, UInt8, UInt32

SHIFT = 16
Image = UInt8[Array, "height width channels"]
Table = UInt8[Array, "channels 256"]
Counts = UInt32[Array, "channels 256"]

ONE = 1 << SHIFT  # a pixel, in the fixed-point numbers of `warp`


def warp(image: Image, affine: Int32[Array, "6"]) -> Image:
  """Moves pixels: the output at (row, column) is the input under the mapped centre of that pixel.

  The nearest pixel is taken, without interpolation; what comes from outside is black.

  Args:
    image: see above.
    affine: int32 [6], in pixels times `ONE`: (a, b, c, d, e, f), which reads the output at (row y,
      column x) at row (d x + e y + f) / ONE and column (a x + b y + c) / ONE, both rounded down.

  Returns:
    uint8, of the image's shape.
  """
  height, width, channels = image.shape
  x, y = jnp.arange(width)[None], jnp.arange(height)[:, None]
  column, row = ((affine[i] * x + affine[i + 1] * y + affine[i + 2]) >> SHIFT for i in (0, 3))
  inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
  flat = jnp.where(inside, row * width + column, 0)
  moved = image.reshape(-1, channels).at[flat].get(mode="promise_in_bounds")
  return jnp.where(inside[..., None], moved, 0).astype(jnp.uint8)


def look_up(image: Image, table: Table) -> Image:
  """Replaces every value v of channel c by `table[c, v]`, uint8 [channels, 256]."""
  return table.reshape(-1).at[_places(image)].get(mode="promise_in_bounds")


def point_table(bits: Int32[Array, ""], threshold: Int32[Array, ""]) -> UInt8[Array, "256"]:
  """The table of what does not depend on the image: solarised above `threshold`, then posterised.

  Args:
    bits: int32 scalar, how many of the eight bits are kept; 8 leaves all.
    threshold: int32 scalar; values not below it are inverted, none at 256.

  Returns:
    uint8 [256].
  """
  values = jnp.arange(256)
  values = jnp.where(values < threshold, values, 255 - values)
  return (values >> (8 - bits) << (8 - bits)).astype(jnp.uint8)


def histogram(image: Image) -> Counts:
  """How many pixels of every channel have every value: uint32 [channels, 256]."""
  channels = image.shape[-1]
  counts = jnp.zeros(channels * 256, jnp.uint32).at[_places(image).reshape(-1)].add(1)
  return counts.reshape(channels, 256)


def auto_contrast_table(counts: Counts) -> Table:
  """The table that stretches every channel from its darkest and lightest value to 0 and 255.

  Fractions are rounded down. Pillow computes them in floating point, and so gives one grey level
  less in some places where the fraction is a whole number.

  Args:
    counts: a `histogram`.

  Returns:
    uint8 [channels, 256]; the identity for a channel of one value.
  """
  low, high = _ends(counts)
  values = jnp.arange(256, dtype=jnp.uint32)[None]
  inside = jnp.clip(values, low, high)
  stretched = (inside - low) * 255 // jnp.maximum(high - low, 1)
  return jnp.where(high > low, stretched, values).astype(jnp.uint8)


def equalize_table(counts: Counts) -> Table:
  """The table that spreads the values of every channel evenly.

  With n pixels, of which m have the lightest value that occurs, and s = ⌊(n − m) / 255⌋, a value
  becomes ⌊(darker pixels + ⌊s / 2⌋) / s⌋, at most 255.

  Args:
    counts: a `histogram`.

  Returns:
    uint8 [channels, 256]; the identity for a channel where s = 0.
  """
  _, high = _ends(counts)
  upto = jnp.cumsum(counts, axis=1)
  step = (upto[:, -1:] - jnp.take_along_axis(counts, high, axis=1)) // 255
  spread = jnp.minimum((upto - counts + step // 2) // jnp.maximum(step, 1), 255)
  return jnp.where(step > 0, spread, jnp.arange(256)[None]).astype(jnp.uint8)


def _places(image: Image) -> Int32[Array, "height width channels"]:
  """Returns where every value stands in a flat table of [channels, 256]."""
  return jnp.arange(image.shape[-1])[None, None] * 256 + image.astype(jnp.int32)


def _ends(counts: Counts) -> tuple[UInt32[Array, "channels 1"], UInt32[Array, "channels 1"]]:
  """Returns the darkest and the lightest value that occur, uint32 [channels, 1] each."""
  occurs, values = counts > 0, jnp.arange(256, dtype=jnp.uint32)[None]
  return (
    jnp.where(occurs, values, 255).min(axis=1, keepdims=True),
    jnp.where(occurs, values, 0).max(axis=1, keepdims=True),
  )


def grey(image: Image) -> UInt8[Array, "height width 1"]:
  """Luma by ITU-R BT.601, in 1/65536 and rounded: uint8 [height, width, 1]; grey stays as it is."""
  if image.shape[-1] == 1:
    return image
  red, green, blue = jnp.moveaxis(image.astype(jnp.int32), -1, 0)
  luma = (19595 * red + 38470 * green + 7471 * blue + (1 << 15)) >> 16
  return luma[..., None].astype(jnp.uint8)


def mean_grey(image: Image) -> UInt8[Array, ""]:
  """The mean of `grey`, rounded, halves up: a uint8 scalar."""
  values = grey(image).astype(jnp.uint32)
  return ((2 * values.sum() + values.size) // (2 * values.size)).astype(jnp.uint8)


def smooth(image: Image) -> Image:
  """The mean of nine neighbours, the middle counted five times, rounded; the border stays."""
  height, width, _ = image.shape
  if min(height, width) < 3:
    return image
  values = image.astype(jnp.int32)
  rows = values[:-2] + values[1:-1] + values[2:]
  total = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:] + 4 * values[1:-1, 1:-1]
  inner = (2 * total + 13) // 26
  return image.at[1:-1, 1:-1].set(inner.astype(jnp.uint8))


def blend(poor: UInt8[Array, "..."], image: Image, factor: Float32[Array, ""]) -> Image:
  """`poor` at factor 0, the image at 1, beyond it above 1; clipped and rounded down.

  The arithmetic is Pillow's, in single precision; where a processor multiplies and adds in one
  instruction, a result may differ by one grey level.

  Args:
    poor: uint8 that broadcasts to the image.
    image: see above.
    factor: float32 scalar.

  Returns:
    uint8, of the image's shape.
  """
  base = poor.astype(jnp.float32)
  mixed = base + factor * (image.astype(jnp.float32) - base)
  return jnp.clip(mixed, 0, 255).astype(jnp.uint8)
