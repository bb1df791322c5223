"""The order of look-alike classes, on images whose groups are known."""

import numpy as np

from edjax.data.similarity import similar_order
from edjax.teachers import faculty


def _images(groups, per_class=6, side=6, seed=0):
  """Images of classes; classes of one group share a pattern, and are numbered in mixed order."""
  rng = np.random.default_rng(seed)
  count = sum(map(len, groups))
  patterns = {}
  for group in groups:
    base = rng.integers(40, 200, (side, side, 1))
    for label in group:
      patterns[label] = base + rng.integers(-8, 9, (side, side, 1))
  labels = np.repeat(np.arange(count), per_class)
  noise = rng.integers(-5, 6, (len(labels), side, side, 1))
  images = np.stack([patterns[label] for label in labels]) + noise
  return np.clip(images, 0, 255).astype(np.uint8), labels


def test_classes_of_a_group_are_neighbours():
  groups = [{0, 4, 7}, {1, 3, 8}, {2, 5, 6}]
  order = similar_order(*_images(groups), 9)
  assert sorted(order) == list(range(9))
  assert {frozenset(order[k : k + 3]) for k in (0, 3, 6)} == {frozenset(g) for g in groups}


def test_the_order_does_not_depend_on_the_order_of_the_images():
  images, labels = _images([{0, 3}, {1, 4}, {2, 5}], seed=1)
  shuffled = np.random.default_rng(2).permutation(len(labels))
  assert similar_order(images, labels, 6) == similar_order(images[shuffled], labels[shuffled], 6)


def test_the_loose_end_comes_first():
  # Four classes that are nearly one, and two that are unlike everything and each other.
  images, labels = _images([{0, 1, 2, 3}, {4}, {5}], seed=3)
  assert set(similar_order(images, labels, 6)[:2]) == {4, 5}


def test_easiest_first_by_a_teacher():
  teacher = faculty.Teacher("generalist", "resnet8", (2, 0, 1), {})
  # Column 0 (label 2) is right once in two, column 1 (label 0) always, column 2 (label 1) never.
  logits = np.eye(3)[[0, 1, 1, 1, 0, 0]]
  columns = np.array([0, 0, 1, 1, 2, 2])
  assert faculty.easiest_first(teacher, (logits, columns)) == (0, 2, 1)
