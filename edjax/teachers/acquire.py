"""Where each teacher comes from: a checkpoint, the work directory, the cache, or its own training.

These are ways to get one, tried in order. Teachers without a checkpoint are trained once.
"""

import dataclasses
import hashlib
import pathlib
from collections.abc import Callable
from typing import Any, Protocol

from edjax import convert, curriculum
from edjax.devices import processes
from edjax.errors import UserError
from edjax.sections import Faculty
from edjax.start import Start
from edjax.storage import checkpoint, replacing
from edjax.study import Study
from edjax.teachers import faculty, untrained
from edjax.teachers.faculty import Teacher
from edjax.teachers.untrained import Search, Wanted
from edjax.types import Label

Train = Callable[[Study], tuple[Any, Any]]  # -> the variables, and what was reached


def wanted(name: str, subjects: tuple[curriculum.Subject, ...], order: tuple[Label, ...]) -> Wanted:
  """Returns what one teacher is wanted for.

  Args:
    name: of a subject, or of a generalist.
    subjects: of the run.
    order: the data set's labels in the class order of the run.
  """
  if curriculum.is_generalist(name):
    return Wanted(name, int(name.partition("_")[2] or 1) - 1, tuple(map(Label, range(len(order)))))
  number = [subject.name for subject in subjects].index(name)
  return Wanted(name, number, tuple(order[place] for place in subjects[number].classes))


def teacher(search: Search, train: Train, wanted: Wanted) -> Teacher:
  """Returns a teacher: from its checkpoint, the work directory, the cache, or trained now.

  Args:
    search: what the run knows.
    train: trains one, see `trainer.train`.
    wanted: which.

  Raises:
    UserError: if what a checkpoint or a folder holds is not this teacher.
  """
  return _first(search, wanted).get(train)


def source(search: Search, wanted: Wanted) -> str:
  """Says, without reading it, where a teacher would be found.

  Returns:
    As `faculty.Teacher.source`; "" for one that is still to be trained.
  """
  return _first(search, wanted).source


def peek(search: Search, wanted: Wanted) -> Teacher:
  """Reads a given teacher while its subject is not settled yet: any as many classes will do.

  Raises:
    UserError: if the checkpoint is no network, or none of so many classes.
  """

  def read() -> Teacher:
    given, names = _Given(search, wanted), search.dataset.class_names
    _, info = checkpoint.load_variables(given.folder())
    known = tuple(Label(names.index(each)) for each in info["classes"] or () if each in names)
    return given.load(known if len(known) == len(wanted.labels) else wanted.labels)

  return processes.tell(read)


def check(settings: Faculty, plan: curriculum.Curriculum, recipe: curriculum.Recipe) -> None:
  """Finds at once what would otherwise be found when the first teachers have been trained.

  Args:
    settings: of the teachers.
    plan: of the run.
    recipe: of its student.

  Raises:
    UserError: naming what cannot be.
  """
  given = settings.specialist.checkpoint
  if given and len(given) != len(plan.subjects):
    raise UserError(
      f"faculty.specialist.checkpoint names {len(given)} teachers, but there are "
      f"{len(plan.subjects)} subjects; give one folder per subject"
    )
  for name in plan.teachers:
    chosen = untrained.options(settings, name)
    if not chosen.checkpoint:
      untrained.check(chosen, name, recipe)


def checkpoint_of(settings: Faculty, wanted: Wanted) -> str:
  """Returns the path at which a given teacher is."""
  given = untrained.options(settings, wanted.name).checkpoint
  return (given.split(",") if isinstance(given, str) else given)[wanted.number]


class _Way(Protocol):
  """One way to get a teacher.

  Attributes:
    source: as `faculty.Teacher.source`; "" where it is trained now.
  """

  @property
  def source(self) -> str: ...

  def is_open(self) -> bool: ...

  def get(self, train: Train) -> Teacher: ...


def _first(search: Search, wanted: Wanted) -> _Way:
  """Returns the first way that is open; of several processes the first one looks."""
  ways = _ways(search, wanted)
  number = processes.tell(lambda: next(n for n, way in enumerate(ways) if way.is_open()))
  return ways[number]


def _ways(search: Search, wanted: Wanted) -> list[_Way]:
  if search.of(wanted.name).checkpoint:
    return [_Given(search, wanted)]
  study = untrained.study(search, wanted)
  begun = study.start
  kept = [_Kept(search, wanted, study.directory / "network", "trained", begun)]
  if search.faculty.cache:
    tag = faculty.fingerprint(untrained.known_by(search, study))
    name = f"{search.dataset.name}_{study.model}_{len(study.order)}_{tag}"
    kept.append(_Kept(search, wanted, pathlib.Path(search.faculty.cache) / name, "cache", begun))
  return [*kept, _Untrained(search, study, kept)]


@dataclasses.dataclass(frozen=True)
class _Given:
  """A teacher with a checkpoint."""

  search: Search
  wanted: Wanted
  source: str = "given"

  def is_open(self) -> bool:
    return True

  def get(self, train: Train) -> Teacher:
    return processes.tell(lambda: self.load(self.wanted.labels))

  def load(self, labels: tuple[Label, ...]) -> Teacher:
    """Reads it, as one of these labels."""
    chosen = self.search.of(self.wanted.name)
    figures = chosen.mean, chosen.std
    return faculty.load(self.folder(), self.wanted.name, labels, self.search.dataset, figures)

  def folder(self) -> str | pathlib.Path:
    """Returns the folder in which it is; a file of PyTorch's is converted first."""
    path = checkpoint_of(self.search.faculty, self.wanted)
    if convert.is_file(path):
      return _converted(path, self.search.workdir / "teachers" / self.wanted.name)
    if not pathlib.Path(path).expanduser().exists():
      raise UserError(
        f"{replacing.absolute(path)} does not exist, and so holds no network; name a folder of "
        "edjax's or a file of PyTorch's"
      )
    return path


# What to do about a teacher of other data, by where it was found.
_ADVICE = {
  "trained": "use another --workdir, or the old data",
  "cache": "use another faculty.cache, or remove that folder",
}


@dataclasses.dataclass(frozen=True)
class _Kept:
  """A teacher that has been trained before, if it is in that place, and what it began as."""

  search: Search
  wanted: Wanted
  place: pathlib.Path
  source: str
  start: Start | None

  def is_open(self) -> bool:
    return (self.place / "info.json").exists()

  def get(self, train: Train) -> Teacher:
    return processes.tell(self.load)

  def load(self) -> Teacher:
    """Reads it."""
    dataset, advice = self.search.dataset, _ADVICE[self.source]
    name, labels = self.wanted.name, self.wanted.labels
    found = faculty.load(self.place, name, labels, dataset, advice=advice)
    was, now = (found.start or {}).get("sha256"), self.start and self.start.sha256
    if was != now:
      shown = (f"sha256 {each[:12]}…" if each else "nothing" for each in (was, now))
      raise UserError(
        "the teacher in {} started from {}, but now it is to start from {}; ".format(
          self.place, *shown
        )
        + advice.replace("the old data", "the old start")
      )
    return dataclasses.replace(found, source=self.source)


@dataclasses.dataclass(frozen=True)
class _Untrained:
  """A teacher that is trained now, and then kept in these places."""

  search: Search
  study: Study
  kept: list[_Kept]
  source: str = ""

  def is_open(self) -> bool:
    return True

  def get(self, train: Train) -> Teacher:
    variables, reached = train(self.study)
    cost = {
      "training_macs": sum(row["train_macs"] for row in reached.grades),
      "training_seconds": sum(row["seconds"] for row in reached.grades),
    }

    def keep() -> Teacher:
      study, dataset = self.study, self.search.dataset
      for one in self.kept:
        faculty.save(one.place, study.model, study.order, dataset, variables, study.start, **cost)
      checkpoint.clear(study.directory / "checkpoints")
      return self.kept[0].load()

    return processes.tell(keep)


def _converted(path: str, directory: pathlib.Path) -> pathlib.Path:
  """Returns the folder, in `directory`, that holds the network of a file of PyTorch's world."""
  file_path = pathlib.Path(path).expanduser()
  if not file_path.is_file():
    raise UserError(f"no file {file_path}, which should hold a teacher")
  with file_path.open("rb") as file:
    folder = directory / hashlib.file_digest(file, "sha256").hexdigest()[:12]
  if not (folder / "info.json").exists():
    variables, info, _ = convert.read(file_path)
    convert.write(folder, variables, info)
  return folder
