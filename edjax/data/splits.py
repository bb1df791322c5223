"""How a set of labelled images is cut in parts: stratified by class, the same in every run.

No cut here knows of a training seed. Which image goes where depends on the labels, their order and
one fixed constant, through integer arithmetic that no version of a library can change. Two runs
with different seeds are thus chosen between, and examined, on the same images.
"""

import contextlib
import dataclasses
import hashlib
import os
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from jaxtyping import Bool, Int32, Int64, Integer, UInt8, UInt64
from numpy.typing import ArrayLike

SPLIT_SEED = 2311_13811

Images = UInt8[np.ndarray, "n height width channels"]


class Rows:
  """Some rows of a memory-mapped array, read from the disk when they are asked for.

  Indexing by an int, a slice or an array gives a numpy array of those rows alone; `np.asarray`
  reads all, or remains a map of the file if that is all of it.
  """

  def __init__(self, source: "np.ndarray | Rows", rows: ArrayLike) -> None:
    """Takes an array [m, …] and which of its rows these are, int [n]."""
    self._source, self._rows = source, np.asarray(rows)
    self.shape: tuple[int, ...] = (len(self._rows), *source.shape[1:])
    self.dtype: np.dtype = source.dtype

  def __len__(self) -> int:
    return len(self._rows)

  def __getitem__(self, which: Any) -> np.ndarray:
    rows = self._rows[which]
    _announce(self._source, rows)
    return np.asarray(self._source[rows])

  def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
    whole = len(self) == len(self._source) and np.all(self._rows == np.arange(len(self)))
    return np.asarray(self._source if whole else self[:], dtype, copy=copy)

  def take(self, rows: np.ndarray) -> "Rows":
    """Returns the `Rows` at `rows` (bool [n] or int [m]), reading nothing."""
    return Rows(self._source, self._rows[rows])


def _announce(source: np.ndarray | Rows, rows: np.ndarray | np.integer) -> None:
  """Tells the kernel which rows of a map are about to be read, so that it fetches many at once.

  Rows that are not in memory come 4 to 9 times faster so (of 64 and 160 pixels, virtual disk);
  reading them in the order of the file instead made no difference.
  """
  if not isinstance(source, np.memmap) or not hasattr(os, "posix_fadvise"):
    return
  length = source.strides[0]
  with contextlib.suppress(OSError), open(cast(str, source.filename), "rb") as file:
    for row in rows.ravel().tolist():
      start = source.offset + row * length
      os.posix_fadvise(file.fileno(), start, length, os.POSIX_FADV_WILLNEED)


@dataclasses.dataclass(frozen=True)
class Split:
  """Labelled images: `images` uint8 [n, height, width, channels], `labels` int32 [n].

  `images` are `Rows` where they are more than memory may hold: to be indexed row by row or in
  blocks, and read whole by `np.asarray` only.
  """

  images: Images | Rows
  labels: Int32[np.ndarray, " n"]


@dataclasses.dataclass(frozen=True)
class Parts:
  """A data set as its reader finds it.

  Attributes:
    train: what may be learnt from, or held out for choices.
    test: for the exam.
    class_names: of the labels.
    notes: lines about what was read and what was not.
    held_out: bool [n], which of `train` are for choices; None where that is free.
  """

  train: Split
  test: Split
  class_names: tuple[str, ...]
  notes: tuple[str, ...] = ()
  held_out: Bool[np.ndarray, " n"] | None = None


def take(split: Split, rows: np.ndarray) -> Split:
  """Returns the images and labels at `rows` (bool [n] or int [m]) as a `Split`."""
  images = split.images
  taken = images.take(rows) if isinstance(images, Rows) else images[rows]
  return Split(taken, split.labels[rows])


def by_name(names: Sequence[str], fraction: float) -> Bool[np.ndarray, " n"]:
  """Says which files a cut by name holds out, whatever order they are found in.

  Those whose names have the smallest SHA-256: fraction · n of them (halves up), but at least one
  and never all.

  Args:
    names: n >= 2 different strings.
    fraction: in (0, 1).

  Returns:
    bool [n].
  """
  digests = [hashlib.sha256(name.encode()).digest() for name in names]
  count = min(max(1, int(fraction * len(names) + 0.5)), len(names) - 1)
  held_out = np.zeros(len(names), bool)
  held_out[sorted(range(len(names)), key=digests.__getitem__)[:count]] = True
  return held_out


def held_out(labels: Integer[np.ndarray, " n"], fraction: float) -> Bool[np.ndarray, " n"]:
  """Says which images a stratified cut holds out.

  Of a class with n images, round(fraction · n) are held out (halves up), but at least one and never
  all where n >= 2, and none where n = 1. Within its class an image's place is given by a hash of
  its index, so a larger fraction holds out the same images and some more.

  Args:
    labels: int [n].
    fraction: in [0, 1); 0 holds out nothing.

  Returns:
    bool [n].
  """
  if fraction == 0:
    return np.zeros(len(labels), bool)
  ranks, sizes = _ranks(labels)
  wanted = np.maximum(np.floor(fraction * sizes + 0.5), 1)
  return ranks < np.minimum(wanted, sizes - 1)


def limited(labels: Integer[np.ndarray, " n"], limit: int) -> Bool[np.ndarray, " n"]:
  """Says which `limit` images to keep so that classes keep their proportions.

  Images are taken in the order of (place in class) / (size of class), equal ones by class: every
  class gives one image first, and classes of one size never differ by more than one image. A
  larger limit keeps the same images and some more.

  Args:
    labels: int [n].
    limit: how many to keep; n or more keeps all.

  Returns:
    bool [n] with min(limit, n) true.
  """
  ranks, sizes = _ranks(labels)
  keep = np.zeros(len(labels), bool)
  keep[np.lexsort((labels, ranks / sizes))[:limit]] = True
  return keep


def _ranks(
  labels: Integer[np.ndarray, " n"],
) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
  """Returns each image's place in its class by hashed index, and its class's size: int [n] both."""
  order = np.lexsort((_hash(np.arange(len(labels))), labels))
  _, starts, inverse, counts = np.unique(
    np.asarray(labels)[order], return_index=True, return_inverse=True, return_counts=True
  )
  ranks, sizes = np.empty(len(labels), np.int64), np.empty(len(labels), np.int64)
  ranks[order] = np.arange(len(labels)) - starts[inverse]
  sizes[order] = counts[inverse]
  return ranks, sizes


def _hash(index: Integer[np.ndarray, " n"]) -> UInt64[np.ndarray, " n"]:
  """The SplitMix64 finaliser (Steele, Lea & Flood, OOPSLA 2014): uint64 [n], a bijection."""
  z = (index.astype(np.uint64) + np.uint64(SPLIT_SEED)) * np.uint64(0x9E3779B97F4A7C15)
  z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
  z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
  return z ^ (z >> np.uint64(31))
