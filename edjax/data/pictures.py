"""Pictures of any kind and size, brought in as those that a network has learnt from.

Files are read as a folder of images is (`readers.folder`), so that what is said of a picture here
is what is said of it in an exam.
"""

import os
import pathlib

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from edjax.data.photographs import decoding
from edjax.data.readers import folder
from edjax.errors import UserError

# A file's path, an image of Pillow's, or bytes [height, width] or [height, width, channels].
Picture = str | os.PathLike[str] | Image.Image | np.ndarray


def bring_in(
  picture: Picture, shape: tuple[int, int, int]
) -> UInt8[np.ndarray, "height width channels"]:
  """Returns a picture in the shape that a network takes.

  An array that has it stays as it is. All else becomes a square by the rule of `decoding.square`,
  and gets the network's channels by that of `decoding.with_channels`.

  Args:
    picture: a `Picture`.
    shape: (height, width, channels).

  Raises:
    decoding.BadImage: if it cannot be read.
    UserError: for an array of other things than bytes, or a network that takes no squares.
  """
  if isinstance(picture, np.ndarray):
    picture = picture[..., None] if picture.ndim == 2 else picture
    if picture.dtype == np.uint8 and picture.shape == shape:
      return picture
  height, width, channels = shape
  if height != width:
    raise UserError(
      f"this network takes images of {height}x{width} pixels, and pictures are brought to squares "
      f"only; give bytes (uint8) [{height}, {width}, {channels}]"
    )
  return decoding.with_channels(_square(picture, height), channels)


def _square(picture: Picture, size: int) -> UInt8[np.ndarray, "{size} {size} _"]:
  if isinstance(picture, np.ndarray):
    picture = _opened(picture)
  if isinstance(picture, Image.Image):
    return decoding.fitted(picture, size)
  return folder.read_image(pathlib.Path(picture), size)


def _opened(array: np.ndarray) -> Image.Image:
  if array.dtype != np.uint8 or array.ndim != 3 or array.shape[-1] not in (1, 3) or not array.size:
    raise UserError(
      f"a picture is {array.dtype} {list(array.shape)}; give bytes (uint8) [height, width] or "
      "[height, width, 3]"
    )
  return Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)
