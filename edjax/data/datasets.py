"""The data sets edjax knows by name, and the one way to load them.

Nothing is ever downloaded: a data set that is not on disk is an error that says which files are
wanted, where they are published and where they were looked for.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable

import numpy as np

from edjax.data import cifar, digits, folder, idx, prepared, splits
from edjax.data.splits import Split
from edjax.errors import UserError, choose

SOURCES = ("auto", "files", "tfds")


@dataclasses.dataclass(frozen=True)
class Dataset:
  """A data set in memory, cut for training, for choosing and for the exam."""

  name: str
  class_names: tuple[str, ...]
  train: Split  # what is trained on
  validation: Split  # cut from the training images, for every choice that is made
  test: Split  # for the exam only
  mean: tuple[float, ...]  # per channel, of pixels scaled to [0, 1]
  std: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Row:
  """What is known of a data set before it is read.

  `read` takes a directory if `files` says that files are needed, and `image_size` too if `resizes`;
  it returns (train, test, class names). `traces` are paths one of which is there when the published
  files are. `tfds` says whether tensorflow-datasets prepares this data set under the same name.
  `mean` and `std` are the field's usual figures; where there are none, the training images tell.
  """

  read: Callable
  files: str = ""
  traces: tuple[str, ...] = ()
  tfds: bool = False
  resizes: bool = False
  mean: tuple[float, ...] = ()
  std: tuple[float, ...] = ()


DATASETS = {
  "digits": Row(read=digits.read),
  "fashion_mnist": Row(
    read=idx.read_fashion_mnist,
    files=(
      "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and"
      " t10k-labels-idx1-ubyte (each may end in .gz), published at"
      " https://github.com/zalandoresearch/fashion-mnist (Debian's package dataset-fashion-mnist"
      " installs them under /usr/share/datasets/fashion-mnist)"
    ),
    traces=("train-images-idx3-ubyte", "train-images-idx3-ubyte.gz"),
    tfds=True,
    mean=(0.2860,),
    std=(0.3530,),
  ),
  "cifar10": Row(
    read=functools.partial(cifar.read, layout=cifar.CIFAR10),
    files=(
      "cifar-10-binary.tar.gz, or what it holds (data_batch_1.bin to data_batch_5.bin,"
      " test_batch.bin and batches.meta.txt), published at"
      " https://www.cs.toronto.edu/~kriz/cifar.html"
    ),
    traces=("data_batch_1.bin", "cifar-10-batches-bin", "cifar-10-binary.tar.gz"),
    tfds=True,
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
  ),
  "cifar100": Row(
    read=functools.partial(cifar.read, layout=cifar.CIFAR100),
    files=(
      "cifar-100-binary.tar.gz, or what it holds (train.bin, test.bin and fine_label_names.txt),"
      " published at https://www.cs.toronto.edu/~kriz/cifar.html"
    ),
    traces=("train.bin", "cifar-100-binary", "cifar-100-binary.tar.gz"),
    tfds=True,
    mean=(0.5071, 0.4867, 0.4408),
    std=(0.2675, 0.2565, 0.2761),
  ),
  "folder": Row(
    read=folder.read,
    files="train/<class>/<image> and test/<class>/<image>, or <class>/<image> alone",
    resizes=True,
  ),
}


def load(name, *, data_dir="", validation_fraction=0.1, train_limit=0, image_size=0, source="auto"):
  """Loads a data set into memory and cuts it.

  The validation part is cut from the training images class by class, by the rule of
  `splits.held_out`: it depends on the labels, their order and `validation_fraction` and on nothing
  else, so that runs with other training seeds or another `train_limit` choose on the same images.
  The two sources of a data set store its images in different orders, and so cut different parts.

  Args:
    name: a key of `DATASETS`.
    data_dir: where the files are; "~" is the home directory. Not needed for "digits".
    validation_fraction: of the training images of each class, in [0, 1); 0 leaves the validation
      part empty (n = 0).
    train_limit: how many of the other training images are kept, in the classes' proportions and
      always the same (`splits.limited`); 0 keeps all, otherwise at least one per class.
    image_size: side in pixels that images are brought to. Only "folder" resizes (0 means 32);
      elsewhere it must be 0 or what the images have.
    source: "files" for the published files, "tfds" for what tensorflow-datasets has prepared under
      data_dir/<name>/<version>, "auto" for the files if they are there and else the prepared.

  Returns:
    A `Dataset`. Where the field has no usual mean and standard deviation they are those of `train`
    (std no less than 1/255).

  Raises:
    UserError: if an argument is out of range or the files are missing, damaged or inconsistent.
  """
  row = choose(DATASETS, name, "dataset")
  if not 0 <= validation_fraction < 1:
    raise UserError(f"validation_fraction must lie in [0, 1), not {validation_fraction}")
  if train_limit < 0 or image_size < 0:
    raise UserError(
      f"train_limit and image_size must be 0 or more, not {train_limit} and {image_size}"
    )
  train, test, class_names = _read(name, row, data_dir, image_size, source)
  _check(name, {"train": train, "test": test}, len(class_names))
  side = train.images.shape[1:3]
  if image_size and side != (image_size, image_size):
    raise UserError(
      f"dataset {name!r} has images of {side[0]}x{side[1]} pixels and only 'folder' resizes;"
      f" leave out image_size={image_size}"
    )
  held_out = splits.held_out(train.labels, validation_fraction)
  train, validation = splits.take(train, ~held_out), splits.take(train, held_out)
  if train_limit:
    classes = len(np.unique(train.labels))
    if train_limit < classes:
      raise UserError(f"train_limit={train_limit} leaves out classes; {name!r} has {classes}")
    train = splits.take(train, splits.limited(train.labels, train_limit))
  mean, std = (row.mean, row.std) if row.mean else channel_statistics(train.images)
  return Dataset(name, class_names, train, validation, test, mean, std)


def channel_statistics(images):
  """Returns the mean and standard deviation of each channel, of pixels scaled to [0, 1].

  Args:
    images: uint8 [n, height, width, channels], not empty.

  Returns:
    (mean, std), tuples of floats; both exact up to float64, as they come from counts of the 256
    values. std is at least 1/255, so that one may divide by it.
  """
  values = np.arange(256) / 255
  means, stds = [], []
  for channel in range(images.shape[-1]):
    counts = np.bincount(images[..., channel].ravel(), minlength=256)
    mean = float(counts @ values / counts.sum())
    means.append(mean)
    stds.append(max(float(np.sqrt(counts @ (values - mean) ** 2 / counts.sum())), 1 / 255))
  return tuple(means), tuple(stds)


def _read(name, row, data_dir, image_size, source):
  """Returns (train, test, class names) from the files or the prepared data set."""
  if source not in SOURCES:
    raise UserError(f"unknown source {source!r}; choose one of {', '.join(SOURCES)}")
  if source == "tfds" and not row.tfds:
    known = ", ".join(key for key, other in DATASETS.items() if other.tfds)
    raise UserError(f"dataset {name!r} is not read with source='tfds'; it is for {known}")
  if not row.files:
    return row.read()
  if not data_dir:
    raise UserError(f"dataset {name!r} needs --config.data_dir=DIR, a folder with {row.files}")
  directory = pathlib.Path(data_dir).expanduser()
  if not directory.is_dir():
    raise UserError(f"no folder {directory} for dataset {name!r}; it should hold {row.files}")
  if row.resizes:
    return row.read(directory, image_size)
  there = any((directory / trace).exists() for trace in row.traces)
  if source != "tfds" and there:
    return row.read(directory)
  version = prepared.find(directory, name) if source != "files" else None
  if version is not None:
    return prepared.read(version)
  wanted = {
    "files": row.files,
    "tfds": f"{name}/<version> as tensorflow-datasets prepares it with file_format='array_record'",
  }
  wanted["auto"] = f"{wanted['files']}; or {wanted['tfds']}"
  raise UserError(f"dataset {name!r} is not in {directory}; wanted there: {wanted[source]}")


def _check(name, parts, classes):
  for part, split in parts.items():
    if not len(split.labels):
      raise UserError(f"dataset {name!r}: its {part} files hold no image; fetch them again")
    low, high = split.labels.min(), split.labels.max()
    if low < 0 or high >= classes:
      raise UserError(
        f"dataset {name!r}: its {part} labels run from {low} to {high}, but there are {classes}"
        " classes; fetch the files again"
      )
  if parts["train"].images.shape[1:] != parts["test"].images.shape[1:]:
    raise UserError(
      f"dataset {name!r}: train images are {parts['train'].images.shape[1:]} but test images"
      f" {parts['test'].images.shape[1:]}; fetch the files again"
    )
