"""Images on the device: uint8 to normalised floats, cropped and flipped inside the step.

What a step draws for an image is settled in two parts, so that views can be told by number: `draw`
is a function of the step's key, and where images have a fixed list of views it only names one of
them; `settle` says which crop that is. Views that can be counted have numbers from 0 on.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float32, Int32, Real, UInt8

from edjax.data.augment import resized
from edjax.data.augment.disturbed import Disturbed
from edjax.data.augment.strong import Strong
from edjax.types import RandomKey, Size

_LIST = 0  # the seed of all lists of views, in every run


@dataclasses.dataclass(frozen=True)
class Augment:
  """How the images of a data set enter a network.

  Attributes:
    mean, std: per channel, of pixels scaled to [0, 1].
    pad: black pixels added on every side before a random crop of the old size; 0: no crop. Where
      images are one pixel high, they are as the ends.
    flip: mirror left and right with probability one half.
    mixup: α of Beta(α, α), from which the share of an image in its mixture with another is drawn,
      once per step; 0: no mixing (Zhang et al. 2018, arXiv:1710.09412).
    randaugment: what is done to a view besides, or None.
    strong: what is done to a second view instead, or None for one view.
    resized: least share of the image's area that a random window shows, which is stretched to the
      image's size, see `resized`; 0: none. Not together with `pad`.
    size: (height, width) to which a view is shrunk after the crop, antialiased; (): as large as the
      images are.
    flat: whether the images are one pixel high, and whether one wide. Along such a side nothing is
      cropped: padding it would make most views black. A single column is not mirrored either.
    crops: how many views an image has, drawn once as functions of the image and their number; 0:
      every view is drawn anew.
  """

  mean: tuple[float, ...]
  std: tuple[float, ...]
  pad: int = 0
  flip: bool = False
  mixup: float = 0.0
  randaugment: Strong | None = None
  strong: Strong | Disturbed | None = None
  resized: float = 0.0
  crops: int = 0
  size: Size = ()
  flat: tuple[bool, bool] = (False, False)

  def by(self, figures: tuple[tuple[float, ...], tuple[float, ...]] | tuple[()]) -> "Augment":
    """The same for a network that has a (mean, std) of its own; () stands for none."""
    return dataclasses.replace(self, mean=figures[0], std=figures[1]) if figures else self

  def at(self, size: Size) -> "Augment":
    """The same for a network that sees views of this size."""
    return self if size == self.size else dataclasses.replace(self, size=size)

  @property
  def pads(self) -> tuple[int, int]:
    """Rows and columns added on either side before a crop."""
    rows, columns = (0 if flat else self.pad for flat in self.flat)
    return rows, columns

  @property
  def flips(self) -> bool:
    """Whether views are mirrored."""
    return self.flip and not self.flat[1]

  @property
  def varies(self) -> bool:
    """Whether an image is not always seen the same."""
    more = self.mixup or self.randaugment is not None or self.strong is not None
    return bool(more) or self.distinct != 1

  @property
  def distinct(self) -> int | None:
    """How many views an image has before `randaugment`, `mixup`, `strong`; None: no end of them."""
    if self.crops or self.resized:
      return self.crops or None
    rows, columns = self.pads
    return (2 * rows + 1) * (2 * columns + 1) * (1 + self.flips)


def shrunk(size: float, shape: tuple[int, ...]) -> Size:
  """Returns the (height, width) of images of `shape` whose longer side is `size`.

  It is in pixels, or below 1 a share of that of `shape`. () where they are that large; `size` 0
  says so, too. A side of one pixel stays one.
  """
  longer = max(shape[:2])
  size = round(size if size >= 1 else size * longer)
  if size in (0, longer):
    return ()
  height, width = (max(1, round(side * size / longer)) for side in shape[:2])
  return height, width


def shape_at(size: Size, shape: tuple[int, ...]) -> tuple[int, ...]:
  """Returns (height, width, channels) of images of `shape` that are shrunk to `size`."""
  return (*(size or shape[:2]), shape[2])


def normalise(
  augment: Augment, images: Real[Array, "batch height width channels"]
) -> Float32[Array, "batch rows columns channels"]:
  """Pixels as a network takes them: shrunk to `augment.size`, float32, by mean and deviation.

  A pixel of a shrunk image is the mean of those under it, weighted by a triangle as wide as two of
  the new pixels.
  """
  if augment.size:
    size = (len(images), *augment.size, images.shape[-1])
    images = jax.image.resize(images.astype(jnp.float32), size, "linear", antialias=True)
  mean, std = (
    jnp.asarray(value, jnp.float32)[None, None, None] for value in (augment.mean, augment.std)
  )
  return (images.astype(jnp.float32) / 255.0 - mean) / std


def draw(augment: Augment, key: RandomKey, count: int) -> Real[Array, "{count} _"]:
  """Draws one view per image.

  Returns:
    [count, n]: a number of the image's list where it has one, int32; of `resized`, float32, with
    mirrored or not last; otherwise row offset, column offset, mirrored or not, int32.
  """
  if augment.crops:
    return jax.random.randint(key, (count, 1), 0, augment.crops)
  return _anew(augment, key, count)


def settle(
  augment: Augment, draws: Real[Array, "batch _"], index: Int32[Array, " batch"]
) -> Real[Array, "batch _"]:
  """Draws as `view` takes them, with the crops that numbers of lists stand for.

  Args:
    draws: from `draw`.
    index: which training image each is for.
  """
  if not augment.crops:
    return draws

  def one(image: Int32[Array, ""], number: Int32[Array, ""]) -> Real[Array, " _"]:
    # Of one kind whatever the run's keys are, as lists must be the same in every run.
    key = jax.random.key(_LIST, impl="threefry2x32")
    return _anew(augment, jax.random.fold_in(jax.random.fold_in(key, image), number), 1)[0]

  return jax.vmap(one)(index, draws[:, 0])


def number(augment: Augment, draws: Int32[Array, "batch _"]) -> Int32[Array, " batch"]:
  """The numbers, int32 [batch] in 0…distinct − 1, of the views that were drawn."""
  if augment.crops:
    return draws[:, 0]
  row, column, mirrored = draws.T
  place = row * (2 * augment.pads[1] + 1) + column
  return 2 * place + mirrored if augment.flips else place


def numbered(augment: Augment, numbers: Int32[Array, " batch"]) -> Int32[Array, "batch _"]:
  """The draws that have these numbers, int32 [batch]."""
  if augment.crops:
    return numbers[:, None]
  place, mirrored = divmod(numbers, 2) if augment.flips else (numbers, jnp.zeros_like(numbers))
  return jnp.stack([*divmod(place, 2 * augment.pads[1] + 1), mirrored], axis=1)


def _anew(augment: Augment, key: RandomKey, count: int) -> Real[Array, "{count} _"]:
  mirrored = jax.random.bernoulli(jax.random.fold_in(key, 1), 0.5, (count, 1)) & augment.flips
  drawn = (
    resized.draw(key, count)
    if augment.resized
    else jax.random.randint(key, (count, 2), 0, 2 * jnp.array([augment.pads]) + 1)
  )
  return jnp.concatenate([drawn, mirrored.astype(drawn.dtype)], axis=1)


def view(
  augment: Augment,
  images: UInt8[Array, "batch height width channels"],
  draws: Real[Array, "batch _"],
) -> Real[Array, "batch height width channels"]:
  """Crops, then mirrors uint8 images [batch, height, width, channels] by settled draws [batch, n].

  Returns:
    Images of the same shape: uint8; with `resized` float32 from 0 to 255.
  """
  height, width, channels = images.shape[1:]
  if augment.resized:
    windows = resized.windows(augment.resized, (height, width), draws[:, :-1])
    cropped = resized.view(images, windows)
    return jnp.where(draws[:, -1, None, None, None] > 0, cropped[:, :, ::-1], cropped)
  rows, columns = augment.pads
  # Black would be a dip at the end of a light curve, as deep as can be.
  mode = "edge" if augment.flat[0] else "constant"
  padded = jnp.pad(images, ((0, 0), (rows, rows), (columns, columns), (0, 0)), mode)

  def one(image: Array, row: Array, column: Array, mirrored: Array) -> Array:
    cropped = jax.lax.dynamic_slice(image, (row, column, 0), (height, width, channels))
    return jnp.where(mirrored, cropped[:, ::-1], cropped)

  return jax.vmap(one)(padded, *draws.T)


def mixture(augment: Augment, key: RandomKey) -> Float32[Array, ""]:
  """Draws the share of an image in its mixture: float32, at least one half, as mixing is mutual."""
  share = jax.random.beta(key, augment.mixup, augment.mixup)
  return jnp.maximum(share, 1 - share)
