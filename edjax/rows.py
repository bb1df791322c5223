"""Grades as a config says them, a row each; a column is one setting of all of them.

Pure. `curriculum.build` makes the grades of a student and of a data set of them.
"""

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from edjax.errors import UserError, is_a, one_of, typed

Row = TypeVar("Row")  # of settings by name, or a `ConfigDict` of them

TEACHING = ("none", "specialists", "generalist", "both")
NAME = "a grade"  # of one that does not know which it is


@dataclasses.dataclass(frozen=True)
class GradeRow:
  """What a config says of a grade.

  Attributes:
    fragments: how many the student has, from the bottom; 0: all. What one is, `student.cut` says.
    subjects: how many are seen, from the first; 0: all.
    teachers: who answers: "specialists", "generalist" (all of them, where there are several),
      "generalist_2" (that one alone; "generalist_1" is the first), "both" or "none".
    epochs: passes over the images of the seen subjects, the last of which may be a part of one.
    image_size: longer side of the images that the student sees, which are shrunk after the crop:
      in pixels, or below 1 as a share of the data set's own; 0: its own.
    teacher_size: of those that its teachers see; 0: the student's.
    learning_rate: its peak.
    final_rate: where its cosine ends, as a share of the peak.
    warmup_epochs: linear rise of the rate from 0 to the peak, part of `epochs`.
    frozen: so many fragments, from the bottom, do not learn (parameters and statistics); −1:
      nothing of the student does, in a phase in which only a method learns.
    lower_rate: factor on the learning rate of fragments that an earlier grade has trained.
    carry_momentum: keep the optimiser's momentum of what was there before the graft.
    rehearsal: share of the images of all but the newest subjects that an epoch shows.
    methods: those that teach, as "kd+ce", see `methods.chosen`; "": all of the run's.
    reference_width: channels of the teaching reference; 0: the graduate's embedding.
    reference_grid: side of the map that the reference ends in.
    reference_relu: whether the reference ends in a ReLU.
  """

  fragments: int = 0
  subjects: int = 0
  teachers: str = "specialists"
  epochs: float = 1.0
  image_size: float = 0.0
  teacher_size: float = 0.0
  learning_rate: float = 0.1
  final_rate: float = 0.0
  warmup_epochs: float = 0.0
  frozen: int = 0
  lower_rate: float = 1.0
  carry_momentum: bool = False
  rehearsal: float = 1.0
  methods: str = ""
  reference_width: int = 0
  reference_grid: int = 1
  reference_relu: bool = True

  def __post_init__(self) -> None:
    typed(self, f"{NAME}: ")
    for name, kind in _KINDS.items():  # 1 is written as 1.0 is
      object.__setattr__(self, name, kind(getattr(self, name)))
    if not generalists(self.teachers, 1):
      one_of(self.teachers, TEACHING, "grades.teachers")
    check(vars(self), NAME)


_KINDS: dict[str, Any] = {field.name: field.type for field in dataclasses.fields(GradeRow)}


def generalists(teachers: str, count: int) -> tuple[int, ...]:
  """Returns which generalists answer where a grade's `teachers` are so, of 1…count.

  One that is named may be beyond them. Without any it is ().
  """
  if teachers in ("generalist", "both"):
    return tuple(range(1, count + 1))
  alone = re.fullmatch(r"generalist_([1-9]\d*)", teachers)
  return (int(alone[1]),) if alone else ()


def check(row: Mapping[str, Any], where: str) -> None:
  """Checks what a grade's settings say, whatever the student and the data set are.

  Args:
    row: {field of `GradeRow`: value}; the options of a reference may be left out.
    where: which grade it is, for the message.

  Raises:
    UserError: naming the setting that cannot be.
  """
  if not 0 < row["epochs"] < math.inf:
    raise UserError(f"{where} has {row['epochs']:g} epochs; it needs more than 0")
  for name in ("image_size", "teacher_size"):
    if row[name] < 0:
      raise UserError(f"{where} has {name} {row[name]:g}; give pixels, a share below 1, or 0")
  if not 0 <= row["final_rate"] <= 1:
    raise UserError(f"{where} has final_rate {row['final_rate']}; it is a share of learning_rate")
  if not 0 < row["rehearsal"] <= 1:
    raise UserError(f"{where} has rehearsal {row['rehearsal']}; it is a share above 0, at most 1")
  if not 0 <= row["warmup_epochs"] <= row["epochs"]:
    raise UserError(
      f"{where} warms up for {row['warmup_epochs']:g} of its {row['epochs']:g} epochs"
    )
  if row.get("reference_grid", 1) < 1 or row.get("reference_width", 0) < 0:
    raise UserError(f"{where}: reference_grid must be at least 1 and reference_width at least 0")
  if not (0 < row["learning_rate"] < math.inf and 0 < row["lower_rate"] < math.inf):
    raise UserError(
      f"{where}: learning_rate and lower_rate must be positive (freeze instead), not "
      f"{row['learning_rate']} and {row['lower_rate']}"
    )


def build(named: Mapping[str, Mapping[str, Any]]) -> tuple[GradeRow, ...]:
  """Returns the `GradeRow`s of {"grade_1": {field: value, …}, "grade_2": …}.

  Raises:
    UserError: naming the grade and the setting that cannot be.
  """
  built = []
  for number, row in enumerate(in_order(named)):
    unknown = row.keys() - GradeRow.__dataclass_fields__.keys()
    if unknown:
      known = ", ".join(GradeRow.__dataclass_fields__)
      raise UserError(f"grades.{_name(number)} has no setting {min(unknown)!r}; it has {known}")
    try:
      built.append(GradeRow(**row))
    except UserError as error:  # which grade it is
      where = f"grade {number + 1} of {len(named)}"
      raise UserError(str(error).replace(NAME, where, 1)) from error
  return tuple(built)


def in_order(named: Mapping[str, Row]) -> list[Row]:
  """Returns the rows of {"grade_1": row, "grade_2": row, …}, which may be in any order.

  Raises:
    UserError: if they have other names.
  """
  names = [_name(number) for number in range(len(named))]
  if not names or {*names} != {*named}:
    raise UserError(
      f"grades has {', '.join(named) or 'no row'}; let its rows be grade_1, grade_2 and so on"
    )
  return [named[name] for name in names]


def named(rows: Iterable[GradeRow]) -> dict[str, dict[str, Any]]:
  """Returns {"grade_1": {field: value, …}, …} of `GradeRow`s: `build`'s argument."""
  return {_name(number): dataclasses.asdict(row) for number, row in enumerate(rows)}


def columns(named: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[Any, ...]]:
  """Returns {field: a tuple of one value per grade, or of one where all have the same}."""
  rows = in_order(named)
  whole = {key: tuple(row[key] for row in rows) for key in rows[0]}
  return {key: column[:1] if len({*column}) == 1 else column for key, column in whole.items()}


def from_columns(columns: Mapping[str, Sequence[Any]]) -> dict[str, dict[str, Any]]:
  """Returns {"grade_1": {field: value, …}, …} of {field: one value per grade, or one for all}.

  Raises:
    UserError: if columns are of unlike lengths, or a value is of another kind.
  """
  length = max(map(len, columns.values()))
  for key, column in columns.items():
    if len(column) not in (1, length):
      raise UserError(
        f"grades.{key} has {len(column)} entries, but there are {length} grades; give 1 or {length}"
      )
    kind = _KINDS[key]
    if not all(is_a(kind, value) for value in column):
      wanted = {int: "whole numbers", bool: "True or False", str: "names"}.get(kind, "numbers")
      raise UserError(f"grades.{key} is {tuple(column)}; give {wanted}, separated by commas")
  return {
    _name(number): {
      key: _KINDS[key](column[number if len(column) > 1 else 0]) for key, column in columns.items()
    }
    for number in range(length)
  }


def _name(number: int) -> str:
  return f"grade_{number + 1}"
