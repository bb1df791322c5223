"""Where each teacher comes from: a checkpoint, the work directory, the cache, or its own schooling.

Teachers without a checkpoint are trained once, as students of one grade without a teacher.
"""

import dataclasses
import hashlib
import pathlib

from edjax import convert, curriculum, models
from edjax import methods as methods_table
from edjax.data import identity
from edjax.devices import processes
from edjax.errors import UserError
from edjax.storage import checkpoint
from edjax.study import Study
from edjax.teachers import faculty

# What to do about a teacher of other data, by where it was found.
_ADVICE = {
  "trained": "use another --workdir, or the old data",
  "cache": "use another faculty.cache, or remove that folder",
}


def hire(config, room, recipe, workdir, train, name, subjects, order):
  """Returns a teacher: from its checkpoint, the work directory, the cache, or trained now.

  Args:
    config: of the run.
    room: its `Classroom`.
    recipe: its `curriculum.Recipe`.
    workdir: its work directory, a pathlib.Path.
    train: `study -> (variables, record)`, see `loop.attend`.
    name: of a subject, or of a generalist.
    subjects: of the run.
    order: the data set's labels in the class order of the run.

  Raises:
    UserError: if what a checkpoint or a folder holds is not this teacher.
  """
  chosen, (_, labels) = options(config, name), _known(name, subjects, order)
  if chosen.checkpoint:
    return processes.tell(
      lambda: faculty.load(
        _folder(config, workdir, name, subjects, order),
        name,
        labels,
        room.dataset,
        chosen.mean,
        chosen.std,
      )
    )
  study = schooling(config, workdir, recipe, name, subjects, order)
  here, places = study.directory, _places(config, room, study)
  found = processes.tell(lambda: _found(places, name, labels, room.dataset))
  if found:
    return found
  variables, record = train(study)
  row = record["grades"][0]
  cost = {"training_macs": row["train_macs"], "training_seconds": row["seconds"]}

  def keep():
    for place in places:
      faculty.save(place, chosen.model, labels, room.dataset, variables, **cost)
    checkpoint.clear(here / "checkpoints")
    return _found(places, name, labels, room.dataset)

  return processes.tell(keep)


def source(config, room, recipe, workdir, name, subjects, order):
  """Says, without reading it, where `hire` would find a teacher.

  Returns:
    As `faculty.Teacher.source`; "" for one that is still to be trained.
  """
  if options(config, name).checkpoint:
    return "given"
  places = _places(config, room, schooling(config, workdir, recipe, name, subjects, order))
  return processes.tell(lambda: next((found for _, found in _sources(places)), ""))


def _places(config, room, study):
  """Returns the folders in which a teacher that is trained here may be: its own, and the cache's.

  Args:
    config: of the run.
    room: its `Classroom`.
    study: the teacher's, from `schooling`.
  """
  places = [study.directory / "network"]
  if config.faculty.cache:
    chosen = options(config, study.directory.name)
    settings = _teacher_settings(
      config, chosen, study.order, study.recipe, room.dataset, study.seed
    )
    tag = f"{config.dataset}_{study.model}_{len(study.order)}_{faculty.fingerprint(settings)}"
    places.append(pathlib.Path(config.faculty.cache) / tag)
  return places


def _sources(places):
  """Yields (folder, `faculty.Teacher.source`) of those of `_places` that hold a network."""
  for place, found in zip(places, ("trained", "cache"), strict=False):
    if (place / "info.json").exists():
      yield place, found


def peek(config, room, workdir, name, subjects, order):
  """Reads a given teacher while its subject is not settled yet: any as many classes will do.

  Args and Raises: as `hire`'s.
  """
  (_, labels), names = _known(name, subjects, order), room.dataset.class_names

  def read():
    folder, chosen = _folder(config, workdir, name, subjects, order), options(config, name)
    _, info = checkpoint.load_variables(folder)
    known = [names.index(each) for each in info["classes"] or () if each in names]
    fits = len(known) == len(labels)
    labels_of = tuple(known) if fits else labels
    return faculty.load(folder, name, labels_of, room.dataset, chosen.mean, chosen.std)

  return processes.tell(read)


def schooling(config, workdir, recipe, name, subjects, order):
  """Returns the `Study` of a teacher without a checkpoint; the arguments are `hire`'s."""
  chosen, (number, labels) = options(config, name), _known(name, subjects, order)
  return Study(
    label=f"teacher {name}",
    model=chosen.model,
    curriculum=_training(chosen, curriculum.Subject(name, tuple(range(len(labels))))),
    order=labels,
    teachers={},
    recipe=_teacher_recipe(recipe, chosen),
    methods=methods_table.build({"ce": {"weight": 1.0}}),
    seed=config.faculty.seed + (number if curriculum.is_generalist(name) else 0),
    directory=workdir / "teachers" / name,
    **config.checkpoint,
  )


def _known(name, subjects, order):
  """Returns (which of its kind a teacher is, the labels it answers for)."""
  if curriculum.is_generalist(name):
    return int(name.partition("_")[2] or 1) - 1, tuple(range(len(order)))
  number = [subject.name for subject in subjects].index(name)
  return number, tuple(order[place] for place in subjects[number].classes)


def check(config, plan, recipe):
  """Finds at once what would otherwise be found when the first teachers have been trained."""
  for key, value, least in (
    ("seed", config.seed, 0),
    ("faculty.seed", config.faculty.seed, 0),
    ("checkpoint.keep", config.checkpoint.keep, 1),
    ("faculty.generalists", config.faculty.generalists, 1),
  ):
    if value < least:
      raise UserError(f"{key} is {value}; it must be at least {least}")
  body = models.body(config.student.model)
  for grade in plan.grades:
    whole, general = (
      grade.fragments == len(body.fragments),
      map(curriculum.is_generalist, grade.teachers),
    )
    if body.reuses and whole and not any(general):
      raise UserError(
        f"{config.student.model} ends in its teacher's classifier, so {grade.name}, with the whole "
        "network, needs a teacher of all classes: set grades.teachers to 'generalist' or 'both'"
      )
  given = config.faculty.specialist.checkpoint
  if given and len(given) != len(plan.subjects):
    raise UserError(
      f"faculty.specialist.checkpoint names {len(given)} teachers, but there are "
      f"{len(plan.subjects)} subjects; give one folder per subject"
    )
  given = config.faculty.generalist.checkpoint
  if given and len(given.split(",")) != config.faculty.generalists:
    raise UserError(
      f"faculty.generalist.checkpoint is {given!r}, but there are {config.faculty.generalists} "
      "generalists (faculty.generalists); give one folder or file for each, separated by commas"
    )
  for name in plan.teachers:
    if not options(config, name).checkpoint:
      _teacher_recipe(recipe, options(config, name))
      _training(options(config, name), curriculum.Subject(name, (0,)))


def options(config, name):
  """Returns the settings of a teacher, by name."""
  general = curriculum.is_generalist(name)
  return config.faculty.generalist if general else config.faculty.specialist


def checkpoint_of(config, name, subjects, order):
  """Returns the path at which a given teacher is; the arguments are `hire`'s."""
  given, (number, _) = options(config, name).checkpoint, _known(name, subjects, order)
  return (given.split(",") if curriculum.is_generalist(name) else given)[number]


def _folder(config, workdir, name, subjects, order):
  """Returns the folder of a given teacher; a file of PyTorch's is converted first."""
  path = checkpoint_of(config, name, subjects, order)
  if convert.is_file(path):
    return _converted(path, workdir / "teachers" / name)
  if not pathlib.Path(path).expanduser().exists():
    raise UserError(
      f"{checkpoint.absolute(path)} does not exist, and so holds no network; name a folder of "
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


def _teacher_settings(config, options, labels, recipe, dataset, seed):
  """Everything that a teacher's training depends on."""
  chosen = {key: options[key] for key in ("model", "epochs", "learning_rate", "warmup_epochs")}
  without = {"target", "specialist_weight", "consensus", "dot_delta", "mixup", "views", "crops"}
  # As in fingerprints of before there were such settings:
  if not recipe.resized:
    without.add("resized")
  if not recipe.randaugment:
    without |= {"randaugment", "magnitude"}
  return chosen | {
    "recipe": {k: v for k, v in dataclasses.asdict(recipe).items() if k not in without},
    # The images themselves, below, say what the source makes of them.
    "data": {
      key: value
      for key, value in config.data.items()
      if key != "source" and not (key in ("mean", "std") and value == ())
    },
    "dataset": config.dataset,
    "classes": labels,
    "images": identity.sample_digest(dataset.train),
    "seed": seed,
  }
