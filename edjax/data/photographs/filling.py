"""How a cache of photographs is filled: decoded on all cores, and picked up where it was left.

Threads are enough: reading, decoding, resizing and writing happen outside Python's lock. The
decoded squares go to files whose room on the disk is reserved beforehand. `progress.json` says how
many images, in the order of the source, are written; it is saved every `SAVE_SECONDS`, after what
it counts has reached the disk.
"""

import contextlib
import dataclasses
import importlib.metadata
import json
import os
import pathlib
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any

import numpy as np
from jaxtyping import Int32, UInt8

from edjax import ahead
from edjax.data.photographs import decoding
from edjax.errors import UserError
from edjax.progress import Progress
from edjax.storage.files import clear_leftovers, replace_file

Content = tuple[tuple[str, int], str, bytes]  # (part, row), name of the file, its bytes

FORMAT = 1
PARTS = ("train", "test")
SAVE_SECONDS = 5.0  # how much decoding a power cut or a kill may cost
_BATCH_FILES, _BATCH_BYTES = 32, 1 << 22
_WAITING = 3  # batches, of each core


@dataclasses.dataclass(frozen=True)
class Source:
  """Photographs to be prepared.

  Attributes:
    name: of the data set.
    origin: what tells this source from others, as JSON.
    class_names: one per label.
    labels: {part: int32 [n]}.
    contents: a function of k that yields ((part, row), name of the file, its bytes), each image
      once, always in one order, from the k-th on.
  """

  name: str
  origin: dict[str, Any]
  class_names: tuple[str, ...]
  labels: dict[str, Int32[np.ndarray, " _"]]
  contents: Callable[[int], Iterator[Content]]


def fill(
  place: pathlib.Path,
  source: Source,
  size: int,
  bad_images: str,
  decoder: str,
  progress: Progress | None,
) -> None:
  """Decodes what is not decoded yet, and finishes the cache by writing its meta.json.

  Args:
    place: a folder that is there and nobody else writes to.
    source, size, bad_images, decoder, progress: as in `cache.prepare`.

  Raises:
    UserError: naming the image that cannot be read.
    OSError: if the folder cannot be written to; what is written is kept.
  """
  counts = {part: len(source.labels[part]) for part in PARTS}
  stamp = {
    "format": FORMAT, "dataset": source.name, "source": source.origin, "size": size,
    "decoder": decoder, "images": counts,
  }  # fmt: skip
  clear_leftovers(place)
  done, skipped = _resume(place, stamp)
  if done and progress:
    progress.line(f"{place}: continuing after {done:,} of {sum(counts.values()):,} images")
  if not done:
    _reserve(place, counts, size)
  with contextlib.ExitStack() as stack:
    files = {part: stack.enter_context(_Squares(place / f"{part}.npy", size)) for part in PARTS}
    refusals = decoding.Refusals(bad_images, sum(counts.values()))
    refusals.rows += skipped
    filled = _Filled(place, stamp, files, done, refusals)
    with (
      filled.saved(),
      contextlib.closing(_decoded(source.contents(done), files, size, decoder)) as decoded,
    ):
      _follow(filled, decoded, progress)
  _finish(place, stamp, source, filled.skipped)


class _Filled:
  """How far a cache is, as progress.json says it.

  Attributes:
    done: images; `total`: how many there are.
    skipped: rows of those among them that were passed over.
  """

  def __init__(
    self,
    place: pathlib.Path,
    stamp: dict[str, Any],
    files: dict[str, "_Squares"],
    done: int,
    refusals: decoding.Refusals,
  ) -> None:
    self.place, self.stamp, self.done = place, stamp, done
    self.skipped, self._refusals = list(refusals.rows), refusals
    self.total = sum(stamp["images"].values())
    self._files, self._saved_at = files, time.monotonic()

  def add(self, count: int, bad: list[dict[str, Any]]) -> None:
    """Takes note of so many more images, and saves now and then."""
    for row in bad:
      self._refusals.add(row)
    self.done, self.skipped = self.done + count, list(self._refusals.rows)
    if time.monotonic() - self._saved_at >= SAVE_SECONDS:
      self.save()

  def save(self) -> None:
    """Puts on the disk what has been written, and how far that is."""
    self.sync()
    state = self.stamp | {"done": self.done, "skipped": self.skipped}
    replace_file(self.place / "progress.json", json.dumps(state).encode())
    self._saved_at = time.monotonic()

  def sync(self) -> None:
    """Puts on the disk what has been written."""
    for file in self._files.values():
      file.sync()

  @contextlib.contextmanager
  def saved(self) -> Iterator[None]:
    """Saves where what is done within fails."""
    try:
      yield
    except BaseException:
      with contextlib.suppress(OSError):  # the first error is the one to be told
        self.save()
      raise


def _follow(
  filled: _Filled,
  decoded: Iterator[tuple[int, list[dict[str, Any]]]],
  progress: Progress | None,
) -> None:
  """Follows the decoding to its end, and says how far it is."""
  began, first = time.monotonic(), filled.done
  for count, bad in decoded:
    filled.add(count, bad)
    if progress:
      rate = (filled.done - first) / max(time.monotonic() - began, 1e-9)
      progress.update(
        label=f"preparing {filled.stamp['dataset']}",
        epoch=None,
        epochs=None,
        step=filled.done,
        steps=filled.total,
        images_per_second=rate,
        seconds_left=(filled.total - filled.done) / rate,
      )
  if filled.done != filled.total:
    raise UserError(
      f"{filled.place}: the source gave {filled.done:,} images, but lists {filled.total:,}; "
      "prepare it again"
    )
  filled.sync()


def _finish(
  place: pathlib.Path, stamp: dict[str, Any], source: Source, skipped: list[dict[str, Any]]
) -> None:
  """Writes the labels and, at last, the meta.json that says that a cache is whole."""
  for part in PARTS:
    with open(place / f"{part}_labels.npy", "wb") as written:
      np.save(written, source.labels[part])
      written.flush()
      os.fsync(written.fileno())
  complete = stamp | {
    "class_names": source.class_names,
    "skipped": skipped,
    "versions": _versions(stamp["decoder"]),
  }
  replace_file(place / "meta.json", json.dumps(complete, indent=1).encode())
  (place / "progress.json").unlink(missing_ok=True)


def _resume(place: pathlib.Path, stamp: dict[str, Any]) -> tuple[int, list[dict[str, Any]]]:
  """Returns what an interrupted run of the same kind left: (images done, rows passed over)."""
  try:
    state = json.loads((place / "progress.json").read_text())
    for part, count in stamp["images"].items():
      if len(np.load(place / f"{part}.npy", mmap_mode="r")) != count:
        return 0, []
  except (OSError, ValueError):
    return 0, []
  same = all(state.get(key) == value for key, value in stamp.items())
  return (state["done"], state["skipped"]) if same else (0, [])


def _reserve(place: pathlib.Path, counts: dict[str, int], size: int) -> None:
  """Makes the files of squares, with their room on the disk: a full one is an error here."""
  (place / "progress.json").unlink(missing_ok=True)
  paths = {part: place / f"{part}.npy" for part in PARTS}
  try:
    for part, path in paths.items():
      path.unlink(missing_ok=True)
      np.lib.format.open_memmap(path, "w+", np.uint8, (counts[part], size, size, 3))
      if hasattr(os, "posix_fallocate"):
        with open(path, "r+b") as file:
          os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
  except OSError:
    for path in paths.values():
      path.unlink(missing_ok=True)
    raise


def _versions(decoder: str) -> dict[str, str]:
  packages = {"pillow": ("pillow",), "simplejpeg": ("simplejpeg", "opencv-python-headless")}
  found = {}
  for package in ("edjax", "numpy", "pillow", *packages[decoder]):
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
      found[package] = importlib.metadata.version(package)
  return found


class _Squares:
  """A .npy file of squares, written row by row."""

  def __init__(self, path: pathlib.Path, size: int) -> None:
    self._path, self._size = path, size

  def __enter__(self) -> "_Squares":
    self._start = np.lib.format.open_memmap(self._path, "r").offset
    self._file = os.open(self._path, os.O_RDWR)
    return self

  def __exit__(self, *error: object) -> None:
    os.close(self._file)

  def write(self, row: int, pixels: UInt8[np.ndarray, "size size _"]) -> None:
    """Writes uint8 [size, size, 1 or 3]; rows may be written by several threads at once."""
    whole = np.ascontiguousarray(np.broadcast_to(pixels, (self._size, self._size, 3)))
    view, offset = whole.data.cast("B"), self._start + row * whole.nbytes
    while view:
      written = os.pwrite(self._file, view, offset)
      view, offset = view[written:], offset + written

  def sync(self) -> None:
    os.fsync(self._file)


def _decoded(
  contents: Iterator[Content], files: dict[str, _Squares], size: int, decoder: str
) -> Generator[tuple[int, list[dict[str, Any]]], None, None]:
  """Decodes and writes on all cores; yields (how many images, [the bad ones]) in order."""

  def work(batch: list[Content]) -> tuple[int, list[dict[str, Any]]]:
    bad = []
    for (part, row), name, content in batch:
      try:
        files[part].write(row, decoding.square(content, size, decoder))
      except decoding.BadImage as error:
        bad.append({"part": part, "row": row, "file": name, "why": str(error)})
    return len(batch), bad

  return ahead.in_order(work, _batches(contents), _WAITING)


def _batches(contents: Iterator[Content]) -> Iterator[list[Content]]:
  batch, length = [], 0
  for item in contents:
    batch.append(item)
    length += len(item[2])
    if len(batch) == _BATCH_FILES or length >= _BATCH_BYTES:
      yield batch
      batch, length = [], 0
  if batch:
    yield batch
