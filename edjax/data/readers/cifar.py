"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009) in their official *binary* version.

A file is a row of records: the label bytes (CIFAR-10: the class; CIFAR-100: the coarse class, then
the fine one), then 3072 pixels, channel by channel (red, green, blue), each 32 rows of 32.
"""

import dataclasses
import os
import pathlib
from collections.abc import Mapping

import numpy as np

from edjax.data.photographs import archives
from edjax.data.splits import Split
from edjax.errors import UserError

SIZE = 32
_Files = Mapping[str, tuple[str | pathlib.Path, bytes]]  # by name: where it was read, what it holds


@dataclasses.dataclass(frozen=True)
class Layout:
  """What the files of one archive are called and how long a record's label is."""

  archive: str  # a row of archives.ARCHIVES
  folder: str
  train: tuple[str, ...]
  test: tuple[str, ...]
  names: str
  label_bytes: int


CIFAR10 = Layout(
  archive="cifar10",
  folder="cifar-10-batches-bin",
  train=tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
  test=("test_batch.bin",),
  names="batches.meta.txt",
  label_bytes=1,
)
CIFAR100 = Layout(
  archive="cifar100",
  folder="cifar-100-binary",
  train=("train.bin",),
  test=("test.bin",),
  names="fine_label_names.txt",
  label_bytes=2,
)


def read(directory: str | os.PathLike[str], layout: Layout) -> tuple[Split, Split, tuple[str, ...]]:
  """Reads a CIFAR data set.

  Args:
    directory: holds the files themselves, or the archive's folder, or the archive, which is
      verified and read without unpacking it to disk; the first of these that is there is used.
    layout: `CIFAR10` or `CIFAR100`.

  Returns:
    (train, test, class names); labels are the fine ones.

  Raises:
    UserError: if a file is missing or does not hold whole records, or the archive is not the
      published one.
  """
  files = _contents(pathlib.Path(directory), layout)
  text = files[layout.names][1].decode("utf-8", errors="replace")
  names = tuple(line.strip() for line in text.splitlines() if line.strip())
  return _split(files, layout.train, layout), _split(files, layout.test, layout), names


def parse(content: bytes, label_bytes: int, origin: str | pathlib.Path) -> Split:
  """Parses records of a CIFAR file.

  Args:
    content: the file's bytes.
    label_bytes: how many label bytes a record begins with; the last is the class.
    origin: the file's name, for the message.

  Returns:
    A `Split` with images [n, 32, 32, 3].

  Raises:
    UserError: if the length is not that of whole records.
  """
  record = label_bytes + 3 * SIZE * SIZE
  if not content or len(content) % record:
    raise UserError(
      f"{origin}: expected a whole number of records of {record} bytes, found {len(content)} bytes"
      f" ({len(content) // record} records and {len(content) % record} bytes over);"
      " fetch the binary version again"
    )
  rows = np.frombuffer(content, np.uint8).reshape(-1, record)
  images = rows[:, label_bytes:].reshape(-1, 3, SIZE, SIZE).transpose(0, 2, 3, 1)
  return Split(np.ascontiguousarray(images), rows[:, label_bytes - 1].astype(np.int32))


def _split(files: _Files, wanted: tuple[str, ...], layout: Layout) -> Split:
  parts = [parse(files[name][1], layout.label_bytes, files[name][0]) for name in wanted]
  return Split(
    np.concatenate([part.images for part in parts]), np.concatenate([part.labels for part in parts])
  )


def _contents(directory: pathlib.Path, layout: Layout) -> _Files:
  """Returns {file name: (where it was read, its bytes)} for all files the layout names."""
  wanted, archive = (*layout.train, *layout.test, layout.names), archives.ARCHIVES[layout.archive]
  for folder in (directory, directory / layout.folder):
    if (folder / layout.train[0]).is_file():
      missing = [name for name in wanted if not (folder / name).is_file()]
      if missing:
        raise UserError(f"{folder} lacks {', '.join(missing)}; unpack {archive.name} there again")
      return {name: (folder / name, (folder / name).read_bytes()) for name in wanted}
  path = directory / archive.name
  archives.verify(path, archive)
  return _archive_contents(path, wanted)


def _archive_contents(path: pathlib.Path, wanted: tuple[str, ...]) -> _Files:
  _, kept = archives.scan(path, lambda name: pathlib.PurePosixPath(name).name in wanted)
  found = {
    pathlib.PurePosixPath(name).name: (f"{path}:{name}", content) for name, content in kept.items()
  }
  missing = [name for name in wanted if name not in found]
  if missing:
    raise UserError(f"{path} lacks {', '.join(missing)}; fetch the *binary* version of the archive")
  return found
