"""An order of the classes in which neighbours look alike, from the training images alone.

Specialists of a subject whose classes look alike know what a small network finds hard to tell
apart; a specialist of unlike classes has little to say. Consecutive classes of this order make such
subjects.
"""

import numpy as np
from jaxtyping import Float64, Integer

from edjax.data.splits import Images, Rows
from edjax.types import Label

_BLOCK = 1024


def similar_order(
  images: Images | Rows, labels: Integer[np.ndarray, " n"], num_classes: int
) -> tuple[Label, ...]:
  """Orders classes along the Fiedler vector of the similarity of their mean images.

  Args:
    images: uint8 [n, height, width, channels].
    labels: int [n], every class present.
    num_classes: how many.

  Returns:
    The labels, a tuple of ints; the end whose classes are the least alike, the easier one, is
    first.

  The similarity of two classes is exp(−d²/median d²), d being the distance of their mean images;
  the order is that of the second eigenvector of the normalised Laplacian (Ng, Jordan and Weiss
  2002), so cutting it in stretches is spectral clustering in one dimension. It depends on nothing
  random.
  """
  means = _class_means(images, labels, num_classes)
  squares = np.stack([((means - mean) ** 2).sum(-1) for mean in means])
  apart = ~np.eye(num_classes, dtype=bool)
  alike = np.where(apart, np.exp(-squares / np.median(squares[apart])), 0.0)
  degree = alike.sum(1)
  normalised = np.eye(num_classes) - alike / np.sqrt(np.outer(degree, degree))
  along = np.linalg.eigh(normalised)[1][:, 1]
  order = np.argsort(along, kind="stable")
  third = max(1, num_classes // 3)
  if degree[order[:third]].mean() > degree[order[-third:]].mean():
    order = order[::-1]
  return tuple(Label(int(label)) for label in order)


def _class_means(
  images: Images | Rows, labels: Integer[np.ndarray, " n"], num_classes: int
) -> Float64[np.ndarray, "{num_classes} pixels"]:
  """Returns float64 [classes, pixels], reading the images in blocks that memory is sure to hold."""
  sums = np.zeros((num_classes, int(np.prod(images.shape[1:]))))
  for start in range(0, len(images), _BLOCK):
    block = images[start : start + _BLOCK].reshape(-1, sums.shape[1])
    for label in np.unique(labels[start : start + _BLOCK]):
      sums[label] += block[labels[start : start + _BLOCK] == label].sum(0, dtype=np.int64)
  return sums / np.bincount(labels, minlength=num_classes)[:, None] / 255.0
