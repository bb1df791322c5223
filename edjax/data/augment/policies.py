"""Lists of operations that RandAugment chooses from, and what their magnitudes mean.

A magnitude is a whole number in 0..30. At magnitude m an operation's value is
start + (end − start) · m / 30; a mirrored operation has, for half of the images,
start − (end − start) · m / 30 instead.

  operation                  RANDAUGMENT   FIXMATCH      its value
  identity, auto_contrast,   none          none
  equalize
  rotate                     ± 0..30       ± 0..30       degrees counter-clockwise, about the middle
  shear_x, shear_y           ± 0..0.3      ± 0..0.3      pixels per pixel; the first row or column
                                                         stays
  translate_x, translate_y   ± 0..150/331  ± 0..0.3      share of the width or height, to the left
                                                         or up, in whole pixels
  solarize                   256..0        0..256        what is not below it is inverted
  posterize                  8..4          4..8          bits that stay, rounded down
  color, contrast,           1 ± 0..0.9    0.05..0.95    1 leaves the image, 0 takes all colour,
  brightness, sharpness                                  contrast, light or detail away

RANDAUGMENT is the list of 14 in the paper (Cubuk et al. 2020, arXiv:1909.13719) with the ranges of
AutoAugment (Cubuk et al. 2019, arXiv:1805.09501), where 0 means no change for everything that has a
magnitude. Popular implementations differ from it and from one another: scales of 0..10 (the paper's
text, timm); invert, solarize_add or cutout in the list (TensorFlow's, ildoonet's, timm);
solarize and posterize that weaken as the magnitude grows, posterize down to 0 bits, enhancing
factors from 0.1 to 1.9 without mirroring, translations by pixels whatever the size of the image
(TensorFlow's, ildoonet's); posterize rounded to the nearest bits (torchvision); uncovered pixels in
grey (TensorFlow's, timm), interpolated ones (timm).

FIXMATCH is the list of FixMatch (Sohn et al. 2020, arXiv:2001.07685), which draws every magnitude
from the whole range.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float32, Int32

from edjax.data.augment import operations

SCALE = 30
ENHANCING = ("color", "contrast", "brightness", "sharpness")
KINDS = (
  "identity", "auto_contrast", "equalize", "rotate", "shear_x", "shear_y", "translate_x",
  "translate_y", "solarize", "posterize", *ENHANCING,
)  # fmt: skip


class Operation(NamedTuple):
  """One of `KINDS`, its value at magnitudes 0 and `SCALE`, and whether half are mirrored."""

  kind: str
  start: float = 0.0
  end: float = 0.0
  mirrored: bool = False


_CONSTANT = tuple(Operation(kind) for kind in ("identity", "auto_contrast", "equalize"))
_TILTING = (
  Operation("rotate", 0, 30, True),
  Operation("shear_x", 0, 0.3, True),
  Operation("shear_y", 0, 0.3, True),
)
RANDAUGMENT = (
  *_CONSTANT,
  *_TILTING,
  Operation("translate_x", 0, 150 / 331, True),
  Operation("translate_y", 0, 150 / 331, True),
  Operation("solarize", 256, 0),
  Operation("posterize", 8, 4),
  *(Operation(kind, 1, 1.9, True) for kind in ENHANCING),
)
FIXMATCH = (
  *_CONSTANT,
  *_TILTING,
  Operation("translate_x", 0, 0.3, True),
  Operation("translate_y", 0, 0.3, True),
  Operation("solarize", 0, 256),
  Operation("posterize", 4, 8),
  *(Operation(kind, 0.05, 0.95) for kind in ENHANCING),
)


class Numbers(NamedTuple):
  """All that an operation does to an image, as numbers that change nothing where they do not apply.

  Attributes:
    kind: int32, its place in `KINDS`.
    affine: int32 [6], for `operations.warp`.
    bits, threshold: int32, for `operations.point_table`.
    factor: float32, for `operations.blend`.
  """

  kind: Int32[Array, "*table"]
  affine: Int32[Array, "*table 6"]
  bits: Int32[Array, "*table"]
  threshold: Int32[Array, "*table"]
  factor: Float32[Array, "*table"]


def table(chosen: Sequence[Operation], height: int, width: int) -> Numbers:
  """Returns `Numbers` of arrays [operations, 1 + SCALE, 2], the last axis plain and mirrored.

  They are computed here, in double precision, and not in the step: a device's own sines may differ
  in the last digits, which can move a pixel.

  Args:
    chosen: the `Operation`s.
    height, width: of the images, in pixels.
  """
  cells = [
    _numbers(operation, magnitude, mirrored, height, width)
    for operation in chosen
    for magnitude in range(SCALE + 1)
    for mirrored in (False, True)
  ]
  columns = (np.stack(column) for column in zip(*cells, strict=True))
  shape = (len(chosen), SCALE + 1, 2)
  return Numbers(*(jnp.asarray(column.reshape(*shape, *column.shape[1:])) for column in columns))


def _numbers(
  operation: Operation, magnitude: int, mirrored: bool, height: int, width: int
) -> tuple[np.int32, Int32[np.ndarray, "6"], np.int32, np.int32, np.float32]:
  """Returns what `Numbers` holds of one operation, in that order, computed by the host."""
  kind, start, end, mirrors = operation
  change = (end - start) * magnitude / SCALE
  value = start - change if mirrored and mirrors else start + change
  return (
    np.int32(KINDS.index(kind)),
    _affine(kind, value, height, width),
    np.int32(value if kind == "posterize" else 8),
    np.int32(math.ceil(value) if kind == "solarize" else 256),
    np.float32(value if kind in ENHANCING else 1),
  )


def _affine(kind: str, value: float, height: int, width: int) -> Int32[np.ndarray, "6"]:
  a, b, c, d, e, f = 1.0, 0.0, 0.0, 0.0, 1.0, 0.0
  if kind == "rotate":
    cosine, sine = math.cos(math.radians(value)), math.sin(math.radians(value))
    a, b, d, e = cosine, -sine, sine, cosine
    c = (width - cosine * width + sine * height) / 2
    f = (height - sine * width - cosine * height) / 2
  elif kind == "shear_x":
    b = value
  elif kind == "shear_y":
    d = value
  elif kind == "translate_x":
    c = math.floor(value * width + 0.5)
  elif kind == "translate_y":
    f = math.floor(value * height + 0.5)
  # Pixels are read at their centres, half a pixel from the corner that counts as (0, 0).
  rows = np.array([a, b, c + (a + b) / 2, d, e, f + (d + e) / 2])
  return np.floor(rows * operations.ONE + 0.5).astype(np.int32)
