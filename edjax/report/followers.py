"""What follows a journal: results.csv, TensorBoard, a function of the caller's.

The journal is what is true. Files that follow it are made anew from its rows whenever a training
begins or goes on, so that a run that was killed has no row in them twice.
"""

import csv
import datetime
import math
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, Self, TextIO

from edjax.extras import require
from edjax.storage.files import naming

Row = dict[str, Any]  # of the journal
OnRow = Callable[[Row], object]

_FIGURES = ("loss", "top1", "nll", "count", "learning_rate", "images_per_second")


class Writer(Protocol):
  """Writes rows in a form of its own."""

  def write(self, row: Row) -> None:
    """Takes the journal's next row."""

  def close(self) -> None:
    """Ends what is written."""


class Followers:
  """What follows the journal of one training; use it as a context.

  Attributes:
    directory: of the training.
    methods: names of those that teach in it.
  """

  def __init__(
    self,
    writers: Iterable[str],
    on_row: OnRow | None,
    directory: pathlib.Path,
    methods: Sequence[str],
  ) -> None:
    """Takes names of `WRITERS`, and a function that is told every new row."""
    self.directory, self.methods = directory, methods
    self._names, self._on_row = tuple(writers), on_row
    self._writers: list[Writer] = []

  def __enter__(self) -> Self:
    return self

  def __exit__(self, *_: object) -> None:
    for writer in self._writers:
      writer.close()

  def begin(self, rows: Iterable[Row]) -> None:
    """Makes the files anew, of the rows that there are already."""
    self.directory.mkdir(parents=True, exist_ok=True)
    self._writers = [WRITERS[name](self.directory, self.methods) for name in self._names]
    for row in rows:
      self._write(row)

  def write(self, row: Row) -> None:
    """Hands on a row that the journal has got."""
    self._write(row)
    if self._on_row:
      self._on_row(row)

  def _write(self, row: Row) -> None:
    for writer in self._writers:
      writer.write(row)


def check(writers: Iterable[str]) -> None:
  """Raises UserError if a package is missing that one of `WRITERS` needs."""
  if "tensorboard" in writers:
    _tensorboard()


def figures(row: Mapping[str, Any]) -> dict[str, float]:
  """Returns the figures of a row by where they were seen: {"train/loss": 0.5, "train/top1": …}.

  What each method adds to the loss is "train/loss_kd" and so on.
  """
  where = row.get("split", row.get("kind"))
  known = {name: row[name] for name in _FIGURES if row.get(name) is not None}
  known |= {f"loss_{name}": loss for name, loss in row.get("losses", {}).items()}
  return {f"{where}/{name}": float(value) for name, value in known.items()}


class Csv:
  """results.csv: a row per epoch, what was seen in training beside the exam at its end.

  Rows of the journal, of which an epoch has up to some twenty, can be read as they are; who opens a
  table wants epochs. The row of an epoch that was broken off says so by its `epoch`.
  """

  def __init__(self, directory: pathlib.Path, methods: Sequence[str]) -> None:
    """Begins the file anew, with its header."""
    losses = (f"train/loss_{name}" for name in methods)
    train = ("train/loss", *losses, "train/top1", "train/learning_rate", "train/images_per_second")
    exam = ("validation/top1", "validation/nll", "validation/count")
    self._columns = ("step", "grade", "epoch", "time", *train, *exam)
    self._path = directory / "results.csv"
    self._epoch: list[tuple[int, Row]] = []  # (steps, row) of the one under way
    self._step = 0
    with naming(self._path):
      self._file: TextIO = open(self._path, "w", buffering=1, newline="")  # noqa: SIM115
    self._add(self._columns)

  def write(self, row: Row) -> None:
    """Takes the journal's next row: of a chunk of an epoch, or of the exam after it."""
    kind = row.get("kind")
    if kind == "exam":
      self._end(row)
    elif kind == "train":
      if self._epoch and _which(self._epoch[-1][1]) != _which(row):
        self._end({})
      self._epoch.append((max(1, row["step"] - self._step), row))
      self._step = row["step"]

  def close(self) -> None:
    """Writes what there is of the epoch under way."""
    self._end({})
    self._file.close()

  def _end(self, exam: Row) -> None:
    """Writes the row of an epoch, with the exam at its end if there was one."""
    if not self._epoch:
      return
    last = self._epoch[-1][1]
    values = {key: last.get(key) for key in ("step", "grade", "time")}
    values |= {"epoch": last["epoch"], **_averaged(self._epoch), **figures(exam)}
    self._epoch = []
    self._add(_written(values.get(column)) for column in self._columns)

  def _add(self, cells: Iterable[Any]) -> None:
    with naming(self._path):
      csv.writer(self._file, lineterminator="\n").writerow(cells)


def _which(row: Row) -> tuple[str, int]:
  """The epoch in which a row is, and its grade."""
  return row["grade"], math.ceil(row["epoch"])


def _averaged(epoch: Sequence[tuple[int, Row]]) -> dict[str, float]:
  """The figures of an epoch: means over its steps, but the rate is that at its end."""
  seen = [(steps, figures(row)) for steps, row in epoch]
  averaged = {}
  for name in dict.fromkeys(name for _, row in seen for name in row):
    known = [(steps, row[name]) for steps, row in seen if name in row]
    total = sum(steps for steps, _ in known)
    if name == "train/learning_rate":
      averaged[name] = known[-1][1]
    elif name == "train/images_per_second":
      averaged[name] = total / sum(steps / value for steps, value in known)
    else:
      averaged[name] = sum(steps * value for steps, value in known) / total
  return averaged


def _written(value: Any) -> Any:
  return f"{value:.6g}" if isinstance(value, float) else value


class Events:
  """The event files that TensorBoard reads, in tensorboard/: every row of the journal."""

  def __init__(self, directory: pathlib.Path, methods: Sequence[str]) -> None:
    """Removes the events that were there, and lets a viewer that has read them forget them."""
    place = directory / "tensorboard"
    for earlier in place.glob("events.out.tfevents.*"):
      earlier.unlink()
    self._writer = _tensorboard().SummaryWriter(str(place), purge_step=0, flush_secs=5)

  def write(self, row: Row) -> None:
    """Adds a row's figures at its step, and the time at which it was written."""
    time = row.get("time")
    seconds = datetime.datetime.fromisoformat(time).timestamp() if time else None
    for name, value in figures(row).items():
      self._writer.add_scalar(name, value, row["step"], seconds)

  def close(self) -> None:
    """Writes out what is under way."""
    self._writer.close()


def _tensorboard() -> Any:
  return require("tensorboardX", "tensorboard")


# A name of the setting `writers` -> what writes that of a training, from its directory and methods.
WRITERS: dict[str, Callable[[pathlib.Path, Sequence[str]], Writer]] = {
  "csv": Csv,
  "tensorboard": Events,
}
