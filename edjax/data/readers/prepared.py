"""Data sets that tensorflow-datasets has prepared on disk, read without TensorFlow.

`tfds` reads ArrayRecord files with numpy and Pillow alone; TFRecord files it cannot. Nothing is
downloaded here: what is not on disk is an error.
"""

import contextlib
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from edjax.data.photographs import filling
from edjax.data.splits import Split
from edjax.errors import UserError


def wanted(name: str) -> str:
  """Says what `find` looks for."""
  return f"{name}/<version> as tensorflow-datasets prepares it with file_format='array_record'"


def find(directory: pathlib.Path, name: str) -> pathlib.Path | None:
  """Returns the folder DIR/name/VERSION of the newest prepared ArrayRecord version, or None."""
  versions = [
    info.parent
    for info in directory.glob(f"{name}/*/dataset_info.json")
    if any(info.parent.glob("*.array_record*"))
  ]
  return max(versions, key=_version, default=None)


def read(folder: pathlib.Path) -> tuple[Split, Split, tuple[str, ...]]:
  """Reads a prepared image classification data set with splits `train` and `test`.

  Args:
    folder: what `find` returned. Its features must hold `image`, all of one size, and `label`.

  Returns:
    (train, test, class names), images in the order of the files.

  Raises:
    UserError: if tensorflow-datasets is not installed, or a file is missing or damaged.
  """
  with _reading(folder) as tfds:
    builder = tfds.builder_from_directory(folder)
    names = tuple(builder.info.features["label"].names)
    return _read_split(builder, "train"), _read_split(builder, "test"), names


def photographs(folder: pathlib.Path, name: str) -> filling.Source:
  """Lists a prepared data set of JPEG or PNG files of any sizes, without decoding them.

  Args:
    folder: what `find` returned. Its features must hold `image` and `label`; its splits are `train`
      and `test`, or, where there is none, `validation` (as of food101).
    name: of the data set.

  Returns:
    A `filling.Source`.

  Raises:
    UserError: as `read` does.
  """
  with _reading(folder) as tfds:
    builder = tfds.builder_from_directory(folder)
    test = "test" if "test" in builder.info.splits else "validation"
    undecoded = {"image": tfds.decode.SkipDecoding()}
    sources = {
      part: builder.as_data_source(split=split, decoders=undecoded)
      for part, split in (("train", "train"), ("test", test))
    }
    rows = [(part, row) for part, source in sources.items() for row in range(len(source))]
    labels = {
      part: np.array([example["label"] for example in source], np.int32)
      for part, source in sources.items()
    }

  def contents(start: int) -> Iterator[filling.Content]:
    with _reading(folder):
      for part, row in rows[start:]:
        yield (part, row), f"{folder}:{part}/{row}", bytes(sources[part][row]["image"])

  origin = {"tfds": f"{folder.parent.name}/{folder.name}"}
  return filling.Source(name, origin, tuple(builder.info.features["label"].names), labels, contents)


@contextlib.contextmanager
def _reading(folder: pathlib.Path) -> Iterator[Any]:
  """Gives the module tensorflow_datasets; what it raises becomes one line."""
  try:
    import tensorflow_datasets as tfds
  except ImportError as error:
    raise UserError(
      f"{folder} needs tensorflow-datasets, which is not installed: pip install tensorflow-datasets"
    ) from error
  try:
    yield tfds
  except Exception as error:  # ArrayRecord, tfds and Pillow each raise kinds of their own.
    reason = " ".join(str(error).split()) or type(error).__name__
    raise UserError(f"{folder}: cannot be read ({reason}); prepare the data set again") from error


def _read_split(builder: Any, name: str) -> Split:
  source = builder.as_data_source(split=name)
  images, labels = None, np.empty(len(source), np.int32)
  for i, example in enumerate(source):
    image = example["image"]
    if images is None:
      images = np.empty((len(source), *image.shape), np.uint8)
    if image.shape != images.shape[1:]:
      raise ValueError(f"image {i} of {name} is {image.shape}, the first {images.shape[1:]}")
    images[i], labels[i] = image, example["label"]
  if images is None:
    raise ValueError(f"split {name} is empty")
  return Split(images, labels)


def _version(folder: pathlib.Path) -> list[int]:
  return [int(part) if part.isdigit() else -1 for part in folder.name.split(".")]
