"""Tables of logits on the disk that several runs and processes may fill and read at once.

A row holds its logits and a seal, which is a checksum of them, of the row's number and of what the
table is about. A row whose seal does not fit is not known: one that nobody has written (the file is
sparse), one that a killed process wrote half of, that a bad disk changed or that belongs to
another table. So nothing has to be locked or flushed, and nothing false is read.
"""

import errno
import json
import os
import pathlib
import weakref
import zlib
from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, Integer

from edjax.errors import UserError
from edjax.storage import files
from edjax.storage.files import naming

NUMBERS: dict[str, Any] = {"float32": np.float32, "bfloat16": jnp.bfloat16}
_CHUNK = 65_536  # rows that are checked at once
_SEALED = "_sealed"  # ends the name of a ledger's file


class Table:
  """Rows of logits, in a folder whose name says what they are about.

  Attributes:
    place: the folder.
  """

  def __init__(
    self, place: pathlib.Path, rows: int, columns: int, numbers: str, about: Any
  ) -> None:
    """Opens a table, or makes an empty one.

    Args:
      place: a `pathlib.Path`, named by everything that the logits depend on.
      rows, columns: its size.
      numbers: a key of `NUMBERS`, in which logits are kept.
      about: JSON for people to read; nothing else reads it.

    Raises:
      UserError: if the folder cannot be written.
    """
    self.place, self._numbers = place, NUMBERS[numbers]
    bits = np.dtype(f"u{np.dtype(self._numbers).itemsize}")
    self._row = np.dtype([("seal", np.uint32), ("bits", bits, (columns,))])
    self._start = zlib.crc32(place.name.encode())
    self._known = np.zeros(rows, bool)  # rows whose seal this process has seen to fit
    try:
      place.mkdir(parents=True, exist_ok=True)
      if not (place / "info.json").exists():
        files.replace_file(place / "info.json", (json.dumps(about, indent=2) + "\n").encode())
      self._file = os.open(place / "logits", os.O_RDWR | os.O_CREAT, 0o666)
      weakref.finalize(self, os.close, self._file)
      os.ftruncate(self._file, rows * self._row.itemsize)  # what was cut off is not known again
      self._map = np.memmap(place / "logits", self._row, "r", shape=rows)
    except OSError as error:
      raise self._unwritable(error) from error

  def missing(self, rows: Integer[np.ndarray, "*_"]) -> Integer[np.ndarray, " n"]:
    """Those of `rows` (any shape, −1 for none) that are not known, each once, in their order."""
    rows, first = np.unique(rows, return_index=True)
    rows = rows[np.argsort(first)]
    rows = rows[rows >= 0]
    unseen = rows[~self._known[rows]]
    written = unseen[self._map["seal"][unseen] != 0]
    for part in np.split(written, range(_CHUNK, len(written), _CHUNK)):
      found = self._map[part]
      self._known[part[found["seal"] == self._seals(part, found["bits"])]] = True
    return rows[~self._known[rows]]

  def write(
    self, rows: Integer[np.ndarray, " n"], logits: Float32[np.ndarray, "n columns"]
  ) -> None:
    """Keeps float32 logits [n, columns] at `rows`.

    Raises:
      UserError: if the disk is full.
    """
    made = np.empty(len(rows), self._row)
    made["bits"] = logits.astype(self._numbers).view(made["bits"].dtype)
    made["seal"] = self._seals(rows, made["bits"])
    try:
      for row, content in zip(rows.tolist(), made, strict=True):
        # Not through the map: where the disk is full, that would kill the process.
        if os.pwrite(self._file, content.tobytes(), row * made.itemsize) != made.itemsize:
          raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
      raise self._unwritable(error) from error
    self._known[rows] = True

  def read(self, rows: Integer[np.ndarray, "*shape"]) -> Float32[np.ndarray, "*shape columns"]:
    """Returns float32 [*rows.shape, columns]; zeros for −1; all others must be known."""
    bits = np.ascontiguousarray(self._map["bits"][np.maximum(rows, 0)])
    return np.where(rows[..., None] < 0, np.float32(0), bits.view(self._numbers).astype(np.float32))

  def _seals(self, rows: np.ndarray, bits: np.ndarray) -> np.ndarray:
    starts = (self._start + rows) % 2**32
    data = np.ascontiguousarray(bits)
    seals = [zlib.crc32(row, start) for row, start in zip(data, starts.tolist(), strict=True)]
    return np.maximum(np.array(seals, np.uint32), 1)  # 0 is what nobody has written

  def _unwritable(self, error: OSError) -> UserError:
    size = len(self._known) * self._row.itemsize / 1e9
    return UserError(
      f"cannot write {self.place}: {error.strerror or error}; the bank takes up to {size:.2f} GB "
      "there; what is written is kept: put that right and give the same command again"
    )


class Ledger:
  """Which answers a run has computed, batch by batch, in a file of its own.

  A batch is entered before it is computed. So a run that was killed in between can compute the very
  same batch again, with the same last bits, which depend on the place in a batch; and it can tell
  at the end what it has computed, however often it was killed. An entry ends with a seal, by which
  one that is damaged is told.
  """

  def __init__(self, path: pathlib.Path, size: int) -> None:
    """Takes the file, a `pathlib.Path` without suffix, and the size of a full batch."""
    self._path, self._size = path, size

  def enter(self, rows: Integer[np.ndarray, " n"]) -> None:
    """Adds a batch of at most `size` rows."""
    entry = np.full(self._size + 1, -1, np.int64)
    entry[: len(rows)] = rows
    entry[-1] = zlib.crc32(entry[:-1].tobytes())
    self._path.parent.mkdir(parents=True, exist_ok=True)
    path = self._path.with_name(f"{self._path.name}.{self._size}{_SEALED}")
    with naming(path), open(path, "ab") as file:
      file.truncate(file.tell() // entry.nbytes * entry.nbytes)  # half an entry of a killed run
      file.write(entry.tobytes())

  def batches(self) -> list[Integer[np.ndarray, " _"]]:
    """Returns the batches of this size that were entered and are sound, a list of int64 arrays."""
    own = [entries for size, entries, _ in self._files() if size == self._size]
    return [entry[entry >= 0] for entries in own for entry in entries]

  def count(self) -> int:
    """How many different rows were entered, with batches of whatever size."""
    entered = [entries.ravel() for _, entries, _ in self._files()]
    rows = np.unique(np.concatenate([np.zeros(0, np.int64), *entered]))
    return int((rows >= 0).sum())

  def damaged(self) -> int:
    """How many entries are not as they were written."""
    return sum(damaged for _, _, damaged in self._files())

  def _files(self) -> Iterator[tuple[int, np.ndarray, int]]:
    """Yields (size of a batch, its sound entries [n, size], how many are not) of each file."""
    for path in sorted(self._path.parent.glob(f"{self._path.name}.*")):
      size, sealed, _ = path.suffix[1:].partition(_SEALED)
      width = int(size) + bool(sealed)
      with naming(path):
        numbers = np.fromfile(path, np.int64)
      entries = numbers[: len(numbers) // width * width].reshape(-1, width)
      if not sealed:  # as an earlier version wrote them
        yield int(size), entries, 0
        continue
      sound = np.array([zlib.crc32(each[:-1].tobytes()) == each[-1] for each in entries], bool)
      yield int(size), entries[sound, :-1], int((~sound).sum())
