"""The library: a school in one call, from a script, a test or a notebook.

It reads no flags and no config file, and leaves the caller's process as it was.
"""

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from PIL import Image

from edjax import own, plans
from edjax import settings as settings_of
from edjax.curriculum import Recipe
from edjax.data import Dataset
from edjax.errors import Stopped, UserError
from edjax.graduate import Graduate, load
from edjax.methods import Method
from edjax.models import Body
from edjax.report import images, page
from edjax.report.followers import OnRow, Row
from edjax.sections import Settings
from edjax.training import loop


class Report(Mapping):
  """report.json as a mapping; a notebook shows the page."""

  def __init__(self, content: dict[str, Any], path: pathlib.Path) -> None:
    self._content, self._path = content, path

  def __getitem__(self, key: str) -> Any:
    return self._content[key]

  def __iter__(self) -> Iterator[str]:
    return iter(self._content)

  def __len__(self) -> int:
    return len(self._content)

  def __repr__(self) -> str:
    return f"Report({self._path}: top-1 {self['student']['top1']:.4f})"

  def _repr_html_(self) -> str:
    return page.notebook(self._path.read_text(encoding="utf-8"))


@dataclasses.dataclass(frozen=True)
class Run:
  """A school that has ended.

  Attributes:
    workdir: where all of it is written.
    report: as in report.json.
    graduate: the student.
  """

  workdir: pathlib.Path
  report: Report
  graduate: Graduate = dataclasses.field(repr=False)


def distill(
  dataset: Dataset,
  student: str | Body = "resnet20",
  teacher: str | Body | os.PathLike[str] = "resnet56",
  *,
  cut: str = "stages",
  start: str | os.PathLike[str] = "",
  keep_statistics: bool = False,
  workdir: str | os.PathLike[str] | None = None,
  name: str = "",
  curriculum: plans.Curriculum | None = None,
  methods: Mapping[str, float | type[Method] | Mapping[str, Any]] | None = None,
  recipe: Mapping[str, Any] | None = None,
  faculty: Mapping[str, Any] | None = None,
  seed: int = 0,
  devices: int = 0,
  writers: Sequence[str] = ("csv",),
  on_row: OnRow | None = None,
) -> Run:
  """Trains a student as a school does, and examines it.

      train = edjax.data.from_arrays(x, y)
      run = edjax.distill(train, "resnet20", "resnet56", workdir="runs/a",
                          curriculum=edjax.Curriculum.default(epochs=24),
                          methods={"kd": 0.7, "ce": 0.3})
      run.graduate.predict(images)

  The same call with the same work directory goes on where a run was interrupted.

  Args:
    dataset: from `edjax.data`.
    student: a name in `edjax.models.MODELS`, or a `models.Body` of one's own: the object, which has
      a name at the top of a module, a script or a notebook, or that name, "package.module:NAME".
    teacher: the same, of teachers that are trained first, or the path (`pathlib.Path`) of one that
      knows all classes already: a graduate's folder, or a file of PyTorch's.
    cut: what a fragment of the student is, see `sections.Student`.
    start: a network as which the student begins, see `sections.Student`.
    keep_statistics: whether it goes on with that one's batch statistics.
    workdir: where everything is written; None for the first of runs/NAME, runs/NAME-2 … that no
      other run has. `Run.workdir` says which.
    name: what the run is called in its report and where runs are compared; the data set's name if
      not given.
    curriculum: `edjax.Curriculum.default()` if not given. Teachers that are trained go through as
      many epochs, at its highest rate, and see small images first where it does.
    methods: {name in `edjax.methods.METHODS`: its weight, or {option: value}}. One's own is called
      as one likes: {"mine": Mine}, or {"mine": {"method": Mine, "weight": 0.5}}; a name may
      stand for Mine, as for a network.
    recipe: {setting of `curriculum.Recipe`: value}. The batch size is 128 if not given, or less
      where there are few images: a power of two, of which an epoch has eight batches or more. The
      schedule is the curriculum's.
    faculty: {setting of `sections.Faculty`: value}; `specialist` and `generalist` are mappings of
      settings of `sections.TeacherSettings`.
    seed: of initialisation, data order and augmentation.
    devices: how many; 0: all there are.
    writers: what is written of each training besides metrics.jsonl: "csv", "tensorboard".
    on_row: is called with every row of metrics.jsonl, a dict, as it is written; row["training"] is
      "student" or says which teacher's. What it raises ends the run in good order and comes up
      here: a checkpoint is left, from which the same call goes on.

  Raises:
    UserError: for anything the caller can put right.
  """
  settings = _settled(
    dataset,
    student,
    cut,
    curriculum,
    recipe,
    seed,
    devices,
    teacher=teacher,
    name=name,
    start=start,
    keep_statistics=keep_statistics,
    methods=methods,
    faculty=faculty,
    writers=writers,
  )
  wanted = None if workdir is None else pathlib.Path(workdir)
  with _listening(on_row) as options:
    report = loop.run(settings, wanted, dataset=dataset, **options)
  place = pathlib.Path(report["run"]["workdir"])
  return Run(place, Report(report, place / "report.html"), load(place / "graduate"))


def views(
  dataset: Dataset,
  student: str | Body = "resnet20",
  *,
  cut: str = "stages",
  curriculum: plans.Curriculum | None = None,
  recipe: Mapping[str, Any] | None = None,
  seed: int = 0,
  devices: int = 0,
) -> Image.Image:
  """Shows what a student will see of some training images, before it is trained.

      edjax.views(train, recipe={"pad": 4, "flip": True, "randaugment": 2}).save("views.png")

  Args:
    dataset, student, cut, curriculum, recipe, seed, devices: as of `distill`.

  Returns:
    A picture, which notebooks show: a row for each image, itself and then its views in the first
    steps, of every grade that shows images otherwise than those before. Where classes are not in
    the given order, the images are others than those of the run.

  Raises:
    UserError: as `distill` does; or if every image is seen as it is.
  """
  settings = _settled(dataset, student, cut, curriculum, recipe, seed, devices)
  sheets = loop.views(settings, dataset)
  if not sheets:
    raise UserError(
      "every image is seen as it is; choose views with recipe, such as "
      'recipe={"pad": 4, "flip": True}'
    )
  return images.side_by_side(sheets)


def _settled(
  dataset: Dataset,
  student: str | Body,
  cut: str,
  curriculum: plans.Curriculum | None,
  recipe: Mapping[str, Any] | None,
  seed: int,
  devices: int,
  *,
  teacher: str | Body | os.PathLike[str] = "resnet56",
  name: str = "",
  start: str | os.PathLike[str] = "",
  keep_statistics: bool = False,
  methods: Mapping[str, float | type[Method] | Mapping[str, Any]] | None = None,
  faculty: Mapping[str, Any] | None = None,
  writers: Sequence[str] = ("csv",),
) -> Settings:
  """Returns the settings of a school, see `distill`."""
  if not isinstance(dataset, Dataset):
    raise UserError(
      f"{type(dataset).__name__} is no data set; make one with edjax.data.from_arrays, from_folder "
      "or load"
    )
  curriculum = curriculum or plans.Curriculum.default()
  methods = {"kd": {"weight": 0.7, "temperature": 4.0}, "ce": 0.3} if methods is None else methods
  tree = {
    "name": name or dataset.name,
    "dataset": dataset.name,
    "seed": seed,
    "devices": devices,
    "student": {
      "model": _model(student),
      "cut": cut,
      "start": os.fspath(start),
      "keep_statistics": keep_statistics,
    },
    "grades": curriculum.named(),
    "subjects": curriculum.subjects,
    "class_order": curriculum.class_order,
    "recipe": _recipe(dataset, curriculum) | dict(recipe or {}),
    "methods": {name: _weighed(row) for name, row in methods.items()},
    "faculty": _faculty(teacher, curriculum, dict(faculty or {})),
    "compilation_cache": "",
    "writers": tuple(writers),
  }
  return settings_of.from_json(settings_of.resolve(tree))


@contextlib.contextmanager
def _listening(on_row: OnRow | None) -> Iterator[dict[str, Any]]:
  """Yields options of `loop.run` by which a function is told its rows, and may end it."""
  if on_row is None:
    yield {}
    return
  raised: list[Exception] = []

  def tell(row: Row) -> None:
    if not raised:
      try:
        on_row(row)
      except Exception as error:  # whatever it is, it comes up again below
        raised.append(error)

  try:
    yield {"on_row": tell, "stop": lambda: bool(raised)}
  except Stopped:
    if not raised:
      raise
  if raised:
    raise raised[0]


def _model(model: str | Body) -> str:
  """The name of a network of one's own, or of edjax's."""
  return own.name_of(model, "network") if isinstance(model, Body) else model


def _weighed(row: float | type[Method] | Mapping[str, Any]) -> dict[str, Any]:
  """The options of a method, of which one may have given the weight alone, or the class."""
  if isinstance(row, type):
    row = {"method": row}
  if not isinstance(row, Mapping):
    return {"weight": row}
  mine = row.get("method")
  named = {"method": own.name_of(mine, "method")} if isinstance(mine, type) else {}
  return {**row, **named}


def _recipe(dataset: Dataset, curriculum: plans.Curriculum) -> dict[str, Any]:
  return vars(Recipe(batch_size=_batch_size(dataset), schedule=curriculum.schedule))


def _batch_size(dataset: Dataset) -> int:
  eighth = max(1, len(dataset.train.labels) // 8)
  return min(128, 2 ** (eighth.bit_length() - 1))


def _faculty(
  teacher: str | Body | os.PathLike[str], curriculum: plans.Curriculum, given: dict[str, Any]
) -> dict[str, Any]:
  """Teachers are trained as the student is, unless it is said otherwise: length, rate, images."""
  path = os.fspath(teacher) if isinstance(teacher, os.PathLike) else ""
  shared: dict[str, Any] = {
    "model": None if isinstance(teacher, os.PathLike) else _model(teacher),
    "epochs": curriculum.cost,
    "image_sizes": curriculum.image_sizes,
    "learning_rate": max(row.learning_rate for row in curriculum.grades),
    "schedule": curriculum.schedule,
  }
  specialist = shared | {"checkpoint": ()} | dict(given.pop("specialist", {}))
  generalist = {"checkpoint": path}
  generalist = shared | generalist | dict(given.pop("generalist", {}))
  return {"generalists": 1, "specialist": specialist, "generalist": generalist, **given}
