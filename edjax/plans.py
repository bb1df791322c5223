"""Curricula with a name: grades as rows, whatever the student and the data set are."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from edjax import rows
from edjax.errors import UserError
from edjax.rows import GradeRow

SIZES = (0.5, 0.75, 1.0)  # of images in the default curriculum, as shares of their side


@dataclasses.dataclass(frozen=True)
class Curriculum:
  """Which grades there are, in which order classes come, and how it is gone through.

  Attributes:
    grades: `rows.GradeRow`s, in order.
    subjects: ratios of the classes, in class order.
    class_order: "given", "similar" (those that are most alike last), "easiest", "shuffled", or
      every label once, separated by commas.
    schedule: of the learning rate, see `curriculum.Recipe`.
    image_sizes: which teachers that are trained see as well, see `sections.TeacherSettings`.
  """

  grades: tuple[GradeRow, ...]
  subjects: tuple[float, ...] = (1, 1, 1)
  class_order: str = "given"
  schedule: str = "cosine"
  image_sizes: tuple[float, ...] = ()

  @classmethod
  def default(
    cls,
    epochs: float = 24,
    learning_rate: float = 0.05,
    teachers: str = "generalist",
    sizes: Sequence[float] = SIZES,
  ) -> "Curriculum":
    """Grades in which images grow, at the cost of `epochs` of whole ones, see `education`."""
    grades = education(epochs, learning_rate, teachers, sizes)
    return cls(grades, schedule="cycle", image_sizes=tuple(sizes))

  @classmethod
  def stages(
    cls, epochs: int = 24, learning_rate: float = 0.05, teachers: str = "generalist"
  ) -> "Curriculum":
    """Grades in which the student grows by stages and sees ever more classes, see `by_stages`."""
    return cls(by_stages(epochs, learning_rate, teachers), class_order="similar")

  @classmethod
  def paper(
    cls, epochs: tuple[int, int, int] = (150, 30, 60), learning_rate: float = 0.05
  ) -> "Curriculum":
    """The published curriculum (arXiv:2311.13811); its `recipe` has target "slice"."""
    return cls(published(epochs, learning_rate))

  @classmethod
  def plain(
    cls, epochs: int = 24, learning_rate: float = 0.05, teachers: str = "generalist"
  ) -> "Curriculum":
    """One grade: ordinary distillation, or training without a teacher ("none")."""
    return cls((GradeRow(epochs=epochs, learning_rate=learning_rate, teachers=teachers),))

  @property
  def cost(self) -> float:
    """How many epochs of whole images its epochs cost, where its teachers see small ones, too."""
    if not self.image_sizes:
      return sum(row.epochs for row in self.grades)
    whole = self.image_sizes[-1]
    spent = (row.epochs * ((row.image_size or whole) / whole) ** 2 for row in self.grades)
    return round(sum(spent), 4)

  def named(self) -> dict[str, dict]:
    """Returns the grades as a config has them: {"grade_1": {…}, …}."""
    return rows.named(self.grades)


def sized(row: GradeRow, sizes: Sequence[float] = SIZES) -> tuple[GradeRow, ...]:
  """Grades that are to cost what one costs, in which images grow.

  What an image costs goes with its area, so while they are small many more can be seen. The grade
  of whole images gets 4/7 of the compute after one smaller size and 2/5 after two; the smaller ones
  share the rest.

  Args:
    row: the one grade.
    sizes: longer sides, in pixels or as shares, rising; the last is the data set's own.

  Raises:
    UserError: if they do not rise.
  """
  if list(sizes) != sorted({*sizes}) or not sizes or sizes[0] <= 0:
    raise UserError(f"image_sizes is {tuple(sizes)}; give sizes, each larger than the one before")
  whole = 1 / (1 + 0.75 * (len(sizes) - 1))
  grades: list[GradeRow] = []
  for size in sizes:
    last = size == sizes[-1]
    share = whole if last else (1 - whole) / (len(sizes) - 1)
    epochs = round(row.epochs * share * (sizes[-1] / size) ** 2, 6)
    warmup = 0.0 if grades else min(row.warmup_epochs, epochs)
    image_size = 0.0 if last else size
    grades.append(
      dataclasses.replace(row, epochs=epochs, warmup_epochs=warmup, image_size=image_size)
    )
  return tuple(grades)


def education(
  epochs: float,
  learning_rate: float,
  teachers: str = "generalist",
  sizes: Sequence[float] = SIZES,
) -> tuple[GradeRow, ...]:
  """edjax's default curriculum: images of half the side, of three quarters, and whole.

  It costs what `epochs` of whole images cost, its teachers' answers included, as these see the same
  small images. It is meant for the schedule "cycle", which grafts do not interrupt.
  """
  row = GradeRow(epochs=epochs, learning_rate=learning_rate, teachers=teachers, carry_momentum=True)
  return sized(row, sizes)


def by_stages(
  epochs: int, learning_rate: float, teachers: str = "generalist"
) -> tuple[GradeRow, ...]:
  """Four grades of a growing student, within its compute of `epochs` without grades.

  Two short grades raise the lower fragments on the first subjects, gently and under references that
  see where things are (a 7×7 and a 4×4 map): at full rate, or pooled to one cell, they unlearn what
  the fragments above will need. Then the whole network learns, and in the last grade its lowest
  fragment is frozen, which saves a quarter of its compute. From the second grade on, an epoch shows
  half of the images of all subjects but the newest, so the compute goes where classes are hard:
  `similar` puts those that are most alike last. The learning rate falls by a cosine that the last
  graft does not interrupt.
  """
  short, third = max(1, epochs // 8), max(1, 3 * epochs // 4)
  fourth = max(1, -(-3 * epochs // 4))
  gentle = 0.2 * learning_rate
  shared: dict[str, Any] = {"teachers": teachers, "carry_momentum": True}
  return (
    GradeRow(
      fragments=1, subjects=1, epochs=short, learning_rate=gentle, final_rate=0.5,
      reference_grid=7, **shared,
    ),
    GradeRow(
      fragments=2, subjects=2, epochs=short, learning_rate=gentle, final_rate=0.5,
      reference_grid=4, rehearsal=0.5, **shared,
    ),
    GradeRow(
      epochs=third, learning_rate=learning_rate, final_rate=0.5, rehearsal=0.5, **shared
    ),
    GradeRow(
      epochs=fourth, learning_rate=0.5 * learning_rate, rehearsal=0.5, frozen=1, **shared
    ),
  )  # fmt: skip


def published(epochs: tuple[int, int, int], learning_rate: float) -> tuple[GradeRow, ...]:
  """The published curriculum (arXiv:2311.13811), specialists only.

  The references of grades 1 and 2 end in a 4×4 and a 1×1 map without ReLU; the optimiser starts
  afresh at each graft.
  """
  first, second, third = epochs
  shared: dict[str, Any] = {"learning_rate": learning_rate, "reference_relu": False}
  return (
    GradeRow(fragments=1, subjects=1, epochs=first, reference_grid=4, **shared),
    GradeRow(fragments=2, subjects=2, epochs=second, **shared),
    GradeRow(epochs=third, **shared),
  )
