"""Training steps in plain PyTorch, as the distillation literature runs them, and their duration.

Eager, channels_last, SGD with momentum, images in memory as bytes and augmented on the device, so
that a comparison is not with a slow data loader. Precision, the cuDNN search and the number of
threads are the caller's to set.
"""

import itertools
import statistics
import time
from typing import NamedTuple

import torch
from torch import nn

from tests.reference.distillation import Answer, education


class Teacher(NamedTuple):
  """A frozen network and what it answers for.

  Attributes:
    network: of `tests.reference`, with as many logits as `classes`.
    classes: indices among the student's logits, in the order of its columns.
  """

  network: nn.Module
  classes: torch.Tensor


def augment(images, mean, std, generator, pad=4):
  """Crops at random from a black border, mirrors every other image or so, normalises.

  From bytes [batch, height, width, channels], `mean` and `std` [channels] of values in [0, 1], to
  floats [batch, channels, height, width] in channels_last; `generator` is of the images' device.
  """
  count, height, width, _ = images.shape
  device = images.device
  padded = nn.functional.pad(images, (0, 0, pad, pad, pad, pad))
  rows = torch.arange(height, device=device)[None]
  columns = torch.arange(width, device=device)[None]
  low = torch.randint(0, 2 * pad + 1, (2, count, 1), generator=generator, device=device)
  flip = torch.rand((count, 1), generator=generator, device=device) < 0.5
  columns = low[1] + torch.where(flip, columns.flip(1), columns)
  which = torch.arange(count, device=device)[:, None, None]
  crops = padded[which, (low[0] + rows)[:, :, None], columns[:, None, :]]
  return ((crops / 255 - mean) / std).permute(0, 3, 1, 2)


def seat(teachers, labels, batch):
  """Returns [(teacher or None, its images, its rows of the batch)], in proportion to its images."""
  if not teachers:
    return [(None, torch.arange(len(labels), device=labels.device), slice(0, batch))]
  pools = [torch.isin(labels, teacher.classes).nonzero()[:, 0] for teacher in teachers]
  ends = [round(batch * sum(map(len, pools[:end])) / len(labels)) for end in range(len(pools) + 1)]
  return list(zip(teachers, pools, map(slice, ends, ends[1:]), strict=False))


def train_step(student, optimizer, images, labels, seated, alpha=0.3, temperature=4.0):
  """One step; `images` and `labels` in the order of `seat`'s rows. Returns the loss, a scalar."""
  with torch.no_grad():
    answers = [
      Answer(rows, teacher.classes, teacher.network(images[rows]).logits)
      for teacher, _, rows in seated
      if teacher
    ]
  loss = education(student(images).logits, labels, answers, alpha, temperature)
  optimizer.zero_grad(set_to_none=True)
  loss.backward()
  optimizer.step()
  return loss.detach()


class Augmented(torch.utils.data.Dataset):
  """Images [channels, height, width] one at a time, as a data loader's workers make them."""

  def __init__(self, images, labels, mean, std):
    self._images, self._labels, self._statistics = images, labels, (mean, std)

  def __getitem__(self, index):
    return augment(self._images[index : index + 1], *self._statistics, None)[0], self._labels[index]


def drawn(seated, generator=None):
  """Yields batches of indices without end, for the rows of `seat`, with replacement."""
  sizes = [(pool, rows.stop - rows.start) for _, pool, rows in seated]
  while True:
    yield torch.cat(
      [
        pool[torch.randint(len(pool), (size,), generator=generator, device=pool.device)]
        for pool, size in sizes
      ]
    )


def seconds_per_step(
  student,
  teachers,
  images,
  labels,
  *,
  steps,
  device,
  batch=64,
  warmup=5,
  window=1,
  lr=0.05,
  compiled=False,
  workers=None,
):
  """Returns the median seconds of a training step, data and teachers included.

  Args:
    student: a network of `tests.reference`; trained in place.
    teachers: `Teacher`s, whose classes share out the labels; none for plain training.
    images: bytes [images, height, width, channels].
    labels: int64 [images].
    steps: how many are timed, a multiple of `window`, after `warmup` others.
    device: "cpu" or "cuda".
    window: steps between two readings of the clock; the device is waited for only there, so a
      larger window lets the host run ahead of a GPU as it would in training.
    compiled: whether all networks go through `torch.compile`.
    workers: processes of a `DataLoader` that augments images one by one; None augments batches on
      the device.
  """
  layout = {"device": device, "memory_format": torch.channels_last}
  student = student.to(**layout).train()
  teachers = [Teacher(net.to(**layout).eval(), classes.to(device)) for net, classes in teachers]
  images, labels = images.to(device), labels.to(device)
  pixels, seated = images[:10_000].float() / 255, seat(teachers, labels, batch)
  mean, std = pixels.mean((0, 1, 2)), pixels.std((0, 1, 2))
  optimizer = torch.optim.SGD(student.parameters(), lr=lr, momentum=0.9, weight_decay=5e-4)
  generator = torch.Generator(device).manual_seed(0)
  if compiled:
    student = torch.compile(student)
    seated = [
      (teacher and teacher._replace(network=torch.compile(teacher.network)), pool, rows)
      for teacher, pool, rows in seated
    ]

  if workers is None:
    batches = (
      (augment(images[chosen], mean, std, generator), labels[chosen])
      for chosen in drawn(seated, generator)
    )
  else:
    own = [(teacher, pool.cpu(), rows) for teacher, pool, rows in seated]
    loader = torch.utils.data.DataLoader(
      Augmented(*(tensor.cpu() for tensor in (images, labels, mean, std))),
      batch_sampler=(chosen.tolist() for chosen in drawn(own)),
      num_workers=workers,
      pin_memory=device == "cuda",
    )
    batches = iter(loader)

  def step():
    inputs, wanted = next(batches)
    inputs = inputs.to(**layout, non_blocking=True)
    train_step(student, optimizer, inputs, wanted.to(device, non_blocking=True), seated)

  def clock():
    if torch.device(device).type == "cuda":
      torch.cuda.synchronize()
    return time.perf_counter()

  times = []
  for number in range(warmup + steps):
    if number >= warmup and (number - warmup) % window == 0:
      times.append(clock())
    step()
  times.append(clock())
  return statistics.median(late - early for early, late in itertools.pairwise(times)) / window
