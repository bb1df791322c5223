"""Data sets of images that a caller has in memory already."""

import functools
from collections.abc import Sequence

import numpy as np

from edjax.data import datasets, figures
from edjax.data.datasets import Dataset
from edjax.data.readers import arrays
from edjax.data.splits import Parts
from edjax.errors import within


def from_arrays(
  images: np.ndarray,
  labels: np.ndarray,
  *,
  class_names: Sequence[str] | None = None,
  test: tuple[np.ndarray, np.ndarray] | None = None,
  test_fraction: float = arrays.TEST_FRACTION,
  validation_fraction: float = 0.1,
  mean: tuple[float, ...] = (),
  std: tuple[float, ...] = (),
  name: str = "arrays",
) -> Dataset:
  """Makes a data set of arrays.

      train = edjax.data.from_arrays(x, y, class_names=["cat", "dog"])

  Args:
    images: uint8 [n, height, width, channels], or [n, height, width] of grey ones. Light curves are
      images of height one, with a channel for each view or scalar.
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
  train, exam, known = arrays.labelled(images, labels, class_names, test, test_fraction)
  shown = functools.partial(figures.figures_of, mean=mean, std=std)
  return datasets.cut(name, Parts(train, exam, known), shown, validation_fraction)
