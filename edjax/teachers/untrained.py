"""Teachers without a checkpoint: how they are trained, and by what a trained one is known."""

import dataclasses
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from edjax import curriculum, models, plans, rows, start
from edjax import methods as methods_table
from edjax.data import identity
from edjax.data.datasets import Dataset
from edjax.errors import UserError
from edjax.sections import Checkpoints, Data, Faculty, TeacherSettings
from edjax.start import Start
from edjax.study import Study
from edjax.types import Label, Place


@dataclasses.dataclass(frozen=True)
class Search:
  """What a run knows when it looks for its teachers.

  Attributes:
    faculty: its settings of teachers.
    recipe: of the student.
    dataset: of the run; `data`: how it was read.
    checkpoint: settings of those that are trained.
    workdir: of the run.
    starts: {"specialist" or "generalist": what teachers of that kind begin as}.
  """

  faculty: Faculty
  recipe: curriculum.Recipe
  dataset: Dataset
  data: Data
  checkpoint: Checkpoints
  workdir: pathlib.Path
  starts: Mapping[str, Start] = dataclasses.field(default_factory=dict)

  def of(self, name: str) -> TeacherSettings:
    """The settings of a teacher, by its name."""
    return options(self.faculty, name)

  def start(self, name: str) -> Start | None:
    """What a teacher begins as, by its name."""
    return self.starts.get(kind(name))


@dataclasses.dataclass(frozen=True)
class Wanted:
  """A teacher that a run wants.

  Attributes:
    name: of a subject, or of a generalist.
    number: which of its kind it is, from 0.
    labels: of the data set, for which it answers, in the order of its columns.
  """

  name: str
  number: int
  labels: tuple[Label, ...]


def kind(name: str) -> str:
  """Returns in which section of the settings a teacher is, by its name."""
  return "generalist" if curriculum.is_generalist(name) else "specialist"


def starts(settings: Faculty, names: Iterable[str], channels: int) -> dict[str, Start]:
  """Reads what teachers begin as: {kind: `Start`} of those that begin as something.

  Args:
    settings: of the teachers.
    names: of those that the run has.
    channels: of its images.

  Raises:
    UserError: if there is no sound network.
  """
  parts = {kind(name): options(settings, name) for name in names}
  return {
    each: start.read(part.start, channels, (part.mean, part.std))
    for each, part in parts.items()
    if part.start
  }


def options(settings: Faculty, name: str) -> TeacherSettings:
  """Returns the settings of a teacher, by its name."""
  if not curriculum.is_generalist(name):
    return settings.specialist
  models_of = settings.generalist.model.split(",")
  number = int(name.partition("_")[2] or 1) if len(models_of) > 1 else 1
  return dataclasses.replace(settings.generalist, model=models_of[number - 1])


def study(search: Search, wanted: Wanted) -> Study:
  """Returns what a teacher without a checkpoint is to go through: one grade without a teacher."""
  chosen, name = search.of(wanted.name), wanted.name
  general = curriculum.is_generalist(name)
  everything = curriculum.Subject(name, tuple(map(Place, range(len(wanted.labels)))))
  return Study(
    label=f"teacher {name}",
    model=chosen.model,
    curriculum=_ordinary(chosen, everything),
    order=wanted.labels,
    teachers={},
    recipe=_recipe(search.recipe, chosen),
    methods=methods_table.build({"ce": {"weight": 1.0}}),
    seed=search.faculty.seed + (wanted.number if general else 0),
    directory=search.workdir / "teachers" / name,
    start=search.start(name),
    keep_statistics=chosen.keep_statistics,
    **vars(search.checkpoint),
  )


def check(settings: TeacherSettings, name: str, recipe: curriculum.Recipe) -> None:
  """Finds at once what would otherwise be found when a teacher is about to be trained.

  Raises:
    UserError: naming the setting that cannot be.
  """
  _recipe(recipe, settings)
  _ordinary(settings, curriculum.Subject(name, (Place(0),)))


def known_by(search: Search, study: Study) -> dict[str, Any]:
  """Returns everything that a teacher's training depends on, JSON.

  Args:
    search: of the run.
    study: the teacher's, from `study`.
  """
  chosen, recipe, begun = search.of(study.directory.name), study.recipe, study.start
  whole = float(chosen.epochs).is_integer()
  without = {"target", "specialist_weight", "consensus", "dot_delta"}
  without |= {"mixup", "views", "crops", "ema"}
  # As in fingerprints of before there were such settings:
  if recipe.schedule != "cycle":
    without.add("rise")
  if not recipe.resized:
    without.add("resized")
  if not recipe.randaugment:
    without |= {"randaugment", "magnitude"}
  return {
    "model": chosen.model,
    "epochs": int(chosen.epochs) if whole else chosen.epochs,
    "learning_rate": chosen.learning_rate,
    **({"image_sizes": chosen.image_sizes} if chosen.image_sizes else {}),
    **(_begun(begun, chosen) if begun else {}),
    "warmup_epochs": chosen.warmup_epochs,
    "recipe": {k: v for k, v in dataclasses.asdict(recipe).items() if k not in without},
    # The images themselves, below, say what source and split make of them.
    "data": {
      key: value
      for key, value in vars(search.data).items()
      if key not in ("source", "split") and not (key in ("mean", "std") and value == ())
    },
    "dataset": search.dataset.name,
    "classes": study.order,
    "images": identity.sample_digest(search.dataset.train),
    "seed": study.seed,
  }


def _begun(begun: Start, chosen: TeacherSettings) -> dict[str, Any]:
  """What the training of a teacher that begins as another network depends on besides."""
  return {
    "start": begun.sha256,
    "figures": begun.figures,
    "frozen_epochs": chosen.frozen_epochs,
    "body_rate": chosen.body_rate,
    **({"keep_statistics": True} if chosen.keep_statistics else {}),  # there was no such setting
  }


def _recipe(recipe: curriculum.Recipe, options: TeacherSettings) -> curriculum.Recipe:
  """The student's recipe, but for the teachers' own and for what only the taught can have."""
  return dataclasses.replace(
    recipe,
    schedule=options.schedule,
    milestones=options.milestones,
    optimiser=options.optimiser,
    weight_decay=options.weight_decay,
    clip=options.clip,
    nesterov=recipe.nesterov and options.optimiser == "sgd",
    mixup=0.0,
    views="one",
    crops=0,
    ema=0.0,
  )


def _ordinary(options: TeacherSettings, subject: curriculum.Subject) -> curriculum.Curriculum:
  try:
    own = rows.GradeRow(
      epochs=options.epochs,
      learning_rate=options.learning_rate,
      warmup_epochs=options.warmup_epochs,
      carry_momentum=True,
      lower_rate=options.body_rate if options.start else 1.0,
    )
    grades = plans.sized(own, options.image_sizes) if options.image_sizes else (own,)
    grades = (*_alone(options, grades[0]), *grades)
  except UserError as error:  # whose grade it is
    raise UserError(str(error).replace(rows.NAME, f"teacher {subject.name}", 1)) from error
  return curriculum.ordinary(subject, models.fragments(options.model), grades)


def _alone(options: TeacherSettings, following: rows.GradeRow) -> tuple[rows.GradeRow, ...]:
  """The grade in which a teacher that begins as another network learns its last layer, or none.

  It sees the images of the grade that follows, and its rate does not have to rise.
  """
  if not (options.start and options.frozen_epochs):
    return ()
  body, epochs = models.fragments(options.model), options.frozen_epochs
  return (dataclasses.replace(following, epochs=epochs, warmup_epochs=0.0, frozen=body),)
