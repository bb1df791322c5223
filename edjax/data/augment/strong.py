"""The strong view of images: RandAugment, then cutout, on the device and inside the step.

RandAugment (Cubuk et al. 2020, arXiv:1909.13719) applies a few operations in turn, each chosen
uniformly from a list of `policies` (the same one may come twice). Rotating, shearing and
translating take the nearest pixel, without interpolation, and uncover black.

Cutout (DeVries & Taylor 2017, arXiv:1708.04552) then paints one square whose centre may be any
pixel, so that it may reach over the border and lose a part.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float32, Int32, UInt8

from edjax.data.augment import operations, policies
from edjax.errors import UserError
from edjax.types import RandomKey


@dataclasses.dataclass(frozen=True)
class Strong:
  """What a strong view does.

  Attributes:
    layers: operations per image, one after the other.
    magnitude: lowest and highest, of 30; a whole number from one to the other is drawn for every
      operation.
    operations: what they are chosen from.
    cutout: shortest and longest side of the painted square in pixels; a whole number from one to
      the other is drawn for every image. (0, 0): no cutout.
    colour: of the square; one value, or three, of which grey images take the luma.

  Raises:
    UserError: if there are fewer than no layers, or a range or a colour is out of bounds.
  """

  layers: int = 2
  magnitude: tuple[int, int] = (10, 10)
  operations: tuple[policies.Operation, ...] = policies.RANDAUGMENT
  cutout: tuple[int, int] = (16, 16)
  colour: tuple[int, ...] = (0,)

  def __post_init__(self) -> None:
    if self.layers < 0:
      raise UserError(f"a strong view cannot have {self.layers} layers; give 0 or more")
    if not 0 <= self.magnitude[0] <= self.magnitude[1] <= policies.SCALE:
      raise UserError(
        f"magnitudes of a strong view are in 0..{policies.SCALE}, lowest first, not"
        f" {self.magnitude}"
      )
    if not 0 <= self.cutout[0] <= self.cutout[1]:
      raise UserError(f"sides of cutout are 0 or more, shortest first, not {self.cutout}")
    if len(self.colour) not in (1, 3) or not all(0 <= value <= 255 for value in self.colour):
      raise UserError(f"a colour is one or three numbers in 0..255, not {self.colour}")


def randaugment(layers: int, magnitude: int) -> Strong:
  """RandAugment(layers, magnitude) as in the paper: every operation has the same magnitude."""
  return Strong(layers, (magnitude, magnitude), policies.RANDAUGMENT, cutout=(0, 0))


# What the published code of Multi-Level Logit Distillation (Jin et al. 2023) does to 32×32 pixels
# under the name of RandAugment(2, 10), but for two things: there, magnitudes are not whole numbers,
# and a square that would begin left of the image or above it is moved inside.
MULTI_LEVEL = Strong(
  magnitude=(0, policies.SCALE),
  operations=policies.FIXMATCH,
  cutout=(1, 16),
  colour=(125, 123, 114),
)


class Draws(NamedTuple):
  """One strong view per image.

  Attributes:
    operation: int32 [count, layers], places in `Strong.operations`.
    magnitude: int32 [count, layers], 0..30.
    mirrored: int32 [count, layers], 0 or 1; without effect on operations that are not mirrored.
    side: int32 [count], of the square, in pixels.
    centre: float32 [count, 2], of the square, in [0, 1) of height and width.
  """

  operation: Int32[Array, "*count layers"]
  magnitude: Int32[Array, "*count layers"]
  mirrored: Int32[Array, "*count layers"]
  side: Int32[Array, "*count"]
  centre: Float32[Array, "*count 2"]


def draw(settings: Strong, key: RandomKey, count: int) -> Draws:
  """Draws one strong view per image: `Draws`, for images of any size."""
  layers = settings.layers
  shares = jax.random.uniform(key, (count, 3 * layers + 3))

  def whole(shares: Float32[Array, "*shape"], low: int, high: int) -> Int32[Array, "*shape"]:
    return low + jnp.floor(shares * (high + 1 - low)).astype(jnp.int32)

  return Draws(
    operation=whole(shares[:, :layers], 0, len(settings.operations) - 1),
    magnitude=whole(shares[:, layers : 2 * layers], *settings.magnitude),
    mirrored=whole(shares[:, 2 * layers : 3 * layers], 0, 1),
    side=whole(shares[:, -3], *settings.cutout),
    centre=shares[:, -2:],
  )


def view(
  settings: Strong, images: UInt8[Array, "batch height width channels"], draws: Draws
) -> UInt8[Array, "batch height width channels"]:
  """Applies `draws` of `settings` to uint8 images [batch, height, width, 1 or 3].

  Returns:
    uint8 of the same shape.

  Raises:
    UserError: if there are neither one nor three channels, or images are light curves.
  """
  height, width, channels = images.shape[1:]
  if height == 1:
    raise UserError(
      "recipe.randaugment is for pictures, and these are one pixel high, as light curves are; "
      "set recipe.randaugment to 0"
    )
  if channels not in (1, 3):
    raise UserError(
      "recipe.views 'two' and recipe.randaugment are for images of one or three channels, and "
      f"these have {channels}; set recipe.views to 'one' and recipe.randaugment to 0"
    )
  table = policies.table(settings.operations, height, width)
  colour = jnp.asarray(settings.colour, jnp.uint8)[None, None]
  if channels == 1:
    colour = operations.grey(colour)

  def one(image: operations.Image, draws: Draws) -> operations.Image:
    def layer(
      image: operations.Image, place: tuple[Array, Array, Array]
    ) -> tuple[operations.Image, None]:
      return _apply(image, jax.tree.map(lambda values: values[place], table)), None

    # A loop, because the compiler would repeat a layer's work for every pixel of the next.
    image, _ = jax.lax.scan(layer, image, (draws.operation, draws.magnitude, draws.mirrored))
    return _cut_out(image, draws.side, draws.centre, colour)

  return jax.vmap(one)(images, draws)


def _apply(image: operations.Image, numbers: policies.Numbers) -> operations.Image:
  """One operation: pixels are moved, their values looked up, and a poorer image is mixed in.

  An operation is one of the three at most; the others are in the program all the same, and do
  nothing. The table and the poorer image are of the image as it came, so that nothing is computed
  again wherever the compiler puts several steps in one loop over pixels.
  """
  table, poor = _table(image, numbers), _poor(image, numbers.kind)
  moved = operations.warp(image, numbers.affine)
  return operations.blend(poor, operations.look_up(moved, table), numbers.factor)


def _table(image: operations.Image, numbers: policies.Numbers) -> UInt8[Array, "_ 256"]:
  """What becomes of every value; one row where all channels are treated alike."""
  counts = operations.histogram(image)
  special = {
    "auto_contrast": operations.auto_contrast_table(counts),
    "equalize": operations.equalize_table(counts),
  }
  plain = operations.point_table(numbers.bits, numbers.threshold)[None]
  return _of_kind(numbers.kind, special, plain)


def _poor(image: operations.Image, kind: Int32[Array, ""]) -> UInt8[Array, "..."]:
  """The image without what the operation enhances: black for brightness."""
  special = {
    "contrast": operations.mean_grey(image),
    "color": operations.grey(image),
    "sharpness": operations.smooth(image),
  }
  return _of_kind(kind, special, jnp.uint8(0))


def _of_kind(kind: Int32[Array, ""], special: dict[str, Array], other: Array) -> Array:
  """Returns what `special` has for a kind of operation, and `other` where it has nothing."""
  for name, value in special.items():
    other = jnp.where(kind == policies.KINDS.index(name), value, other)
  return other


def _cut_out(
  image: operations.Image,
  side: Int32[Array, ""],
  centre: Float32[Array, "2"],
  colour: UInt8[Array, "1 1 _"],
) -> operations.Image:
  """Paints the square: rows and columns from centre − ⌊side / 2⌋ on, `side` of them."""
  height, width, _ = image.shape

  def inside(size: int, share: Float32[Array, ""]) -> Bool[Array, " {size}"]:
    away = jnp.arange(size) - jnp.floor(share * size).astype(jnp.int32) + side // 2
    return (away >= 0) & (away < side)

  square = inside(height, centre[0])[:, None] & inside(width, centre[1])[None]
  return jnp.where(square[..., None], colour, image)
