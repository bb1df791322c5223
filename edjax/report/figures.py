"""How a school's student grew, and how it fares beside its teachers. Figures in, SVG out."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from edjax.report import scores, words
from edjax.report.drawing import (
  BLUE,
  GREY,
  INK,
  LIGHT_BLUE,
  ON_BLUE,
  PALE,
  PAPER,
  PERCENT,
  STYLE,
  VERMILION,
  WIDTH,
  big,
  inline,
  legend_above,
  number_or_nan,
  shorten,
)

Rows = Sequence[Mapping[str, Any]]


@matplotlib.rc_context(STYLE)
def growth(grades: Rows) -> str:
  """Draws which fragments the student has in each grade, its parameters and its MACs."""
  fragments = list(dict.fromkeys(f for grade in grades for f in grade["fragments"]))
  height = 0.62 + 0.34 * len(grades)
  figure = Figure(figsize=(WIDTH, height))
  panels = figure.subplots(
    1,
    3,
    sharey=True,
    gridspec_kw=dict(
      width_ratios=(1.5, 1, 1),
      wspace=0.08,
      left=0.15,
      right=0.985,
      top=1 - 0.42 / height,
      bottom=0.06 / height,
    ),
  )
  for y, grade in enumerate(grades):
    present = [fragment in grade["fragments"] for fragment in fragments]
    referred = grade.get("reference", not all(present))
    _body(panels[0], y, present, fragments, "reference" if referred else "head")
  panels[0].set_xlim(-0.46, len(fragments) - 0.32 + _top_width(len(fragments)))
  panels[0].set_yticks(
    range(len(grades)), [shorten(words.readable(grade["name"]), 20) for grade in grades], ha="left"
  )
  panels[0].invert_yaxis()
  for axes, title, key in zip(
    panels, ("fragments", "parameters", "MACs per image"), (None, "params", "macs"), strict=True
  ):
    axes.set_title(title, fontsize=9, color=GREY, loc="left")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelbottom=False)
    if key:
      _sizes(axes, [number_or_nan(grade.get(key)) for grade in grades])
  panels[0].tick_params(axis="y", labelcolor=INK, pad=72 * 0.15 * WIDTH)
  return inline(figure, "growth", "Fragments, parameters and MACs of the student in each grade")


def _body(axes: Axes, y: int, present: Sequence[bool], fragments: Sequence[str], top: str) -> None:
  """Draws a row of fragments, and on the highest its `top`, a head or a teaching reference."""
  bar: dict[str, Any] = dict(height=0.62, linewidth=0.9, edgecolor=BLUE)
  highest = max((x for x, has in enumerate(present) if has), default=-1)
  width, named = _top_width(len(fragments)), 1 + len(fragments) // 12  # every so many
  for x, has in enumerate(present):
    if has:
      axes.barh([y], 0.92, left=x - 0.46, height=0.62, color=LIGHT_BLUE, linewidth=0)
      axes.text(
        x,
        y,
        shorten(words.fragment_label(fragments[x]), 12) if x % named == 0 else "",
        ha="center",
        va="center",
        fontsize=8.5,
      )
  axes.barh([y], width, left=highest + 0.54, color=BLUE if top == "head" else PAPER, **bar)
  axes.text(
    highest + 0.54 + width / 2,
    y,
    top,
    ha="center",
    va="center",
    fontsize=8,
    color=ON_BLUE if top == "head" else BLUE,
  )


def _top_width(fragments: int) -> float:
  """Of what is on the highest of so many: as wide as one, but no narrower than its name."""
  return max(0.92, fragments / 5)


def _sizes(axes: Axes, values: Sequence[float]) -> None:
  most = max((v for v in values if v > 0), default=1)
  axes.barh(range(len(values)), values, height=0.62, color=BLUE, linewidth=0)
  axes.set_xlim(0, 1.3 * most)
  for y, value in enumerate(values):
    axes.text(
      0.03 * most + (value if value > 0 else 0),
      y,
      "–" if math.isnan(value) else big(value),
      va="center",
      fontsize=8.5,
    )


@matplotlib.rc_context(STYLE)
def faculty(
  names: Sequence[str],
  of_teachers: Sequence[tuple[float, int]],
  of_graduate: Sequence[tuple[float, int]],
) -> str:
  """Draws each teacher's top-1 beside the graduate's on the same classes, with 95 % intervals.

  Args:
    names: of the teachers.
    of_teachers, of_graduate: (top-1, count of images) for each; nan where it is not known.
  """
  height = 0.72 + 0.36 * len(names)
  figure = Figure(figsize=(WIDTH, height))
  axes = figure.add_axes((0.2, 0.42 / height, 0.765, 1 - 0.72 / height))
  for measured, shift, marker, color, label in (
    (of_teachers, -0.13, "o", VERMILION, "the teacher"),
    (of_graduate, 0.13, "D", BLUE, "the graduate, on the teacher’s classes"),
  ):
    for y, (share, count) in enumerate(measured):
      if count and math.isfinite(share):
        axes.hlines(y + shift, *scores.interval(share, count), color=color, linewidth=1.4)
    places = [y + shift for y in range(len(names))]
    axes.plot(
      [share for share, _ in measured], places, marker, color=color, markersize=6, label=label
    )
  axes.set_yticks(range(len(names)), [shorten(name, 24) for name in names], ha="left")
  axes.set_ylim(len(names) - 0.5, -0.5)
  axes.margins(x=0.08)
  low, high = axes.get_xlim()
  axes.set_xlim(max(low, -0.01), min(high, 1.01))
  axes.xaxis.set_major_locator(MaxNLocator(8, steps=(1, 2, 5, 10)))
  axes.xaxis.set_major_formatter(PERCENT)
  axes.grid(True, axis="x")
  axes.grid(True, axis="y", color=PALE, linewidth=0.3)
  axes.spines[:].set_visible(False)
  axes.tick_params(length=0)
  axes.tick_params(axis="y", labelcolor=INK, pad=72 * 0.2 * WIDTH)
  legend_above(axes, ncols=2, borderaxespad=0.3, handletextpad=0.2)
  return inline(figure, "faculty", "Test top-1 of each teacher and of the graduate")
