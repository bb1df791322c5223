"""Images that a caller has in memory already."""

import functools

import numpy as np

from edjax.data import datasets, splits
from edjax.data.datasets import Dataset
from edjax.data.splits import Split
from edjax.errors import UserError, within

TEST_FRACTION = 0.2


def from_arrays(
  images: np.ndarray,
  labels: np.ndarray,
  *,
  class_names: tuple[str, ...] | list[str] | None = None,
  test: tuple[np.ndarray, np.ndarray] | None = None,
  test_fraction: float = TEST_FRACTION,
  validation_fraction: float = 0.1,
  mean: tuple[float, ...] = (),
  std: tuple[float, ...] = (),
  name: str = "arrays",
) -> Dataset:
  """Makes a data set of arrays.

      train = edjax.data.from_arrays(x, y, class_names=["cat", "dog"])

  Args:
    images: uint8 [n, height, width, channels], or [n, height, width] of grey ones.
    labels: whole numbers [n], from 0 on.
    class_names: of the labels, in order; their numbers if not given.
    test: (images, labels) for the exam; without them a part of each class is held out for it.
    test_fraction: of the images of each class, where `test` is not given, in (0, 1).
    validation_fraction: of the other images of each class, in [0, 1); for every choice that is
      made.
    mean, std: of pixels scaled to [0, 1], one number or one per channel, by which networks are
      shown the images; () for those of the images that are trained on.
    name: of the data set, for the report; a work directory goes on with data of this name only.

  Raises:
    UserError: if the arrays are no labelled images.
  """
  within(validation_fraction, "validation_fraction", least=0, below=1)
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

  figures = functools.partial(datasets.figures_of, mean=mean, std=std)
  return datasets.cut(name, train, exam, known, figures, validation_fraction)


def _split(what: str, images: np.ndarray, labels: np.ndarray) -> Split:
  images, labels = np.asarray(images), np.asarray(labels)
  if images.ndim == 3:
    images = images[..., None]
  if images.ndim != 4 or not len(images) or images.shape[-1] not in (1, 3):
    raise UserError(
      f"{what} have the shape {images.shape}; give [n, height, width, channels], with 1 or 3 "
      "channels, or [n, height, width]"
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
