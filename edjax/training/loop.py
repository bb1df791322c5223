"""The school: faculty, then per grade graft, train, exam, checkpoint; then the graduate's report.

`run` is the whole of it. It resumes by itself: everything random is a function of (seed, step), so
a run that was killed and is started again ends with the same bits. `attend` is the one stateful
loop; teachers without a checkpoint go through it too, as students of one grade without a teacher.
"""

import contextlib
import dataclasses
import functools
import pathlib
import time

import jax
import numpy as np

from edjax import curriculum, idle, models, workdirs
from edjax import methods as methods_table
from edjax.data import datasets, identity
from edjax.data.similarity import similar_order
from edjax.devices import compilation_cache, pmap, processes
from edjax.errors import Stopped, UserError
from edjax.progress import Progress, duration
from edjax.report import circumstances, report
from edjax.report.journal import Journal
from edjax.report.outlook import Outlook, announcement, many
from edjax.report.scores import exam_scores, percent_of
from edjax.report.summary import costs, grade_row, left_out, transcript, unshown
from edjax.settings import to_json
from edjax.storage import checkpoint
from edjax.study import Study
from edjax.teachers import acquire, bank, examination, faculty
from edjax.training import growth, preflight
from edjax.training.evaluation import Loader, grade_exam
from edjax.training.grade import prepare
from edjax.training.step import no_sums


def run(settings, workdir, command="", stop=None, dataset=None):
  """Runs the school of these settings in a work directory, or what is left of it.

  Args:
    settings: `sections.Settings`; all processes must have the same.
    workdir: where everything is written; None for one by the config's name, see `workdirs.take`.
    command: that asked for it, for the report.
    stop: `() -> bool`, asked between steps whether to save a checkpoint and end; of several
      processes all must have one, or none.
    dataset: a `datasets.Dataset` that is there already; None to read that of the settings.

  Returns:
    The report, as in report.json.

  Raises:
    UserError: for anything the user can put right.
    Stopped: if `stop` said so, once everything is saved.

  A process keeps what JAX compiled. One that runs dozens of schools has to call
  `jax.clear_caches()` between them: Linux bounds how many memory mappings a process has, and the
  programs of a school are a thousand.
  """
  workdir, began = workdir and pathlib.Path(workdir), time.monotonic()
  recipe, methods = settings.recipe, methods_table.build(settings.methods)
  num_fragments = len(models.body(settings.student.model).fragments)
  compilation_cache.keep(settings.compilation_cache)
  fleet = pmap.fleet(settings.devices, recipe.batch_size)
  dataset, as_json = _dataset(settings, dataset), to_json(settings)
  num_classes = len(dataset.class_names)
  if workdir:
    processes.tell(lambda: workdirs.check(workdir, as_json, dataset.identity))
  plan = curriculum.build(
    settings.grades, settings.subjects, num_classes, num_fragments, settings.faculty.generalists
  )
  acquire.check(settings.faculty, plan, recipe)
  progress = processes.alone(Progress)
  held = contextlib.ExitStack()

  def claim():
    place, lock = workdirs.take(workdir, as_json, dataset.identity, progress.line)
    held.enter_context(lock)
    return place

  def settle(order):
    return workdirs.settle(workdir, dataset.identity, order)

  with held, contextlib.closing(progress):
    workdir = processes.tell(claim)
    kept = bank.settings(settings.faculty, workdir, processes.count())
    loader = Loader(dataset, fleet, settings.residence)
    search = acquire.Search(
      settings.faculty,
      recipe,
      settings.dataset,
      settings.data,
      settings.checkpoint,
      workdir,
      loader,
    )
    for line in (*dataset.notes, *plan.notes, *idle.notes(settings, plan), loader.said):
      if line:
        progress.line(line)
    hired, attended, outlook = {}, 0.0, Outlook()

    def taught(study):
      nonlocal attended
      set_out = time.monotonic()
      result = attend(study, loader, progress, outlook, stop)
      attended += time.monotonic() - set_out
      return result

    def hire(post):
      hired[post.name] = acquire.hire(search, taught, post)
      return hired[post.name]

    settled = settings.class_order != "easiest"
    order = _class_order(settings, loader, hire) if settled else tuple(range(num_classes))
    posts = {name: acquire.post(name, plan.subjects, order) for name in plan.teachers}
    look = hire if settled else functools.partial(acquire.peek, search)
    given = {
      name: (hire if curriculum.is_generalist(name) else look)(post)
      for name, post in posts.items()
      if acquire.options(settings.faculty, name).checkpoint
    }
    study = Study(
      label="student",
      model=settings.student.model,
      curriculum=plan,
      order=order,
      teachers=given,
      recipe=recipe,
      methods=methods,
      seed=settings.seed,
      directory=workdir,
      bank=kept,
      **vars(settings.checkpoint),
    )
    work = preflight.check(search, study)
    sources = {
      name: acquire.source(search, post) if settled or curriculum.is_generalist(name) else None
      for name, post in posts.items()
    }
    outlook = Outlook(
      {
        study.label if name == study.label else f"teacher {name}": macs
        for name, macs in work.items()
        if not sources.get(name)
      }
    )
    begun = processes.tell(lambda: workdirs.begun(workdir))
    options = functools.partial(acquire.options, settings.faculty)
    for line in announcement(study, loader, options, sources, begun):
      progress.line(line)

    def examine(teacher, post):
      path = acquire.checkpoint_of(settings.faculty, post)
      examination.interview(loader, progress, teacher, path, settings.faculty.check)

    for name, teacher in given.items():
      if settled or curriculum.is_generalist(name):
        examine(teacher, posts[name])
    said = processes.tell(lambda: settle(order if settled else None))
    if said:
      progress.line(said)
    if not settled:
      order = _class_order(settings, loader, hire)
      posts = {name: acquire.post(name, plan.subjects, order) for name in plan.teachers}
      for name in given:
        if not curriculum.is_generalist(name):
          examine(hire(posts[name]), posts[name])
      processes.tell(lambda: settle(order))
    teachers = {name: hired.get(name) or hire(post) for name, post in posts.items()}
    study = dataclasses.replace(study, order=order, teachers=teachers)
    variables, record = taught(study)
    graduate = growth.graduate(variables, np.argsort(order))
    labels = tuple(range(num_classes))
    processes.tell(
      lambda: faculty.save(
        workdir / "graduate", study.model, labels, dataset, graduate, name=settings.name
      )
    )
    written = transcript(settings.name, study, loader, graduate, record, hired.values())
    between = time.monotonic() - began - attended
    written |= costs(record["grades"], hired.values(), between)
    finished = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    written["run"] = processes.tell(
      lambda: circumstances.record(as_json, workdir, dataset, command, finished)
    )
    processes.tell(lambda: report.write(workdir, written))
    accuracy = percent_of(written["student"]["top1"], len(dataset.test.labels))
    progress.line(
      f"graduate: top-1 {accuracy} test images; {duration(written['seconds'])} in all; "
      f"see {workdir / 'report.html'}"
    )
    return written


def exam(settings, workdir):
  """Examines the graduate of a work directory on the test split; returns `exam_scores`."""
  place = pathlib.Path(workdir) / "graduate"

  def check():
    if not place.exists():
      raise UserError(
        f"{workdir} holds no graduate to examine; give the same command without --mode=exam first"
      )

  fleet = pmap.fleet(settings.devices, settings.recipe.batch_size)
  processes.tell(check)
  loader = Loader(_dataset(settings), fleet, settings.residence)
  labels = tuple(range(len(loader.dataset.class_names)))
  graduate = processes.tell(lambda: faculty.load(place, "the exam", labels, loader.dataset))
  answer = loader.examiner(graduate.network, graduate.figures)
  return exam_scores(*answer(graduate.variables, "test", graduate.classes), {})


def attend(study, loader, progress, outlook, stop=None):
  """Takes a network through its curriculum, from its newest sound checkpoint if there is one.

  Args:
    study: a `Study`.
    loader: a `Loader`.
    progress: a `progress.Progress`.
    outlook: an `outlook.Outlook`, which is told how far the training is.
    stop: see `run`.

  Returns:
    (the network's variables on the host, {"grades": [a row per grade], "best": None or [validation
    top-1, test top-1] of the epoch of the last grade that was best on the validation part}).

  Raises:
    UserError: if the loss stops being finite, or the disk is full, or a checkpoint belongs to other
      data.
    Stopped: see `run`.
  """
  data = loader.dataset.identity | {"class_order": [int(label) for label in study.order]}
  grades = study.curriculum.grades
  journal = processes.alone(lambda: Journal(study.directory / "metrics.jsonl"))
  with processes.alone(
    lambda: checkpoint.Store(study.directory / "checkpoints", study.keep)
  ) as store:

    def newest():
      found = store.newest()
      if found:
        identity.refuse(f"the checkpoint in {study.directory}", found[2].get("data"), data)
        journal.rewind(found[0])
        if found[2].get("journal", journal.digest()) != journal.digest():
          progress.line(
            f"{study.label}: {journal.path} is not what it was at step {found[0]:,}: rows are lost "
            "or altered, and so are the curves of the report"
          )
        return found
      before = journal.set_aside()
      if before:
        progress.line(
          f"{study.label}: no sound checkpoint is left, so that it starts anew; what was noted of "
          f"its steps is in {before}"
        )
      return 0, None, {"grade": 0, "grades": [], "best": None}

    done, arrays, meta = processes.tell(newest)
    meta |= {"data": data}
    state, first_step, told = None, meta.get("first_step", 0), False
    for number in range(meta["grade"], len(grades)):
      term = prepare(study, loader, number, first_step)
      if not (term.seating.even or told):  # once; the report has it of every grade
        progress.line(left_out([{"name": _label(study, term.grade)} | unshown(term.seating)]))
        told = True
      if arrays is None:
        state = term.begin(state)
        meta |= {"grade": number, "first_step": first_step, "seconds": 0.0, "pace": [0, 0.0]}
        meta |= {"computed": {}}
      else:
        try:
          state, arrays = term.restore(arrays), None
        except ValueError as error:
          raise UserError(
            f"the checkpoint in {study.directory} is none of {_label(study, term.grade)} as this "
            f"version of edjax trains it ({str(error)[:200]}); use another --workdir"
          ) from error
        progress.line(f"{study.label}: continuing after step {done:,}, in {term.grade.name}")
      with contextlib.closing(term.ahead):
        state, meta = _attend_grade(
          study, loader, term, state, meta, journal, store, progress, outlook, stop
        )
      first_step += term.steps
    store.wait()
  return jax.device_get(state.variables), {"grades": meta["grades"], "best": meta["best"]}


def _attend_grade(study, loader, term, state, meta, journal, store, progress, outlook, stop):
  """Trains one grade to its end and examines it; returns the last state and what is known of it."""
  grade, per_epoch = term.grade, term.seating.steps
  last_grade = grade is study.curriculum.grades[-1]
  step, compiled = int(state.step), False
  saved_at, began = time.monotonic(), time.monotonic() - meta["seconds"]

  def save():
    nonlocal saved_at
    known = {"computed": term.bank.computed()} if term.bank else {}
    known |= {"seconds": time.monotonic() - began, "journal": journal.digest()}
    store.save(term.first_step + step, state, meta | known)
    saved_at = time.monotonic()

  if term.bank and step < term.steps:
    term.bank.open(progress, meta.get("computed", {}))
  if step < term.steps:
    outlook.begin(study.label, meta["grade"], step / term.steps)
    progress.busy(f"{_label(study, grade)} · compiling …")
  while step < term.steps:
    epoch, position = divmod(step, per_epoch)
    last = min(per_epoch, (position // term.chunk + 1) * term.chunk)
    set_out = time.monotonic()
    state = term.teach(state, epoch, position, last)
    step += last - position
    sums, broken = jax.device_get((state.sums, state.broken))
    if broken >= 0:
      store.wait()
      raise UserError(
        f"{study.label}: the loss is not finite at step {term.first_step + int(broken) + 1} "
        f"({grade.name}, epoch {int(broken) // per_epoch + 1}); the last good checkpoint stays in "
        f"{(study.directory / 'checkpoints').absolute()}; lower its learning_rate or warm up "
        "longer, in another --workdir"
      )
    state = state.replace(sums=loader.fleet.replicate(no_sums()))
    images, seconds = float(sums["images"]), time.monotonic() - set_out
    if compiled:  # the first chunk of a process compiles, and says nothing about speed
      meta = meta | {"pace": [meta["pace"][0] + images, meta["pace"][1] + seconds]}
    timed, compiled = compiled, True
    was_telling, left = outlook.is_telling, outlook.left(step / term.steps)
    if left is not None and outlook.is_telling and not was_telling:
      progress.line(f"{'time':<8} about {duration(left)} to go, at the pace so far")
    figures = {
      "loss": float(sums["loss"]) / images,
      "top1": float(sums["right"]) / images,
      "images_per_second": images / seconds if timed else None,
    }
    journal.write(
      {
        "step": term.first_step + step,
        "grade": grade.name,
        "kind": "train",
        "epoch": step / per_epoch,
        "learning_rate": float(term.schedule(step - 1)),
      }
      | figures
    )
    progress.update(
      label=_label(study, grade),
      epoch=epoch + 1,
      epochs=grade.epochs,
      step=step,
      steps=term.steps,
      seconds_left=left,
      **figures,
    )
    if last == per_epoch:
      meta = meta | {"best": _exam_epoch(loader, term, state, step, meta, journal, last_grade)}
    ending = stop is not None and processes.any_of(stop())
    if step < term.steps and (ending or time.monotonic() - saved_at >= study.every_seconds):
      save()
    if ending and step < term.steps:
      store.wait()
      raise Stopped(f"{study.label}: stopped after step {term.first_step + step:,}")
  if len(meta["grades"]) == meta["grade"]:  # else it was examined before the run was killed
    seconds = time.monotonic() - began
    scores = grade_exam(term.answer(state.variables, "test", term.order), grade)
    row = grade_row(term, state, scores, seconds, _pace(meta))
    meta = meta | {"grades": [*meta["grades"], row]}
    save()
    progress.line(
      f"{_label(study, grade)}: {many(grade.fragments, 'fragment')}, "
      f"{many(grade.num_classes, 'class', 'es')}, {many(grade.epochs, 'epoch')} in "
      f"{duration(seconds)}; test top-1 {percent_of(scores['top1'], scores['count'])}"
    )
  return state, meta


def _pace(meta):
  """Images per second of the grade so far, compilation and exams apart; None if not yet known."""
  images, seconds = meta["pace"]
  return images / seconds if seconds else None


def _exam_epoch(loader, term, state, step, meta, journal, last_grade):
  """Examines on the validation part, writes a row; returns the best so far of the last grade."""
  scores = grade_exam(term.answer(state.variables, "validation", term.order), term.grade)
  if scores is None:
    return meta["best"]
  journal.write(
    {
      "step": term.first_step + step,
      "grade": term.grade.name,
      "kind": "exam",
      "split": "validation",
      "count": scores["count"],
      "top1": scores["top1"],
      "nll": scores["nll"],
    }
  )
  if not last_grade or (meta["best"] and scores["top1"] <= meta["best"][0]):
    return meta["best"]
  test = grade_exam(term.answer(state.variables, "test", term.order), term.grade)
  return [scores["top1"], test["top1"]]


def _dataset(settings, there=None):
  """Returns the data set, which every process reads for itself; all must have the same."""
  dataset = there or processes.together(
    lambda: datasets.load(settings.dataset, data_dir=settings.data_dir, **vars(settings.data))
  )
  processes.agree("the data set", lambda: dataset.identity)
  return dataset


def _class_order(settings, loader, hire):
  """Returns the data set's labels in the order in which the subjects teach them."""
  train, num_classes = loader.dataset.train, len(loader.dataset.class_names)
  if settings.class_order == "similar":
    return processes.tell(lambda: similar_order(train.images, train.labels, num_classes))
  if settings.class_order == "easiest":
    teacher = hire(acquire.post(curriculum.GENERALIST, (), tuple(range(num_classes))))
    answered = loader.examiner(teacher.network, teacher.figures)(
      loader.fleet.replicate(teacher.variables), "validation", teacher.classes
    )
    return processes.tell(lambda: faculty.easiest_first(teacher, answered))
  return curriculum.class_order(settings.class_order, num_classes, settings.seed)


def _label(study, grade):
  count = len(study.curriculum.grades)
  return study.label if count == 1 else f"{grade.name.replace('_', ' ')}/{count}"
