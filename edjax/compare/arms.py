"""Runs that differ in nothing but their seed are an arm; arms differ by so much."""

import dataclasses
import statistics
from collections.abc import Mapping, Sequence

from scipy import stats

from edjax.errors import UserError, one_of
from edjax.report import words
from edjax.report.runs import Run, same_school


@dataclasses.dataclass(frozen=True)
class Arm:
  """Runs of the same settings.

  Attributes:
    name: the config's, and the settings in which it differs from other arms of that name.
    runs: {seed: `Run`}.
  """

  name: str
  runs: Mapping[int, Run]

  @property
  def top1(self) -> list[float]:
    """Of each run, in percent."""
    return [100 * run.top1 for run in self.runs.values()]

  def mean(self, key: str) -> float:
    """The mean of a field of its runs."""
    return statistics.fmean(getattr(run, key) for run in self.runs.values())


@dataclasses.dataclass(frozen=True)
class Gap:
  """How much an arm is above another.

  Attributes:
    mean: of the differences between runs of the same seed, teachers and data; nan without any.
    half: of its 95 % interval, to either side; nan for fewer than two.
    count: how many such pairs there are.
  """

  mean: float
  half: float
  count: int


def arms(runs: Sequence[Run]) -> list[Arm]:
  """Puts runs together that differ in nothing but their seed, in the order in which they come.

  Raises:
    UserError: if they are of several data sets, or two of an arm have the same seed.
  """
  if len(sets := {run.dataset: run.place for run in runs}) > 1:
    (one, here), (other, there), *_ = sets.items()
    raise UserError(
      f"{here} is of {one} and {there} of {other}; compare runs of one data set at a time"
    )
  groups: dict[str, list[Run]] = {}
  for run in runs:
    groups.setdefault(repr((run.config, sorted(run.settings.items()))), []).append(run)
  return [
    Arm(name, _by_seed(group))
    for name, group in zip(_names(list(groups.values())), groups.values(), strict=True)
  ]


def _by_seed(group: Sequence[Run]) -> dict[int, Run]:
  by: dict[int, Run] = {}
  for run in group:
    if run.seed in by:
      raise UserError(
        f"{by[run.seed].place} and {run.place} are the same but for their place, seed {run.seed} "
        "too; leave one of them out"
      )
    by[run.seed] = run
  return dict(sorted(by.items()))


def _names(groups: Sequence[Sequence[Run]]) -> list[str]:
  """The config of each, with the settings that tell it from others of that config."""
  names = []
  for first in (group[0] for group in groups):
    same = [other[0].settings for other in groups if other[0].config == first.config]
    keys = sorted({key for settings in same for key in settings})
    own = [key for key in keys if len({repr(settings.get(key)) for settings in same}) > 1]
    told = [f"{_short(key)}={words.setting(first.settings.get(key))}" for key in own]
    names.append(" ".join([first.config, *told]))
  return names


def _short(key: str) -> str:
  """A setting without its section."""
  return key.partition(".")[2] or key


def called(every: Sequence[Arm], name: str) -> Arm:
  """Returns the arm of that name.

  Raises:
    UserError: if there is none.
  """
  one_of(name, [arm.name for arm in every], "--baseline")
  return next(arm for arm in every if arm.name == name)


def gap(arm: Arm, other: Arm) -> Gap:
  """Compares arms by the runs that share their seed, their teachers and their data."""
  return paired(
    [
      100 * run.top1 - 100 * other.runs[seed].top1
      for seed, run in arm.runs.items()
      if seed in other.runs and same_school(run, other.runs[seed])
    ]
  )


def paired(differences: Sequence[float]) -> Gap:
  """Returns the mean of differences with its 95 % interval, by Student's t.

  For fewer than two there is no interval.
  """
  if len(differences) < 2:
    return Gap(differences[0] if differences else float("nan"), float("nan"), len(differences))
  spread = statistics.stdev(differences) / len(differences) ** 0.5
  half = float(stats.t.ppf(0.975, len(differences) - 1)) * spread
  return Gap(statistics.mean(differences), half, len(differences))


def spread(values: Sequence[float]) -> float:
  """Sample standard deviation; nan of one value."""
  return statistics.stdev(values) if len(values) > 1 else float("nan")
