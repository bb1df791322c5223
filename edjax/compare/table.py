"""A comparison as a table: Markdown, CSV, or LaTeX."""

import csv
import dataclasses
import io
import math
from collections.abc import Callable, Sequence

from edjax.compare import published
from edjax.compare.arms import Arm, Gap, gap, spread

_TERA = 1e12


@dataclasses.dataclass(frozen=True)
class Line:
  """What a table says of an arm.

  Attributes:
    name: the arm's.
    top1, deviation: mean and standard deviation over its runs, in percent; nan of a single one.
    count: how many runs.
    gap: above the baseline; None for the baseline itself.
    learning, answers: multiply-accumulates of a run, of the student and of its teachers' answers.
    seconds: of a run's grades.
    published: (top-1 in percent, whose figure it is), or None.
  """

  name: str
  top1: float
  deviation: float
  count: int
  gap: Gap | None
  learning: float
  answers: float
  seconds: float
  published: tuple[float, str] | None


def lines(arms: Sequence[Arm], baseline: Arm) -> list[Line]:
  """Returns a line for each arm, measured against one of them."""
  return [
    Line(
      name=arm.name,
      top1=sum(arm.top1) / len(arm.top1),
      deviation=spread(arm.top1),
      count=len(arm.runs),
      gap=None if arm is baseline else gap(arm, baseline),
      learning=arm.mean("macs_student"),
      answers=arm.mean("macs_teachers"),
      seconds=arm.mean("seconds"),
      published=_published(arm),
    )
    for arm in arms
  ]


def _published(arm: Arm) -> tuple[float, str] | None:
  run = next(iter(arm.runs.values()))
  weights = {
    key.split(".")[1]: value
    for key, value in run.settings.items()
    if key.startswith("methods.") and key.endswith(".weight")
  }
  in_use = [name for name, weight in weights.items() if weight]
  return published.beside(run.dataset, [model for _, model, _ in run.teachers], run.student, in_use)


def _cells(table: Sequence[Line]) -> list[list[str]]:
  """The heading and a row per line, as text; published figures only where there are any."""
  baseline = next(line.name for line in table if line.gap is None)
  heading = ["run", "test top-1 %", "n", f"than {baseline}, points", "learning, TMAC"]
  heading += ["answers, TMAC", "seconds"]
  rows = [
    [
      line.name,
      f"{line.top1:.2f}{_sure(line.deviation)}",
      str(line.count),
      _difference(line.gap),
      f"{line.learning / _TERA:.4g}",
      f"{line.answers / _TERA:.4g}",
      f"{line.seconds:.0f}",
    ]
    for line in table
  ]
  if any(line.published for line in table):
    heading.append("published top-1 %")
    for row, line in zip(rows, table, strict=True):
      row.append(f"{line.published[0]:.2f} ({line.published[1]})" if line.published else "")
  return [heading, *rows]


def _sure(half: float) -> str:
  return "" if math.isnan(half) else f" ± {half:.2f}"


def _difference(found: Gap | None) -> str:
  if found is None:
    return "–"
  if not found.count:
    return "no run of the same seed, teachers and data"
  return f"{found.mean:+.2f}{_sure(found.half)} ({found.count})"


def markdown(table: Sequence[Line]) -> str:
  """Returns a table of GitHub's Markdown."""
  rows = [[text.replace("|", "\\|") for text in row] for row in _cells(table)]
  rows.insert(1, ["---"] * len(rows[0]))
  return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def comma_separated(table: Sequence[Line]) -> str:
  """Returns CSV with a number in a cell, an empty one where there is none."""
  file = io.StringIO()
  rows = csv.writer(file, lineterminator="\n")
  rows.writerow([
    "run", "top1", "deviation", "n", "difference", "half_interval", "pairs", "macs_student",
    "macs_teachers", "seconds", "published", "published_by",
  ])  # fmt: skip
  for line in table:
    above = line.gap or Gap(math.nan, math.nan, 0)
    figures = [line.top1, line.deviation, line.count, above.mean, above.half, above.count]
    figures += [line.learning, line.answers, line.seconds]
    shown = ["" if math.isnan(figure) else f"{figure:.10g}" for figure in figures]
    rows.writerow([line.name, *shown, *(line.published or ("", ""))])
  return file.getvalue()


def latex(table: Sequence[Line]) -> str:
  """Returns a tabular in the style of the package booktabs."""
  heading, *rows = (" & ".join(map(_escaped, row)) + r" \\" for row in _cells(table))
  columns = "l" + "r" * heading.count(" & ")
  inner = "\n".join([r"\toprule", heading, r"\midrule", *rows, r"\bottomrule"])
  return f"\\begin{{tabular}}{{{columns}}}\n{inner}\n\\end{{tabular}}\n"


_LATEX = {
  "\\": r"\textbackslash{}", "±": r"$\pm$", "–": "--", "~": r"\textasciitilde{}",
  "^": r"\textasciicircum{}", **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}  # fmt: skip


def _escaped(text: str) -> str:
  return "".join(_LATEX.get(sign, sign) for sign in text)


FORMATS: dict[str, Callable[[Sequence[Line]], str]] = {
  "md": markdown,
  "csv": comma_separated,
  "latex": latex,
}
