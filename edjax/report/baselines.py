"""What a finished run may be measured against: simpler runs that lie in the same folder."""

import pathlib
from collections.abc import Mapping
from typing import Any

from edjax.errors import UserError
from edjax.report import runs, scores
from edjax.report.runs import Run

MOST = 5
KINDS = ("labels alone", "plain distillation")  # each simpler than the next, and than any other


def beside(workdir: pathlib.Path, report: Mapping[str, Any]) -> list[dict[str, Any]]:
  """Returns the simpler runs beside one, and by how much it is above each.

  They have the same images, student, start and seed, and teachers of the same name are the same.

  Args:
    workdir: of the run.
    report: its own, with its "run".

  Returns:
    JSON, a row for each of `MOST` at most, by the names of their folders: `run`, that name; `kind`,
    of `KINDS`; `top1`, `count`; `macs`, of learning; `difference`, this run's top-1 less that of
    the other, and its 95 % `interval` over the test images, which are the same.
  """
  mine = runs.of(workdir, report)
  rows = []
  for path in sorted(workdir.absolute().parent.glob("*/report.json")):
    try:
      other = runs.read(path)
      if _kind(other) < _kind(mine) and runs.same_school(mine, other) and _alike(mine, other):
        rows.append(_row(mine, other))
    except (UserError, OSError, ValueError):
      continue  # not a run's, not one of this version's, or damaged
  return rows[:MOST]


def _kind(run: Run) -> int:
  """Its place in `KINDS`, or what is above them."""
  methods = {
    key.split(".")[1]
    for key, value in run.settings.items()
    if key.startswith("methods.") and key.endswith(".weight") and value
  }
  if run.grades > 1 or (run.teachers and not methods <= {"kd", "ce"}):
    return len(KINDS)
  return 1 if run.teachers else 0


def _alike(mine: Run, other: Run) -> bool:
  """Whether only how they learnt may differ, and it is known which test images each got right."""
  keys = ("seed", "student", "data_tested")
  same = all(getattr(mine, key) == getattr(other, key) for key in keys)
  start = mine.settings.get("student.start") == other.settings.get("student.start")
  return same and start and bool(mine.right and other.right) and mine.count == other.count


def _row(mine: Run, other: Run) -> dict[str, Any]:
  ours, theirs = (scores.unpacked(run.right, run.count) for run in (mine, other))
  gained, lost = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
  return {
    "run": other.place.name,
    "kind": KINDS[_kind(other)],
    "top1": other.top1,
    "count": other.count,
    "macs": other.macs_student,
    "difference": (gained - lost) / mine.count,
    "interval": scores.paired_interval(gained, lost, mine.count),
  }
