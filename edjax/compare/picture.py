"""A comparison as a picture: a line for each arm, a dot for each run."""

import os
import textwrap
from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.figure import Figure

from edjax.compare.arms import Arm, spread
from edjax.report.drawing import BLUE, GREY, INK, STYLE, VERMILION, clean

_WIDTH = 60  # characters of a line of an arm's name


def save(arms: Sequence[Arm], baseline: Arm, path: str | os.PathLike[str]) -> None:
  """Draws test top-1 of each arm: pale dots for runs, mean and standard deviation over them.

  Args:
    arms: from the top down.
    baseline: one of them, in another colour.
    path: of a file, whose ending says what it becomes (.png, .svg, .pdf).
  """
  names = [textwrap.fill(f"{clean(arm.name)} (n = {len(arm.runs)})", _WIDTH) for arm in arms]
  lines = max(name.count("\n") + 1 for name in names)
  height = max(0.42, 0.16 * lines + 0.1)
  with mpl.rc_context(STYLE):
    figure = Figure(figsize=(8, height * len(arms) + 1.0), dpi=150, layout="constrained")
    axes = figure.subplots()
    for place, arm in enumerate(arms):
      colour, top1 = VERMILION if arm is baseline else BLUE, arm.top1
      axes.scatter(top1, [place] * len(top1), color=colour, s=14, alpha=0.35, linewidths=0)
      error = spread(top1) if len(top1) > 1 else None
      mean = sum(top1) / len(top1)
      axes.errorbar(mean, place, xerr=error, color=colour, marker="o", markersize=5, capsize=3)
      axes.annotate(
        f"{mean:.2f}", (mean, place), xytext=(0, 6), textcoords="offset points", ha="center",
        color=INK, fontsize=8,
      )  # fmt: skip
    axes.set_yticks(range(len(arms)), names)
    axes.tick_params(axis="y", labelcolor=INK)
    axes.set_ylim(len(arms) - 0.5, -0.7)
    axes.margins(x=0.08)
    axes.set_xlabel("test top-1, last epoch, %", color=GREY)
    axes.grid(axis="x")
    figure.savefig(path)
