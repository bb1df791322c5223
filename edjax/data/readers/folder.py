"""Any folder of images, one sub-folder per class; `layouts` says which files are whose."""

import collections
import concurrent.futures
import pathlib
from typing import Any

import numpy as np
from jaxtyping import Integer, UInt8

from edjax.data.photographs import decoding
from edjax.data.readers import layouts
from edjax.data.splits import Split
from edjax.errors import UserError

DEFAULT_SIZE = 32
_LISTED = 8  # so many classes are named in a line


def read(
  directory: pathlib.Path, image_size: int = 0, bad_images: str = "error"
) -> tuple[Split, Split, tuple[str, ...], str]:
  """Reads a folder of images, in one of the layouts of `layouts.find`.

  Classes are the sorted names of their folders. Every image becomes a square of `image_size` pixels
  as `decoding.square` says. There are three channels, unless every image of both splits is plain
  grey (modes 1, L, I and I;16): then one.

  Args:
    image_size: side of the square in pixels; 0 means 32.
    bad_images: "error", or "skip" to leave out at most one in a hundred that cannot be read.

  Returns:
    (train, test, class names, a line about what was read and what was not).

  Raises:
    UserError: as `layouts.find` does; or if an image cannot be read, or no image of a class can.
  """
  (train, test), tally = layouts.find(directory)
  names = tuple(train)
  paths = [path for part in (train, test) for name in names for path in part[name]]
  labels = [label for part in (train, test) for label, name in enumerate(names) for _ in part[name]]
  size = image_size or DEFAULT_SIZE
  refusals = decoding.Refusals(bad_images, len(paths))
  images, all_grey = np.empty((len(paths), size, size, 3), np.uint8), True
  kept: list[int] = []
  with concurrent.futures.ThreadPoolExecutor() as pool:
    found = pool.map(lambda path: _read_or_refuse(path, size), paths)
    for row, (image, reason) in enumerate(found):
      if image is None:
        refusals.add({"file": str(paths[row]), "why": reason})
        continue
      images[len(kept)] = decoding.with_channels(image, 3)
      kept.append(row)
      all_grey = all_grey and image.shape[-1] == 1
  images = np.ascontiguousarray(images[: len(kept), ..., :1]) if all_grey else images[: len(kept)]
  whole = Split(images, np.asarray(labels, np.int32)[kept])
  count = int(np.searchsorted(kept, sum(map(len, train.values()))))
  parts = tuple(
    Split(whole.images[cut], whole.labels[cut]) for cut in (slice(count), slice(count, None))
  )
  why = {row["file"]: row["why"] for row in refusals.rows}
  for split, files in zip(parts, (train, test), strict=True):
    for label in np.flatnonzero(np.bincount(split.labels, minlength=len(names)) == 0):
      first = str(files[names[label]][0])
      raise UserError(
        f"no image of class {names[label]!r} is left: {first} cannot be read ({why[first]}), nor"
        " can any other of that split; replace them or remove the class"
      )
  counts = np.bincount(whole.labels, minlength=len(names))
  line = _line([paths[row] for row in kept], counts, names, tally, refusals.rows, directory)
  return parts[0], parts[1], names, line


def _of_classes(counts: Integer[np.ndarray, " classes"], names: tuple[str, ...]) -> str:
  """Says which classes there are and how many images of each, if they fit in a line."""
  if len(names) > _LISTED:
    return f"{len(names)} classes"
  rows = (f"{name} {count:,}" for name, count in zip(names, counts, strict=True))
  return f"{len(names)} classes: {', '.join(rows)}"


def _line(
  read_from: list[pathlib.Path],
  counts: Integer[np.ndarray, " classes"],
  names: tuple[str, ...],
  tally: layouts.Tally,
  refused: list[dict[str, Any]],
  directory: pathlib.Path,
) -> str:
  """Says what was read, by ending, and what was not and why."""
  kinds = layouts.endings(collections.Counter(path.suffix.lower() for path in read_from))
  said = [f"read {len(read_from):,} images of {_of_classes(counts, names)} ({kinds})"]
  if tally.deeper:
    said.append(f"{tally.deeper:,} of them from folders below a class's own")
  if tally.passed:
    said.append(f"passed over {layouts.endings(tally.passed)}, no images as far as endings tell")
  if tally.astray:
    said.append(f"passed over {tally.astray:,} images outside the folders of classes")
  if refused:
    said.append(decoding.passed_over(refused, directory))
  return "; ".join(said + tally.remarks)


def read_image(path: pathlib.Path, size: int) -> UInt8[np.ndarray, "{size} {size} _"]:
  """Reads one image file as a square of bytes, by the rule of `decoding.square`.

  Args:
    size: side of the square in pixels.

  Returns:
    uint8 [size, size, 1] if the image is plain grey, else [size, size, 3].

  Raises:
    decoding.BadImage: if it cannot be read.
  """
  try:
    content = path.read_bytes()
  except OSError as error:
    raise decoding.BadImage(error.strerror or str(error)) from error
  return decoding.square(content, size)


def _read_or_refuse(
  path: pathlib.Path, size: int
) -> tuple[UInt8[np.ndarray, "{size} {size} _"] | None, str]:
  """Returns (image, ""), or (None, why not)."""
  try:
    return read_image(path, size), ""
  except decoding.BadImage as error:
    return None, str(error)
