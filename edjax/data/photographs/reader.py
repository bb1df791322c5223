"""Photographs: data sets whose archives hold JPEGs of all sizes, decoded once and then mapped."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Iterator
from typing import Any, cast

import numpy as np

from edjax.data.photographs import archives, cache, decoding, filling, listings
from edjax.data.readers import prepared
from edjax.data.splits import Split
from edjax.errors import UserError, choose
from edjax.progress import Progress

_Index = Callable[[pathlib.Path], listings.Listing]


@dataclasses.dataclass(frozen=True)
class Album:
  """A data set of photographs.

  Attributes:
    archive: a row of `archives.ARCHIVES`; "" if tensorflow-datasets alone has it.
    index: a function of the archive's path that returns a `listings.Listing`.
    size: side in pixels of the squares where nothing else is asked for.
    tfds: its name in tensorflow-datasets; "" if it is not there.
  """

  archive: str = ""
  index: _Index | None = None
  size: int = 160
  tfds: str = ""


# 160 is what Beyer et al. 2022 (arXiv:2106.05237) examine the middle 128 of; 64 is Tiny-ImageNet's.
ALBUMS = {
  "food101": Album("food101", listings.food101, 160, tfds="food101"),
  "caltech256": Album("caltech256", listings.caltech256, 160),
  "caltech256_clutter": Album(
    "caltech256", functools.partial(listings.caltech256, clutter=True), 160
  ),
  "tiny_imagenet": Album("tiny_imagenet", listings.tiny_imagenet, 64),
}


def album(name: str) -> Album:
  """Returns the `Album` of that name: a row of `ALBUMS`, or any that tensorflow-datasets prepared.

  Args:
    name: a key of `ALBUMS`, or "tfds:NAME" for DIR/NAME/VERSION, such as "tfds:oxford_flowers102".
  """
  if name.startswith("tfds:"):
    return Album(tfds=name.removeprefix("tfds:"))
  return choose(ALBUMS, name, "data set of photographs")


def wanted(name: str, source: str = "auto") -> str:
  """Says which files a data set is made of, for an error message."""
  found = album(name)
  ways = {}
  if found.archive:
    ways["files"] = str(archives.ARCHIVES[found.archive])
  if found.tfds:
    ways["tfds"] = prepared.wanted(found.tfds)
  return ways.get(source, "; or ".join(ways.values()))


def read(
  name: str,
  directory: pathlib.Path,
  *,
  image_size: int = 0,
  bad_images: str = "error",
  source: str = "auto",
) -> tuple[Split, Split, tuple[str, ...], str]:
  """Maps the cache of a data set, and prepares it first, saying so, if there is none.

  Args:
    name: as of `album`.
    directory: where the archive and its caches are.
    image_size, bad_images, source: as in `datasets.load`.

  Returns:
    (train, test, class names, a line about images that could not be read or "").

  Raises:
    UserError: as `prepare` does; or if no test image of a class could be read.
  """
  place = cache.folder(directory, name, image_size or album(name).size)
  if not cache.is_ready(place):
    progress = Progress()
    try:
      prepare(name, directory, image_size, bad_images, source=source, progress=progress)
    finally:
      progress.close()
  elif source != "auto" and (source == "tfds") != ("tfds" in cache.meta(place)["source"]):
    raise UserError(f"{place} was not prepared with source={source!r}; remove it, or take 'auto'")
  train, test, names = cache.read(place)
  skipped = cache.meta(place)["skipped"]
  emptied = set(range(len(names))) - set(test.labels.tolist()) if skipped else ()
  for label in emptied:
    raise UserError(
      f"{place} holds no test image of {names[label]!r}: {decoding.passed_over(skipped)}; remove "
      "it, fetch the data again and prepare it anew"
    )
  return train, test, names, decoding.passed_over(skipped, directory) if skipped else ""


def prepare(
  name: str,
  directory: pathlib.Path,
  image_size: int = 0,
  bad_images: str = "error",
  *,
  source: str = "auto",
  decoder: str = "",
  progress: Progress | None = None,
) -> tuple[pathlib.Path, dict[str, Any]]:
  """Decodes photographs to a cache beside their archive, or finishes one that was interrupted.

  Args:
    name: as of `album`.
    directory: where the archive and its caches are.
    image_size, bad_images, source: as in `datasets.load`.
    decoder: a key of `decoding.DECODERS`; "" is the fastest that is installed.
    progress: None for silence.

  Returns:
    (the folder of the cache, what its meta.json says).

  Raises:
    UserError: if the archive is missing or another, or an image cannot be read or written.
  """
  choose(decoding.POLICIES, bad_images, "bad_images")
  if image_size < 0:
    raise UserError(f"the size of the squares is {image_size}; it must be 0 or more pixels")
  size = image_size or album(name).size
  place = cache.folder(directory, name, size)
  if not cache.is_ready(place):
    found = _find(name, directory, source, progress)
    if progress:
      progress.line(f"{name}: decoding its photographs to {size}x{size} pixels in {place}, once")
    cache.prepare(place, found, size, bad_images=bad_images, decoder=decoder, progress=progress)
  cache.read(place)
  return place, cache.meta(place)


def require(name: str, directory: pathlib.Path, image_size: int = 0, source: str = "auto") -> None:
  """Raises UserError, as `read` would, if there is neither a cache nor what it is made of."""
  if not cache.is_ready(cache.folder(directory, name, image_size or album(name).size)):
    _locate(name, directory, source)


def _locate(
  name: str, directory: pathlib.Path, source: str
) -> tuple[pathlib.Path, None] | tuple[None, pathlib.Path]:
  """Returns (path of the archive, None), or (None, folder that tensorflow-datasets prepared)."""
  found = album(name)
  missing = found.tfds
  if found.archive and source != "tfds":
    missing = archives.ARCHIVES[found.archive].name
    if (directory / missing).exists():
      return directory / missing, None
  version = prepared.find(directory, found.tfds) if found.tfds and source != "files" else None
  if version is None:
    unpacked = next((p for p in _unpacked(directory, found) if p.is_dir()), None)
    seen = f"; {unpacked} seems to be unpacked from it, but is not read" if unpacked else ""
    if found.tfds and any(directory.glob(f"{found.tfds}/*/*.tfrecord*")):
      seen = "; what is there are TFRecord files, which only TensorFlow reads"
    raise UserError(
      f"dataset {name!r}: no {directory / missing}{seen}; wanted in {directory}:"
      f" {wanted(name, source)}; nothing is downloaded"
    )
  return None, version


def _unpacked(directory: pathlib.Path, found: Album) -> list[pathlib.Path]:
  """Where unpacking an archive would have put it."""
  if not found.archive:
    return []
  folder = archives.ARCHIVES[found.archive].name.split(".")[0]
  here = directory.absolute()
  return [directory / folder, *([here] if here.name == folder else [])]


def _find(
  name: str, directory: pathlib.Path, source: str, progress: Progress | None
) -> filling.Source:
  """Returns the `filling.Source`, from the archive or what tensorflow-datasets prepared."""
  path, version = _locate(name, directory, source)
  if version:
    return prepared.photographs(version, name)
  found = album(name)
  path, index = cast(pathlib.Path, path), cast(_Index, found.index)  # what has one has both
  return _source(name, path, archives.ARCHIVES[found.archive], index, progress)


def _source(
  name: str,
  path: pathlib.Path,
  archive: archives.Archive,
  index: _Index,
  progress: Progress | None,
) -> filling.Source:
  """Verifies an archive and lists it as a `filling.Source`."""

  def show(done: int, total: int) -> None:
    if progress:
      progress.update(
        label=f"verifying {archive.name}", epoch=None, epochs=None, step=done, steps=total
      )

  archives.verify(path, archive, show)
  if progress:
    progress.line(f"{archive.name} is the published one; reading which images it holds")
  listing = index(path)
  rows = {
    file: (part, row)
    for part, files in listing.files.items()
    for row, (file, _) in enumerate(files)
  }
  labels = {
    part: np.array([label for _, label in files], np.int32) for part, files in listing.files.items()
  }

  def contents(start: int) -> Iterator[filling.Content]:
    for file, content in archives.contents(path, rows, start):
      yield rows[file], f"{path}:{file}", content

  origin = {"archive": archive.name, "bytes": archive.size, "md5": archive.md5}
  return filling.Source(name, origin, listing.class_names, labels, contents)
