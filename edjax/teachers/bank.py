"""The answer bank: what teachers say of views that can be counted is computed once and kept.

A table per teacher holds its logits for every view of its training images (CIFAR's crops and flips
make 162 of an image). Before each chunk of steps the host finds which views the steps will show,
asks the teacher about those that nobody has asked it about, in large batches that reach into later
chunks, and lays the answers out for the steps, in which no teacher runs. A teacher is asked
about its own seats only, and any run, seed or method may read what another has filled.
"""

import dataclasses
import functools
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from edjax.data import identity
from edjax.data.augment import pipeline
from edjax.errors import UserError
from edjax.models import precision
from edjax.models.analysis.macs import network_macs
from edjax.storage import checkpoint
from edjax.teachers import faculty
from edjax.teachers.answers import Ledger, Table


@dataclasses.dataclass(frozen=True)
class Settings:
  """How answers are kept.

  Attributes:
    numbers: "float32" or "bfloat16".
    fill: "lazily", as views are shown, or "up_front", all of a grade's before it begins.
    folder: of the tables, which runs may share.
    own: of what this run notes about them.
  """

  numbers: str
  fill: str
  folder: pathlib.Path
  own: pathlib.Path


def settings(faculty, workdir, processes):
  """Returns the `Settings` of a run, or None without a bank.

  Args:
    faculty: a `sections.Faculty`.
    workdir: a `pathlib.Path`.
    processes: that train together; a bank knows nothing of others.

  Raises:
    UserError: if there are several.
  """
  if not faculty.bank:
    return None
  if processes > 1:
    raise UserError(
      f"faculty.bank serves one process, not {processes}; set faculty.bank to '', or train with one"
    )
  own = workdir / "teachers"
  folder = pathlib.Path(faculty.cache) if faculty.cache else own
  return Settings(faculty.bank, faculty.bank_fill, folder, own)


def meaning(teacher, dataset, how, numbers, precision, platform):
  """Everything that a table of answers depends on, JSON.

  Args:
    teacher: a `faculty.Teacher`.
    dataset: a `datasets.Dataset`.
    how: an `pipeline.Augment`, with the figures by which the teacher is shown images.
    numbers: in which they are kept; `precision`: in which they are computed.
    platform: of the devices, on which float32 is not the same either.
  """
  return {
    "teacher": checkpoint.sha256(teacher.variables),
    "model": teacher.model,
    "classes": teacher.classes,
    "dataset": dataset.name,
    "images": identity.sample_digest(dataset.train),
    **{key: getattr(how, key) for key in ("mean", "std", "pad", "flip", "resized", "crops")},
    **({"flat": how.flat} if any(how.flat) else {}),
    "numbers": numbers,
    "precision": precision,
    "computed_on": platform,
  }


@dataclasses.dataclass(frozen=True)
class _Desk:
  """One teacher's table, and what has to be known to fill it."""

  name: str
  table: Table
  ledger: Ledger
  ask: Any  # (images, index, numbers) -> logits
  macs: int
  members: np.ndarray  # the images it answers for
  seats: tuple  # (places, mask), [devices, n]


class Bank:
  """The tables of the teachers of one grade."""

  def __init__(self, kept, study, loader, spec, grade, variables, seats, key, rows_of, chunk):
    """Takes note of a grade; opens nothing.

    Args:
      kept: `Settings`.
      study: a `Study`.
      loader: a `Loader`.
      spec: the `step.StepSpec`; its roles' networks are those that are asked.
      grade: the `curriculum.Grade`.
      variables: {name: variables} of those networks, as the steps take them.
      seats: {name: (places, mask)} from `sampler.teacher_seats`, on the host.
      key: of the grade.
      rows_of: epoch -> int32 [devices, steps, batch / devices], the images of the seats.
      chunk: how many steps are laid out at once.
    """
    self._kept, self._study, self._loader, self._spec = kept, study, loader, spec
    self._grade, self._variables, self._seats = grade, variables, seats
    self._rows_of, self._chunk = rows_of, chunk
    self._size = loader.fleet.at_once * loader.fleet.size
    self._desks, self._lost = (), {}
    how, steps, batch = spec.augment, spec.steps_per_epoch, spec.batch_size

    @jax.jit
    def shown(first):
      def one(step):  # as in the training step
        return pipeline.number(how, pipeline.draw(how, jax.random.fold_in(key, step), batch))

      return jax.lax.map(one, first + jnp.arange(steps))

    @functools.lru_cache(maxsize=2)
    def numbers_of(epoch):
      numbers = np.asarray(shown(epoch * steps)).reshape(steps, loader.fleet.size, -1)
      return numbers.swapaxes(0, 1)

    self._numbers_of = numbers_of

  def open(self, progress, computed):
    """Opens the tables, repairs what a killed run left half done, and fills them if so chosen.

    Args:
      progress: a `progress.Progress`.
      computed: what `computed` returned when the checkpoint was made from which the grade goes on.
    """
    self._desks = tuple(map(self._desk, self._spec.roles))
    for desk in self._desks:
      self._lost[desk.name] = max(0, computed.get(desk.name, 0) - desk.ledger.count())
      if self._lost[desk.name] or desk.ledger.damaged():
        progress.line(
          f"bank of {desk.name}: the notes of what this run has computed are damaged; some may be "
          "missing in the cost of its teachers, and answers may differ in their last bits"
        )
      for batch in desk.ledger.batches():
        if len(desk.table.missing(batch)):
          self._compute(desk, batch)
      if self._kept.fill == "up_front":
        self._fill(desk, progress)

  def lay(self, epoch, start):
    """Answers for the chunk that begins at step `start` of an epoch.

    Returns:
      {name: float32 [devices, chunk, seats, columns]}; zeros for padding, in seats and in steps.
    """
    laid = {}
    for desk in self._desks:
      left = self._rows(desk, epoch)[:, start:]
      now = left[:, : self._chunk]
      lacking = len(desk.table.missing(_in_order(now)))
      if lacking:
        whole = -(-lacking // self._size) * self._size
        later = desk.table.missing(_in_order(left))
        if len(later) < whole and epoch + 1 < self._grade.epochs:
          coming = _in_order(self._rows(desk, epoch + 1))
          later = desk.table.missing(np.concatenate([_in_order(left), coming]))
        self._answer(desk, later[:whole])
      short = self._chunk - now.shape[1]
      laid[desk.name] = desk.table.read(
        np.pad(now, ((0, 0), (0, short), (0, 0)), constant_values=-1)
      )
    return laid

  def computed(self):
    """Returns {name: how many answers this run has computed in this grade}."""
    return {desk.name: desk.ledger.count() + self._lost[desk.name] for desk in self._desks}

  def macs(self):
    """Multiply-accumulates of the answers that this run has computed in this grade."""
    computed = self.computed()
    return sum(desk.macs * computed[desk.name] for desk in self._desks)

  def _desk(self, role):
    loader, teacher = self._loader, self._study.teachers[role.name]
    how = self._spec.augment.by(role.figures)
    dataset = loader.dataset
    labels = dataset.train.labels
    members = np.flatnonzero(np.isin(labels, teacher.classes))
    about = meaning(
      teacher,
      dataset,
      how,
      self._kept.numbers,
      self._spec.precision,
      loader.fleet.devices[0].platform,
    )
    columns = len(teacher.classes)
    tag = faculty.fingerprint(about)
    place = self._kept.folder / f"bank_{dataset.name}_{teacher.model}_{columns}_{tag}"
    ledger = self._kept.own / role.name / f"answered_{self._grade.name}_{tag}"
    ask = _asker(loader.fleet, role.network, how, self._spec.precision)
    variables = loader.fleet.replicate(self._variables[role.name])
    per_device = self._spec.batch_size // loader.fleet.size
    everywhere = np.tile(np.arange(per_device), (loader.fleet.size, 1))
    return _Desk(
      name=role.name,
      table=Table(place, len(members) * how.distinct, columns, self._kept.numbers, about),
      ledger=Ledger(ledger, self._size),
      ask=functools.partial(ask, variables),
      macs=network_macs(teacher.network, loader.image_shape),
      members=members,
      seats=self._seats.get(role.name, (everywhere, np.ones(everywhere.shape))),
    )

  def _rows(self, desk, epoch):
    """The table's rows that the seats of an epoch show: [devices, steps, seats]; −1 is padding."""
    places, mask = (part[:, None] for part in desk.seats)
    images, numbers = (
      np.take_along_axis(array, places, axis=2)
      for array in (self._rows_of(epoch), self._numbers_of(epoch))
    )
    rows = np.searchsorted(desk.members, images) * self._spec.augment.distinct + numbers
    return np.where(mask > 0, rows, -1)

  def _fill(self, desk, progress):
    labels, views = self._loader.dataset.train.labels, self._spec.augment.distinct
    shown = np.isin(labels[desk.members], self._study.order[: self._grade.num_classes])
    images = np.flatnonzero(shown)
    rows = desk.table.missing(images[:, None] * views + np.arange(views)[None])
    for first in range(0, len(rows), self._size):
      self._answer(desk, rows[first : first + self._size])
      done = min(first + self._size, len(rows))
      progress.update(
        label=f"bank of {desk.name}", epoch=1, epochs=None, step=done, steps=len(rows)
      )
    if len(rows):
      progress.line(
        f"bank of {desk.name}: {len(rows):,} answers computed, for {len(images):,} images × "
        f"{views:,} views; in {desk.table.place}"
      )

  def _answer(self, desk, rows):
    for first in range(0, len(rows), self._size):
      batch = rows[first : first + self._size]
      desk.ledger.enter(batch)
      self._compute(desk, batch)

  def _compute(self, desk, rows):
    padded = np.concatenate([rows, np.repeat(rows[:1], self._size - len(rows))])
    places, numbers = np.divmod(padded, self._spec.augment.distinct)
    index = desk.members[places]
    images = self._loader.dataset.train.images[index]
    logits = desk.ask(images, index.astype(np.int32), numbers.astype(np.int32))
    desk.table.write(rows, logits[: len(rows)])


@functools.lru_cache(maxsize=8)
def _asker(fleet, network, how, precision):
  """Teachers of one network, and the grades they teach in, share what is compiled."""
  return fleet.asker(functools.partial(ask_step, network, how, precision))


def _in_order(rows):
  """[devices, steps, seats] as they are shown, step by step."""
  return rows.swapaxes(0, 1).ravel()


def ask_step(network, how, dtype, variables, images, index, numbers):
  """What a frozen teacher says of views of images, as in a training step.

  Args:
    network, how: the teacher's, and an `pipeline.Augment`; static.
    dtype: in which it computes, see `precision`.
    variables: its own.
    images: uint8 [n, height, width, channels].
    index: int32 [n], which training images they are.
    numbers: int32 [n], of the views, see `pipeline.number`.

  Returns:
    float32 [n, columns].
  """
  draws = pipeline.settle(how, pipeline.numbered(how, numbers), index)
  view = pipeline.normalise(how, pipeline.view(how, images, draws))
  logits = network.apply(variables, precision.enter(view, dtype)).logits
  return logits.astype(jnp.float32)
