"""The official archives: what they are called and weigh, whether a file is one, what is in it.

Nothing is ever unpacked to disk, and nothing fetched: an archive that is not there is an error that
says where it is published.
"""

import contextlib
import dataclasses
import functools
import hashlib
import pathlib
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Container, Iterator
from typing import IO, cast

from edjax.errors import UserError

_CHUNK = 1 << 22
_DAMAGE = (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error)


@dataclasses.dataclass(frozen=True)
class Archive:
  """A published file: its name, bytes, MD5 digest, and where it is published."""

  name: str
  size: int
  md5: str
  page: str

  def __str__(self) -> str:
    return f"{self.name} ({self.size:,} bytes, MD5 {self.md5}), published at {self.page}"


# Sizes and digests as tensorflow-datasets, torchvision and the publishers' pages state them.
ARCHIVES = {
  "cifar10": Archive(
    "cifar-10-binary.tar.gz",
    170_052_171,
    "c32a1d4ab5d03f1284b67883e8d87530",
    "https://www.cs.toronto.edu/~kriz/cifar.html",
  ),
  "cifar100": Archive(
    "cifar-100-binary.tar.gz",
    168_513_733,
    "03b5dce01913d631647c71ecec9e9cb8",
    "https://www.cs.toronto.edu/~kriz/cifar.html",
  ),
  "food101": Archive(
    "food-101.tar.gz",
    4_996_278_331,
    "85eeb15f3717b99a5da872d97d918f87",
    "https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101/",
  ),
  "caltech256": Archive(
    "256_ObjectCategories.tar",
    1_183_006_720,
    "67b4f42ca05d46448c6bb8ecd2220f6d",
    "https://data.caltech.edu/records/nyy15-4j048",
  ),
  "tiny_imagenet": Archive(
    "tiny-imagenet-200.zip",
    248_100_043,
    "90528d7ca1a48142e341f4ef8d21d0de",
    "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
  ),
}


def verify(
  path: pathlib.Path,
  archive: Archive,
  progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
  """Raises UserError, with what was expected and found, unless a file is the published archive.

  Args:
    path: of a file that exists.
    progress: called with (bytes read, bytes in all).
  """
  advice = f"fetch it again from {archive.page}"
  try:
    size = path.stat().st_size
    if size != archive.size:
      raise UserError(f"{path}: expected {archive.size:,} bytes, found {size:,}; {advice}")
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file:
      while chunk := file.read(_CHUNK):
        digest.update(chunk)
        progress(file.tell(), size)
  except OSError as error:
    raise UserError(f"{path}: cannot be read ({error.strerror or error}); {advice}") from error
  if digest.hexdigest() != archive.md5:
    raise UserError(f"{path}: expected MD5 {archive.md5}, found {digest.hexdigest()}; {advice}")


def scan(path: pathlib.Path, keep: Callable[[str], bool]) -> tuple[list[str], dict[str, bytes]]:
  """Reads the contents of an archive once.

  Args:
    path: a .tar, .tar.gz or .zip file.
    keep: a function of a name that says whether that file is to be returned whole.

  Returns:
    (names of all files, in the order they are stored; {name: bytes} of those kept).

  Raises:
    UserError: if it cannot be read.
  """
  names, kept = [], {}
  with _readable(path):
    for name, content in _files(path):
      names.append(name)
      if keep(name):
        kept[name] = content()
  return names, kept


def contents(
  path: pathlib.Path, wanted: Container[str], start: int = 0
) -> Iterator[tuple[str, bytes]]:
  """Yields (name, bytes) of the files in `wanted`, in the order they are stored, from the start-th.

  Raises:
    UserError: if the archive cannot be read.
  """
  count = 0
  with _readable(path):
    for name, content in _files(path):
      if name in wanted:
        if count >= start:
          yield name, content()
        count += 1


@contextlib.contextmanager
def _readable(path: pathlib.Path) -> Iterator[None]:
  try:
    yield
  except _DAMAGE as error:
    reason = " ".join(str(error).split()) or type(error).__name__
    raise UserError(f"{path}: cannot be read ({reason}); fetch the archive again") from error


def _files(path: pathlib.Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
  """Yields (name, function that reads it) of the files in an archive, in the order stored."""
  yield from _zip_files(path) if path.suffix == ".zip" else _tar_files(path)


def _tar_files(path: pathlib.Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
  with tarfile.open(path, "r:*") as archive:
    while (member := archive.next()) is not None:
      archive.members = []  # type: ignore[attr-defined]  # tarfile keeps them all otherwise
      if member.isfile():
        yield _clean(member.name), functools.partial(_content, archive, member)


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
  return cast(IO[bytes], archive.extractfile(member)).read()  # there is one of every file


def _zip_files(path: pathlib.Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
  with zipfile.ZipFile(path) as archive:
    for member in archive.infolist():
      if not member.is_dir():
        yield _clean(member.filename), functools.partial(archive.read, member)


def _clean(name: str) -> str:
  return str(pathlib.PurePosixPath(name))  # without a leading ./
