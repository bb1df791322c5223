"""One length, batch size, image size and learning rate that change a config as a whole.

They are spread over the settings of grades, teachers and methods before any other is set, and are
no settings of a run themselves.
"""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
from ml_collections import ConfigDict

from edjax import rows
from edjax.errors import UserError, is_a, within

# Of methods: warm-ups that are counted in epochs.
_WARM_UPS = (("ctkd", "warm_up"), ("dkd", "warm_up"), ("reviewkd", "warmup"))


@dataclasses.dataclass(frozen=True)
class Whole:
  """What a config as a whole shall be; what is None stays as it is.

  Attributes:
    epochs: of all grades together, shared out in proportion, one or more to each, and whole ones
      where they were whole; the epochs of teachers, warm-ups and milestones go with them.
    batch_size: images per step of the student and of teachers in training.
    image_size: in pixels; 0: what the data set says.
    learning_rate: the highest peak of all grades; the others' and the teachers' go with it.
  """

  epochs: float | None = None
  batch_size: int | None = None
  image_size: int | None = None
  learning_rate: float | None = None

  def __post_init__(self) -> None:
    for field in dataclasses.fields(self):
      value = getattr(self, field.name)
      kind = float if field.name in ("epochs", "learning_rate") else int
      if value is not None and not is_a(kind, value):
        wanted = "a number" if kind is float else "a whole number"
        raise UserError(f"{field.name} is {value!r}; give {wanted}")
    if self.batch_size is not None:
      within(self.batch_size, "batch_size", least=1)
    if self.image_size is not None:
      within(self.image_size, "image_size", least=0)
    if self.epochs is not None:
      within(self.epochs, "epochs", above=0)
    if self.learning_rate is not None:
      within(self.learning_rate, "learning_rate", above=0)


# What says the same of all grades, or of all networks.
SAME = {
  "epochs": "grades.epochs",
  "batch_size": "recipe.batch_size",
  "image_size": "data.image_size",
  "learning_rate": "grades.learning_rate",
}


def now(config: ConfigDict) -> Whole:
  """Returns what a config as a whole is."""
  grades = rows.in_order(config.grades)
  return Whole(
    epochs=sum(row.epochs for row in grades),
    batch_size=config.recipe.batch_size,
    image_size=config.data.image_size,
    learning_rate=float(max(row.learning_rate for row in grades)),
  )


def change(config: ConfigDict, whole: Whole) -> None:
  """Makes a config as a whole what is given, in place.

  Raises:
    UserError: if there are fewer epochs than grades.
  """
  if whole.epochs is not None:
    _change_length(config, whole.epochs)
  if whole.learning_rate is not None:
    _change_rate(config, whole.learning_rate)
  if whole.batch_size is not None:
    config.recipe.batch_size = whole.batch_size
  if whole.image_size is not None:
    config.data.image_size = whole.image_size


def shares(epochs: Sequence[float], total: float) -> list[float]:
  """Shares out so many epochs in proportion to `epochs`: where all of these are whole, whole ones,
  one or more to each.

  What rounding leaves over goes where most is missing, to the earlier of equals.
  """
  exact = [each * (total / sum(epochs)) for each in epochs]
  if not _whole(*epochs, total):
    return exact
  given = [max(1, int(share)) for share in exact]
  while sum(given) != total:
    missing = [share - got for share, got in zip(exact, given, strict=True)]
    if sum(given) < total:
      given[missing.index(max(missing))] += 1
    else:
      given[min((lack, at) for at, lack in enumerate(missing) if given[at] > 1)[1]] -= 1
  return list(map(float, given))


def moved(
  milestones: Sequence[int], before: Sequence[float], after: Sequence[float]
) -> tuple[int, ...]:
  """Returns milestones where they are in grades of other lengths.

  Those at the end of a grade stay there; of several that fall together one is left.

  Args:
    milestones: in epochs of the whole school.
    before, after: epochs of each grade.
  """
  old, new = ([0, *itertools.accumulate(lengths)] for lengths in (before, after))
  places = []
  for each in milestones:
    behind = round(max(0, each - old[-1]))  # the end nothing happens, now as then
    places.append(max(1, round(float(np.interp(each, old, new)))) + behind)
  return tuple(dict.fromkeys(places))


def _whole(*epochs: float) -> bool:
  return all(float(each).is_integer() for each in epochs)


def _change_length(config: ConfigDict, epochs: float) -> None:
  grades = rows.in_order(config.grades)
  if _whole(epochs, *(row.epochs for row in grades)) and epochs < len(grades):
    raise UserError(
      f"epochs is {epochs:g}, but there are {len(grades)} grades, and each needs one; give more, "
      "or a variant with one grade, such as kd"
    )
  before = [row.epochs for row in grades]
  after = shares(before, epochs)
  for row, length in zip(grades, after, strict=True):
    row.warmup_epochs = min(row.warmup_epochs * (length / row.epochs), length)
    row.epochs = length
  config.recipe.milestones = moved(config.recipe.milestones, before, after)
  factor = epochs / sum(before)
  for part in (config.faculty.specialist, config.faculty.generalist):
    length = factor * part.epochs
    length = max(1.0, round(length)) if _whole(part.epochs, epochs, *before) else length
    part.milestones = moved(part.milestones, [part.epochs], [length])
    part.warmup_epochs = min(part.warmup_epochs * (length / part.epochs), float(length))
    part.epochs = length
    part.frozen_epochs *= factor
  for name, option in _WARM_UPS:
    if name in config.methods and option in config.methods[name]:
      config.methods[name][option] = factor * config.methods[name][option]


def _change_rate(config: ConfigDict, rate: float) -> None:
  grades = rows.in_order(config.grades)
  highest = max(row.learning_rate for row in grades)
  parts = (*grades, config.faculty.specialist, config.faculty.generalist)
  for part in parts:
    part.learning_rate = rate * (part.learning_rate / highest)
