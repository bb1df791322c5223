"""What a run is about to do, and about how long that will take."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from edjax import models
from edjax.curriculum import Grade
from edjax.models.analysis.macs import network_macs
from edjax.report import words
from edjax.report.drawing import big
from edjax.sections import TeacherSettings
from edjax.study import Study

_TELLING = 5.0  # seconds of measured training after which the whole is worth an estimate


@dataclasses.dataclass
class _Stage:
  """A grade of a study: the work it holds, and what is known of its pace."""

  macs: float
  first: tuple[float, float] | None = None  # (seconds, MACs) until it was first heard of
  seconds: float = 0.0  # from then on
  done: float = 0.0  # MACs in them

  def beyond_pace(self) -> float:
    """Seconds that passed until it was first heard of, but for those of its pace."""
    seconds, macs = self.first or (0.0, 0.0)
    return max(0.0, seconds - macs * self.seconds / self.done)


class Outlook:
  """Estimates how long a run will still take, from the work that is left and the pace so far.

  A stage's own pace counts for what is left of it, that of all stages for those to come. What the
  first chunk of a stage took beyond its pace (compiling) is expected of each to come.
  """

  def __init__(
    self,
    work: Mapping[str, Sequence[float]] | None = None,
    clock: Callable[[], float] = time.monotonic,
  ) -> None:
    """Takes note of what is to be trained.

    Args:
      work: {label of a study: MACs of each of its grades}, in the order of training.
      clock: in seconds, which never goes back.
    """
    self._stages = {
      (label, number): _Stage(macs)
      for label, grades in (work or {}).items()
      for number, macs in enumerate(grades)
    }
    self._clock, self._at, self._heard = clock, clock(), 0.0
    self._now: tuple[str, int] | None = None

  def begin(self, label: str, number: int, share: float = 0.0) -> None:
    """Says that a grade begins now, or goes on after a share of it; those before it are over."""
    self._now, self._at, self._heard = (label, number), self._clock(), share

  def left(self, share: float) -> float | None:
    """Says that a share of the present grade is done; returns seconds to the end, None if unknown.

    All that went by since the last call, exams included, is taken for the pace.
    """
    at = self._clock()
    if self._now not in self._stages:
      return None
    stage = self._stages[self._now]
    seconds, macs = at - self._at, (share - self._heard) * stage.macs
    self._at, self._heard = at, share
    if stage.first is None:
      stage.first = seconds, macs
    else:
      stage.seconds, stage.done = stage.seconds + seconds, stage.done + macs
    measured = [s for s in self._stages.values() if s.done and s.seconds]
    if not measured:
      return None
    pace = sum(s.done for s in measured) / sum(s.seconds for s in measured)
    own = stage.done / stage.seconds if stage in measured else pace
    extra = [s.beyond_pace() for s in measured]
    order = list(self._stages)
    coming = [self._stages[key] for key in order[order.index(self._now) + 1 :]]
    return (
      (1 - share) * stage.macs / own
      + sum(s.macs for s in coming) / pace
      + len(coming) * sum(extra) / len(extra)
    )

  @property
  def is_telling(self) -> bool:
    """Whether the pace has been measured for long enough to speak of the whole run."""
    return sum(stage.seconds for stage in self._stages.values()) >= _TELLING


def announcement(
  study: Study,
  loader: Any,
  options: Callable[[str], TeacherSettings],
  sources: Mapping[str, str | None],
  begun: bool,
) -> list[str]:
  """Returns a few aligned lines that say what a run will do.

  Args:
    study: the student's.
    loader: the run's `evaluation.Loader`.
    options: name of a teacher -> its settings.
    sources: {name of a teacher: where it comes from}, see `acquire.source`; None where it cannot be
      said yet.
    begun: whether its work directory has been trained in before.
  """
  data, shape = loader.dataset, loader.image_shape
  counts = ", ".join(
    f"{len(rows.labels):,} {use}"
    for rows, use in (
      (data.train, "for training"), (data.validation, "for choices"), (data.test, "for the exam"),
    )
  )  # fmt: skip
  told = [
    (
      "data",
      f"{data.name}: {counts}; {many(len(data.class_names), 'class', 'es')}, "
      f"{'×'.join(map(str, shape))}",
    ),
    (
      "device",
      f"{loader.fleet.size} × {loader.fleet.devices[0].device_kind}, batches of "
      f"{study.recipe.batch_size}",
    ),
    ("student", _network(study.model, len(data.class_names), shape) + _from(study)),
    *(("teacher", line) for line in _teachers(study, options, sources, shape)),
    *(("grade", _grade(grade)) for grade in study.curriculum.grades),
    ("work in", f"{study.directory} ({'begun before: goes on' if begun else 'new'})"),
  ]
  lines: list[str] = []
  last = ""
  for head, line in told:
    lines.append(f"{head if head != last else '':<8} {line}")
    last = head
  return lines


def _network(model: str, classes: int, shape: tuple[int, ...]) -> str:
  network = models.graduate(models.body(model), classes)
  count, macs = models.parameters(network, shape), network_macs(network, shape)
  return f"{model}, {big(count)} parameters, {big(macs)} MACs per image"


def _from(study: Study) -> str:
  said = f"; from {study.start.path}" if study.start else ""
  return said + (f"; exams are of its average, {study.recipe.ema:g}" if study.recipe.ema else "")


_FOUND: dict[str | None, str] = {
  "trained": "trained before",
  "cache": "from the cache",
  None: "found or to be trained",
}


def _teachers(
  study: Study,
  options: Callable[[str], TeacherSettings],
  sources: Mapping[str, str | None],
  shape: tuple[int, ...],
) -> Iterator[str]:
  """A line for all teachers that are alike."""
  alike: dict[tuple[str, str, str | None], list[str]] = {}
  for name, source in sources.items():
    if name in study.teachers:
      model, trained = study.teachers[name].model, ""
    else:
      model, trained = options(name).model, _training(options(name))
    alike.setdefault((model, trained, source), []).append(name)
  sizes = {subject.name: len(subject.classes) for subject in study.curriculum.subjects}
  for (model, trained, source), names in alike.items():
    how = "given" if source == "given" else _FOUND.get(source, "") or trained
    classes = sizes.get(names[0], study.curriculum.num_classes)
    yield f"{words.teachers_label(names)}: {_network(model, classes, shape)}; {how}"


def _training(chosen: TeacherSettings) -> str:
  said = f"to be trained, {many(chosen.epochs, 'epoch')}"
  if not chosen.start:
    return said
  alone, start = chosen.frozen_epochs, chosen.start
  first = f" after {many(alone, 'epoch')} of its last layer alone" if alone else ""
  return f"{said}{first}, from {start}"


def _grade(grade: Grade) -> str:
  number = grade.name.rpartition("_")[2]
  who = words.teachers_label(grade.teachers) or "no teacher"
  return (
    f"{number}: {many(grade.fragments, 'fragment')}, {many(grade.num_classes, 'class', 'es')}, "
    f"{many(grade.epochs, 'epoch')}{_seen(grade)}, {who}"
  )


def _seen(grade: Grade) -> str:
  size = grade.image_size
  if not size:
    return ""
  return f" of images of {size:g} pixels" if size >= 1 else f" of images of {size:g} of their side"


def many(number: float, noun: str, plural: str = "s") -> str:
  """Says how many of something: "1 epoch", "2 epochs"."""
  shown = f"{number:,.2f}".rstrip("0").rstrip(".")
  return f"{shown} {noun}{'' if number == 1 else plural}"
