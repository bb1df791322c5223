"""A data set within reach of a run's devices: what training reads, and the exams."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import jax
import numpy as np
from jaxtyping import Float32, Int32, UInt8

from edjax.curriculum import Grade
from edjax.data import placement, sampler
from edjax.data.augment import pipeline
from edjax.data.augment.pipeline import Augment
from edjax.data.datasets import Dataset
from edjax.data.figures import Figures
from edjax.data.prefetch import Stream
from edjax.data.splits import Rows
from edjax.devices.pmap import Fleet
from edjax.models.layers import Network
from edjax.report.scores import exam_scores
from edjax.storage import trees
from edjax.teachers.faculty import Teacher
from edjax.training.step import exam_step
from edjax.types import Label, Variables

_EXAM_PIXELS = 1 << 21  # at most on a device at once: large images are fewer

# Logits [n, classes], and the places [n] of the true classes.
Answered = tuple[Float32[np.ndarray, "n classes"], Int32[np.ndarray, " n"]]


class Answer(Protocol):
  """What a network says of a split, see `Loader.examiner`."""

  def __call__(
    self, variables: Variables, split: str, order: Sequence[Label], most: int | None = None
  ) -> Answered | None: ...


class Loader:
  """The images of a data set, uint8, copied once to the devices or left on the host.

  Attributes:
    dataset: a `datasets.Dataset`.
    fleet: a `pmap.Fleet`.
    residence: "device", "sharded" or "streamed", see `placement.settle`.
    said: a line about that, "" where every device has them all.
  """

  def __init__(self, dataset: Dataset, fleet: Fleet, where: str = "auto") -> None:
    self.dataset, self.fleet = dataset, fleet
    self.splits = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    self.image_shape = dataset.train.images.shape[1:]
    count = sum(len(split.labels) for split in self.splits.values())
    size = count * self.image_bytes
    mapped = isinstance(dataset.train.images, Rows)
    self.residence = placement.settle(where, size, fleet.memory, fleet.size, mapped)
    place = placement.RESIDENCES[self.residence].format(devices=fleet.size)
    self.said = place and f"{count:,} {dataset.what}, {size / 1e9:.2f} GB, {place}"
    # Exams of one network share what is compiled.
    self._asker = functools.cache(
      lambda network, how: fleet.examiner(functools.partial(exam_step, network, how))
    )
    # The last answers about the test split, by who was asked about what: the digest and the logits.
    self._told: dict[tuple[Any, ...], tuple[str, Float32[np.ndarray, "n classes"]]] = {}
    self._look_up = None if self.residence == "streamed" else self._settle()

  def _settle(self) -> Callable[[str, np.ndarray], jax.Array]:
    divided = self.residence == "sharded"
    settled = {}
    for name, split in self.splits.items():
      mapped = isinstance(split.images, Rows)
      copy = functools.partial(self.fleet.settle, divided=divided)
      settled[name] = (copy if divided or mapped else self.fleet.replicate)(split.images)
    find = self.fleet.finder(divided)
    return lambda split, rows: find(settled[split], self.fleet.divide(rows))

  def seen(self, split: str, rows: Int32[np.ndarray, "devices ..."]) -> UInt8[jax.Array, "..."]:
    """Returns the images at int32 rows [devices, …], each device's own.

    They are uint8 [devices, …, height, width, channels], on the devices, which divide the leading
    axis. If they are streamed, this may run in a thread of its own.
    """
    if self._look_up is None:
      return self.fleet.hand_out(self.splits[split].images[self.fleet.own(rows)])
    return self._look_up(split, rows)

  @property
  def image_bytes(self) -> int:
    """Of one image."""
    return int(np.prod(self.image_shape))

  @property
  def figures(self) -> Figures:
    """(mean, std) of pixels, the run's."""
    return tuple(self.dataset.mean), tuple(self.dataset.std)

  def augment(self, size: float = 0, **how: Any) -> Augment:
    """How images enter the student, at a `size`; without more arguments, as they do in an exam."""
    height, width, _ = self.image_shape
    return Augment(
      *self.figures,
      size=pipeline.shrunk(size, self.image_shape),
      flat=(height == 1, width == 1),
      **how,
    )

  def shape_at(self, size: float) -> tuple[int, ...]:
    """Returns (height, width, channels) of the images at a `size`; 0 for their own."""
    return pipeline.shape_at(pipeline.shrunk(size, self.image_shape), self.image_shape)

  def places(self, split: str, order: Sequence[Label]) -> Int32[np.ndarray, " n"]:
    """Returns int32 [n]: the place of each image's label in `order`, or −1."""
    table = np.full(len(self.dataset.class_names), -1, np.int32)
    table[list(order)] = np.arange(len(order))
    return table[self.splits[split].labels]

  def answers_of(self, teacher: Teacher) -> Callable[..., Answered | None]:
    """Returns `(split, order, most=None) -> (logits, labels)` of a teacher, see `examiner`."""
    answer = self.examiner(teacher.network, teacher.figures)
    return functools.partial(answer, self.fleet.replicate(teacher.variables))

  def examiner(
    self, network: Network, figures: Figures | tuple[()] = (), size: float = 0
  ) -> Answer:
    """Compiles (lazily) `answer(variables, split, order, most=None) -> (logits, labels)`.

    Args:
      network: whatever takes images of this shape.
      figures: (mean, std) by which it is shown them; () for the run's.
      size: to which they are shrunk; 0: not at all.

    `logits` are [n, classes] for the n images whose label is in `order`, each exactly once;
    `labels` are their places in `order`. None for a split without such images. With `most`, so many
    of them are asked about at most, evenly spread. What a network has said of the test split it is
    not asked again: a best epoch may be the last, and what is reported was examined before.
    """
    pixels = int(np.prod(self.image_shape[:2]))
    batch = min(self.fleet.at_once, max(1, _EXAM_PIXELS // pixels))
    # The mapped axis is of training alone: pupils, graduates and teachers ask the same program.
    ask = self._asker(network.clone(axis_name=None), self.augment(size).by(figures))

    def answer(
      variables: Variables, split: str, order: Sequence[Label], most: int | None = None
    ) -> Answered | None:
      places = self.places(split, order)
      chosen = np.flatnonzero(places >= 0)
      if not len(chosen):
        return None
      if most and len(chosen) > most:
        chosen = chosen[np.arange(most) * len(chosen) // most]
      about = ask, frozenset(order), most
      digest = trees.sha256(jax.device_get(variables)) if split == "test" else ""
      if digest and self._told.get(about, ("",))[0] == digest:
        return self._told[about][1], places[chosen]
      batches = sampler.exam_batches(len(chosen), batch * self.fleet.size)

      def lay_out(number: int) -> jax.Array:
        rows = chosen[batches[number]].astype(np.int32).reshape(self.fleet.size, -1)
        return self.seen(split, rows)

      def following(number: int) -> int | None:
        more = self.residence == "streamed" and number + 1 < len(batches)
        return number + 1 if more else None

      with Stream(lay_out, following) as laid_out:
        parts = [ask(variables, laid_out(number)) for number in range(len(batches))]
      logits = np.concatenate(parts)[: len(chosen)]
      if digest:
        self._told[about] = digest, logits
      return logits, places[chosen]

    return answer


def grade_exam(answered: Answered | None, grade: Grade) -> dict[str, Any] | None:
  """Scores what `answer` returned on the classes of a grade; None for no answers."""
  if answered is None:
    return None
  return exam_scores(*answered, {s.name: s.classes for s in grade.subjects})
