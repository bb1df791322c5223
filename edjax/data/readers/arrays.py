"""Images that a caller has in memory already, or makes by a function of their own."""

import os
from collections.abc import Sequence

import numpy as np

from edjax import own
from edjax.data import splits
from edjax.data.splits import Split
from edjax.errors import UserError, within

TEST_FRACTION = 0.2


def labelled(
  images: np.ndarray,
  labels: np.ndarray,
  class_names: Sequence[str] | None = None,
  test: tuple[np.ndarray, np.ndarray] | None = None,
  test_fraction: float = TEST_FRACTION,
) -> tuple[Split, Split, tuple[str, ...]]:
  """Returns (train, test, class names) of arrays, see `data.from_arrays`.

  Raises:
    UserError: if the arrays are no labelled images.
  """
  if test is None:
    within(test_fraction, "test_fraction", above=0, below=1)
  train = _split("images", images, labels)
  known = tuple(map(str, class_names or range(int(train.labels.max()) + 1)))
  if len({*known}) < len(known):
    raise UserError(f"class_names names a class twice: {', '.join(known)}")
  if test is None:
    out = splits.held_out(train.labels, test_fraction)
    train, exam = splits.take(train, ~out), splits.take(train, out)
  else:
    exam = _split("the test images", *test)
  for what, part in (("images", train), ("the test images", exam)):
    if not len(part.labels):
      raise UserError(f"{what}: none is left, as no class has two; give test=(images, labels)")
    if part.labels.max() >= len(known):
      raise UserError(f"{what}: there is a label {part.labels.max()}, but {len(known)} class names")
  if train.images.shape[1:] != exam.images.shape[1:]:
    raise UserError(
      f"the images are {train.images.shape[1:]}, but the test images {exam.images.shape[1:]}"
    )
  return train, exam, known


def read(name: str, data_dir: str | os.PathLike[str]) -> tuple[Split, Split, tuple[str, ...]]:
  """Returns (train, test, class names) of a data set of the user's own.

  Args:
    name: "package.module:NAME" of a function of the folder in `data_dir`, "" for none. It returns
      ((images, labels), (images, labels) of the exam, class names), as `data.from_arrays` takes
      them.
    data_dir: handed to it.

  Raises:
    UserError: if there is no such function, or it returns something else.
  """
  made = own.find(name, "data set")
  if not callable(made):
    raise UserError(f"data set {name!r} is a {type(made).__name__}, not a function of a folder")
  found = made(os.fspath(data_dir))
  try:
    (images, labels), exam, class_names = found
    exam_images, exam_labels = exam
  except (TypeError, ValueError) as error:
    raise UserError(
      f"data set {name!r} should return ((images, labels), (test images, test labels), class names)"
    ) from error
  return labelled(images, labels, class_names, (exam_images, exam_labels))


def _split(what: str, images: np.ndarray, labels: np.ndarray) -> Split:
  images, labels = np.asarray(images), np.asarray(labels)
  if images.ndim == 3:
    images = images[..., None]
  line = images.ndim == 4 and images.shape[1] == 1  # a light curve has a channel for each view
  if images.ndim != 4 or not len(images) or not (images.shape[-1] in (1, 3) or line):
    raise UserError(
      f"{what} have the shape {images.shape}; give [n, height, width, channels], with 1 or 3 "
      "channels unless the height is 1, or [n, height, width]"
    )
  if images.dtype != np.uint8:
    raise UserError(
      f"{what} are {images.dtype}; give bytes from 0 to 255: (255 * x).round().astype('uint8')"
      " of numbers from 0 to 1"
    )
  if labels.shape != (len(images),) or not np.issubdtype(labels.dtype, np.integer):
    raise UserError(
      f"{what}: the labels are {labels.dtype} {labels.shape}; give a whole number for each of the "
      f"{len(images)} images"
    )
  if labels.min() < 0:
    raise UserError(f"{what}: there is a label {labels.min()}; they count from 0")
  return Split(images, labels.astype(np.int32))
