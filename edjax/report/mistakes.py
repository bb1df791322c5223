"""What the graduate gets wrong: which classes it confuses, and how sure it is. Pure."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from edjax.report import scores, words
from edjax.report.drawing import (
  BLUE,
  GREY,
  INK,
  LIGHT_BLUE,
  ON_BLUE,
  PERCENT,
  STYLE,
  WIDTH,
  inline,
  legend_above,
  number_or_nan,
  shorten,
)

Counts = Sequence[Sequence[int]]  # rows are the truth

MOST_DRAWN = 25  # classes of which a matrix can be read
MOST_PAIRS = 8  # of the most confused


def on_classes(counts: Counts | None, classes: Sequence[int]) -> tuple[float, int]:
  """Returns (the graduate's top-1 on some classes, on how many images); nan where not known.

  Args:
    counts: [n][n] counts, rows are the truth; None where they were not recorded.
    classes: indices of some.
  """
  if not counts or not classes:
    return math.nan, 0
  asked = sum(sum(counts[index]) for index in classes)
  right = sum(counts[index][index] for index in classes)
  return (right / asked if asked else math.nan), asked


def pairs(counts: Counts, classes: Sequence[str]) -> list[dict[str, Any]]:
  """Returns the pairs that are confused most often, how often, and of how many of that truth."""
  found = [
    (-count, truth, answer)
    for truth, row in enumerate(counts)
    for answer, count in enumerate(row)
    if truth != answer and count
  ]
  return [
    {
      "truth": classes[truth],
      "answer": classes[answer],
      "times": -negative,
      "asked": sum(counts[truth]),
    }
    for negative, truth, answer in sorted(found)[:MOST_PAIRS]
  ]


@matplotlib.rc_context(STYLE)
def confusion(counts: Counts, classes: Sequence[str], subjects: Mapping[str, Sequence[int]]) -> str:
  """Draws the confusion matrix, classes grouped by subject, in shares of each true class.

  Args:
    counts: [n][n] counts, rows are the truth.
    classes: n names.
    subjects: {name: class indices}.
  """
  order, blocks = _grouped(len(classes), subjects)
  matrix = np.asarray(counts, np.float64)[np.ix_(order, order)]
  shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
  n = len(order)
  names = [shorten(classes[index], 18) for index in order]
  asked = [
    f"{name} (n {count:,.0f})" for name, count in zip(names, matrix.sum(axis=1), strict=True)
  ]
  side = min(7.3, 0.62 * n)
  slanted = max(map(len, names)) * 5.5 > 72 * side / n  # wider than a column
  left, upper = 0.3 + 0.068 * max(map(len, asked)), 0.35
  bottom = 0.5 + (0.06 * max(map(len, names)) if slanted else 0.05)
  height = bottom + side + upper
  figure = Figure(figsize=(WIDTH, height))
  axes = figure.add_axes((left / WIDTH, bottom / height, side / WIDTH, side / height))
  axes.set(xlim=(-0.5, n - 0.5), ylim=(n - 0.5, -0.5))
  axes.tick_params(length=0)
  axes.spines[:].set_visible(True)
  slant: dict[str, Any] = dict(rotation=40, ha="right", rotation_mode="anchor") if slanted else {}
  axes.set_xticks(range(n), names, **slant)
  axes.set_yticks(range(n), asked)
  size = 8.5 if n <= 12 else 7.5 if n <= 20 else 6.5
  for row, column in np.argwhere(matrix > 0):
    share = shares[row, column]
    # The square root lets a mistake of one per cent be seen beside a diagonal of ninety.
    strength = float(np.sqrt(share))
    axes.add_patch(
      Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=BLUE, alpha=strength, linewidth=0)
    )
    axes.text(
      column,
      row,
      f"{100 * share:.1f}" if n <= 12 else f"{100 * share:.0f}",
      ha="center",
      va="center",
      fontsize=size,
      color=ON_BLUE if strength > 0.7 else INK,
    )
  axes.set_xlabel("row: truth, column: answer, in % of the n of the row")
  for a, b, subject in blocks:
    if len(blocks) > 1:
      letters = max(2, int(72 * side * (b - a) / n / 4.6))
      axes.text(
        (a + b) / 2 - 0.5,
        -0.5 - 0.012 * n,
        _fitting(words.readable(subject), letters),
        ha="center",
        va="bottom",
        color=GREY,
        fontsize=7.5,
      )
    if a:
      for line in (axes.axhline, axes.axvline):
        line(a - 0.5, color=GREY, linewidth=0.6)
  return inline(figure, "confusion", "Confusion matrix of the graduate on the test split")


def _fitting(label: str, letters: int) -> str:
  """A label, or its number where there is no room for more."""
  number = label.rpartition(" ")[2]
  return number if len(label) > letters and number.isdigit() else shorten(label, letters)


def _grouped(
  n: int, subjects: Mapping[str, Sequence[int]]
) -> tuple[list[int], list[tuple[int, int, str]]]:
  """Returns all n class indices subject by subject, and (start, stop, subject) of each group."""
  order: list[int] = []
  blocks: list[tuple[int, int, str]] = []
  for subject, members in (*subjects.items(), ("other classes", range(n))):
    new = [index for index in dict.fromkeys(members) if index not in order]
    if new:
      blocks.append((len(order), len(order) + len(new), subject))
      order += new
  return order, blocks


@matplotlib.rc_context(STYLE)
def reliability(calibration: Mapping[str, Sequence[Any]]) -> str:
  """Draws accuracy against confidence, and below it how many examples have that confidence.

  A bin is as strong as the square root of its share of the fullest bin's examples, and its accuracy
  has a 95 % interval, so that a bin of one example does not look like one of hundreds.
  """
  bins, counts = len(calibration["count"]), calibration["count"]
  figure = Figure(figsize=(4.6, 5.0))
  top, bottom = figure.subplots(
    2,
    1,
    sharex=True,
    gridspec_kw=dict(
      height_ratios=(4, 1), hspace=0.07, left=0.14, right=0.95, top=0.93, bottom=0.1
    ),
  )
  top.plot([0, 1], [0, 1], color=GREY, linewidth=0.9, linestyle=(0, (4, 3)))
  fullest = max(*counts, 1)
  label: str | None = "accuracy, 95 % interval"
  for number, count in enumerate(counts):
    if not count:
      continue
    accuracy, confidence = (
      number_or_nan(calibration[key][number]) for key in ("accuracy", "confidence")
    )
    strength = max(0.25, (count / fullest) ** 0.5)
    centre = (number + 0.5) / bins
    top.bar(centre, accuracy, 0.9 / bins, color=LIGHT_BLUE, alpha=strength, linewidth=0)
    low, high = scores.interval(accuracy, count)
    top.vlines(confidence, low, high, color=BLUE, alpha=strength, linewidth=1.4)
    top.plot(
      confidence,
      accuracy,
      "o",
      color=BLUE,
      alpha=strength,
      markersize=2.5 + 3 * strength,
      markeredgewidth=0,
      clip_on=False,
      label=label if count == fullest else None,
    )
    if count == fullest:
      label = None
    bottom.bar(centre, count, 0.9 / bins, color=LIGHT_BLUE, linewidth=0)
  top.set(xlim=(0, 1), ylim=(0, 1.02), ylabel="accuracy")
  bottom.set(xlabel="mean confidence of a bin", ylabel="images")
  legend_above(top, handlelength=1.2, borderaxespad=0.4)
  for axes in (top, bottom):
    axes.tick_params(length=0)
    axes.grid(True, axis="y")
  top.yaxis.set_major_formatter(PERCENT)
  top.yaxis.set_major_locator(MaxNLocator(5))
  bottom.yaxis.set_major_locator(MaxNLocator(2, integer=True))
  bottom.yaxis.set_major_formatter("{x:,.0f}")
  bottom.xaxis.set_major_formatter(PERCENT)
  bottom.tick_params(axis="x", pad=6)
  return inline(figure, "reliability", "Reliability diagram of the graduate")
