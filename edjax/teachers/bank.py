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
from collections.abc import Callable, Mapping
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, Int32, UInt8

from edjax.data import identity
from edjax.data.augment import pipeline
from edjax.data.datasets import Dataset
from edjax.data.figures import Figures
from edjax.devices.pmap import Fleet
from edjax.errors import UserError
from edjax.models import precision
from edjax.models.analysis.macs import network_macs
from edjax.models.layers import Network, Output
from edjax.progress import Progress
from edjax.sections import Faculty
from edjax.storage import trees
from edjax.teachers import faculty
from edjax.teachers.answers import Ledger, Table
from edjax.types import Label, Size, Variables

Seats = tuple[Int32[np.ndarray, "devices n"], Float32[np.ndarray, "devices n"]]  # places, mask


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


def settings(faculty: Faculty, workdir: pathlib.Path, processes: int) -> Settings | None:
  """Returns the `Settings` of a run, or None without a bank.

  Args:
    faculty: of the run.
    workdir: of the run.
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


@dataclasses.dataclass(frozen=True)
class Shown:
  """Which views of which images the steps of a grade show.

  Attributes:
    grade: its name.
    how: images enter.
    precision: in which teachers compute, see `precision`.
    labels: of the data set, that are taught.
    epochs: of the grade; `chunk`: how many steps are laid out at once.
    rows: epoch -> int32 [devices, steps, batch / devices], the images.
    numbers: epoch -> int32 of the same shape, their views, see `pipeline.number`.
  """

  grade: str
  how: pipeline.Augment
  precision: str
  labels: tuple[Label, ...]
  epochs: float
  chunk: int
  rows: Callable[[int], Int32[np.ndarray, "devices steps seats"]]
  numbers: Callable[[int], Int32[np.ndarray, "devices steps seats"]]

  @property
  def views(self) -> int:
    """How many an image has."""
    return cast(int, self.how.distinct)


@dataclasses.dataclass(frozen=True)
class Asked:
  """A teacher as the steps of a grade ask it.

  Attributes:
    teacher: as it was acquired.
    network, variables: of it, folded and in a precision.
    figures: (mean, std) by which it is shown images; () for the run's.
    size: (height, width) of the views that it sees; () for whole ones.
    seats: for which it answers, from `sampler.teacher_seats`; None for every seat.
  """

  teacher: faculty.Teacher
  network: Network
  variables: Variables
  figures: Figures | tuple[()]
  size: Size
  seats: Seats | None


def meaning(
  teacher: faculty.Teacher,
  dataset: Dataset,
  how: pipeline.Augment,
  numbers: str,
  precision: str,
  platform: str,
) -> dict[str, Any]:
  """Everything that a table of answers depends on, JSON.

  Args:
    teacher: that answers.
    dataset: of the run.
    how: images enter, with the figures by which the teacher is shown them.
    numbers: in which they are kept; `precision`: in which they are computed.
    platform: of the devices, on which float32 is not the same either.
  """
  return {
    "teacher": trees.sha256(teacher.variables),
    "model": teacher.model,
    "classes": teacher.classes,
    "dataset": dataset.name,
    "images": identity.sample_digest(dataset.train),
    **{key: getattr(how, key) for key in ("mean", "std", "pad", "flip", "resized", "crops")},
    **({"flat": how.flat} if any(how.flat) else {}),
    **({"size": how.size} if how.size else {}),
    "numbers": numbers,
    "precision": precision,
    "computed_on": platform,
  }


@dataclasses.dataclass(frozen=True)
class _Kept:
  """One teacher's table, and what has to be known to fill it.

  Attributes:
    ask: (images, index, numbers) -> logits.
    macs: of one answer.
    members: the images it answers for.
    seats: [devices, n].
  """

  name: str
  table: Table
  ledger: Ledger
  ask: Callable[..., np.ndarray]
  macs: int
  members: Int32[np.ndarray, " images"]
  seats: Seats


class Bank:
  """The tables of the teachers of one grade."""

  def __init__(
    self,
    settings: Settings,
    dataset: Dataset,
    fleet: Fleet,
    asked: tuple[Asked, ...],
    shown: Shown,
  ) -> None:
    """Takes note of a grade; opens nothing."""
    self._settings, self._dataset, self._fleet = settings, dataset, fleet
    self._asked, self._shown = asked, shown
    self._size = fleet.at_once * fleet.size
    self._kept: tuple[_Kept, ...] = ()
    self._lost: dict[str, int] = {}

  def open(self, progress: Progress, computed: Mapping[str, int]) -> None:
    """Opens the tables, repairs what a killed run left half done, and fills them if so chosen.

    Args:
      progress: is told.
      computed: what `computed` returned when the checkpoint was made from which the grade goes on.
    """
    self._kept = tuple(map(self._open, self._asked))
    for kept in self._kept:
      self._lost[kept.name] = max(0, computed.get(kept.name, 0) - kept.ledger.count())
      if self._lost[kept.name] or kept.ledger.damaged():
        progress.line(
          f"bank of {kept.name}: the notes of what this run has computed are damaged; some may be "
          "missing in the cost of its teachers, and answers may differ in their last bits"
        )
      for batch in kept.ledger.batches():
        if len(kept.table.missing(batch)):
          self._compute(kept, batch)
      if self._settings.fill == "up_front":
        self._fill(kept, progress)

  def lay(self, epoch: int, start: int) -> dict[str, Float32[np.ndarray, "devices chunk _ _"]]:
    """Answers for the chunk that begins at step `start` of an epoch.

    Returns:
      {name: float32 [devices, chunk, seats, columns]}; zeros for padding, in seats and in steps.
    """
    laid, chunk = {}, self._shown.chunk
    for kept in self._kept:
      left = self._rows(kept, epoch)[:, start:]
      now = left[:, :chunk]
      lacking = len(kept.table.missing(_in_order(now)))
      if lacking:
        whole = -(-lacking // self._size) * self._size
        later = kept.table.missing(_in_order(left))
        if len(later) < whole and epoch + 1 < self._shown.epochs:
          coming = _in_order(self._rows(kept, epoch + 1))
          later = kept.table.missing(np.concatenate([_in_order(left), coming]))
        self._answer(kept, later[:whole])
      short = chunk - now.shape[1]
      laid[kept.name] = kept.table.read(
        np.pad(now, ((0, 0), (0, short), (0, 0)), constant_values=-1)
      )
    return laid

  def computed(self) -> dict[str, int]:
    """Returns {name: how many answers this run has computed in this grade}."""
    return {kept.name: kept.ledger.count() + self._lost[kept.name] for kept in self._kept}

  def macs(self) -> int:
    """Multiply-accumulates of the answers that this run has computed in this grade."""
    computed = self.computed()
    return sum(kept.macs * computed[kept.name] for kept in self._kept)

  def _open(self, asked: Asked) -> _Kept:
    dataset, fleet, teacher, shown = self._dataset, self._fleet, asked.teacher, self._shown
    how, numbers = shown.how.by(asked.figures).at(asked.size), self._settings.numbers
    platform = fleet.devices[0].platform
    about = meaning(teacher, dataset, how, numbers, shown.precision, platform)
    whole = dataset.train.images.shape[1:]
    members = np.flatnonzero(np.isin(dataset.train.labels, teacher.classes))
    columns, tag = len(teacher.classes), faculty.fingerprint(about)
    place = self._settings.folder / f"bank_{dataset.name}_{teacher.model}_{columns}_{tag}"
    ledger = self._settings.own / teacher.name / f"answered_{shown.grade}_{tag}"
    ask = _asker(fleet, View(asked.network, how, shown.precision))
    per_device = shown.rows(0).shape[-1]
    everywhere = np.tile(np.arange(per_device, dtype=np.int32), (fleet.size, 1))
    return _Kept(
      name=teacher.name,
      table=Table(place, len(members) * shown.views, columns, numbers, about),
      ledger=Ledger(ledger, self._size),
      ask=functools.partial(ask, fleet.replicate(asked.variables)),
      macs=network_macs(teacher.network, pipeline.shape_at(how.size, whole)),
      members=members,
      seats=asked.seats or (everywhere, np.ones(everywhere.shape, np.float32)),
    )

  def _rows(self, kept: _Kept, epoch: int) -> Int32[np.ndarray, "devices steps seats"]:
    """The table's rows that the seats of an epoch show; −1 is padding."""
    places, mask = (part[:, None] for part in kept.seats)
    images, numbers = (
      np.take_along_axis(array, places, axis=2)
      for array in (self._shown.rows(epoch), self._shown.numbers(epoch))
    )
    rows = np.searchsorted(kept.members, images) * self._shown.views + numbers
    return np.where(mask > 0, rows, -1)

  def _fill(self, kept: _Kept, progress: Progress) -> None:
    labels, views = self._dataset.train.labels, self._shown.views
    images = np.flatnonzero(np.isin(labels[kept.members], self._shown.labels))
    rows = kept.table.missing(images[:, None] * views + np.arange(views)[None])
    for first in range(0, len(rows), self._size):
      self._answer(kept, rows[first : first + self._size])
      done = min(first + self._size, len(rows))
      progress.update(
        label=f"bank of {kept.name}", epoch=1, epochs=None, step=done, steps=len(rows)
      )
    if len(rows):
      progress.line(
        f"bank of {kept.name}: {len(rows):,} answers computed, for {len(images):,} images × "
        f"{views:,} views; in {kept.table.place}"
      )

  def _answer(self, kept: _Kept, rows: np.ndarray) -> None:
    for first in range(0, len(rows), self._size):
      batch = rows[first : first + self._size]
      kept.ledger.enter(batch)
      self._compute(kept, batch)

  def _compute(self, kept: _Kept, rows: np.ndarray) -> None:
    padded = np.concatenate([rows, np.repeat(rows[:1], self._size - len(rows))])
    places, numbers = np.divmod(padded, self._shown.views)
    index = kept.members[places]
    images = self._dataset.train.images[index]
    logits = kept.ask(images, index.astype(np.int32), numbers.astype(np.int32))
    kept.table.write(rows, logits[: len(rows)])


@dataclasses.dataclass(frozen=True)
class View:
  """How a frozen teacher looks at images: static.

  Attributes:
    network: that is asked.
    how: it is shown them.
    precision: in which it computes, see `precision`.
  """

  network: Network
  how: pipeline.Augment
  precision: str


@functools.lru_cache(maxsize=8)
def _asker(fleet: Fleet, view: View) -> Callable[..., np.ndarray]:
  """Teachers of one network, and the grades they teach in, share what is compiled."""
  return fleet.asker(functools.partial(ask_step, view))


def _in_order(rows: np.ndarray) -> np.ndarray:
  """[devices, steps, seats] as they are shown, step by step."""
  return rows.swapaxes(0, 1).ravel()


def ask_step(
  view: View,
  variables: Variables,
  images: UInt8[jax.Array, "n height width channels"],
  index: Int32[jax.Array, " n"],
  numbers: Int32[jax.Array, " n"],
) -> Float32[jax.Array, "n columns"]:
  """What a frozen teacher says of views of images, as in a training step.

  Args:
    view: static.
    variables: of its network.
    images: whole ones.
    index: which training images they are.
    numbers: of the views, see `pipeline.number`.
  """
  draws = pipeline.settle(view.how, pipeline.numbered(view.how, numbers), index)
  seen = pipeline.normalise(view.how, pipeline.view(view.how, images, draws))
  output = view.network.apply(variables, precision.enter(seen, view.precision))
  return cast(Output, output).logits.astype(jnp.float32)
