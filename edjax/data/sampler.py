"""Data sets that live on the device: who sits where in a batch, and in which order images come.

A batch has a fixed number of seats per subject, in proportion to the images an epoch shows of it.
Seats of a subject are neighbours, so a specialist reads one stretch of the batch. Everything is a
function of (seed, epoch), so there is no iterator state to save.

An epoch has as many batches as its images fill. Where seats are whole numbers and images do not
divide by them, a subject that is short of images shows some again, and one that has too many leaves
some out, others in each epoch: no subject shortens the epoch of the others. Where no teacher needs
the seats of a subject, such a batch is one stretch, and every image is shown once.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Int32, Integer

from edjax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Seating:
  """How a grade fills its batches.

  Attributes:
    seats: per subject, how many of the batch's seats are its own; or one number, of a batch that
      all subjects share.
    steps: batches per epoch.
    images: per subject, how many images an epoch would show if seats could be divided.
    counts: per subject, how many images there are; more than `images` where it is rehearsed.
  """

  seats: tuple[int, ...]
  steps: int
  images: tuple[int, ...]
  counts: tuple[int, ...]

  @property
  def shared(self) -> bool:
    """Whether all subjects sit in one stretch."""
    return len(self.seats) < len(self.images)

  @property
  def left_over(self) -> int:
    """Images that an epoch should show and leaves out; each leaves out others, drawn anew."""
    return sum(max(0, count - shown) for count, shown in self._shown(self.images))

  @property
  def again(self) -> int:
    """Seats per epoch whose subject has no image left that the epoch has not shown."""
    return sum(max(0, shown - count) for count, shown in self._shown(self.counts))

  @property
  def even(self) -> bool:
    """Whether the images fill the seats of every subject to the end of the epoch."""
    return all(count >= shown for count, shown in self._shown(self.images))

  def _shown(self, images: tuple[int, ...]) -> list[tuple[int, int]]:
    images = (sum(images),) if self.shared else images
    return [(count, self.steps * taken) for count, taken in zip(images, self.seats, strict=True)]


def seat(
  counts: Sequence[int], batch_size: int, shares: Sequence[float] | None = None, apart: bool = True
) -> Seating:
  """Divides a batch among subjects.

  Args:
    counts: training images per subject.
    batch_size: seats in all.
    shares: per subject, the share of its images that an epoch shows (rehearsal); 1 by default.
    apart: whether a teacher needs the seats of a subject. If none does, the batch is divided only
      where the images fill the seats of every subject to the end of the epoch.

  Returns:
    A `Seating`: seats in proportion to images shown, by the largest remainder, at least one each;
    as many steps as all images shown fill.

  Raises:
    UserError: if there are more subjects than seats or too few images for one batch.
  """
  shares = shares or [1.0] * len(counts)
  images = [max(1, int(count * share)) for count, share in zip(counts, shares, strict=True)]
  steps = sum(images) // batch_size
  if steps < 1:
    raise UserError(
      f"recipe.batch_size {batch_size} is more than the training images can fill "
      f"({', '.join(map(str, images))} by subject); use a smaller one"
    )
  together = Seating((batch_size,), steps, tuple(images), tuple(counts))
  if batch_size < len(images):
    if apart:
      raise UserError(f"recipe.batch_size {batch_size} is less than the {len(images)} subjects")
    return together
  ideal = [batch_size * count / sum(images) for count in images]
  seats = [max(1, math.floor(share)) for share in ideal]
  while sum(seats) != batch_size:
    sign = 1 if sum(seats) < batch_size else -1
    open_to = [k for k, taken in enumerate(seats) if sign > 0 or taken > 1]
    seats[max(open_to, key=lambda k: sign * (ideal[k] - seats[k]))] += sign
  divided = dataclasses.replace(together, seats=tuple(seats))
  return divided if apart or divided.even else together


def epoch_order(
  seating: Seating, members: Sequence[Integer[np.ndarray, " _"]], seed: tuple[int, ...], epoch: int
) -> Int32[np.ndarray, "steps batch"]:
  """Which training image sits where in each batch of an epoch.

  Args:
    seating: from `seat`.
    members: per subject, int array of the training images that belong to it.
    seed: ints that name this period of training.

  Returns:
    int32 [steps, batch]. No image appears twice, unless its subject has fewer than its seats in all
    batches: then each of them appears as often as any other, or once more.
  """
  if seating.shared:
    shown = [
      np.random.default_rng((*seed, epoch, number)).permutation(images)[:count]
      for number, (count, images) in enumerate(zip(seating.images, members, strict=True))
    ]
    draw = np.random.default_rng((*seed, epoch, len(members)))
    together = draw.permutation(np.concatenate(shown))[: seating.steps * seating.seats[0]]
    return together.reshape(seating.steps, -1).astype(np.int32)
  columns = []
  for number, (taken, images) in enumerate(zip(seating.seats, members, strict=True)):
    draw = np.random.default_rng((*seed, epoch, number))
    columns.append(_drawn(draw, images, seating.steps, taken))
  return np.concatenate(columns, axis=1).astype(np.int32)


def _drawn(
  draw: np.random.Generator, images: Integer[np.ndarray, " _"], steps: int, taken: int
) -> Integer[np.ndarray, "{steps} {taken}"]:
  """Returns [steps, taken] of `images`, all of them shown before any is shown again.

  A batch in which a new round begins takes first those that it has not shown in the old one, so
  that it shows no image twice, as methods with a memory of images need it.
  """
  drawn = draw.permutation(images)
  while len(drawn) < steps * taken:
    more = draw.permutation(images)
    begun = np.isin(more, drawn[len(drawn) // taken * taken :])
    drawn = np.concatenate([drawn, more[~begun], more[begun]])
  return drawn[: steps * taken].reshape(steps, taken)


def teacher_seats(
  seating: Seating, answers: Sequence[bool], devices: int
) -> tuple[Int32[np.ndarray, "{devices} n"], Float32[np.ndarray, "{devices} n"]] | None:
  """The seats a teacher answers for, device by device.

  Args:
    seating: from `seat`; one that is shared is for teachers who answer every subject.
    answers: bool per subject.
    devices: over how many the batch is divided, in stretches of equal length.

  Returns:
    (int32 [devices, n] places in the device's own stretch, float32 [devices, n] mask), n being what
    the fullest device needs; or None if the teacher answers every seat.
  """
  if all(answers):
    return None
  taught = np.repeat(np.asarray(answers), seating.seats)
  rows = [np.flatnonzero(row) for row in taught.reshape(devices, -1)]
  width = max(map(len, rows))
  places = np.zeros((devices, width), np.int32)
  mask = np.zeros((devices, width), np.float32)
  for device, row in enumerate(rows):
    places[device, : len(row)] = row
    mask[device, : len(row)] = 1.0
  return places, mask


def partners(seating: Seating, devices: int) -> Int32[np.ndarray, " batch"]:
  """Whose image is mixed into whose: the next of the same subject and device, in a ring.

  So a specialist sees mixtures of its own classes only. A batch that all subjects share, which has
  no specialist, mixes them.

  Returns:
    int32 [batch], places in the whole batch.
  """
  subject = np.repeat(np.arange(len(seating.seats)), seating.seats)
  device = np.repeat(np.arange(devices), len(subject) // devices)
  chosen = np.arange(len(subject), dtype=np.int32)
  for pair in set(zip(subject, device, strict=True)):
    own = np.flatnonzero((subject == pair[0]) & (device == pair[1]))
    chosen[own] = np.roll(own, -1)
  return chosen


def exam_batches(count: int, batch_size: int) -> Int32[np.ndarray, "batches {batch_size}"]:
  """Places for an exam: int32 [batches, batch] that hold each of 0…count−1 once, padded with 0.

  The first `count` places, in order, are the images; what follows is padding, to be dropped.
  """
  batches = -(-count // batch_size)
  return np.pad(np.arange(count, dtype=np.int32), (0, batches * batch_size - count)).reshape(
    batches, batch_size
  )
