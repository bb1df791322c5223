"""The school: faculty, then per grade graft, train, exam, checkpoint; then the graduate's report.

`run` is the whole of it, and `trainer.train` what each network goes through. A run resumes by
itself: everything random is a function of (seed, step), so one that was killed and is started again
ends with the same bits.
"""

import contextlib
import dataclasses
import functools
import pathlib
import time
from collections.abc import Callable
from typing import Any, cast

import numpy as np

from edjax import curriculum, idle, models, start, workdirs
from edjax import methods as methods_table
from edjax.data import datasets
from edjax.data.similarity import similar_order
from edjax.devices import compilation_cache, pmap, processes
from edjax.errors import UserError
from edjax.progress import Progress, duration
from edjax.report import baselines, circumstances, followers, precision, report
from edjax.report.followers import OnRow
from edjax.report.images import Pictures, Sheet
from edjax.report.outlook import Outlook, announcement
from edjax.report.scores import exam_scores, percent_of
from edjax.report.summary import content, costs, the_same
from edjax.sections import Settings
from edjax.settings import to_json
from edjax.start import Start
from edjax.study import Study
from edjax.teachers import acquire, bank, examination, faculty, untrained
from edjax.teachers.untrained import Search, Wanted
from edjax.training import growth, preflight, running, sheets
from edjax.training.evaluation import Answered, Loader
from edjax.training.log import Reached
from edjax.training.trainer import train
from edjax.types import Label


def run(
  settings: Settings,
  workdir: str | pathlib.Path | None,
  command: str = "",
  stop: Callable[[], bool] | None = None,
  dataset: datasets.Dataset | None = None,
  on_row: OnRow | None = None,
) -> dict[str, Any]:
  """Runs the school of these settings in a work directory, or what is left of it.

  Args:
    settings: all processes must have the same.
    workdir: where everything is written; None for one by the config's name, see `workdirs.take`.
    command: that asked for it, for the report.
    stop: asked between steps whether to save a checkpoint and end; of several processes all must
      have one, or none.
    dataset: that is there already; None to read that of the settings.
    on_row: is told every row of every journal as it is written, by the first process.

  Returns:
    The report, as in report.json.

  Raises:
    UserError: for anything the user can put right.
    Stopped: if `stop` said so, once everything is saved.

  A process keeps what JAX compiled. One that runs dozens of schools has to call
  `jax.clear_caches()` between them: Linux bounds how many memory mappings a process has, and the
  programs of a school are a thousand.
  """
  began = time.monotonic()
  compilation_cache.keep(settings.compilation_cache)
  processes.tell(lambda: followers.check(settings.writers))
  fleet = pmap.fleet(settings.devices, settings.recipe.batch_size)
  dataset, as_json = _dataset(settings, dataset), to_json(settings)
  if workdir:
    processes.tell(lambda: workdirs.check(pathlib.Path(workdir), as_json, dataset.identity))
  plan = planned(settings, len(dataset.class_names))
  acquire.check(settings.faculty, plan, settings.recipe)
  progress = processes.alone(Progress)
  with contextlib.ExitStack() as held, contextlib.closing(progress):

    def claim() -> pathlib.Path:
      wanted = pathlib.Path(workdir) if workdir else None
      place, lock = workdirs.take(wanted, as_json, dataset.identity, progress.line)
      held.enter_context(lock)
      return place

    place = processes.tell(claim)
    loader = Loader(dataset, fleet, settings.residence)
    for line in (*dataset.notes, *plan.notes, *idle.notes(settings, plan), loader.said):
      if line:
        progress.line(line)
    follow = functools.partial(followers.Followers, settings.writers, on_row)
    training = _Training(loader, progress, follow, stop)
    begun, starts = processes.tell(lambda: _starts(settings, plan, loader))
    for each in dict.fromkeys((begun, *starts.values())):
      if each:
        progress.line(f"start    {each.said(max(loader.image_shape[:2]))}")
    teachers = _Teachers(settings, place, training, starts)
    study = _taught(study_of(settings, plan, place, begun), settings, teachers)
    variables, reached = training(study)
    graduate = growth.graduate(variables, np.argsort(study.order))
    size = processes.tell(lambda: _save(place, study, dataset, graduate, settings.name))
    written = content(settings.name, study, loader, variables, graduate, reached, teachers.all())
    written["student"]["bytes"] = size
    written["student"]["latency"] = running.times(study, loader, graduate)
    pictures = _pictures(study, loader, written)
    between = time.monotonic() - began - training.seconds
    written |= costs(reached.grades, teachers.all(), between)
    finished = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    written["run"] = processes.tell(
      lambda: circumstances.record(as_json, place, dataset, command, finished)
    )
    written["baselines"] = processes.tell(lambda: baselines.beside(place, written))
    processes.tell(lambda: report.write(place, written, pictures))
    for line in the_same(written["student"]["confusion"], dataset):
      progress.line(line)
    accuracy = percent_of(written["student"]["top1"], len(dataset.test.labels))
    progress.line(
      f"graduate: top-1 {accuracy} test {dataset.what}; {duration(written['seconds'])} in all; "
      f"see {place / 'report.html'}"
    )
    return written


def exam(settings: Settings, workdir: str | pathlib.Path) -> dict[str, Any]:
  """Examines the graduate of a work directory on the test split.

  Returns:
    `exam_scores`, and "positives", what `precision.found` says of the groups that are looked for.
  """
  place = pathlib.Path(workdir) / "graduate"

  def check() -> None:
    if not place.exists():
      raise UserError(
        f"{workdir} holds no graduate to examine; give the same command without --mode=exam first"
      )

  fleet = pmap.fleet(settings.devices, settings.recipe.batch_size)
  processes.tell(check)
  loader = Loader(_dataset(settings), fleet, settings.residence)
  labels = tuple(map(Label, range(len(loader.dataset.class_names))))
  graduate = processes.tell(lambda: faculty.load(place, "the exam", labels, loader.dataset))
  answered = loader.answers_of(graduate)("test", graduate.classes)
  logits, truth = cast(Answered, answered)  # the exam has images of all classes
  looked_for = precision.found(logits, truth, loader.dataset.positives)
  return exam_scores(logits, truth, {}) | {"positives": looked_for}


def views(settings: Settings, dataset: datasets.Dataset) -> list[Sheet]:
  """Returns what the grades of these settings will show of some images of a data set."""
  plan = planned(settings, len(dataset.class_names))
  fleet = pmap.fleet(settings.devices, settings.recipe.batch_size)
  study = study_of(settings, plan, pathlib.Path())
  return sheets.of(study, Loader(dataset, fleet, "streamed"))


class _Training:
  """Trains what a run trains, one study after the other.

  Attributes:
    outlook: how long the run will take, as soon as that is known.
    seconds: spent in it so far.
  """

  def __init__(
    self,
    loader: Loader,
    progress: Progress,
    follow: Callable[..., followers.Followers],
    stop: Callable[[], bool] | None,
  ) -> None:
    self.loader, self.progress, self._follow, self._stop = loader, progress, follow, stop
    self.outlook, self.seconds = Outlook(), 0.0

  def __call__(self, study: Study) -> tuple[dict[str, Any], Reached]:
    began = time.monotonic()
    trained = train(study, self.loader, self.progress, self.outlook, self._follow, self._stop)
    self.seconds += time.monotonic() - began
    return trained


class _Teachers:
  """The teachers of a run, each acquired once."""

  def __init__(
    self,
    settings: Settings,
    workdir: pathlib.Path,
    training: _Training,
    starts: dict[str, Start],
  ) -> None:
    self.search = Search(
      settings.faculty,
      settings.recipe,
      training.loader.dataset,
      settings.data,
      settings.checkpoint,
      workdir,
      starts,
    )
    self.training = training
    self._acquired: dict[Wanted, faculty.Teacher] = {}

  def get(self, wanted: Wanted) -> faculty.Teacher:
    """Returns a teacher, from wherever it comes."""
    if wanted not in self._acquired:
      self._acquired[wanted] = acquire.teacher(self.search, self.training, wanted)
    return self._acquired[wanted]

  def all(self) -> list[faculty.Teacher]:
    """Those that have been acquired, those who only helped to set out among them."""
    return list(self._acquired.values())

  def examine(self, wanted: Wanted) -> None:
    """Examines a given teacher, and says a line about it."""
    teacher, loader, settings = self.get(wanted), self.training.loader, self.search.faculty
    answer = loader.answers_of(teacher)
    line = examination.examine(
      teacher,
      acquire.checkpoint_of(settings, wanted),
      loader.dataset.class_names,
      lambda split, most: answer(split, teacher.classes, most),
      settings.check,
    )
    self.training.progress.line(line)


def planned(settings: Settings, num_classes: int) -> curriculum.Curriculum:
  """Returns the student's curriculum on a data set of so many classes."""
  student = settings.student
  fragments = models.fragments(student.model, student.cut)
  count = settings.faculty.generalists
  return curriculum.build(
    settings.grades, settings.subjects, num_classes, fragments, count, student.cut
  )


def study_of(
  settings: Settings,
  plan: curriculum.Curriculum,
  workdir: pathlib.Path,
  begun: Start | None = None,
) -> Study:
  """Returns the student's study, its class order and its teachers still open.

  Args:
    settings: of the run.
    plan: its grades.
    workdir: of the run.
    begun: what the student begins as.
  """
  return Study(
    label="student",
    **vars(settings.student) | {"start": begun},
    curriculum=plan,
    order=tuple(map(Label, range(plan.num_classes))),
    teachers={},
    recipe=settings.recipe,
    methods=methods_table.build(settings.methods),
    seed=settings.seed,
    directory=workdir,
    bank=bank.settings(settings.faculty, workdir, processes.count()),
    **vars(settings.checkpoint),
  )


def _starts(
  settings: Settings, plan: curriculum.Curriculum, loader: Loader
) -> tuple[Start | None, dict[str, Start]]:
  """Reads what the student begins as, and {kind: what teachers of that kind begin as}."""
  channels, student = loader.image_shape[-1], settings.student
  begun = start.read(student.start, channels) if student.start else None
  own = student.model.partition("+")[0]  # what follows is the head's
  if begun and begun.model != own:
    raise UserError(
      f"student.start {student.start} is {begun.model}, but student.model is {own}; set one of "
      "them to the other"
    )
  names = plan.teachers or (curriculum.GENERALIST,) * (settings.class_order == "easiest")
  return begun, untrained.starts(settings.faculty, names, channels)


def _taught(study: Study, settings: Settings, teachers: _Teachers) -> Study:
  """Settles a study's class order and acquires its teachers, all of it tried on paper before.

  Where classes are in the order in which a generalist finds them easy, it is trained first, and
  what can be said of specialists before is said of any as many classes.
  """
  training, workdir = teachers.training, study.directory
  settled = settings.class_order != "easiest"
  if settled:
    study = dataclasses.replace(study, order=_class_order(settings, training.loader, teachers))
  wanted = _wanted(study)
  sure = {name for name in wanted if settled or curriculum.is_generalist(name)}
  given = {
    name: teachers.get(one) if name in sure else acquire.peek(teachers.search, one)
    for name, one in wanted.items()
    if teachers.search.of(name).checkpoint
  }
  study = dataclasses.replace(study, teachers=given)
  _announce(study, teachers, {name: wanted[name] for name in sure})
  for name in given:
    if name in sure:
      teachers.examine(wanted[name])
  identity = training.loader.dataset.identity
  said = processes.tell(
    lambda: workdirs.settle(workdir, identity, study.order if settled else None)
  )
  if said:
    training.progress.line(said)
  if not settled:
    study = dataclasses.replace(study, order=_class_order(settings, training.loader, teachers))
    wanted = _wanted(study)
    for name in given:
      if name not in sure:
        teachers.examine(wanted[name])
    processes.tell(lambda: workdirs.settle(workdir, identity, study.order))
  acquired = {name: teachers.get(one) for name, one in wanted.items()}
  return dataclasses.replace(study, teachers=acquired)


def _wanted(study: Study) -> dict[str, Wanted]:
  plan = study.curriculum
  return {name: acquire.wanted(name, plan.subjects, study.order) for name in plan.teachers}


def _announce(study: Study, teachers: _Teachers, sure: dict[str, Wanted]) -> None:
  """Goes through a run on paper, and says what it will do and where its teachers come from."""
  training = teachers.training
  work = preflight.check(teachers.search, study, training.loader)
  sources = {
    name: acquire.source(teachers.search, sure[name]) if name in sure else None
    for name in study.curriculum.teachers
  }
  training.outlook = Outlook(
    {
      study.label if name == study.label else f"teacher {name}": macs
      for name, macs in work.items()
      if not sources.get(name)
    }
  )
  begun = processes.tell(lambda: workdirs.begun(study.directory))
  for line in announcement(study, training.loader, teachers.search.of, sources, begun):
    training.progress.line(line)


def _save(
  workdir: pathlib.Path,
  study: Study,
  dataset: datasets.Dataset,
  graduate: dict[str, Any],
  name: str,
) -> int:
  """Saves the graduate; returns how many bytes that takes."""
  labels, place = tuple(map(Label, range(len(dataset.class_names)))), workdir / "graduate"
  faculty.save(place, study.model, labels, dataset, graduate, study.start, name=name)
  return sum(path.stat().st_size for path in place.rglob("*") if path.is_file())


def _pictures(study: Study, loader: Loader, written: dict[str, Any]) -> Pictures:
  wrong = [row["image"] for row in written["student"]["surest_mistakes"]]
  mistakes = loader.dataset.test.images[np.asarray(wrong, np.int64)]
  return Pictures(mistakes, sheets.of(study, loader))


def _dataset(settings: Settings, there: datasets.Dataset | None = None) -> datasets.Dataset:
  """Returns the data set, which every process reads for itself; all must have the same."""
  dataset = there or processes.together(
    lambda: datasets.load(settings.dataset, data_dir=settings.data_dir, **vars(settings.data))
  )
  processes.agree("the data set", lambda: dataset.identity)
  return dataset


def _class_order(settings: Settings, loader: Loader, teachers: _Teachers) -> tuple[Label, ...]:
  """Returns the data set's labels in the order in which the subjects teach them."""
  train, num_classes = loader.dataset.train, len(loader.dataset.class_names)
  if settings.class_order == "similar":
    return processes.tell(lambda: similar_order(train.images, train.labels, num_classes))
  if settings.class_order == "easiest":
    everything = tuple(map(Label, range(num_classes)))
    teacher = teachers.get(Wanted(curriculum.GENERALIST, 0, everything))
    answered = loader.answers_of(teacher)("validation", teacher.classes)
    return processes.tell(lambda: faculty.easiest_first(teacher, answered))
  chosen = curriculum.class_order(settings.class_order, num_classes, settings.seed)
  return tuple(map(Label, chosen))
