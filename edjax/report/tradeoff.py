"""Precision against recall, drawn for the groups of classes that are looked for: SVG."""

from collections.abc import Mapping
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from edjax.report.drawing import BLUE, INK, PERCENT, STYLE, VERMILION, WIDTH, inline, shorten

_LINES = ((BLUE, "-"), (INK, "--"), (BLUE, ":"), (INK, "-."))  # of the groups, in turn


@matplotlib.rc_context(STYLE)
def curves(groups: Mapping[str, Any], of_teacher: Mapping[str, Any]) -> str:
  """Draws the graduate's curve of every group, and a teacher's, where there is one, beside it.

  Args:
    groups: from `precision.found`.
    of_teacher: the same of a teacher of all classes; {} without one.
  """
  height = 3.6
  figure = Figure(figsize=(0.62 * WIDTH, height))
  axes = figure.add_axes((0.1, 0.14, 0.87, 0.82))
  for number, (name, row) in enumerate(groups.items()):
    color, line = _LINES[number % len(_LINES)]
    taught = of_teacher.get(name)
    if taught:
      axes.step(*_points(taught), color=VERMILION, linestyle=line, linewidth=0.9, where="pre")
    axes.step(
      *_points(row),
      color=color,
      linestyle=line,
      where="pre",
      label=shorten(name, 30),
      linewidth=1.4,
    )
  axes.set(xlabel="recall", ylabel="precision", xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
  for axis in (axes.xaxis, axes.yaxis):
    axis.set_major_formatter(PERCENT)
  axes.grid(True)
  axes.legend(loc="lower left")
  return inline(figure, "tradeoff", "Precision against recall for the classes that are looked for")


def _points(row: Mapping[str, Any]) -> tuple[list[float], list[float]]:
  curve = row["curve"]
  return [0.0, *curve["recall"]], [curve["precision"][0], *curve["precision"]]
