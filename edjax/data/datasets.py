"""Data sets, and the one way to load those that edjax knows by name.

Nothing is ever downloaded: a data set that is not on disk is an error that says which files are
wanted, where they are published and where they were looked for.

Small images are read into memory. Photographs are decoded once, to squares of one size in a cache
beside their archive (`prepare`), and from then on mapped into memory.
"""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from edjax.data import identity, splits
from edjax.data.figures import Figures, figures_of
from edjax.data.known import DATASETS, Row, row_of
from edjax.data.photographs import decoding, reader
from edjax.data.readers import curves, named, prepared
from edjax.data.splits import Images, Parts, Rows, Split
from edjax.errors import UserError, choose, one_of

SOURCES = ("auto", "files", "tfds")


@dataclasses.dataclass(frozen=True)
class Dataset:
  """A data set, cut for training, for choosing and for the exam."""

  name: str
  class_names: tuple[str, ...]
  train: Split  # what is trained on
  validation: Split  # cut from the training images, for every choice that is made
  test: Split  # for the exam only
  mean: tuple[float, ...]  # per channel, of pixels scaled to [0, 1]
  std: tuple[float, ...]
  notes: tuple[str, ...] = ()  # lines about what was read and what was not
  what: str = "images"  # what they are called
  groups: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)  # see `Row`

  @property
  def positives(self) -> dict[str, tuple[int, ...]]:
    """{group: its labels}, of what is looked for."""
    return {name: tuple(map(self.class_names.index, own)) for name, own in self.groups.items()}

  @functools.cached_property
  def identity(self) -> dict[str, Any]:
    """What tells it from others, JSON, see `identity.describe`."""
    return identity.describe(self)


def as_asked(dataset: str, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
  """Returns (name, options) for `load`, of the settings `dataset` and `data` of a config.

  The name of a set that tensorflow-datasets has prepared may be among the latter: "tfds" and
  {"name": "beans"} are "tfds:beans".
  """
  others = {key: value for key, value in options.items() if key != "name"}
  return (named.PREFIX + options.get("name", "") if dataset == "tfds" else dataset), others


def load(
  name: str,
  *,
  data_dir: str | os.PathLike[str] = "",
  validation_fraction: float = 0.1,
  train_limit: int = 0,
  image_size: int = 0,
  bad_images: str = "error",
  source: str = "auto",
  split: str = "auto",
  mean: tuple[float, ...] = (),
  std: tuple[float, ...] = (),
) -> Dataset:
  """Loads a data set, or maps it, and cuts it.

  The validation part is cut from the training images class by class, by the rule of
  `splits.held_out`: it depends on the labels, their order and `validation_fraction` and on nothing
  else, so that runs with other training seeds or another `train_limit` choose on the same images.
  The two sources of a data set store its images in different orders, and so cut different parts.

  Args:
    name: a key of `DATASETS`; or "tfds:NAME" for whatever tensorflow-datasets has prepared with an
      image and a label: small images of one size are read as they are, and others are treated as
      photographs, 160 pixels wide if not told otherwise; or "package.module:NAME" of a function of
      one's own, see `arrays.read`.
    data_dir: where the files are; "~" is the home directory. Not needed for "digits".
    validation_fraction: of the training images of each class, in [0, 1); 0 leaves the validation
      part empty (n = 0).
    train_limit: how many of the other training images are kept, in the classes' proportions and
      always the same (`splits.limited`); 0 keeps all, otherwise at least one per class.
    image_size: side in pixels that images are brought to, by the rule of `decoding.square`. Only
      "folder" (0 means 32) and photographs (0 means what their row says) are resized; elsewhere it
      must be 0 or what the images have. Photographs that are not in a cache of this size are
      prepared first, which is said on standard error.
    bad_images: what becomes of files of a folder or an archive that are no readable image: "error",
      or "skip" to leave out at most one in a hundred. A cache keeps to what it was prepared with.
    source: "files" for the published files, "tfds" for what tensorflow-datasets has prepared under
      data_dir/<name>/<version>, "auto" for the files if they are there and else the prepared.
    split: of light curves, "stars" for parts that share no star, "published" for those that were
      published, "auto" for the published if there are any; elsewhere "auto".
    mean, std: of pixels scaled to [0, 1], one number or one per channel, by which networks are
      shown the images; () for the usual.

  Returns:
    A `Dataset`. Where the field has no usual mean and standard deviation they are those of `train`
    (std no less than 1/255).

  Raises:
    UserError: if an argument is out of range or the files are missing, damaged or inconsistent.
  """
  row = row_of(name)
  if not 0 <= validation_fraction < 1:
    raise UserError(f"validation_fraction must lie in [0, 1), not {validation_fraction}")
  if train_limit < 0 or image_size < 0:
    raise UserError(
      f"train_limit and image_size must be 0 or more, not {train_limit} and {image_size}"
    )
  choose(decoding.POLICIES, bad_images, "bad_images")
  one_of(split, curves.SPLITS, "data.split")
  if split != "auto" and "split" not in row.takes:
    raise UserError(f"dataset {name!r} is cut in one way only; set data.split to 'auto'")
  options = {
    "image_size": image_size,
    "bad_images": bad_images,
    "source": source,
    "split": split,
    "validation_fraction": validation_fraction,
  }
  parts = _read(name, row, data_dir, options)
  _check(name, {"train": parts.train, "test": parts.test}, len(parts.class_names))
  side = parts.train.images.shape[1:3]
  if image_size and side != (image_size, image_size):
    raise UserError(
      f"dataset {name!r} has images of {side[0]}x{side[1]} pixels and is not resized;"
      " set data.image_size to 0"
    )
  usual = (row.mean, row.std) if len(row.mean) == parts.train.images.shape[-1] else ()
  kept = dataclasses.replace(parts, notes=tuple(note for note in parts.notes if note))
  figures = functools.partial(figures_of, mean=mean, std=std, usual=usual)
  made = cut(name, kept, figures, validation_fraction, train_limit)
  return dataclasses.replace(made, what=row.what, groups=row.groups)


def from_folder(directory: str | os.PathLike[str], **options: Any) -> Dataset:
  """Loads a folder of images, one sub-folder per class: `load("folder", data_dir=directory, …)`."""
  return load("folder", data_dir=str(directory), **options)


def cut(
  name: str,
  parts: Parts,
  figures: Callable[[Images | Rows], Figures],
  validation_fraction: float,
  train_limit: int = 0,
) -> Dataset:
  """Returns the `Dataset` of images that have been read, see `load`.

  Args:
    name: of the data set.
    parts: what was read.
    figures: asked for those that are trained on.
    validation_fraction, train_limit: see `load`.

  Raises:
    UserError: if a class has no training image, or as `figures` does.
  """
  train, class_names, held_out = parts.train, parts.class_names, parts.held_out
  if held_out is None:
    held_out = splits.held_out(train.labels, validation_fraction)
  train, validation = splits.take(train, ~held_out), splits.take(train, held_out)
  if train_limit:
    classes = len(np.unique(train.labels))
    if train_limit < classes:
      raise UserError(f"train_limit={train_limit} leaves out classes; {name!r} has {classes}")
    train = splits.take(train, splits.limited(train.labels, train_limit))
  none = np.flatnonzero(np.bincount(train.labels, minlength=len(class_names)) == 0)
  if len(none):
    raise UserError(
      f"dataset {name!r} has no training image of {', '.join(class_names[k] for k in none[:5])}"
      f"{' …' if len(none) > 5 else ''}; a class needs one at least"
    )
  shown = figures(train.images)
  return Dataset(name, class_names, train, validation, parts.test, *shown, parts.notes)


def directory_of(name: str, data_dir: str | os.PathLike[str]) -> pathlib.Path:
  """Returns the folder of a data set's files; raises UserError, saying what it should hold."""
  files = row_of(name).files
  if not data_dir:
    raise UserError(f"dataset {name!r} needs --config.data_dir=DIR, a folder with {files}")
  directory = pathlib.Path(data_dir).expanduser()
  if not directory.is_dir():
    raise UserError(f"no folder {directory} for dataset {name!r}; it should hold {files}")
  return directory


def require(
  name: str,
  *,
  data_dir: str | os.PathLike[str] = "",
  image_size: int = 0,
  source: str = "auto",
  **_: object,
) -> None:
  """Raises UserError, as `load` would, if the files are not there; opens none of them."""
  row = row_of(name)
  if row.files:
    directory = directory_of(name, data_dir)
    if "source" in row.takes:
      reader.require(name, directory, image_size, source)
    elif row.traces:
      _locate(name, row, directory, source)


def _locate(name: str, row: Row, directory: pathlib.Path, source: str) -> pathlib.Path | None:
  """Returns the folder that tensorflow-datasets prepared, or None if the files are there."""
  if source != "tfds" and any((directory / trace).exists() for trace in row.traces):
    return None
  version = prepared.find(directory, name) if row.tfds and source != "files" else None
  if version is None:
    wanted = {"files": row.files, "tfds": prepared.wanted(name)}
    wanted["auto"] = f"{wanted['files']}; or {wanted['tfds']}" if row.tfds else row.files
    pickles = next((found for found in row.pickles if (directory / found).exists()), None)
    seen = (
      f" ({directory / pickles} is the version for Python, whose pickles are never opened)"
      if pickles
      else ""
    )
    raise UserError(f"dataset {name!r} is not in {directory}{seen}; wanted there: {wanted[source]}")
  return version


def _read(name: str, row: Row, data_dir: str | os.PathLike[str], options: dict[str, Any]) -> Parts:
  """Returns what is in the files, or in the prepared data set."""
  source = options["source"]
  one_of(source, SOURCES, "data.source")
  if source == "tfds" and not row.tfds:
    known = ", ".join(key for key, other in DATASETS.items() if other.tfds)
    raise UserError(f"dataset {name!r} is not read with source='tfds'; it is for {known}")
  if row.own:
    return _parts(row.read(data_dir))
  if not row.files:
    return _parts(row.read())
  directory = directory_of(name, data_dir)
  version = _locate(name, row, directory, source) if row.traces else None
  if version is not None:
    return _parts(prepared.read(version))
  return _parts(row.read(directory, **{key: options[key] for key in row.takes}))


def _parts(found: tuple[Split, Split, tuple[str, ...], *tuple[str, ...]] | Parts) -> Parts:
  if isinstance(found, Parts):
    return found
  train, test, class_names, *notes = found
  return Parts(train, test, class_names, tuple(notes))


def _check(name: str, parts: dict[str, Split], classes: int) -> None:
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
