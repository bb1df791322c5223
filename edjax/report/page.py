"""The page of a report: report.json, metrics.jsonl and images in, a self-contained HTML page out.

The page itself is page.html.j2 with page.css; here is what it needs beyond the report. What is
missing or None in a report leaves a dash, and a picture of what is not there is not drawn. Pure.
"""

import functools
import html
import math
import pathlib
from collections.abc import Sequence
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from edjax.report import (
  circumstances,
  classes,
  curve,
  figures,
  images,
  mistakes,
  precision,
  tradeoff,
  words,
)
from edjax.report.drawing import clean, number_or_nan, shorten

Content = dict[str, Any]  # JSON
Rows = list[Content]

_FILTERS: Content = {
  "count": words.count,
  "figure": words.figure,
  "fragment_label": words.fragment_label,
  "percent": words.percent,
  "points": words.points,
  "readable": words.readable,
  "shorten": lambda value, letters=40: shorten(value, letters),
  "span": words.span,
  "sureness": words.sureness,
  "teachers_label": words.teachers_label,
}


def render(report: Content, rows: Rows, pictures: images.Pictures | None = None) -> str:
  """Returns the HTML page of a report; the same arguments give the same bytes.

  Args:
    report: the content of report.json.
    rows: the rows of metrics.jsonl.
    pictures: that it shows; None for none.
  """
  grades, names = report.get("grades") or [], report.get("classes") or []
  subjects, student = report.get("subjects") or {}, report.get("student") or {}
  ran, counts = report.get("run") or {}, student.get("confusion")
  taught, few = _taught(report), len(names) <= mistakes.MOST_DRAWN
  settings, bins = ran.get("settings") or {}, student.get("calibration")
  pictures = pictures or images.Pictures()
  what = ran.get("what", "images")
  return _template().render(
    report=report,
    student=student,
    what=what,
    one=what.removesuffix("s"),
    grades=grades,
    classes=names,
    told=_told(report, student),
    tiles=_tiles(report, student),
    costs=_costs(report),
    sizes=len({row.get("image_size") for row in grades}) > 1,
    times=_times(report),
    elsewhere=_elsewhere(report),
    curve=Markup(curve.learning_curve(grades, rows)) if grades and rows else "",
    heat=_heat(grades, subjects, names),
    growth=Markup(figures.growth(grades)) if len(grades) > 1 else "",
    **_looked_for(report, student),
    taught=taught,
    faculty=Markup(_faculty(taught)) if taught else "",
    sheets=[_sheet(sheet) for sheet in pictures.sheets],
    by_class=classes.table(student["by_class"], counts) if counts and "by_class" in student else {},
    confusion=Markup(mistakes.confusion(counts, names, subjects)) if counts and few else "",
    pairs=mistakes.pairs(counts, names) if counts else [],
    surest=_surest(student.get("surest_mistakes") or (), pictures.mistakes),
    wrong=_wrong(student),
    reliability=Markup(mistakes.reliability(bins)) if bins else "",
    command=ran.get("command"),
    facts=circumstances.facts(report),
    methods=_methods(settings.get("methods") or {}),
    settings=circumstances.written(settings),
  )


def notebook(page: str, height: int = 900) -> str:
  """Returns a page as HTML to be shown within another, such as a notebook's, in a frame of its own.

  Neither page's style reaches the other, and the links in pictures stay within theirs.

  Args:
    page: a whole HTML page.
    height: of the frame, in pixels; the page scrolls in it.
  """
  return (
    f'<iframe srcdoc="{html.escape(page)}" title="report" sandbox="" '
    f'style="width: 100%; height: {height}px; border: 0"></iframe>'
  )


@functools.cache
def _template() -> jinja2.Template:
  environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(pathlib.Path(__file__).parent),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    # Names may hold what HTML cannot.
    finalize=lambda value: value if isinstance(value, Markup) else clean(value),
  )
  environment.filters |= _FILTERS
  return environment.get_template("page.html.j2")


def _looked_for(report: Content, student: Content) -> Content:
  """What the page says of the classes that are looked for, where a data set names some."""
  own, teachers = student.get("positives") or {}, report.get("teachers") or ()
  known = [teacher for teacher in teachers if teacher.get("positives")]
  found = [("graduate", own), *((words.teacher_label(t["name"]), t["positives"]) for t in known)]
  rows = [{"name": g, "by": who, **row[g]} for g in own for who, row in found if g in row]
  drawn = tradeoff.curves(own, known[0]["positives"] if known else {}) if own else ""
  return {"groups": rows, "tradeoff": Markup(drawn), "resampled": precision.RESAMPLED}


def _told(report: Content, student: Content) -> list[str]:
  """What a run was, in a few words each."""
  classes = len(report.get("classes") or ())
  told = (
    student.get("model"),
    report.get("dataset"),
    f"{classes} classes" if classes else None,
    report.get("device"),
    f"seed {report['seed']}" if "seed" in report else None,
  )
  return [clean(item) for item in told if item]


def _tiles(report: Content, student: Content) -> list[tuple[str, str]]:
  """The figures beside the result, and what they are."""
  tiles = [
    (words.figure(student.get("nll"), 3), "loss (nats)"),
    (words.percent(student.get("ece")), "calibration error"),
    (words.count(student.get("params")), "parameters"),
    (words.count(student.get("macs")), "MACs per image"),
    (words.span(report.get("seconds")), "time of the run, teachers’ training included"),
    (words.count(report.get("train_macs")), "MACs of the run, teachers’ training included"),
  ]
  if len(report.get("classes") or ()) > 5:
    tiles.insert(0, (words.percent(student.get("top5")), "top-5"))
  return tiles


def _costs(report: Content) -> Rows:
  """The parts of the run's multiply-accumulates that are known, and their shares."""
  parts: Rows = [
    {"kind": kind, "words": said, "macs": number_or_nan(report.get(key))}
    for kind, said, key in (
      ("student", "learning of the student", "train_macs_student"),
      ("answers", "answers of the teachers", "train_macs_teachers"),
      ("training", "training of the teachers", "teacher_training_macs"),
    )
  ]
  parts = [part for part in parts if part["macs"] > 0]
  total = sum(part["macs"] for part in parts)
  return [part | {"share": part["macs"] / total} for part in parts] if math.isfinite(total) else []


def _times(report: Content) -> str:
  times = [
    f"{said} {words.span(report.get(key))}"
    for said, key in (
      ("training of the teachers", "seconds_teachers"),
      ("grades of the student", "seconds_student"),
      ("setting out and last exams", "seconds_between"),
    )
    if number_or_nan(report.get(key)) > 0
  ]
  return f"Time, compiling and exams included: {', '.join(times)}." if times else ""


def _elsewhere(report: Content) -> str:
  """Says of teachers that this run did not train what is known of their cost."""
  sources = {"cache": "from the cache", "given": "given"}
  others = [
    f"{words.teacher_label(teacher['name'])} ({sources[teacher['source']]}, "
    + (
      f"{words.count(teacher['training_macs'], ' MACs')})" if teacher.get("training_macs") else
      "cost not known)"
    )
    for teacher in report.get("teachers") or ()
    if teacher.get("source") in sources
  ]  # fmt: skip
  return f"Not counted, as trained elsewhere: {', '.join(others)}." if others else ""


def _heat(grades: Rows, subjects: dict[str, list[int]], classes: list[str]) -> Rows:
  """A row for each subject: its top-1 after each grade, the bluer the larger; None if not taught.

  One subject in one grade says nothing that is not in the school's own table.
  """
  if len(grades) * len(subjects) < 2:
    return []
  rows: Rows = []
  for subject, members in subjects.items():
    before = math.nan
    cells: list[Content | None] = []
    for grade in grades:
      now = number_or_nan((grade.get("top1_by_subject") or {}).get(subject))
      count = (grade.get("count_by_subject") or {}).get(subject)
      cell = {"share": now, "change": now - before, "count": count, "tint": 0.05 + 0.4 * now**3}
      cells.append(None if math.isnan(now) else cell)
      before = now
    label = words.subject_label(subject, members, classes)
    rows.append({"label": label, "classes": len(members), "cells": cells})
  return rows


def _taught(report: Content) -> Rows:
  """A row for each teacher: (top-1, count) of its own and of the graduate on the same classes."""
  student, classes = report.get("student") or {}, report.get("classes") or ()
  rows = []
  for teacher in report.get("teachers") or ():
    own = teacher.get("classes") or ()
    share, count = mistakes.on_classes(student.get("confusion"), own)
    members = (report.get("subjects") or {}).get(teacher.get("subject"))
    subject = teacher.get("subject", "–")
    rows.append(
      {
        "name": words.teacher_label(teacher["name"]),
        "model": teacher.get("model", "–"),
        "own": (number_or_nan(teacher.get("top1")), teacher.get("count") or count),
        "graduate": (share, count),
        "subject": words.subject_label(subject, members, classes, 30) if members else subject,
        "classes": len(own),
        "params": teacher.get("params"),
        "macs": teacher.get("macs"),
      }
    )
  return rows


def _faculty(taught: Rows) -> str:
  names, own, graduate = ([row[key] for row in taught] for key in ("name", "own", "graduate"))
  return figures.faculty(names, own, graduate)


def _surest(rows: Sequence[Content], pictures: Sequence[np.ndarray] | np.ndarray) -> Rows:
  """A row for each of the surest mistakes whose image is there."""
  return [row | {"picture": _shown(picture)} for row, picture in zip(rows, pictures, strict=False)]


def _sheet(sheet: images.Sheet) -> Content:
  height, width = sheet.views.shape[2:4]
  return {
    "grade": sheet.grade,
    "size": f"{width} × {height}",
    "across": 1 + sheet.views.shape[1],
    "pictures": [_shown(image) for row in sheet.rows for image in row],
  }


def _shown(image: np.ndarray) -> Content:
  return {"source": images.inline(image), "small": images.is_small(image)}


def _wrong(student: Content) -> int:
  """How many test images the graduate got wrong; 0 where it is not known."""
  top1, asked = (number_or_nan(student.get(key)) for key in ("top1", "exam_count"))
  return round((1 - top1) * asked) if math.isfinite(top1 * asked) else 0


def _methods(methods: Content) -> list[tuple[str, Any, str]]:
  """(name, weight, other options as text) of each method."""
  return [
    (
      name,
      options.get("weight"),
      ", ".join(f"{key} {value}" for key, value in options.items() if key != "weight"),
    )
    for name, options in methods.items()
  ]
