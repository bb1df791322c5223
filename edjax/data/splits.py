"""How a set of labelled images is cut in parts: stratified by class, the same in every run.

No cut here knows of a training seed. Which image goes where depends on the labels, their order and
one fixed constant, through integer arithmetic that no version of a library can change. Two runs
with different seeds are thus chosen between, and examined, on the same images.
"""

import dataclasses

import numpy as np

SPLIT_SEED = 2311_13811


@dataclasses.dataclass(frozen=True)
class Split:
  """Labelled images: `images` uint8 [n, height, width, channels], `labels` int32 [n]."""

  images: np.ndarray
  labels: np.ndarray


def take(split, rows):
  """Returns the images and labels at `rows` (bool [n] or int [m]) as a `Split`."""
  return Split(split.images[rows], split.labels[rows])


def held_out(labels, fraction):
  """Says which images a stratified cut holds out.

  Of a class with n images, round(fraction · n) are held out (halves up), but at least one and never
  all where n >= 2, and none where n = 1. Within its class an image's place is given by a hash of
  its index, so a larger fraction holds out the same images and some more.

  Args:
    labels: int [n].
    fraction: in [0, 1); 0 holds out nothing.

  Returns:
    bool [n].
  """
  if fraction == 0:
    return np.zeros(len(labels), bool)
  ranks, sizes = _ranks(labels)
  wanted = np.maximum(np.floor(fraction * sizes + 0.5), 1)
  return ranks < np.minimum(wanted, sizes - 1)


def limited(labels, limit):
  """Says which `limit` images to keep so that classes keep their proportions.

  Images are taken in the order of (place in class) / (size of class), equal ones by class: every
  class gives one image first, and classes of one size never differ by more than one image. A
  larger limit keeps the same images and some more.

  Args:
    labels: int [n].
    limit: how many to keep; n or more keeps all.

  Returns:
    bool [n] with min(limit, n) true.
  """
  ranks, sizes = _ranks(labels)
  keep = np.zeros(len(labels), bool)
  keep[np.lexsort((labels, ranks / sizes))[:limit]] = True
  return keep


def _ranks(labels):
  """Returns each image's place in its class by hashed index, and its class's size: int [n] both."""
  order = np.lexsort((_hash(np.arange(len(labels))), labels))
  _, starts, inverse, counts = np.unique(
    np.asarray(labels)[order], return_index=True, return_inverse=True, return_counts=True
  )
  ranks, sizes = np.empty(len(labels), np.int64), np.empty(len(labels), np.int64)
  ranks[order] = np.arange(len(labels)) - starts[inverse]
  sizes[order] = counts[inverse]
  return ranks, sizes


def _hash(index):
  """The SplitMix64 finaliser (Steele, Lea & Flood, OOPSLA 2014): uint64 [n], a bijection."""
  z = (index.astype(np.uint64) + np.uint64(SPLIT_SEED)) * np.uint64(0x9E3779B97F4A7C15)
  z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
  z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
  return z ^ (z >> np.uint64(31))
