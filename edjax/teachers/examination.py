"""Given teachers are examined before they teach: one that knows other classes is told at once.

What a teacher says is compared with what it would say by chance, its answers dealt out to the
images anew: that asks as much of one who answers two classes as of one who answers a hundred, and
nothing of one who says the commonest class of all. A relabelling of its columns is tried as well.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Integer

from edjax.devices import processes
from edjax.errors import UserError
from edjax.teachers.faculty import Teacher

Columns = Integer[np.ndarray, " n"]
Ask = Callable[[str, int], tuple[np.ndarray, np.ndarray] | None]

_MOST = 2000  # images that a teacher is asked about
_ENOUGH = 200  # of the validation part; where there are fewer, training images are added
_SURE = 0.01  # of a test on chance: how often chance alone does as well
_ABOVE = 0.02  # of the way from chance to no mistake; what is less is near chance
_MOVED = 3.0  # standard deviations by which a relabelling is better


def examine(teacher: Teacher, path: str, names: Sequence[str], ask: Ask, strict: bool) -> str:
  """Examines a given teacher; returns a line about it.

  Args:
    teacher: with a checkpoint.
    path: from which it comes, for the line.
    names: of the data set's classes.
    ask: (split, how many at most) -> its logits and the columns of the true classes, or None where
      the split has none of its classes.
    strict: whether one at fault is an error (`faculty.check`).

  Raises:
    UserError: if it is strict, and its columns are in another order, or it does no better than
      chance.
  """
  asked = {"validation": ask("validation", _MOST)}
  if asked["validation"] is None or len(asked["validation"][1]) < _ENOUGH:
    asked["training"] = ask("train", _MOST)
  answered = {split: each for split, each in asked.items() if each is not None}

  def judge() -> str:
    logits, truth = (np.concatenate(each) for each in zip(*answered.values(), strict=True))
    said = logits.argmax(1)
    who = f"{teacher.name} ({teacher.model} from {path})"
    parts = [f"{len(each[1]):,} {split}" for split, each in answered.items()]
    images = f"{len(truth):,} images ({' and '.join(parts)})"
    if len(parts) == 1:
      images = f"{parts[0]} images"
    line = f"{who}: {100 * (said == truth).mean():.1f} % of {images}; {_figures(teacher)}"
    wrong = fault(said, truth, [names[label] for label in teacher.classes])
    if not wrong:
      return line
    if not strict:
      return f"{line}; {wrong}; it teaches all the same, as faculty.check is False"
    raise UserError(f"{line}; {wrong}; or, if it is meant to teach so, set faculty.check to False")

  return processes.tell(judge)


def fault(said: Columns, truth: Columns, names: Sequence[str]) -> str:
  """Says what is wrong with a teacher, or "" where nothing is seen to be.

  Args:
    said, truth: int [n], columns.
    names: of the classes, column by column.
  """
  swapped = moved(said, truth, len(names))
  if swapped:
    shown = ", ".join(
      f"column {column + 1} ({names[column]}) is mostly {names[other]}"
      for column, other in list(swapped.items())[:3]
    )
    more = f" and {len(swapped) - 3} more" if len(swapped) > 3 else ""
    return (
      f"its columns seem to be in another order than the class names: {shown}{more}; edjax sorts "
      "the names as text (1, 10, 2): convert it with --classes=FILE, which lists them in the order "
      "of the columns (python -m edjax.convert), and give that folder"
    )
  if near_chance(said, truth):
    return (
      "that is near chance, so it seems to know other classes or to be shown images otherwise than "
      "it was trained with; give another teacher, or say its mean and std"
    )
  return ""


def near_chance(said: Columns, truth: Columns) -> bool:
  """Whether answers have as good as nothing to do with the truth.

  Both must hold: they are right no more often than the same answers dealt out anew would be, or
  hardly more; and one who is right half of the way from there to no mistake would hardly ever do as
  badly. So a few images accuse nobody.

  Args:
    said, truth: int [n], columns.
  """
  from scipy import special  # a tenth of a second to import, and scipy.stats takes half of one

  count, right = len(truth), int((said == truth).sum())
  size = int(max(said.max(), truth.max())) + 1
  told, true = (np.bincount(each, minlength=size) for each in (said, truth))
  chance = float(told @ true) / count
  if count < 2 or chance >= count:
    return False
  # The variance of the number of fixed points when one list is permuted (Hoeffding 1951).
  match = (said[:, None] == truth[None]).astype(np.float64)
  spread = match - match.mean(0, keepdims=True) - match.mean(1, keepdims=True) + match.mean()
  deviation = math.sqrt((spread**2).sum() / (count - 1))
  by_luck = right <= chance + special.ndtri(1 - _SURE) * deviation
  hardly = right - chance < _ABOVE * (count - chance)
  able = special.bdtr(right, count, (1 + chance / count) / 2)  # the binomial distribution
  return bool((by_luck or hardly) and able < 0.05)


def moved(said: Columns, truth: Columns, classes: int) -> dict[int, int]:
  """Finds columns that stand for other classes than they should.

  The best relabelling of one half of the images is tried on the other, so that nothing is gained by
  having the choice.

  Args:
    said, truth: int [n], columns.
    classes: how many columns.

  Returns:
    {column: the class it stands for}, empty where the labels are as good as any.
  """
  draw = np.random.default_rng(0).permutation(len(truth))
  halves = draw[::2], draw[1::2]
  gains = []
  for own, other in (halves, halves[::-1]):
    column = _relabelled(said[own], truth[own], classes)
    gains.append((column[said[other]] == truth[other]).astype(int) - (said == truth)[other])
  gain = np.concatenate(gains)
  if gain.sum() <= _MOVED * math.sqrt(max(1, (gain**2).sum())):
    return {}
  column = _relabelled(said, truth, classes)
  away = column[said] != said
  if not away.any() or (column[said] == truth)[away].mean() < 0.5:
    return {}
  return {int(c): int(column[c]) for c in np.unique(said[away])}


def _relabelled(said: Columns, truth: Columns, classes: int) -> Columns:
  """The class of each column by which most answers are right; in doubt its own."""
  from scipy import optimize  # a quarter of a second to import, for the few who need it

  counts = np.zeros((classes, classes))
  np.add.at(counts, (said, truth), 1)
  return optimize.linear_sum_assignment(counts + 0.01 * np.eye(classes), maximize=True)[1]


def _figures(teacher: Teacher) -> str:
  if teacher.figures:
    mean, std = (" ".join(f"{each:.4g}" for each in part) for part in teacher.figures)
    return f"it is shown images by its own mean {mean} and std {std}"
  kind = "generalist" if teacher.name.startswith("generalist") else "specialist"
  if teacher.unsure:
    return (
      "it is shown images by the run's mean and std, as it does not say its own "
      f"(--config.faculty.{kind}.mean and .std say others)"
    )
  return "its mean and std are the run's"
