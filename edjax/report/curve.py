"""The learning curve of a school, grade by grade. Figures in, SVG out."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from edjax.report import scores, words
from edjax.report.drawing import (
  BAND,
  BLUE,
  INK,
  LIGHT_BLUE,
  PAPER,
  PERCENT,
  STYLE,
  WIDTH,
  inline,
  number_or_nan,
  shorten,
)

Rows = Sequence[Mapping[str, Any]]
Anchors = Sequence[tuple[float, float]]  # (step, epoch)

MOST_POINTS = 300  # of the training curve, in one grade
_LETTERS = 128  # that fit side by side above a picture


@matplotlib.rc_context(STYLE)
def learning_curve(grades: Rows, rows: Rows) -> str:
  """Draws top-1, objective and validation loss over the whole school, a band for each grade.

  The objective and the cross-entropy on the validation part are not the same loss, so each has an
  axis; a school without a validation part has none for it.

  Args:
    grades: rows of the report's "grades", in order.
    rows: rows of the journal, kinds "train" and "exam"; rows of an unknown grade are left out. A
      row without an epoch is placed by its step.
  """
  known = {(row.get("grade"), row.get("kind")) for row in rows}
  shown = {"top1": "top-1", "loss": "objective", "nll": "validation\nloss, nats"}
  if not any((grade["name"], "exam") in known for grade in grades):
    del shown["nll"]
  figure, panels = _panels(shown)
  top = panels["top1"]
  legend = {
    "train": "training batches, running",
    "exam": f"validation{_counted(grades, rows)}",
    "test": "test, at the end",
  }
  start, first_step, spans = 0.0, 0, []
  for index, grade in enumerate(grades):
    end = start + grade["epochs"]
    mine = [row for row in rows if row.get("grade") == grade["name"]]
    last_step = max((row.get("step", 0) for row in mine), default=first_step)
    if index % 2 == 0:
      for panel in panels.values():
        panel.axvspan(start, end, color=BAND, linewidth=0, zorder=0)
    _learnt(panels, mine, ((first_step, start), (last_step, end)), legend)
    _test(top, grade, end, legend.pop("test", None))
    spans.append((start, end))
    start, first_step = end, last_step
  for place, row, label in place_labels(spans, [words.readable(g["name"]) for g in grades]):
    top.text(place, 1.02 + 0.06 * row, label, ha="center", transform=top.get_xaxis_transform())
  _dress(figure, panels, shown, start)
  return inline(figure, "curve", "Training and validation top-1 and loss over all grades")


def _panels(shown: Mapping[str, str]) -> tuple[Figure, dict[str, Axes]]:
  """An empty picture with a panel for each of what is shown."""
  ratios = (3, 1.2, 1.2)[: len(shown)]
  figure = Figure(figsize=(WIDTH, 1.2 + 0.89 * sum(ratios)))
  axes = figure.subplots(
    len(shown),
    1,
    sharex=True,
    gridspec_kw=dict(
      height_ratios=ratios, hspace=0.14, left=0.09, right=0.98, top=0.885, bottom=0.08
    ),
  )
  return figure, dict(zip(shown, axes, strict=True))


def _learnt(
  panels: Mapping[str, Axes],
  rows: Rows,
  span: tuple[tuple[float, float], tuple[float, float]],
  legend: dict[str, str],
) -> None:
  """Draws the curves of one grade.

  Args:
    panels: by what they show.
    rows: of the journal, of this grade.
    span: (step, epoch of the school) at its beginning and its end.
    legend: what no curve has been called yet; what one is called here is taken out.
  """
  (first_step, start), (last_step, end) = span
  train, exams = ([row for row in rows if row.get("kind") == kind] for kind in ("train", "exam"))
  anchors = [
    (first_step, 0.0),
    *((row["step"], row["epoch"]) for row in train if "step" in row and "epoch" in row),
    (last_step, end - start),
  ]
  for key in ("top1", "loss"):
    panels[key].plot(
      *_curve(train, anchors, start, key),
      color=LIGHT_BLUE,
      linewidth=1.1,
      label=legend.pop("train", None) if train and key == "top1" else None,
    )
  for key in ("top1", "nll") if exams else ():
    panels[key].plot(
      *_curve(exams, anchors, start, key),
      color=BLUE,
      linewidth=1.6,
      marker="o",
      markersize=3 if len(exams) <= 60 else 0,
      clip_on=False,
      label=legend.pop("exam", None) if key == "top1" else None,
    )
  _shade(panels["top1"], exams, anchors, start)


def _dress(
  figure: Figure, panels: Mapping[str, Axes], shown: Mapping[str, str], epochs: float
) -> None:
  """Gives the panels their axes, and the picture its legend."""
  top = panels["top1"]
  figure.legend(
    *top.get_legend_handles_labels(),
    loc="upper left",
    bbox_to_anchor=(0.08, 1.0),
    ncols=3,
    handlelength=1.6,
    borderaxespad=0.2,
  )
  top.yaxis.set_major_formatter(PERCENT)
  for key, panel in panels.items():
    panel.set_ylabel(shown[key])
    panel.grid(True, axis="y")
    panel.tick_params(length=0)
    if key != "top1":
      panel.yaxis.set_major_locator(MaxNLocator(3))
      panel.set_ylim(bottom=0)
  low, high = top.get_ylim()
  top.set_ylim(max(low, -0.02), min(high, 1.02))
  *_, lowest = panels.values()
  lowest.set_xlabel("epochs since the start of the school")
  lowest.set_xlim(0, epochs or 1)
  lowest.xaxis.set_major_locator(MaxNLocator(10, integer=True))
  figure.align_ylabels()


def _counted(grades: Rows, rows: Rows) -> str:
  """Says of how many images the exams of all grades are, "" where that is not known."""
  names = {grade["name"] for grade in grades}
  exams = [row for row in rows if row.get("kind") == "exam" and row.get("grade") in names]
  counts = {row["count"] for row in exams if row.get("count")}
  if not counts:
    return ""
  low, high = min(counts), max(counts)
  return f", n {low:,}" if low == high else f", n {low:,}–{high:,}"


def _shade(axes: Axes, exams: Rows, anchors: Anchors, start: float) -> None:
  """Shades the 95 % interval of the validation part, where its count is known.

  A grade of a single exam has a bar of it: a band without width cannot be seen.
  """
  known = [
    {**row, **dict(zip(("low", "high"), scores.interval(row["top1"], row["count"]), strict=True))}
    for row in exams
    if row.get("count") and math.isfinite(number_or_nan(row.get("top1")))
  ]
  if known:
    epochs, low = _curve(known, anchors, start, "low")
    _, high = _curve(known, anchors, start, "high")
    if len(known) == 1:
      axes.vlines(epochs, low, high, color=BLUE, alpha=0.25, linewidth=6, clip_on=False)
    else:
      axes.fill_between(epochs, low, high, color=BLUE, alpha=0.13, linewidth=0)


def _test(axes: Axes, grade: Mapping[str, Any], end: float, label: str | None) -> None:
  """Marks a grade's test top-1, with its interval where that is known."""
  share = number_or_nan(grade.get("top1"))
  if grade.get("count") and math.isfinite(share):
    low, high = scores.interval(share, grade["count"])
    axes.vlines(end, low, high, color=INK, linewidth=1.2, zorder=4, clip_on=False)
  axes.plot(
    [end],
    [share],
    color=INK,
    marker="D",
    markersize=5.5,
    linestyle="none",
    markeredgecolor=PAPER,
    clip_on=False,
    zorder=5,
    label=label,
  )


def place_labels(
  spans: Sequence[tuple[float, float]], names: Sequence[str]
) -> list[tuple[float, int, str]]:
  """Returns (place, row, label) of grades' names above a picture, so that none touches another.

  A grade too short for its name has its number, in a second row where the first is taken; one
  that has no room there either goes without.

  Args:
    spans: (start, end) of each grade; the last end is the whole width.
    names: of the grades.
  """
  letter = max(spans[-1][1], 1e-9) / _LETTERS
  placed: list[tuple[float, int, str]] = []
  taken = [-math.inf, -math.inf]
  for (start, end), name in zip(spans, names, strict=True):
    number = name.rpartition(" ")[2]
    room = int((end - start) / letter)
    label = name if len(name) <= room else number if len(number) <= 3 else shorten(name, room)
    half, centre = letter * max(1, len(label)) / 2, (start + end) / 2
    for row in (0, 1):
      if label and centre - half >= taken[row]:
        placed.append((centre, row, label))
        taken[row] = centre + half + letter
        break
  return placed


def _curve(rows: Rows, anchors: Anchors, start: float, key: str) -> tuple[np.ndarray, np.ndarray]:
  steps, epochs = zip(*anchors, strict=True)
  points = np.array(
    [
      (row.get("epoch", np.interp(row.get("step", 0), steps, epochs)), number_or_nan(row.get(key)))
      for row in rows
    ],
    np.float64,
  ).reshape(-1, 2)
  points[~np.isfinite(points)] = np.nan
  if len(points) > MOST_POINTS:
    points = np.array([chunk.mean(axis=0) for chunk in np.array_split(points, MOST_POINTS)])
  return start + points[:, 0], points[:, 1]
