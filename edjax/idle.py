"""Settings that do nothing under the others: what somebody has set in vain is said in a line.

Only what is certain is here. A setting that is as it usually is was not set in vain.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from edjax import curriculum, rows
from edjax.curriculum import Curriculum, Recipe
from edjax.data import datasets
from edjax.sections import Settings, TeacherSettings

Idle = Callable[[Settings, Curriculum], bool]


def notes(settings: Settings, plan: Curriculum) -> tuple[str, ...]:
  """Returns a line for every setting that was set and can have no effect. Pure.

  Args:
    settings: of the run.
    plan: its grades.
  """
  lines, columns = [], rows.columns(rows.named(settings.grades))
  for key, usual, idle, why in ROWS:
    if not idle(settings, plan):
      continue
    column = key.startswith("grades.")
    value = columns[key.removeprefix("grades.")] if column else attrgetter(key)(settings)
    if any(entry not in usual for entry in (value if column else (value,))):
      shown = ",".join(map(str, value)) if isinstance(value, tuple) else value
      lines.append(f"--config.{key}={shown} has no effect: {why}")
  return tuple(lines)


def _learning(settings: Settings) -> tuple[Recipe, TeacherSettings, TeacherSettings]:
  """How the student and all teachers learn."""
  return settings.recipe, settings.faculty.specialist, settings.faculty.generalist


def _published_choices(settings: Settings, _: Curriculum) -> bool:
  row = datasets.DATASETS.get(settings.dataset)  # arrays have none
  return row is not None and row.chosen and settings.data.split != "stars"


def _never_drops(settings: Settings, _: Curriculum) -> bool:
  return all(part.schedule != "steps" or not part.milestones for part in _learning(settings))


def _cycle(settings: Settings, _: Curriculum) -> bool:
  return settings.recipe.schedule == "cycle"


def _no_cycle(settings: Settings, _: Curriculum) -> bool:
  return all(part.schedule != "cycle" for part in _learning(settings))


def _no_dot(settings: Settings, _: Curriculum) -> bool:
  return "dot" not in [part.optimiser for part in _learning(settings)]


def _one_view(settings: Settings, _: Curriculum) -> bool:
  recipe = settings.recipe
  return not (recipe.pad or recipe.flip or recipe.resized)


def _kinds(plan: Curriculum) -> list[tuple[int, int]]:
  """Per grade, (how many specialists answer an image, how many generalists)."""
  counts = []
  for grade in plan.grades:
    general = sum(map(curriculum.is_generalist, grade.teachers))
    counts.append((int(len(grade.teachers) > general), general))
  return counts


def _no_generalist(settings: Settings, plan: Curriculum) -> bool:
  return not any(general for _, general in _kinds(plan)) and settings.class_order != "easiest"


def _no_specialist(_: Settings, plan: Curriculum) -> bool:
  return not any(own for own, _ in _kinds(plan))


def _never_referred(_: Settings, plan: Curriculum) -> bool:
  return not any(grade.reference for grade in plan.grades)


def _never_partial(_: Settings, plan: Curriculum) -> bool:
  whole = plan.grades[-1].fragments
  return all(grade.fragments == whole and grade.frozen in (-1, 0, whole) for grade in plan.grades)


def _nothing_learnt(settings: Settings, plan: Curriculum) -> bool:
  return len(plan.grades) == 1 and not settings.student.start


def _begins_anew(settings: Settings, _: Curriculum) -> bool:
  return not settings.student.start


def _one_grade(_: Settings, plan: Curriculum) -> bool:
  return len(plan.grades) == 1


def _never_more(_: Settings, plan: Curriculum) -> bool:
  return len({len(grade.subjects) for grade in plan.grades}) == 1


def _anew(kind: str) -> Idle:
  def idle(settings: Settings, _: Curriculum) -> bool:
    part = getattr(settings.faculty, kind)
    return not (part.checkpoint or part.start)

  return idle


def _no_start(kind: str) -> Idle:
  return lambda settings, _: not getattr(settings.faculty, kind).start


_ALONE = "there is one grade, and nothing was learnt before it"
_OWN = "it is of teachers with a checkpoint or a start, and none is given"
_NO_START = "it is of teachers with a start, and none is given"
_NO_GENERALIST = "no grade has a generalist (grades.teachers)"
_NO_SPECIALIST = "no grade has specialists (grades.teachers)"
_OWN_HEAD = "the student has its own head in every grade"

# (setting, what it usually is, whether it then does nothing, why). Of grades, every entry counts.
ROWS: tuple[tuple[str, tuple[Any, ...], Idle, str], ...] = (
  (
    "data.validation_fraction",
    (0.1,),
    _published_choices,
    "a part for choices is published (data.split)",
  ),
  (
    "recipe.milestones",
    ((),),
    lambda settings, _: settings.recipe.schedule != "steps",
    "recipe.schedule 'steps' alone reads it",
  ),
  ("recipe.rise", (0.2,), _no_cycle, "nobody's recipe.schedule is 'cycle'"),
  (
    "recipe.factor",
    (0.1,),
    _never_drops,
    "nobody's rate is divided at milestones (recipe.schedule 'steps' and recipe.milestones)",
  ),
  ("recipe.dot_delta", (0.075,), _no_dot, "no optimiser is 'dot' (recipe.optimiser)"),
  (
    "recipe.crops",
    (0,),
    _one_view,
    "an image has one view only without recipe.pad, recipe.flip and recipe.resized",
  ),
  (
    "recipe.magnitude",
    (9,),
    lambda settings, _: not settings.recipe.randaugment,
    "it is of the operations of recipe.randaugment, and there are none",
  ),
  (
    "recipe.specialist_weight",
    (1.0,),
    lambda _, plan: not any(own and general for own, general in _kinds(plan)),
    "no grade has specialists beside a generalist (grades.teachers 'both')",
  ),
  (
    "recipe.target",
    ("slice",),
    _no_specialist,
    _NO_SPECIALIST,
  ),
  (
    "recipe.consensus",
    ("average",),
    lambda _, plan: all(own + general <= 1 for own, general in _kinds(plan)),
    "no image is answered by two teachers (faculty.generalists, grades.teachers)",
  ),
  (
    "grades.final_rate",
    (0.0, 1.0),  # "steps" ends at the whole rate, unless it falls
    lambda settings, _: settings.recipe.schedule != "cosine",
    "recipe.schedule 'cosine' alone reads it",
  ),
  (
    "grades.warmup_epochs",
    (0.0,),
    _cycle,
    "recipe.schedule is 'cycle', which rises once (recipe.rise)",
  ),
  (
    "grades.teacher_size",
    (0,),
    lambda _, plan: not any(grade.teachers for grade in plan.grades),
    "no grade has a teacher (grades.teachers)",
  ),
  ("grades.lower_rate", (1.0,), _nothing_learnt, _ALONE),
  ("grades.rehearsal", (1.0,), _never_more, "no grade sees more subjects than the one before it"),
  ("grades.carry_momentum", (False,), _one_grade, _ALONE),
  ("student.keep_statistics", (False,), _begins_anew, "the student begins anew (student.start)"),
  ("student.cut", ("stages",), _never_partial, "the student is whole, and learns, in every grade"),
  ("grades.reference_width", (0,), _never_referred, _OWN_HEAD),
  ("grades.reference_grid", (1,), _never_referred, _OWN_HEAD),
  ("grades.reference_relu", (True,), _never_referred, _OWN_HEAD),
  (
    "faculty.generalists",
    (1,),
    lambda _, plan: not any(general for _, general in _kinds(plan)),
    _NO_GENERALIST,
  ),
  ("faculty.generalist.checkpoint", ("",), _no_generalist, _NO_GENERALIST),
  ("faculty.specialist.checkpoint", ((),), _no_specialist, _NO_SPECIALIST),
  ("faculty.generalist.start", ("",), _no_generalist, _NO_GENERALIST),
  ("faculty.specialist.start", ("",), _no_specialist, _NO_SPECIALIST),
  ("faculty.generalist.mean", ((),), _anew("generalist"), _OWN),
  ("faculty.generalist.std", ((),), _anew("generalist"), _OWN),
  ("faculty.specialist.mean", ((),), _anew("specialist"), _OWN),
  ("faculty.specialist.std", ((),), _anew("specialist"), _OWN),
  ("faculty.generalist.frozen_epochs", (0.0,), _no_start("generalist"), _NO_START),
  ("faculty.specialist.frozen_epochs", (0.0,), _no_start("specialist"), _NO_START),
  ("faculty.generalist.body_rate", (0.1,), _no_start("generalist"), _NO_START),
  ("faculty.specialist.body_rate", (0.1,), _no_start("specialist"), _NO_START),
  ("faculty.generalist.keep_statistics", (False,), _no_start("generalist"), _NO_START),
  ("faculty.specialist.keep_statistics", (False,), _no_start("specialist"), _NO_START),
  (
    "faculty.bank_fill",
    ("lazily",),
    lambda settings, _: not settings.faculty.bank,
    "no answers are kept (faculty.bank)",
  ),
)
