"""A data set on the devices of a run: what training reads, and the exams."""

import functools

import numpy as np

from edjax import metrics
from edjax.data import memory
from edjax.data.augment import Augment
from edjax.step import exam_step

_EXAM_BATCH = 512


class Classroom:
  """The images of a data set, uint8, copied once to every device.

  Attributes:
    dataset: a `datasets.Dataset`.
    fleet: a `parallel.Fleet`.
    images: {split: device array}.
  """

  def __init__(self, dataset, fleet):
    self.dataset, self.fleet = dataset, fleet
    self.splits = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    self.images = {
      name: fleet.replicate(np.asarray(split.images)) for name, split in self.splits.items()
    }
    self.image_shape = dataset.train.images.shape[1:]

  def augment(self, **how):
    """How images enter a network; without arguments, as they do in an exam."""
    return Augment(self.dataset.mean, self.dataset.std, **how)

  def places(self, split, order):
    """Returns int32 [n]: the place of each image's label in `order`, or −1."""
    table = np.full(len(self.dataset.class_names), -1, np.int32)
    table[list(order)] = np.arange(len(order))
    return table[self.splits[split].labels]

  def examiner(self, network):
    """Compiles (lazily) `answer(variables, split, order) -> (logits, labels)` for a network.

    `logits` are [n, classes] for the n images whose label is in `order`, each exactly once;
    `labels` are their places in `order`. None for a split without such images.
    """
    size = _EXAM_BATCH * self.fleet.size
    ask = self.fleet.examiner(functools.partial(exam_step, network, self.augment()))

    def answer(variables, split, order):
      places = self.places(split, order)
      chosen = np.flatnonzero(places >= 0)
      if not len(chosen):
        return None
      logits = []
      for batch in memory.exam_batches(len(chosen), size):
        rows = self.fleet.divide(chosen[batch].astype(np.int32).reshape(self.fleet.size, -1))
        logits.append(ask(variables, self.images[split], rows))
      return np.concatenate(logits)[: len(chosen)], places[chosen]

    return answer


def grade_exam(answered, grade):
  """Scores what `answer` returned on the classes of a grade; None for no answers."""
  if answered is None:
    return None
  return metrics.exam_scores(*answered, {s.name: s.classes for s in grade.subjects})
