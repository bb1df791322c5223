"""The data sets edjax knows by name, a row each: what is known of one before it is read."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

from edjax.data.photographs import reader
from edjax.data.readers import (
  arrays,
  bulge,
  cifar,
  digits,
  folder,
  idx,
  kepler,
  named,
  simulated,
  tess,
)
from edjax.data.splits import Parts, Split
from edjax.errors import UserError, choose


@dataclasses.dataclass(frozen=True)
class Row:
  """What is known of a data set before it is read.

  `read` takes a directory if `files` says that files are needed, and the options of `load` that
  `takes` names; it returns (train, test, class names), and lines to say about them, or `Parts`
  where the data say what is held out for choices. `traces` are paths one of which is there when the
  published files are; without any, `read` finds its files itself. `tfds` says whether
  tensorflow-datasets prepares this data set under the same name. `mean` and `std` are the field's
  usual figures; where there are none, the training images tell. `pickles` are paths of a version of
  the files that is not read, as Python's pickles can run whatever their maker likes. `own` says
  that a user reads it, who may do without a directory; `chosen` that a part for choices is
  published. `what` they are called; `groups` are names of what is looked for among them, and the
  classes that it is.
  """

  read: Callable[..., tuple[Split, Split, tuple[str, ...], *tuple[str, ...]] | Parts]
  files: str = ""
  traces: tuple[str, ...] = ()
  tfds: bool = False
  takes: tuple[str, ...] = ()
  pickles: tuple[str, ...] = ()
  mean: tuple[float, ...] = ()
  std: tuple[float, ...] = ()
  own: bool = False
  chosen: bool = False
  what: str = "images"
  groups: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)


def _photographs(
  name: str,
  mean: tuple[float, ...] = (0.485, 0.456, 0.406),
  std: tuple[float, ...] = (0.229, 0.224, 0.225),
  read: Callable[..., Any] = reader.read,
) -> Row:
  """Returns the row of photographs; the figures are ImageNet's, which the field uses for all."""
  return Row(
    read=functools.partial(read, name),
    files=reader.wanted(name),
    tfds=bool(reader.album(name).tfds),
    takes=("image_size", "bad_images", "source"),
    mean=mean,
    std=std,
  )


def _simulated(
  subject: str, classes: tuple[str, ...], groups: Mapping[str, tuple[str, ...]]
) -> Row:
  """Returns the row of a sky that never was."""
  return Row(
    read=functools.partial(simulated.read, subject, classes),
    files=simulated.FILES.format(subject),
    traces=(simulated.FILE,),
    chosen=True,
    what="light curves",
    groups=groups,
  )


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
    traces=tuple(
      f"{folder}train-images-idx3-ubyte{end}"
      for folder in ("", *(f"{raw}/" for raw in idx.RAW))
      for end in ("", ".gz")
    ),
    tfds=True,
    mean=(0.2860,),
    std=(0.3530,),
  ),
  "cifar10": Row(
    read=functools.partial(cifar.read, layout=cifar.CIFAR10),
    files=(
      "cifar-10-binary.tar.gz (170,052,171 bytes), or what it holds (data_batch_1.bin to"
      " data_batch_5.bin, test_batch.bin and batches.meta.txt), published at"
      " https://www.cs.toronto.edu/~kriz/cifar.html"
    ),
    traces=("data_batch_1.bin", "cifar-10-batches-bin", "cifar-10-binary.tar.gz"),
    pickles=("cifar-10-batches-py", "cifar-10-python.tar.gz", "data_batch_1"),
    tfds=True,
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
  ),
  "cifar100": Row(
    read=functools.partial(cifar.read, layout=cifar.CIFAR100),
    files=(
      "cifar-100-binary.tar.gz (168,513,733 bytes), or what it holds (train.bin, test.bin and"
      " fine_label_names.txt), published at https://www.cs.toronto.edu/~kriz/cifar.html"
    ),
    traces=("train.bin", "cifar-100-binary", "cifar-100-binary.tar.gz"),
    pickles=("cifar-100-python", "cifar-100-python.tar.gz", "file.txt~"),
    tfds=True,
    mean=(0.5071, 0.4867, 0.4408),
    std=(0.2675, 0.2565, 0.2761),
  ),
  "food101": _photographs("food101"),
  "caltech256": _photographs("caltech256"),
  "caltech256_clutter": _photographs("caltech256_clutter"),
  "tiny_imagenet": _photographs(
    "tiny_imagenet", mean=(0.4802, 0.4481, 0.3975), std=(0.2302, 0.2265, 0.2262)
  ),
  "folder": Row(
    read=folder.read,
    files="train/<class>/<image> and test/<class>/<image>, or <class>/<image> alone",
    takes=("image_size", "bad_images"),
  ),
  "tess": Row(
    read=tess.read,
    files=tess.FILES,
    traces=tess.TRACES,
    takes=("split", "validation_fraction"),
    chosen=True,
    what="light curves",
    groups=tess.GROUPS,
  ),
  "kepler": Row(
    read=kepler.read,
    files=kepler.FILES,
    traces=(kepler.CURVES,),
    takes=("split", "validation_fraction"),
    what="light curves",
    groups={"planet": ("confirmed",)},
  ),
  "et": _simulated("transits", tess.CLASSES, tess.GROUPS),
  "bulge": _simulated("lenses", bulge.CLASSES, bulge.GROUPS),
}


def row_of(name: str) -> Row:
  """Returns what is known of a data set; raises UserError for a name that is none."""
  if name == named.PREFIX:
    raise UserError(
      "the data set has no name; give --config.data.name=NAME, of one that tensorflow-datasets has "
      "prepared in --config.data_dir=DIR"
    )
  if name.startswith(named.PREFIX):
    return _photographs(name, read=named.read)
  if ":" in name:
    return Row(read=functools.partial(arrays.read, name), own=True)
  return choose(DATASETS, name, "dataset")
