"""What is kept and shown of one training while it goes on: journal, checkpoints, the live line."""

import dataclasses
import datetime
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, Self

from edjax.curriculum import Grade
from edjax.data import identity
from edjax.errors import UserError
from edjax.progress import Progress, duration
from edjax.report.followers import Followers
from edjax.report.journal import Journal
from edjax.report.outlook import Outlook, many
from edjax.report.scores import percent_of
from edjax.report.summary import left_out, unshown
from edjax.storage import checkpoint
from edjax.study import Study
from edjax.training.grade import ReadyGrade
from edjax.training.step import State


@dataclasses.dataclass(frozen=True)
class Chunk:
  """What came of some steps, looked at together.

  Attributes:
    step: of the grade, after them.
    broken: the first step of the grade whose loss was not finite, or −1.
    seconds: that they took; None where compiling is among them.
    loss, right, images: sums over them.
    losses: {method: what it has added to the loss}.
  """

  step: int
  broken: int
  seconds: float | None
  loss: float
  right: float
  images: float
  losses: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Reached:
  """How far a training is: what its checkpoints say besides the arrays, as JSON.

  Attributes:
    grade: number of the present grade.
    grades: rows of those that have ended, see `summary.grade_row`.
    best: (validation top-1, test top-1) of the last grade's epoch that was best on the validation
      part, or None.
    first_step: steps before the present grade.
    seconds: of the present grade, exams and saving included.
    pace: images of the present grade and the seconds they took, without compiling.
    computed: what the bank has computed in the present grade, see `bank.Bank.computed`.
  """

  grade: int = 0
  grades: Sequence[dict[str, Any]] = ()
  best: Sequence[float] | None = None
  first_step: int = 0
  seconds: float = 0.0
  pace: Sequence[float] = (0.0, 0.0)
  computed: dict[str, Any] = dataclasses.field(default_factory=dict)

  @classmethod
  def read(cls, meta: dict[str, Any]) -> Self:
    """Returns what a checkpoint says; there is more in it."""
    names = {field.name for field in dataclasses.fields(cls)}
    known: dict[str, Any] = {name: value for name, value in meta.items() if name in names}
    return cls(**known)

  def begin(self, number: int, first_step: int) -> "Reached":
    """Returns what is reached where a grade begins."""
    return Reached(number, self.grades, self.best, first_step)

  def paced(self, chunk: Chunk) -> "Reached":
    """Returns what is reached after a chunk, as far as its pace goes."""
    if chunk.seconds is None:
      return self
    images, seconds = self.pace
    return dataclasses.replace(self, pace=(images + chunk.images, seconds + chunk.seconds))

  @property
  def images_per_second(self) -> float | None:
    """Of the present grade so far, compilation and exams apart; None if not yet known."""
    images, seconds = self.pace
    return images / seconds if seconds else None


class Log:
  """The journal and the checkpoints of a training, and what a person sees of it."""

  def __init__(
    self,
    study: Study,
    data: dict[str, Any],
    journal: Journal,
    followers: Followers,
    store: checkpoint.Store,
    progress: Progress,
    outlook: Outlook,
  ) -> None:
    """Takes note of a study and of its data, JSON, which a checkpoint must have been made with."""
    self.progress, self.label = progress, study.label
    self._study, self._data = study, data
    self._journal, self._followers = journal, followers
    self._store, self._outlook = store, outlook
    self._saved_at, self._told = time.monotonic(), False

  def is_last(self, grade: Grade) -> bool:
    """Whether a grade is the last of the study."""
    return grade is self._study.curriculum.grades[-1]

  def newest(self) -> tuple[int, dict[str, Any] | None, Reached]:
    """Returns the newest sound checkpoint: its step, its arrays by path, and what was reached.

    The journal, and what follows it, then hold the rows up to it. Without a checkpoint: (0, None,
    the beginning).

    Raises:
      UserError: if the checkpoint is of other data.
    """
    found, journal = self._store.newest(), self._journal
    if not found:
      before = journal.set_aside()
      if before:
        self.progress.line(
          f"{self.label}: no sound checkpoint is left, so that it starts anew; what was noted of "
          f"its steps is in {before}"
        )
      self._followers.begin(())
      return 0, None, Reached()
    step, arrays, meta = found
    where = self._study.directory
    identity.refuse(f"the checkpoint in {where}", meta.get("data"), self._data)
    journal.rewind(step)
    self._followers.begin(journal.rows())
    if meta.get("journal", journal.digest()) != journal.digest():
      self.progress.line(
        f"{self.label}: {journal.path} is not what it was at step {step:,}: rows are lost or "
        "altered, and so are the curves of the report"
      )
    return step, arrays, Reached.read(meta)

  def restore(self, ready: ReadyGrade, arrays: dict[str, Any], step: int) -> State:
    """Returns the state that a checkpoint of this grade holds.

    Raises:
      UserError: if its arrays are not those of the grade.
    """
    try:
      state = ready.restore(arrays)
    except ValueError as error:
      raise UserError(
        f"the checkpoint in {self._study.directory} is none of {self._where(ready)} as this "
        f"version of edjax trains it ({str(error)[:200]}); use another --workdir"
      ) from error
    self.progress.line(f"{self.label}: continuing after step {step:,}, in {ready.grade.name}")
    return state

  def save(self, ready: ReadyGrade, state: State, reached: Reached) -> None:
    """Begins to write a checkpoint, see `checkpoint.Store.save`."""
    meta = dataclasses.asdict(reached) | {"data": self._data, "journal": self._journal.digest()}
    self._store.save(ready.first_step + int(state.step), state, meta)
    self._saved_at = time.monotonic()

  @property
  def is_due(self) -> bool:
    """Whether the last checkpoint is so old that another should be written."""
    return time.monotonic() - self._saved_at >= self._study.every_seconds

  def note_left_out(self, ready: ReadyGrade) -> None:
    """Says what an epoch leaves out, once a training; the report has it of every grade."""
    if not (ready.seating.even or self._told):
      self.progress.line(left_out([{"name": self._where(ready)} | unshown(ready.seating)]))
      self._told = True

  def begin(self, ready: ReadyGrade, number: int, step: int) -> None:
    """Says that a grade begins, or goes on after so many of its steps."""
    self._saved_at = time.monotonic()
    self._outlook.begin(self.label, number, step / ready.steps)
    self.progress.busy(f"{self._where(ready)} · compiling …")

  def note(self, ready: ReadyGrade, chunk: Chunk) -> None:
    """Writes and shows what came of a chunk.

    Raises:
      UserError: if its loss was not finite.
    """
    grade, per_epoch = ready.grade, ready.seating.steps
    if chunk.broken >= 0:
      raise UserError(
        f"{self.label}: the loss is not finite at step {ready.first_step + chunk.broken + 1} "
        f"({grade.name}, epoch {chunk.broken // per_epoch + 1}); the last good checkpoint stays "
        f"in {(self._study.directory / 'checkpoints').absolute()}; lower its learning_rate or "
        "warm up longer, in another --workdir"
      )
    was_telling, left = self._outlook.is_telling, self._outlook.left(chunk.step / ready.steps)
    if left is not None and self._outlook.is_telling and not was_telling:
      self.progress.line(f"{'time':<8} about {duration(left)} to go, at the pace so far")
    figures = {
      "loss": chunk.loss / chunk.images,
      "top1": chunk.right / chunk.images,
      "images_per_second": chunk.images / chunk.seconds if chunk.seconds else None,
    }
    self._write(
      ready,
      chunk.step,
      kind="train",
      epoch=chunk.step / per_epoch,
      learning_rate=float(ready.schedule(chunk.step - 1)),
      **figures,
      losses={name: loss / chunk.images for name, loss in chunk.losses.items()},
    )
    self.progress.update(
      label=self._where(ready),
      epoch=(chunk.step - 1) // per_epoch + 1,
      epochs=math.ceil(grade.epochs),
      step=chunk.step,
      steps=ready.steps,
      seconds_left=left,
      **figures,
    )

  def note_exam(self, ready: ReadyGrade, scores: dict[str, Any], step: int) -> None:
    """Writes what an exam on the validation part gave."""
    known = {key: scores[key] for key in ("count", "top1", "nll")}
    self._write(ready, step, kind="exam", split="validation", **known)

  def note_end(self, ready: ReadyGrade, scores: dict[str, Any], seconds: float) -> None:
    """Says how a grade ended, by its exam on the test split."""
    grade = ready.grade
    self.progress.line(
      f"{self._where(ready)}: {many(grade.fragments, 'fragment')}, "
      f"{many(grade.num_classes, 'class', 'es')}, {many(grade.epochs, 'epoch')} in "
      f"{duration(seconds)}; test top-1 {percent_of(scores['top1'], scores['count'])}"
    )

  def _write(self, ready: ReadyGrade, step: int, **row: Any) -> None:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
    place = {"step": ready.first_step + step, "grade": ready.grade.name}
    whole = {"training": self.label, **place, "time": now, **row}
    self._journal.write(whole)
    self._followers.write(whole)

  def _where(self, ready: ReadyGrade) -> str:
    """The training, and the grade where it has several."""
    count, name = len(self._study.curriculum.grades), ready.grade.name
    return self.label if count == 1 else f"{name.replace('_', ' ')}/{count}"
