"""What a run reports of itself: the rows of report.json. Pure, but for the last exams."""

import platform
from collections.abc import Collection, Iterable, Mapping, Sequence
from importlib import metadata
from typing import Any

import jax
import numpy as np

from edjax import models
from edjax.data.datasets import Dataset
from edjax.data.sampler import Seating
from edjax.models.analysis.macs import network_macs
from edjax.report import precision, words
from edjax.report.journal import plain
from edjax.report.scores import (
  by_class,
  exam_scores,
  interval,
  only_answer,
  packed,
  surest_mistakes,
)
from edjax.storage import trees
from edjax.study import Study
from edjax.teachers import faculty
from edjax.teachers.faculty import Teacher
from edjax.types import Variables

_OF_GRADES = ("count", "top1", "interval", "top1_by_subject", "count_by_subject")


def grade_row(
  ready: Any,
  state: Any,
  scores: Mapping[str, Any],
  seconds: float,
  images_per_second: float | None,
) -> dict[str, Any]:
  """Returns the row of a `grade.ReadyGrade` that has ended in a `step.State`, JSON."""
  grade, steps = ready.grade, ready.steps
  student = steps * ready.macs_per_step["student"]
  teachers = steps * ready.macs_per_step["teachers"] + (ready.bank.macs() if ready.bank else 0)
  row = {
    "name": grade.name,
    "fragments": [f"fragment_{number}" for number in range(grade.fragments)],
    "reference": bool(grade.reference),
    "classes": list(ready.order),
    "teachers": list(grade.teachers),
    "epochs": grade.epochs,
    "image_size": ready.image_size,
    **{key: scores[key] for key in _OF_GRADES},
    "params": _size(state.variables),
    "macs": ready.macs,
    "train_macs": student + teachers,
    "train_macs_student": student,
    "train_macs_teachers": teachers,
    "seconds": seconds,
    "images_per_second": images_per_second,
  } | unshown(ready.seating)
  return plain(row)


def unshown(seating: Seating) -> dict[str, Any]:
  """How many images an epoch leaves out, how many seats show one again, and whether seats fit."""
  return {"left_over": seating.left_over, "again": seating.again, "even": seating.even}


def left_out(rows: Iterable[Mapping[str, Any]]) -> str:
  """Says in a line what an epoch of each grade leaves out and shows again, and why; "" for nothing.

  Args:
    rows: {"name"} and `unshown` of each grade; those of older runs lack "again" and "even".
  """
  said = []
  for row in rows:
    again = row.get("again", 0)
    if row["left_over"] or again:
      more = f" (and shows {again:,} again)" if again else ""
      said.append(f"{row['name'].replace('_', ' ')} {row['left_over']:,}{more}")
  if not said:
    return ""
  why = "batches are whole"
  if not all(row.get("even", True) for row in rows):
    why += ", and so are the seats of a subject in them"
  return f"images left out of an epoch, others in each: {', '.join(said)}; {why}"


def costs(
  grades: Iterable[Mapping[str, Any]], teachers: Iterable[Teacher], seconds_between: float = 0.0
) -> dict[str, Any]:
  """What a run has cost: the sums, and its parts apart.

  The training of a teacher counts where this run trained it. What one from a cache or a checkpoint
  once cost is not this run's; it stands in the teacher's own row as far as it is known.

  Args:
    grades: the student's `grade_row`s.
    teachers: all that the run has acquired.
    seconds_between: what went by outside of the grades: reading, setting out, the last exams.

  Returns:
    A dict of `train_macs` and its parts `train_macs_student`, `train_macs_teachers` (their answers)
    and `teacher_training_macs`, and of `seconds` and its parts `seconds_student`,
    `seconds_teachers` (their training) and `seconds_between`.
  """
  own = [teacher for teacher in teachers if teacher.source == "trained"]
  macs = {
    "train_macs_student": sum(row["train_macs_student"] for row in grades),
    "train_macs_teachers": sum(row["train_macs_teachers"] for row in grades),
    "teacher_training_macs": sum(teacher.training_macs or 0 for teacher in own),
  }
  seconds = {
    "seconds_student": sum(row["seconds"] for row in grades),
    "seconds_teachers": sum(teacher.training_seconds or 0.0 for teacher in own),
    "seconds_between": seconds_between,
  }
  return {"train_macs": sum(macs.values()), **macs, "seconds": sum(seconds.values()), **seconds}


def content(
  name: str,
  study: Study,
  loader: Any,
  student: Variables,
  graduate: Variables,
  reached: Any,
  teachers: Collection[Teacher],
) -> dict[str, Any]:
  """Returns the report of a finished school, its `costs` without the seconds in between.

  Args:
    name: of the config.
    study: the student's.
    loader: the run's `evaluation.Loader`.
    student: its variables as it was examined last, which need not be asked again.
    graduate: the same, its logits in the order of the data set's labels.
    reached: a `log.Reached`, from `trainer.train`.
    teachers: all that the run has acquired, those who only helped to set it out among them.
  """
  dataset, order = loader.dataset, study.order
  subjects = {s.name: [order[place] for place in s.classes] for s in study.curriculum.subjects}
  names = dataset.class_names
  network = models.graduate(models.body(study.model), len(names))
  answered, places = loader.examiner(network, study.figures)(
    loader.fleet.replicate(student), "test", order
  )
  logits, truth = answered[:, np.argsort(order)], np.asarray(order)[places]
  scores, asked = exam_scores(logits, truth, subjects), np.bincount(truth, minlength=len(names))
  answers, rows = {}, []
  for teacher in study.teachers.values():
    answers[teacher.name], columns = loader.answers_of(teacher)("test", teacher.classes)
    row = _teacher_row(teacher, subjects, answers[teacher.name], columns, loader.image_shape)
    if set(teacher.classes) == set(order):
      row |= _looked_for(dataset, teacher.classes, answers[teacher.name], columns)
    rows.append(row)
  present = [study.teachers[n] for n in study.curriculum.grades[-1].teachers]
  grades = list(reached.grades)
  report = {
    "config": name,
    "dataset": dataset.name,
    "seed": study.seed,
    "device": f"{loader.fleet.size} × {loader.fleet.devices[0].device_kind}",
    "versions": _versions(),
    "classes": list(names),
    "subjects": subjects,
    "student": {
      "model": study.model,
      "cut": study.cut,
      "start": study.start.noted if study.start else None,
      "params": _size(graduate),
      "macs": network_macs(network, loader.image_shape),
      "top1": scores["top1"],
      "interval": scores["interval"],
      "top5": scores["top5"],
      "top5_interval": interval(scores["top5"], scores["count"]),
      "top1_best": reached.best[1] if reached.best else None,
      "nll": scores["nll"],
      "ece": scores["ece"],
      "agreement": faculty.agreement(present, answers, logits, truth),
      "agreement_count": sum(int(np.isin(truth, t.classes).sum()) for t in present),
      "sha256": trees.sha256(graduate),
      "confusion": scores["confusion"],
      "calibration": scores["calibration"],
      "by_class": by_class(scores["confusion"], asked.tolist(), names),
      "surest_mistakes": surest_mistakes(logits, truth, names),
      "right": packed(logits, truth),
      "exam_count": scores["count"],
      **_looked_for(dataset, range(len(names)), logits, truth),
    },
    "teachers": rows,
    "grades": grades,
    **costs(grades, teachers),
    "images": {split: len(rows.labels) for split, rows in loader.splits.items()},
    "notes": [*the_same(scores["confusion"], dataset), *_notes(study, grades, dataset)],
  }
  return plain(report)


def _teacher_row(
  teacher: Teacher,
  subjects: Mapping[str, Any],
  logits: np.ndarray,
  columns: np.ndarray,
  image_shape: tuple[int, ...],
) -> dict[str, Any]:
  top1 = float((logits.argmax(1) == columns).mean())
  return {
    "name": teacher.name,
    "model": teacher.model,
    "subject": teacher.name if teacher.name in subjects else "all",
    "classes": list(teacher.classes),
    "params": _size(teacher.variables),
    "macs": network_macs(teacher.network, image_shape),
    "sha256": trees.sha256(teacher.variables),
    "source": teacher.source,
    "start": teacher.start,
    "training_macs": teacher.training_macs,
    "training_seconds": teacher.training_seconds,
    "count": len(columns),
    "top1": top1,
    "interval": interval(top1, len(columns)),
  }


def _looked_for(
  dataset: Dataset, classes: Sequence[int], logits: np.ndarray, places: np.ndarray
) -> dict[str, Any]:
  """{"positives": what `precision.found` says of a network with these columns}, if of anything."""
  columns = {name: tuple(map(classes.index, labels)) for name, labels in dataset.positives.items()}
  return {"positives": precision.found(logits, places, columns)} if columns else {}


def the_same(confusion: Sequence[Sequence[int]], dataset: Dataset) -> list[str]:
  """Says so, in a line, if a network has one answer for the whole exam."""
  place = only_answer(confusion)
  if place is None:
    return []
  return [
    f"the graduate takes all {len(dataset.test.labels):,} test {dataset.what} for "
    f"{dataset.class_names[place]}: nothing tells them apart for it; more epochs, a lower "
    "learning rate, a lower weight of the method or recipe.clip may help"
  ]


def _notes(study: Study, grades: Iterable[Mapping[str, Any]], dataset: Dataset) -> list[str]:
  notes = [*dataset.notes, *study.curriculum.notes, left_out(grades)]
  notes = [note for note in notes if note]
  notes += [
    f"{words.teacher_label(name)} started from {row['path']} ({row['model']}, sha256 "
    f"{row['sha256'][:12]}…), its last layer new"
    for name, row in _starts(study)
  ]
  if study.recipe.ema:
    notes.append(f"exams and the graduate are of the student's average (ema {study.recipe.ema:g})")
  notes.append(
    f"{len(dataset.train.labels):,} {dataset.what} for training,"
    f" {len(dataset.validation.labels):,} for choices, {len(dataset.test.labels):,} for the exam"
  )
  if list(study.order) != sorted(study.order):
    notes.append(f"class order: {', '.join(dataset.class_names[label] for label in study.order)}")
  return notes


def _starts(study: Study) -> Iterable[tuple[str, Mapping[str, str]]]:
  """Yields (who, what it began as) of those that did not begin anew."""
  if study.start:
    yield study.label, study.start.noted
  for teacher in study.teachers.values():
    if teacher.start:
      yield teacher.name, teacher.start


def _size(variables: Variables) -> int:
  return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


def _versions() -> dict[str, str]:
  names = ("edjax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
  return {"python": platform.python_version()} | {name: metadata.version(name) for name in names}
