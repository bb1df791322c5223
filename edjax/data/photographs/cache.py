"""Photographs decoded once, to squares of bytes in files that a run maps into memory.

A cache is a folder `edjax-<data set>-<size>` beside the archive: `train.npy` and `test.npy` hold
uint8 [n, size, size, 3], grey as three equal channels, `train_labels.npy` and `test_labels.npy` the
labels, and `meta.json`, which is written last, says where all comes from. A folder without it is an
unfinished cache, which the next run continues. Every byte is decided by the archive, the size and
the decoder: not by the number of threads, nor by when preparing was interrupted.
"""

import json
import pathlib
import shutil
from typing import Any

import numpy as np

from edjax.data.photographs import decoding, filling
from edjax.data.splits import Rows, Split
from edjax.errors import UserError
from edjax.progress import Progress
from edjax.storage.files import held


def folder(directory: pathlib.Path, name: str, size: int) -> pathlib.Path:
  """Where the cache of a data set is, under a data directory."""
  return directory / f"edjax-{name.replace(':', '-').replace('/', '-')}-{size}"


def is_ready(place: pathlib.Path) -> bool:
  """Whether a folder is a finished cache."""
  return (place / "meta.json").is_file()


def meta(place: pathlib.Path) -> dict[str, Any]:
  """Returns what meta.json of a finished cache says."""
  return json.loads((place / "meta.json").read_text())


def read(place: pathlib.Path) -> tuple[Split, Split, tuple[str, ...]]:
  """Maps a finished cache.

  Returns:
    (train, test, class names); the images are read when they are asked for.

  Raises:
    UserError: if it is damaged or of another version.
  """
  advice = f"remove {place} and prepare the data set again"
  try:
    stated = meta(place)
    if stated["format"] != filling.FORMAT:
      raise UserError(
        f"{place} is a cache of format {stated['format']}, not {filling.FORMAT}; {advice}"
      )
    splits = [_map_part(place, part, stated) for part in filling.PARTS]
    return splits[0], splits[1], tuple(stated["class_names"])
  except (OSError, ValueError, KeyError, TypeError) as error:
    if isinstance(error, UserError):
      raise
    raise UserError(f"{place}: cannot be read ({error}); {advice}") from error


def prepare(
  place: pathlib.Path,
  source: filling.Source,
  size: int,
  *,
  bad_images: str = "error",
  decoder: str = "",
  progress: Progress | None = None,
) -> dict[str, Any]:
  """Makes a cache, or continues one that was interrupted.

  Args:
    place: the folder, from `folder`.
    size: side of the squares in pixels.
    bad_images: a key of `decoding.POLICIES`. What was passed over stays so in a later run.
    decoder: a key of `decoding.DECODERS`; "" is the fastest that is installed.
    progress: None for silence.

  Returns:
    What is in meta.json.

  Raises:
    UserError: naming the image that cannot be read, or if the disk is full.
  """
  decoder = decoder or decoding.best()
  decoding.check(decoder)
  try:
    place.mkdir(parents=True, exist_ok=True)
    # Of several processes one prepares and the others wait for it.
    waiting = f"waiting for the process that prepares {place}"
    with held(place / "lock", progress.line if progress else lambda text: None, waiting):
      if not is_ready(place):
        filling.fill(place, source, size, bad_images, decoder, progress)
      return meta(place)
  except OSError as error:
    needed = sum(map(len, source.labels.values())) * size * size * 3
    raise UserError(
      f"cannot write {place}: {error.strerror or error}; {source.name} at {size} pixels takes"
      f" {needed / 1e9:.2f} GB there, of which {shutil.disk_usage(place.parent).free / 1e9:.2f} GB"
      " are free; what is written is kept: put that right and give the same command again"
    ) from error


def _map_part(place: pathlib.Path, part: str, stated: dict[str, Any]) -> Split:
  images = np.load(place / f"{part}.npy", mmap_mode="r")
  labels = np.load(place / f"{part}_labels.npy")
  if images.shape != (len(labels), stated["size"], stated["size"], 3):
    raise ValueError(f"{part}.npy is {images.shape} and there are {len(labels)} labels")
  left_out = [row["row"] for row in stated["skipped"] if row["part"] == part]
  kept = np.delete(np.arange(len(labels)), left_out)
  return Split(Rows(images, kept), labels[kept])
