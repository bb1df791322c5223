"""Images as they are looked at: inside a page that stands alone, or side by side in one picture."""

import base64
import dataclasses
import io
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image

SMALL = 64  # pixels: an image no larger is shown to the pixel
MOST = 160  # pixels of the longer side of any other
# Pixels, of images side by side: the least of the longer and of the shorter side, and between them.
_LONG, _SHORT, _GAP = 96, 8, 4


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
      number the first is shown, in grey.
  """
  picture = _picture(image)
  kind, options = ("png", {}) if is_small(image) else ("jpeg", {"quality": 85})
  if not is_small(image):
    picture.thumbnail((MOST, MOST), Image.Resampling.LANCZOS)
  file = io.BytesIO()
  picture.save(file, kind, **options)
  return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"


def is_small(image: np.ndarray) -> bool:
  """Says whether an image [height, width, channels] is shown to the pixel."""
  return max(image.shape[:2]) <= SMALL


def side_by_side(sheets: Sequence[Sheet]) -> Image.Image:
  """Returns sheets as one picture, a row for each image: itself, then its views."""
  rows = [row for sheet in sheets for row in sheet.rows]
  side = max(_LONG, *(size for row in rows for size in row[0].shape[:2]))
  across = max(map(len, rows))
  step = side + _GAP
  whole = Image.new("RGB", (across * step - _GAP, len(rows) * step - _GAP), "white")
  for y, row in enumerate(rows):
    for x, image in enumerate(row):
      scale = side / max(image.shape[:2])
      size = tuple(max(_SHORT, round(scale * length)) for length in image.shape[1::-1])
      whole.paste(_picture(image).resize(size, Image.Resampling.NEAREST), (x * step, y * step))
  return whole


def _picture(image: UInt8[np.ndarray, "height width channels"]) -> Image.Image:
  return Image.fromarray(image if image.shape[-1] == 3 else image[..., 0])
