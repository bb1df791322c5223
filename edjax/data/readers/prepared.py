"""Data sets that tensorflow-datasets has prepared on disk, read without TensorFlow.

`tfds` reads ArrayRecord files with numpy and Pillow alone; TFRecord files it cannot. Nothing is
downloaded here: what is not on disk is an error.
"""

import contextlib
import dataclasses
import functools
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from jaxtyping import Int32, Integer

from edjax.data import splits
from edjax.data.photographs import filling
from edjax.data.splits import Split
from edjax.errors import UserError

_TEST_FRACTION = 0.2  # of the training images, where nothing else can be examined


def wanted(name: str) -> str:
  """Says what `find` looks for, and how it is made."""
  return (
    f"{name}/<version> as tensorflow-datasets prepares it with file_format='array_record': "
    f"python -c \"import tensorflow_datasets as tfds; tfds.builder('{name}', data_dir='DIR', "
    "file_format='array_record').download_and_prepare()\""
  )


def find(directory: pathlib.Path, name: str) -> pathlib.Path | None:
  """Returns the folder DIR/name/VERSION of the newest prepared ArrayRecord version, or None."""
  versions = [
    info.parent
    for info in directory.glob(f"{name}/*/dataset_info.json")
    if any(info.parent.glob("*.array_record*"))
  ]
  return max(versions, key=_version, default=None)


@dataclasses.dataclass(frozen=True)
class Prepared:
  """A data set that tensorflow-datasets has prepared, opened but not read.

  Attributes:
    builder: of tensorflow-datasets.
    image, label: names of its features that are an image and its class.
    undecoded: how to read examples without decoding their images.
  """

  builder: Any
  image: str
  label: str
  undecoded: dict[str, Any]

  @property
  def class_names(self) -> tuple[str, ...]:
    """One per label."""
    return tuple(self.builder.info.features[self.label].names)

  @property
  def shape(self) -> tuple[int | None, ...]:
    """(height, width, channels) of its images; None where they differ."""
    return tuple(self.builder.info.features[self.image].shape)

  @property
  def count(self) -> int:
    """How many examples all splits have together."""
    return sum(split.num_examples for split in self.builder.info.splits.values())


@dataclasses.dataclass(frozen=True)
class Part:
  """The images of `train` or `test`.

  Attributes:
    split: of the prepared data set.
    rows: which of its examples these are.
    labels: theirs.
  """

  split: str
  rows: Integer[np.ndarray, " n"]
  labels: Int32[np.ndarray, " n"]

  def of(self, whole: Split) -> Split:
    """Returns these examples of their split, which is not copied where they are all of it."""
    return whole if len(self.rows) == len(whole.labels) else splits.take(whole, self.rows)


def read(folder: pathlib.Path) -> tuple[Split, Split, tuple[str, ...]]:
  """Reads a prepared data set whose images are of one size into memory.

  Args:
    folder: what `find` returned.

  Returns:
    (train, test, class names), images in the order of the files. What is the test split is said by
    `parts`.

  Raises:
    UserError: if tensorflow-datasets is not installed, or a file is missing or damaged, or the set
      is none of labelled images.
  """
  with reading(folder) as found:
    whole = functools.cache(functools.partial(_read_split, found))  # each is decoded once
    both = parts(found, lambda split: whole(split).labels)
    train, test = (both[part].of(whole(both[part].split)) for part in filling.PARTS)
    return train, test, found.class_names


def photographs(folder: pathlib.Path, name: str) -> filling.Source:
  """Lists a prepared data set of JPEG or PNG files of any sizes, without decoding them.

  Args:
    folder: what `find` returned.
    name: of the data set.

  Returns:
    A `filling.Source`.

  Raises:
    UserError: as `read` does.
  """
  with reading(folder) as found:
    both = parts(found, functools.partial(_labels, found))
    sources = {part: _examples(found, each.split) for part, each in both.items()}
  rows = [(part, row) for part, each in both.items() for row in range(len(each.rows))]

  def contents(start: int) -> Iterator[filling.Content]:
    with reading(folder):
      for part, row in rows[start:]:
        split, number = both[part].split, int(both[part].rows[row])
        image = sources[part][number][found.image]
        yield (part, row), f"{folder}:{split}/{number}", bytes(image)

  origin = {"tfds": f"{folder.parent.name}/{folder.name}"}
  labels = {part: each.labels for part, each in both.items()}
  return filling.Source(name, origin, found.class_names, labels, contents)


def parts(found: Prepared, labels_of: Callable[[str], Int32[np.ndarray, " n"]]) -> dict[str, Part]:
  """Returns {"train", "test"} of a prepared data set, by the labels of its splits.

  The test split is `test`, or else `validation` (as of food101), and in both cases one whose labels
  are told; where there is none, a fifth of each class is held out, always the same.
  """
  there = found.builder.info.splits
  if "train" not in there:
    names = ", ".join(sorted(there)) or "none"
    raise UserError(f"{found.builder.data_path}: it has no split 'train' to train on, but {names}")
  train = labels_of("train")
  for split in ("test", "validation"):
    if split in there:
      labels = labels_of(split)
      if (labels >= 0).all():
        return {
          "train": Part("train", np.arange(len(train)), train),
          "test": Part(split, np.arange(len(labels)), labels),
        }
  out = splits.held_out(train, _TEST_FRACTION)
  rows = {"train": np.flatnonzero(~out), "test": np.flatnonzero(out)}
  return {part: Part("train", each, train[each]) for part, each in rows.items()}


@contextlib.contextmanager
def reading(folder: pathlib.Path) -> Iterator[Prepared]:
  """Opens a prepared data set; what tensorflow-datasets raises becomes one line."""
  try:
    import tensorflow_datasets as tfds
  except ImportError as error:
    raise UserError(
      f"{folder} needs tensorflow-datasets, which is not installed: pip install tensorflow-datasets"
    ) from error
  try:
    builder = tfds.builder_from_directory(folder)
    image, label = _features(folder, builder.info, tfds.features)
    yield Prepared(builder, image, label, {image: tfds.decode.SkipDecoding()})
  except UserError:
    raise
  except Exception as error:  # ArrayRecord, tfds and Pillow each raise kinds of their own.
    reason = " ".join(str(error).split()) or type(error).__name__
    raise UserError(f"{folder}: cannot be read ({reason}); prepare the data set again") from error


def _features(folder: pathlib.Path, info: Any, kinds: Any) -> tuple[str, str]:
  """Names the features that are an image and its class: what is learnt from what, if that is said.

  Raises:
    UserError: if it is not, and there is not one of each; or if pixels are no bytes.
  """
  wanted = {"image": kinds.Image, "label": kinds.ClassLabel}
  known = {
    what: sorted(name for name, feature in info.features.items() if type(feature) is kind)
    for what, kind in wanted.items()
  }
  said: tuple[str, ...] = info.supervised_keys or ()
  if len(said) == 2 and said[0] in known["image"] and said[1] in known["label"]:
    image, label = said
  elif len(known["image"]) == len(known["label"]) == 1:
    image, label = known["image"][0], known["label"][0]
  else:
    raise UserError(
      f"{folder}: its features are {', '.join(sorted(info.features))}, of which "
      f"{', '.join(known['image']) or 'none'} are images and {', '.join(known['label']) or 'none'} "
      "classes; only sets with one of each are trained on"
    )
  if np.dtype(info.features[image].np_dtype) != np.uint8:
    raise UserError(f"{folder}: its images are of {info.features[image].np_dtype}, not of bytes")
  return image, label


def _examples(found: Prepared, split: str) -> Any:
  """The examples of a split by number, their images not decoded."""
  return found.builder.as_data_source(split=split, decoders=found.undecoded)


def _labels(found: Prepared, split: str) -> Int32[np.ndarray, " n"]:
  return np.array([example[found.label] for example in _examples(found, split)], np.int32)


def _read_split(found: Prepared, split: str) -> Split:
  source, images = found.builder.as_data_source(split=split), None
  labels = np.empty(len(source), np.int32)
  for row, example in enumerate(source):
    image = example[found.image]
    if images is None:
      images = np.empty((len(source), *image.shape), np.uint8)
    if image.shape != images.shape[1:]:
      raise ValueError(f"image {row} of {split} is {image.shape}, not {images.shape[1:]}")
    images[row], labels[row] = image, example[found.label]
  if images is None:
    raise ValueError(f"split {split} is empty")
  return Split(images, labels)


def _version(folder: pathlib.Path) -> list[int]:
  return [int(part) if part.isdigit() else -1 for part in folder.name.split(".")]
