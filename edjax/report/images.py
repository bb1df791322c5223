"""Images as they are looked at: inside a page that stands alone, or side by side in one picture."""

import base64
import dataclasses
import io
import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw

SMALL = 64  # pixels: an image no larger is shown to the pixel
MOST = 160  # pixels of the longer side of any other
_CELL, _GAP = 96, 4  # pixels: an image side by side with others at least, and between them
_COLOURS = "#0072b2", "#d55e00", "#6e7781"  # of the channels of a curve


@dataclasses.dataclass(frozen=True)
class Sheet:
  """Some training images, and what a grade shows of them.

  Attributes:
    grade: its name.
    originals: uint8 [n, height, width, channels].
    views: of each of them, uint8 [n, views, rows, columns, channels], as large as the student sees
      them.
  """

  grade: str
  originals: UInt8[np.ndarray, "n height width channels"]
  views: UInt8[np.ndarray, "n views rows columns channels"]

  @property
  def rows(self) -> list[list[np.ndarray]]:
    """An image and its views, for each of the images."""
    return [[image, *views] for image, views in zip(self.originals, self.views, strict=True)]


@dataclasses.dataclass(frozen=True)
class Pictures:
  """The images that a page shows beside a report.

  Attributes:
    mistakes: uint8 [n, height, width, channels] of the report's `surest_mistakes`.
    sheets: of what its grades showed.
  """

  mistakes: Sequence[np.ndarray] | np.ndarray = ()
  sheets: Sequence[Sheet] = ()


def inline(image: UInt8[np.ndarray, "height width channels"]) -> str:
  """Returns an image as a data URI: a small one as it is (PNG), others shrunk to `MOST` (JPEG).

  Args:
    image: uint8 [height, width, channels]; three channels are red, green and blue, and of any other
      number the first is shown, in grey. One of height one is drawn as a curve, with all of them.
  """
  picture = _picture(image)
  exact = is_small(image) or _is_curve(image)
  kind, options = ("png", {}) if exact else ("jpeg", {"quality": 85})
  if not exact:
    picture.thumbnail((MOST, MOST), Image.Resampling.LANCZOS)
  file = io.BytesIO()
  picture.save(file, kind, **options)
  return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"


def is_small(image: np.ndarray) -> bool:
  """Says whether an image [height, width, channels] is shown to the pixel."""
  return max(image.shape[:2]) <= SMALL and not _is_curve(image)


def side_by_side(sheets: Sequence[Sheet]) -> Image.Image:
  """Returns sheets as one picture, a row for each image: itself, then its views."""
  rows = [row for sheet in sheets for row in sheet.rows]
  drawn = [[_picture(image) for image in row] for row in rows]
  side = max(_CELL, *(max(row[0].size) for row in drawn))
  step = side + _GAP
  across, down = max(map(len, drawn)) * step - _GAP, len(drawn) * step - _GAP
  whole = Image.new("RGB", (across, down), "white")
  for y, row in enumerate(drawn):
    for x, picture in enumerate(row):
      scale = side / max(picture.size)
      size = max(1, round(scale * picture.width)), max(1, round(scale * picture.height))
      whole.paste(picture.resize(size, Image.Resampling.NEAREST), (x * step, y * step))
  return whole


def _is_curve(image: np.ndarray) -> bool:
  return image.shape[0] == 1 < image.shape[1]


def _picture(image: UInt8[np.ndarray, "height width channels"]) -> Image.Image:
  if _is_curve(image):
    return _curve(image[0])
  return Image.fromarray(image if image.shape[-1] == 3 else image[..., 0])


def _curve(values: UInt8[np.ndarray, "places channels"]) -> Image.Image:
  """Draws what runs along an image of height one, a line for each channel, 255 at the top."""
  width, height = 2 * MOST, MOST
  picture = Image.new("RGB", (width, height), "white")
  along = np.linspace(0, width - 1, len(values))
  for channel, colour in zip(values.T, itertools.cycle(_COLOURS), strict=False):
    points = zip(along, (1 - channel / 255) * (height - 1), strict=True)
    ImageDraw.Draw(picture).line([(float(x), float(y)) for x, y in points], colour, width=2)
  return picture
