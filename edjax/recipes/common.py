"""What every config starts from, and how variants such as `:kd,quick` are applied.

Grades are rows, see `grade`. On the command line a setting of one is `--config.grades.grade_2.
epochs=6`, one of all of them `--config.grades.epochs=3,6,15`, or `=5` where all have the same. What
`edjax.whole` spreads over a config, as `--config.epochs=12`, comes before them.
"""

import difflib
from collections.abc import Callable, Mapping
from typing import Any

from ml_collections import ConfigDict, FieldReference
from ml_collections.config_dict import placeholder

from edjax import rows, sections, settings
from edjax.curriculum import Recipe
from edjax.plans import SIZES, Curriculum
from edjax.recipes import published

Variants = Mapping[str, Mapping[str, Callable[[ConfigDict], None]]]

AXES = ("curriculum", "method", "size")  # of the variants; a run has one of each, in this order


def base(name: str, dataset: str) -> ConfigDict:
  """Returns the settings all configs share, to be changed where a config differs.

  What they mean is said in `edjax.sections`, `edjax.curriculum.Recipe` and `edjax.rows.GradeRow`.
  """
  return ConfigDict(
    {
      "name": name,
      "seed": 0,
      "dataset": dataset,
      "data_dir": "",
      "data": vars(sections.Data()),
      "devices": 0,
      "compilation_cache": "auto",
      "residence": "auto",
      "student": vars(sections.Student("resnet20")),
      "subjects": (1, 1, 1),
      "class_order": "given",
      "grades": rows.named(
        (grade(fragments=1, subjects=1), grade(fragments=2, subjects=2), grade())
      ),
      "recipe": vars(Recipe(batch_size=128)),
      "methods": {"ce": {"weight": 0.3}, "kd": {"weight": 0.7, "temperature": 4.0}},
      "faculty": {
        "seed": 0,
        "cache": "",
        "check": True,
        "bank": "",
        "bank_fill": "lazily",
        "generalists": 1,
        "specialist": teacher(checkpoint=()),
        "generalist": teacher(checkpoint=""),
      },
      "checkpoint": vars(sections.Checkpoints()),
      "writers": ("csv",),
    }
  )


def teacher(checkpoint: str | tuple[str, ...]) -> dict[str, Any]:
  """`TeacherSettings` in which is open what the student, or its recipe, has too."""
  return vars(sections.TeacherSettings("resnet20", checkpoint)) | {
    "model": FieldReference("resnet20", field_type=str),  # None: the student's
    "optimiser": placeholder(str),  # None: the recipe's, or "sgd" where that is "dot"
    "weight_decay": placeholder(float),  # None: the recipe's, as below
    "clip": placeholder(float),
  }


grade = rows.GradeRow  # the word for it in a config: common.grade(fragments=1, epochs=5)


def curriculum(config: ConfigDict, *grades: rows.GradeRow) -> None:
  """Makes these rows the grades of a config, in this order."""
  config.grades = ConfigDict(rows.named(grades))


def every(config: ConfigDict, **changes: Any) -> None:
  """Changes settings of every grade."""
  for row in config.grades.values():
    row.update(changes)


def take(config: ConfigDict, made: Curriculum) -> None:
  """Gives a config the grades, subjects and class order of a `plans.Curriculum`."""
  curriculum(config, *made.grades)
  config.update(subjects=made.subjects, class_order=made.class_order)


def one_grade(config: ConfigDict, teachers: str, epochs: int, learning_rate: float) -> None:
  """Makes a curriculum of one grade: the whole student, all classes from the start."""
  curriculum(config, grade(teachers=teachers, epochs=epochs, learning_rate=learning_rate))
  if teachers == "none":
    config.methods = ConfigDict({"ce": {"weight": 1.0}})


def education(
  config: ConfigDict, epochs: float, learning_rate: float, teachers: str = "generalist"
) -> None:
  """edjax's default curriculum, see `plans.education`; teachers that are trained see it, too."""
  made = Curriculum.default(epochs, learning_rate, teachers)
  curriculum(config, *made.grades)
  config.recipe.update(schedule=made.schedule, milestones=())
  growing_images(config)


def growing_images(config: ConfigDict) -> None:
  """Lets teachers that are trained see small images first, in one cycle of the rate."""
  for part in (config.faculty.specialist, config.faculty.generalist):
    part.update(image_sizes=SIZES, schedule="cycle", milestones=(), warmup_epochs=0.0)


def stages(
  config: ConfigDict, epochs: int, learning_rate: float, teachers: str = "generalist"
) -> None:
  """A curriculum of growing stages, see `plans.by_stages`."""
  take(config, Curriculum.stages(epochs, learning_rate, teachers))


def paper(config: ConfigDict, epochs: tuple[int, int, int], learning_rate: float) -> None:
  """The published curriculum (arXiv:2311.13811), on the slices of each specialist's classes."""
  take(config, Curriculum.paper(epochs, learning_rate))
  config.recipe.target = "slice"
  config.methods = ConfigDict({"ce": {"weight": 0.3}, "kd": {"weight": 0.7, "temperature": 4.0}})


def smoke(config: ConfigDict, train_limit: int, model: str = "resnet8_half") -> None:
  """Goes the whole way: few images, one epoch per grade and teacher, the smallest networks."""
  config.data.train_limit = train_limit
  config.student.model = model
  every(config, epochs=1, warmup_epochs=0.0)
  for part in (config.faculty.specialist, config.faculty.generalist):
    part.epochs = 1
    if part.model is not None:
      part.model = model


def apply(config: ConfigDict, arg: str, variants: Variants) -> ConfigDict:
  """Applies the variants named in `arg`, one of each axis at most, and locks the config.

  All start from the same settings, whatever order they are named in: first a size, which says how
  long a run is, then the curriculum, then the method that teaches it; "smoke" at last makes short
  whatever they made. Without a curriculum it is "ed", or "kd" where a method is named.

  Args:
    config: a `ConfigDict`, changed in place.
    arg: what follows the colon in `--config=FILE.py:ARG`, separated by commas.
    variants: {axis of `AXES`: {name: function of the config}}.

  Raises:
    ValueError: naming the variants there are, or those that cannot be together.
  """
  chosen = _chosen(config.name, [name for name in arg.split(",") if name], variants)
  size, method = chosen.get("size"), chosen.get("method")
  taught = chosen.get("curriculum", "kd" if method else "ed")
  if size and size != "smoke":
    variants["size"][size](config)
  variants["curriculum"][taught](config)
  if method:
    _check(taught, method, {row.teachers for row in config.grades.values()})
    variants["method"][method](config)
  if size == "smoke":
    variants["size"][size](config)
  config.name = "_".join([config.name, *chosen.values()])
  settings.complete(config)
  return config.lock()


def _chosen(name: str, names: list[str], variants: Variants) -> dict[str, str]:
  """Returns {axis: variant}, in the order of `AXES`."""
  chosen: dict[str, str] = {}
  for wanted in dict.fromkeys(names):
    axis = next((axis for axis in AXES if wanted in variants[axis]), None)
    if axis is None:
      known = "; ".join(f"{axis}: {', '.join(variants[axis])}" for axis in AXES)
      near = difflib.get_close_matches(wanted, [key for row in variants.values() for key in row], 1)
      hint = f" (did you mean {near[0]!r}?)" if near else ""
      raise ValueError(f"unknown variant {wanted!r}{hint}; {name} has, one of each, {known}")
    if axis in chosen:
      raise ValueError(
        f"variants {chosen[axis]!r} and {wanted!r} are both a {axis}; name one of them"
      )
    chosen[axis] = wanted
  return {axis: chosen[axis] for axis in AXES if axis in chosen}


def _check(curriculum: str, method: str, teachers: set[str]) -> None:
  """A method needs somebody who teaches, and some need one who knows all classes."""
  if teachers == {"none"}:
    raise ValueError(
      f"the curriculum {curriculum!r} has no teacher, so the method {method!r} has nothing to "
      "teach; name one of them"
    )
  if method in published.GENERAL and not any(rows.generalists(each, 1) for each in teachers):
    raise ValueError(
      f"the method {method!r} needs teachers of all classes, and the curriculum {curriculum!r} has "
      "specialists only; name another curriculum, such as 'ed' or 'kd'"
    )
