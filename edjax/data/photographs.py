"""Photographs: data sets whose archives hold JPEGs of all sizes, decoded once and then mapped."""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np

from edjax import metrics
from edjax.data import archives, cache, decode, filling, listings, prepared
from edjax.errors import UserError, choose


@dataclasses.dataclass(frozen=True)
class Album:
  """A data set of photographs.

  Attributes:
    archive: a row of `archives.ARCHIVES`.
    index: a function of the archive's path that returns a `listings.Listing`.
    size: side in pixels of the squares where nothing else is asked for.
    tfds: whether tensorflow-datasets has it under the same name.
  """

  archive: str
  index: Callable
  size: int
  tfds: bool = False


# 160 is what Beyer et al. 2022 (arXiv:2106.05237) examine the middle 128 of; 64 is Tiny-ImageNet's.
ALBUMS = {
  "food101": Album("food101", listings.food101, 160, tfds=True),
  "caltech256": Album("caltech256", listings.caltech256, 160),
  "caltech256_clutter": Album(
    "caltech256", functools.partial(listings.caltech256, clutter=True), 160
  ),
  "tiny_imagenet": Album("tiny_imagenet", listings.tiny_imagenet, 64),
}


def read(name, directory, *, image_size=0, bad_images="error", source="auto"):
  """Maps the cache of a data set, and prepares it first, saying so, if there is none.

  Args:
    name: a key of `ALBUMS`.
    directory: a pathlib.Path, where the archive and its caches are.
    image_size, bad_images, source: as in `datasets.load`.

  Returns:
    (train, test, class names).

  Raises:
    UserError: as `prepare` does.
  """
  place = cache.folder(directory, name, image_size or ALBUMS[name].size)
  if not cache.is_ready(place):
    progress = metrics.Progress()
    try:
      prepare(name, directory, image_size, bad_images, source=source, progress=progress)
    finally:
      progress.close()
  elif source != "auto" and (source == "tfds") != ("tfds" in cache.meta(place)["source"]):
    raise UserError(f"{place} was not prepared with source={source!r}; remove it, or take 'auto'")
  return cache.read(place)


def prepare(
  name, directory, image_size=0, bad_images="error", *, source="auto", decoder="", progress=None
):
  """Decodes photographs to a cache beside their archive, or finishes one that was interrupted.

  Args:
    name: a key of `ALBUMS`.
    directory: a pathlib.Path, where the archive and its caches are.
    image_size, bad_images, source: as in `datasets.load`.
    decoder: a key of `decode.DECODERS`; "" is the fastest that is installed.
    progress: a `metrics.Progress`, or None for silence.

  Returns:
    (the folder of the cache, what its meta.json says).

  Raises:
    UserError: if the archive is missing or another, or an image cannot be read or written.
  """
  album = choose(ALBUMS, name, "data set of photographs")
  choose(decode.POLICIES, bad_images, "bad_images")
  size = image_size or album.size
  place = cache.folder(directory, name, size)
  if not cache.is_ready(place):
    if progress:
      progress.line(f"{name}: decoding its photographs to {size}x{size} pixels in {place}, once")
    found = _find(name, album, directory, source, progress)
    cache.prepare(place, found, size, bad_images=bad_images, decoder=decoder, progress=progress)
  cache.read(place)
  return place, cache.meta(place)


def _find(name, album, directory, source, progress):
  """Returns the `filling.Source`, from the archive or what tensorflow-datasets prepared."""
  archive = archives.ARCHIVES[album.archive]
  path = directory / archive.name
  if source != "tfds" and path.exists():
    return _source(name, path, archive, album.index, progress)
  version = prepared.find(directory, name) if album.tfds and source != "files" else None
  if version is not None:
    return prepared.photographs(version, name)
  other = f"; or {prepared.wanted(name)}" if album.tfds and source == "auto" else ""
  files = prepared.wanted(name) if source == "tfds" else str(archive)
  raise UserError(
    f"dataset {name!r}: no {path}; wanted in {directory}: {files}{other}; nothing is downloaded"
  )


def _source(name, path, archive, index, progress):
  """Verifies an archive and lists it as a `filling.Source`."""

  def show(done, total):
    if progress:
      progress.update(
        label=f"verifying {archive.name}", epoch=None, epochs=None, step=done, steps=total
      )

  archives.verify(path, archive, show)
  listing = index(path)
  rows = {
    file: (part, row)
    for part, files in listing.files.items()
    for row, (file, _) in enumerate(files)
  }
  labels = {
    part: np.array([label for _, label in files], np.int32) for part, files in listing.files.items()
  }

  def contents(start):
    for file, content in archives.contents(path, rows, start):
      yield rows[file], f"{path}:{file}", content

  origin = {"archive": archive.name, "bytes": archive.size, "md5": archive.md5}
  return filling.Source(name, origin, listing.class_names, labels, contents)
