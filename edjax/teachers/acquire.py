"""Where each teacher comes from: a checkpoint, the work directory, the cache, or its own schooling.

Teachers without a checkpoint are trained once, as students of one grade without a teacher.
"""

import dataclasses
import hashlib
import pathlib
from typing import Any

from edjax import convert, curriculum, models
from edjax import methods as methods_table
from edjax.data import identity
from edjax.devices import processes
from edjax.errors import UserError
from edjax.sections import Checkpoints, Data, Faculty
from edjax.storage import checkpoint, replacing
from edjax.study import Study
from edjax.teachers import faculty

# What to do about a teacher of other data, by where it was found.
_ADVICE = {
  "trained": "use another --workdir, or the old data",
  "cache": "use another faculty.cache, or remove that folder",
}


@dataclasses.dataclass(frozen=True)
class Search:
  """What a run knows when it looks for its teachers.

  Attributes:
    faculty: its `sections.Faculty`.
    recipe: of the student.
    dataset, data: what was read, and how: a name and a `sections.Data`.
    checkpoint: `sections.Checkpoints` of those that are trained.
    workdir: of the run.
    loader: its `Loader`.
  """

  faculty: Faculty
  recipe: curriculum.Recipe
  dataset: str
  data: Data
  checkpoint: Checkpoints
  workdir: pathlib.Path
  loader: Any


@dataclasses.dataclass(frozen=True)
class Post:
  """What one teacher is for.

  Attributes:
    name: of a subject, or of a generalist.
    number: which of its kind it is, from 0.
    labels: of the data set, for which it answers, in the order of its columns.
  """

  name: str
  number: int
  labels: tuple[int, ...]


def post(name, subjects, order):
  """Returns the `Post` of a teacher.

  Args:
    name: of a subject, or of a generalist.
    subjects: of the run.
    order: the data set's labels in the class order of the run.
  """
  if curriculum.is_generalist(name):
    return Post(name, int(name.partition("_")[2] or 1) - 1, tuple(range(len(order))))
  number = [subject.name for subject in subjects].index(name)
  return Post(name, number, tuple(order[place] for place in subjects[number].classes))


def hire(search, train, post):
  """Returns a teacher: from its checkpoint, the work directory, the cache, or trained now.

  Args:
    search: a `Search`.
    train: `study -> (variables, what was reached)`, see `trainer.train`.
    post: its `Post`.

  Raises:
    UserError: if what a checkpoint or a folder holds is not this teacher.
  """
  dataset, name, labels = search.loader.dataset, post.name, post.labels
  chosen = options(search.faculty, name)
  if chosen.checkpoint:
    return processes.tell(
      lambda: faculty.load(_folder(search, post), name, labels, dataset, chosen.mean, chosen.std)
    )
  study = schooling(search, post)
  here, places = study.directory, _places(search, study)
  found = processes.tell(lambda: _found(places, name, labels, dataset))
  if found:
    return found
  variables, reached = train(study)
  row = reached.grades[0]
  cost = {"training_macs": row["train_macs"], "training_seconds": row["seconds"]}

  def keep():
    for place in places:
      faculty.save(place, chosen.model, labels, dataset, variables, **cost)
    checkpoint.clear(here / "checkpoints")
    return _found(places, name, labels, dataset)

  return processes.tell(keep)


def source(search, post):
  """Says, without reading it, where `hire` would find a teacher.

  Returns:
    As `faculty.Teacher.source`; "" for one that is still to be trained.
  """
  if options(search.faculty, post.name).checkpoint:
    return "given"
  places = _places(search, schooling(search, post))
  return processes.tell(lambda: next((found for _, found in _sources(places)), ""))


def _places(search, study):
  """Returns the folders in which a teacher that is trained here may be: its own, and the cache's.

  Args:
    search: a `Search`.
    study: the teacher's, from `schooling`.
  """
  places = [study.directory / "network"]
  if search.faculty.cache:
    tag = faculty.fingerprint(_teacher_settings(search, study))
    name = f"{search.dataset}_{study.model}_{len(study.order)}_{tag}"
    places.append(pathlib.Path(search.faculty.cache) / name)
  return places


def _sources(places):
  """Yields (folder, `faculty.Teacher.source`) of those of `_places` that hold a network."""
  for place, found in zip(places, ("trained", "cache"), strict=False):
    if (place / "info.json").exists():
      yield place, found


def peek(search, post):
  """Reads a given teacher while its subject is not settled yet: any as many classes will do.

  Args and Raises: as `hire`'s.
  """
  chosen, dataset = options(search.faculty, post.name), search.loader.dataset

  def read():
    folder, names = _folder(search, post), dataset.class_names
    _, info = checkpoint.load_variables(folder)
    known = [names.index(each) for each in info["classes"] or () if each in names]
    labels = tuple(known) if len(known) == len(post.labels) else post.labels
    return faculty.load(folder, post.name, labels, dataset, chosen.mean, chosen.std)

  return processes.tell(read)


def schooling(search, post):
  """Returns the `Study` of a teacher without a checkpoint; the arguments are `hire`'s."""
  chosen, name = options(search.faculty, post.name), post.name
  general = curriculum.is_generalist(name)
  return Study(
    label=f"teacher {name}",
    model=chosen.model,
    curriculum=_training(chosen, curriculum.Subject(name, tuple(range(len(post.labels))))),
    order=post.labels,
    teachers={},
    recipe=_teacher_recipe(search.recipe, chosen),
    methods=methods_table.build({"ce": {"weight": 1.0}}),
    seed=search.faculty.seed + (post.number if general else 0),
    directory=search.workdir / "teachers" / name,
    **vars(search.checkpoint),
  )


def check(settings, plan, recipe):
  """Finds at once what would otherwise be found when the first teachers have been trained.

  Args:
    settings: a `sections.Faculty`.
    plan: the `curriculum.Curriculum` of the run.
    recipe: of its student.
  """
  given = settings.specialist.checkpoint
  if given and len(given) != len(plan.subjects):
    raise UserError(
      f"faculty.specialist.checkpoint names {len(given)} teachers, but there are "
      f"{len(plan.subjects)} subjects; give one folder per subject"
    )
  for name in plan.teachers:
    chosen = options(settings, name)
    if not chosen.checkpoint:
      _teacher_recipe(recipe, chosen)
      _training(chosen, curriculum.Subject(name, (0,)))


def options(settings, name):
  """Returns the `sections.TeacherSettings` of a teacher, by name; of a `sections.Faculty`."""
  return settings.generalist if curriculum.is_generalist(name) else settings.specialist


def checkpoint_of(settings, post):
  """Returns the path at which a given teacher is, of a `sections.Faculty`."""
  given = options(settings, post.name).checkpoint
  return (given.split(",") if curriculum.is_generalist(post.name) else given)[post.number]


def _folder(search, post):
  """Returns the folder of a given teacher; a file of PyTorch's is converted first."""
  path = checkpoint_of(search.faculty, post)
  if convert.is_file(path):
    return _converted(path, search.workdir / "teachers" / post.name)
  if not pathlib.Path(path).expanduser().exists():
    raise UserError(
      f"{replacing.absolute(path)} does not exist, and so holds no network; name a folder of "
      "edjax's or a file of PyTorch's"
    )
  return path


def _found(places, name, labels, dataset):
  """Returns the teacher of the first folder that holds one, or None; the second is the cache."""
  for place, found in _sources(places):
    teacher = faculty.load(place, name, labels, dataset, advice=_ADVICE[found])
    return dataclasses.replace(teacher, source=found)
  return None


def _converted(path, directory):
  """Returns the folder, in `directory`, that holds the network of a file of PyTorch's world."""
  path = pathlib.Path(path).expanduser()
  if not path.is_file():
    raise UserError(f"no file {path}, which should hold a teacher")
  with path.open("rb") as file:
    folder = directory / hashlib.file_digest(file, "sha256").hexdigest()[:12]
  if not (folder / "info.json").exists():
    variables, info, _ = convert.read(path)
    convert.write(folder, variables, info)
  return folder


def _teacher_recipe(recipe, options):
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
  )


def _training(options, subject):
  num_fragments = len(models.body(options.model).fragments)
  return curriculum.ordinary(
    subject, num_fragments, options.epochs, options.learning_rate, options.warmup_epochs
  )


def _teacher_settings(search, study):
  """Everything that a teacher's training depends on."""
  chosen, recipe = options(search.faculty, study.directory.name), study.recipe
  without = {"target", "specialist_weight", "consensus", "dot_delta", "mixup", "views", "crops"}
  # As in fingerprints of before there were such settings:
  if not recipe.resized:
    without.add("resized")
  if not recipe.randaugment:
    without |= {"randaugment", "magnitude"}
  return {
    "model": chosen.model,
    "epochs": chosen.epochs,
    "learning_rate": chosen.learning_rate,
    "warmup_epochs": chosen.warmup_epochs,
    "recipe": {k: v for k, v in dataclasses.asdict(recipe).items() if k not in without},
    # The images themselves, below, say what the source makes of them.
    "data": {
      key: value
      for key, value in vars(search.data).items()
      if key != "source" and not (key in ("mean", "std") and value == ())
    },
    "dataset": search.dataset,
    "classes": study.order,
    "images": identity.sample_digest(search.loader.dataset.train),
    "seed": study.seed,
  }
