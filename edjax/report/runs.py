"""What a comparison takes of a finished run, read from its report."""

import dataclasses
import json
import os
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from edjax import rows
from edjax.errors import UserError
from edjax.workdirs import MAY_DIFFER, flat

_APART = ("name", "seed", *MAY_DIFFER)  # settings that do not make a run another arm


@dataclasses.dataclass(frozen=True)
class Run:
  """A finished run.

  Attributes:
    place: its work directory.
    config: the config's name.
    dataset: the data set's.
    data: the digest of its training images and labels.
    data_tested: that of its test images; "" where an earlier version reported.
    seed: of the student.
    settings: {dotted setting: value}, one value per grade of those of grades, but for the seed and
      where files lie.
    student: its model.
    teachers: (name, model, digest) of each; without a digest where an earlier version reported.
    top1: of the graduate on the test split, last epoch, a fraction.
    count: how many images that exam had.
    right: which of them were answered right, see `scores.packed`; "" as above.
    grades: how many.
    macs_student, macs_teachers: multiply-accumulates of learning, and of the teachers' answers.
    seconds: of the student's grades.
  """

  place: pathlib.Path
  config: str
  dataset: str
  data: str
  seed: int
  settings: Mapping[str, Any] = dataclasses.field(repr=False)
  student: str
  teachers: tuple[tuple[str, str, str], ...]
  top1: float
  count: int
  grades: int
  macs_student: float
  macs_teachers: float
  seconds: float
  data_tested: str = ""
  right: str = dataclasses.field(default="", repr=False)


def found(paths: Iterable[str | os.PathLike[str]]) -> list[Run]:
  """Reads runs, in the order of the paths.

  Args:
    paths: of work directories, or of folders of them, of which those are left out that have not
      ended.

  Raises:
    UserError: for a path without a finished run.
  """
  runs: dict[pathlib.Path, Run] = {}
  for path in map(pathlib.Path, paths):
    reports = [path / "report.json"] if (path / "report.json").exists() else []
    reports = reports or sorted(path.glob("*/report.json"))
    if not reports:
      raise UserError(
        f"{path} holds no report.json of a run that has ended, nor does a folder in it; give a "
        "work directory, or a folder of them"
      )
    runs |= {report.parent.resolve(): read(report) for report in reports}
  return list(runs.values())


def read(path: pathlib.Path) -> Run:
  """Reads a report.json; raises UserError if it is none of a run's."""
  try:
    return of(path.parent, json.loads(path.read_text(encoding="utf-8")))
  except (ValueError, KeyError, TypeError, AttributeError) as error:
    why = f"it has no {error}" if isinstance(error, KeyError) else str(error)
    raise UserError(
      f"{path} is not a report of this version of edjax ({why}); that run's command, given again, "
      "writes it anew"
    ) from error


def of(place: pathlib.Path, report: Mapping[str, Any]) -> Run:
  """Returns what a report says of the run in a work directory; KeyError for what it does not."""
  settings = report["run"]["settings"]
  settings = flat(settings | {"grades": rows.columns(settings["grades"])})
  student = report["student"]
  return Run(
    place=place,
    config=report["config"],
    dataset=report["dataset"],
    data=report["run"]["data_digest"],
    seed=report["seed"],
    settings={key: value for key, value in settings.items() if not key.startswith(_APART)},
    student=student["model"],
    teachers=tuple(
      (each["name"], each["model"], each.get("sha256", "")) for each in report["teachers"]
    ),
    top1=student["top1"],
    count=student["exam_count"],
    grades=len(report["grades"]),
    macs_student=report["train_macs_student"],
    macs_teachers=report["train_macs_teachers"],
    seconds=sum(grade["seconds"] for grade in report["grades"]),
    data_tested=report["run"].get("test_digest", ""),
    right=student.get("right", ""),
  )


def same_school(run: Run, other: Run) -> bool:
  """Whether two have the same data, and the same teachers where both have one of that name.

  Teachers that only one of them has do not count: the other had none to be like.
  """
  known = [{name: digest for name, _, digest in each.teachers} for each in (run, other)]
  shared = known[0].keys() & known[1].keys()
  same = all(known[0][name] == known[1][name] != "" for name in shared)
  return run.data == other.data and same
