"""IDX files, the format of MNIST and Fashion-MNIST.

Big-endian: two zero bytes, a type code (8: unsigned byte), the number of dimensions, one uint32
per dimension, then the values, last dimension fastest (LeCun, http://yann.lecun.com/exdb/mnist/).
"""

import gzip
import math
import os
import pathlib
import zlib

import numpy as np
from jaxtyping import UInt8

from edjax.data.splits import Split
from edjax.errors import UserError

UNSIGNED_BYTE = 8
RAW = ("FashionMNIST/raw", "raw")  # where torchvision puts the files, from two folders seen
FASHION_CLASSES = (
  "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
  "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip


def read_fashion_mnist(directory: pathlib.Path) -> tuple[Split, Split, tuple[str, ...]]:
  """Reads Fashion-MNIST (arXiv:1708.07747) from its four official files, gzipped or not.

  Args:
    directory: holds `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte`
      and `t10k-labels-idx1-ubyte`, each with or without `.gz`; or has them in one of `RAW`.

  Returns:
    (train, test, class names); images have one channel.

  Raises:
    UserError: if a file is missing, truncated or altered.
  """
  return _read_pair(directory, "train"), _read_pair(directory, "t10k"), FASHION_CLASSES


def read_idx(path: str | os.PathLike[str], dimensions: int) -> UInt8[np.ndarray, "..."]:
  """Reads one IDX file of unsigned bytes.

  Args:
    path: the file; decompressed if its name ends in `.gz`.
    dimensions: how many it must have.

  Returns:
    uint8, read-only, of the shape the file states.

  Raises:
    UserError: if the header is not that of such a file, or the length not what it states.
  """
  path = pathlib.Path(path)
  try:
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
  except (OSError, EOFError, zlib.error) as error:
    raise UserError(f"{path}: cannot be read ({error}); fetch the file again") from error
  magic = bytes((0, 0, UNSIGNED_BYTE, dimensions))
  start = 4 + 4 * dimensions
  if content[:4] != magic or len(content) < start:
    raise UserError(
      f"{path}: not an IDX file of unsigned bytes in {dimensions} dimensions (it must begin with"
      f" {magic.hex()} and a header of {start} bytes; found {content[:4].hex() or 'nothing'} and"
      f" {len(content)} bytes); fetch the file again"
    )
  shape = tuple(int(size) for size in np.frombuffer(content, ">u4", dimensions, offset=4))
  expected = start + math.prod(shape)
  if len(content) != expected:
    raise UserError(
      f"{path}: its header states {'x'.join(map(str, shape))} values, that is {expected} bytes,"
      f" but it holds {len(content)}; fetch the file again"
    )
  return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _read_pair(directory: pathlib.Path, part: str) -> Split:
  images_path = _find(directory, f"{part}-images-idx3-ubyte")
  labels_path = _find(directory, f"{part}-labels-idx1-ubyte")
  images, labels = read_idx(images_path, 3), read_idx(labels_path, 1)
  if len(images) != len(labels):
    raise UserError(
      f"{images_path} holds {len(images)} images but {labels_path} {len(labels)} labels;"
      " fetch both again"
    )
  return Split(images[..., None], labels.astype(np.int32))


def _find(directory: pathlib.Path, name: str) -> pathlib.Path:
  for folder in (directory, *(directory / raw for raw in RAW)):
    for path in (folder / name, folder / f"{name}.gz"):
      if path.is_file():
        return path
  raise UserError(f"{directory} lacks {name} (or {name}.gz); all four files are needed")
