"""From the bytes of an image file to a square of pixels: one rule for folders and archives.

Two decoders know it. "pillow" is always there. "simplejpeg" (with OpenCV, the extra `[data]`) reads
plain JPEGs about twice as fast, with other rounding; all else it leaves to Pillow. What a cache
was decoded with is written in it.
"""

import contextlib
import importlib.util
import io
import math
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from edjax.errors import UserError, choose

DECODERS = {"pillow": (), "simplejpeg": ("simplejpeg", "cv2")}  # and the modules each needs
POLICIES = {"error": 0.0, "skip": 0.01}  # and the share of the images that may be bad
_NAMED = 3  # so many files that were left out are named
MAX_PIXELS = 89_478_485  # a quarter of a GiB as RGB, where Pillow too begins to warn

_JPEG = b"\xff\xd8"
_COLOURS = {"Gray": "GRAY", "YCbCr": "RGB", "RGB": "RGB"}  # stored, and decoded to
_ORIENTATION = 0x0112
_EXIF_WITHIN = 1 << 17  # the segment stands first, or after others of at most 64 KiB
# What brings an image upright, by its EXIF orientation.
_UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
  2: np.fliplr,
  3: lambda image: np.rot90(image, 2),
  4: np.flipud,
  5: lambda image: image.swapaxes(0, 1),
  6: lambda image: np.rot90(image, -1),
  7: lambda image: np.rot90(image, 2).swapaxes(0, 1),
  8: np.rot90,
}


class BadImage(ValueError):
  """An image that cannot be read; the message says why, but not which."""


class Refusals:
  """What becomes of images that cannot be read: the first is an error, or a few are passed over.

  Attributes:
    rows: what `add` took, in order.
  """

  def __init__(self, policy: str, total: int) -> None:
    """Takes a key of `POLICIES` and how many images there are."""
    self._allowed = math.ceil(choose(POLICIES, policy, "bad_images") * total)
    self._total = total
    self.rows: list[dict[str, Any]] = []

  def add(self, row: dict[str, Any]) -> None:
    """Counts {"file": name, "why": reason, …}; raises UserError if it is one too many."""
    what = f"{row['file']}: cannot be read as an image ({row['why']})"
    if not self._allowed:
      raise UserError(f"{what}; replace or remove it, or pass such files over with bad_images=skip")
    self.rows.append(row)
    if len(self.rows) > self._allowed:
      raise UserError(
        f"{what}; it is one of {len(self.rows)} among {self._total}, more than one in a hundred;"
        " fetch the data again"
      )


def passed_over(refused: Sequence[dict[str, Any]], directory: str | os.PathLike[str] = "") -> str:
  """Says how many images could not be read, and which the first of them are.

  Args:
    refused: rows of `decoding.Refusals`.
    directory: what their files' names need not repeat.
  """
  named = ", ".join(
    f"{row['file'].removeprefix(f'{directory}/')} ({row['why']})" for row in refused[:_NAMED]
  )
  more = f" and {len(refused) - _NAMED:,} more" if len(refused) > _NAMED else ""
  return f"left out {len(refused):,} that cannot be read: {named}{more}"


def best() -> str:
  """Returns the name of the fastest decoder that is installed."""
  return "simplejpeg" if _installed("simplejpeg") else "pillow"


def check(decoder: str) -> None:
  """Raises UserError for a decoder that is unknown or not installed."""
  choose(DECODERS, decoder, "decoder")
  if not _installed(decoder):
    raise UserError(f"the decoder {decoder!r} is not installed: pip install 'edjax[data]'")


def square(
  content: bytes, size: int, decoder: str = "pillow"
) -> UInt8[np.ndarray, "{size} {size} _"]:
  """Decodes one image file to a square of bytes.

  The first frame is turned upright by its EXIF orientation. Its short side is resized to `size` and
  the middle of its long side kept. 16-bit grey is divided by 257, anything transparent is laid on
  white, palettes, CMYK and other colour spaces become RGB.

  A JPEG whose short side is twice `size` or more is decoded at a fraction of its size, as JPEG
  allows, that leaves at least `size`. Then "pillow" resizes by its antialiased bilinear filter;
  "simplejpeg" resizes by OpenCV's plain one, which at less than half still sees nearly every pixel.

  Args:
    content: bytes of the file.
    size: side of the square in pixels.
    decoder: a key of `DECODERS`.

  Returns:
    uint8 [size, size, 1] if the image is plain grey (modes 1, L, I and I;16), else [size, size, 3].

  Raises:
    BadImage: if the file is empty, damaged, no image, or of more than `MAX_PIXELS` pixels.
  """
  if not content:
    raise BadImage("the file is empty")
  if decoder == "simplejpeg" and content.startswith(_JPEG):
    pixels = _decode_jpeg(content, size)
    if pixels is not None:
      return pixels
  with _pillows_errors(content), Image.open(io.BytesIO(content)) as image:
    _check_pixels(*image.size)
    if image.format == "JPEG":
      image.draft(image.mode, (size, size))
    return fitted(image, size)


def fitted(image: Image.Image, size: int) -> UInt8[np.ndarray, "{size} {size} _"]:
  """Returns what `square` does, of an image that Pillow has opened and decodes whole.

  Raises:
    BadImage: if it is damaged, or of more than `MAX_PIXELS` pixels.
  """
  with _pillows_errors():
    _check_pixels(*image.size)
    image.load()
    upright = _to_bytes(_turned(image))
    middle = ImageOps.fit(upright, (size, size), Image.Resampling.BILINEAR)
  return np.asarray(middle).reshape(size, size, -1)


def with_channels(
  image: UInt8[np.ndarray, "height width _"], channels: int
) -> UInt8[np.ndarray, "height width {channels}"]:
  """Returns an image with one channel or three: grey as equal colours, colours as their luma."""
  if image.shape[-1] == channels:
    return image
  if channels == 3:
    return image.repeat(3, axis=-1)
  return np.asarray(Image.fromarray(image).convert("L"))[..., None]  # ITU-R 601


@contextlib.contextmanager
def _pillows_errors(content: bytes = b"") -> Iterator[None]:
  """Makes whatever Pillow raises a `BadImage`, of the file's content if one is read."""
  try:
    yield
  except (BadImage, MemoryError):
    raise
  except Image.UnidentifiedImageError as error:
    raise BadImage(f"no known image format; it begins with {content[:12]!r}") from error
  except Exception as error:  # Pillow's plugins raise nearly any kind for a damaged file.
    raise BadImage(" ".join(str(error).split()) or type(error).__name__) from error


def _installed(decoder: str) -> bool:
  return all(importlib.util.find_spec(module) for module in DECODERS[decoder])


def _check_pixels(width: int, height: int) -> None:
  if width * height > MAX_PIXELS:
    raise BadImage(f"{width}x{height} pixels are more than the limit of {MAX_PIXELS:,}")


def _decode_jpeg(content: bytes, size: int) -> UInt8[np.ndarray, "{size} {size} _"] | None:
  """Returns the middle of a JPEG as [size, size, channels], or None if only Pillow can judge it."""
  import cv2
  import simplejpeg

  try:
    height, width, stored, _ = simplejpeg.decode_jpeg_header(content)
    _check_pixels(width, height)
    if stored not in _COLOURS:
      return None
    pixels = simplejpeg.decode_jpeg(
      content, _COLOURS[stored], min_height=size, min_width=size, min_factor=2
    )
  except BadImage:
    raise
  except ValueError:  # damaged, or merely unusual
    return None
  side = min(pixels.shape[:2])
  top, left = ((length - side) // 2 for length in pixels.shape[:2])
  middle = pixels[top : top + side, left : left + side]
  if side != size:
    middle = cv2.resize(middle, (size, size), interpolation=cv2.INTER_LINEAR)
  return _UPRIGHT.get(_orientation(content), np.asarray)(middle.reshape(size, size, -1))


def _orientation(content: bytes) -> int:
  """Returns the EXIF orientation of a JPEG; one that cannot be read does not spoil an image."""
  if content.find(b"Exif\0\0", 0, _EXIF_WITHIN) < 0:
    return 1
  try:
    with Image.open(io.BytesIO(content)) as image:
      return image.getexif().get(_ORIENTATION, 1)
  except Exception:  # as above
    return 1


def _turned(image: Image.Image) -> Image.Image:
  try:
    return ImageOps.exif_transpose(image)
  except Exception:  # as above
    return image


def _to_bytes(image: Image.Image) -> Image.Image:
  """Returns the image in mode L or RGB."""
  if image.mode.startswith("I"):
    # 16-bit files open as I;16 or, like PGM, as 32-bit I; Pillow's own conversion would clip.
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
      raise BadImage("integer pixels outside 0..65535")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))
  if image.mode == "F":
    raise BadImage("floating-point pixels have no stated range")
  if image.has_transparency_data:
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")
  return image.convert("L" if image.mode in ("1", "L") else "RGB")
