"""One network taken through its curriculum, from its newest sound checkpoint if there is one.

Students and teachers without a checkpoint go the same way, the latter in one grade without a
teacher. Everything random is a function of (seed, step), so a training that was killed and is
started again ends with the same bits.
"""

import contextlib
import dataclasses
import pathlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import jax

from edjax.devices import processes
from edjax.devices.pmap import Fleet
from edjax.errors import Stopped
from edjax.progress import Progress
from edjax.report.followers import Followers
from edjax.report.journal import Journal
from edjax.report.outlook import Outlook
from edjax.report.summary import grade_row
from edjax.storage import checkpoint
from edjax.study import Study
from edjax.training.evaluation import Loader, grade_exam
from edjax.training.grade import ReadyGrade
from edjax.training.log import Chunk, Log, Reached
from edjax.training.step import State, no_sums


def train(
  study: Study,
  loader: Loader,
  progress: Progress,
  outlook: Outlook,
  follow: Callable[[pathlib.Path, Sequence[str]], Followers],
  stop: Callable[[], bool] | None = None,
) -> tuple[dict[str, Any], Reached]:
  """Takes a network through its curriculum.

  Args:
    study: what it is to go through.
    loader: of the run.
    progress: what a person sees.
    outlook: is told how far the training is.
    follow: makes what follows the journal, from the training's directory and its methods.
    stop: asked between chunks of steps whether to save a checkpoint and end; of several processes
      all must have one, or none.

  Returns:
    (the network's variables on the host, the average where one is kept; what was reached: a row per
    grade, the best epoch).

  Raises:
    UserError: if the loss stops being finite, or the disk is full, or a checkpoint belongs to other
      data.
    Stopped: if `stop` said so, once everything is saved.
  """
  data = loader.dataset.identity | {"class_order": [int(label) for label in study.order]}
  if study.start:
    data |= {"start": study.start.sha256}
  journal = processes.alone(lambda: Journal(study.directory / "metrics.jsonl"))
  methods = [name for name, _, _ in study.methods]
  with (
    processes.alone(lambda: checkpoint.Store(study.directory / "checkpoints", study.keep)) as store,
    processes.alone(lambda: follow(study.directory, methods)) as followers,
  ):
    log = Log(study, data, journal, followers, store, progress, outlook)
    done, arrays, reached = processes.tell(log.newest)
    state: Any = None
    first_step = reached.first_step
    for number in range(reached.grade, len(study.curriculum.grades)):
      began = time.monotonic()
      ready = ReadyGrade(study, loader, number, first_step)
      log.note_left_out(ready)
      with contextlib.closing(ready.batches.ahead):
        if arrays is None:
          state, reached = ready.begin(state), reached.begin(number, first_step)
        else:
          state, arrays = log.restore(ready, arrays, done), None
        spent = reached.seconds + time.monotonic() - began
        reached = dataclasses.replace(reached, seconds=spent)
        state, reached = _train_grade(log, ready, loader.fleet, state, reached, stop)
      first_step += ready.steps
  return jax.device_get(state.examined), reached


def _train_grade(
  log: Log,
  ready: ReadyGrade,
  fleet: Fleet,
  state: State,
  reached: Reached,
  stop: Callable[[], bool] | None,
) -> tuple[State, Reached]:
  """Trains one grade to its end and examines it; returns the last state and what is reached."""
  began, ending = time.monotonic() - reached.seconds, False

  def now() -> Reached:
    computed = ready.bank.computed() if ready.bank else {}
    return dataclasses.replace(reached, seconds=time.monotonic() - began, computed=computed)

  if int(state.step) < ready.steps:
    if ready.bank:
      ready.bank.open(log.progress, reached.computed)
    log.begin(ready, reached.grade, int(state.step))
  for after, chunk in _chunks(ready, fleet, state):
    state = after
    reached = reached.paced(chunk)
    log.note(ready, chunk)
    if chunk.step % ready.seating.steps == 0 or chunk.step == ready.steps:
      reached = _examine_epoch(log, ready, state, reached, chunk.step)
    ending = stop is not None and processes.any_of(stop())
    if chunk.step < ready.steps and (ending or log.is_due):
      log.save(ready, state, now())
    if chunk.step < ready.steps and ending:
      raise _stopped(log, ready, chunk.step)
  if len(reached.grades) == reached.grade:  # else it was examined before the run was killed
    # Preflight has refused a test split without such images.
    scores = cast(dict[str, Any], _examined(ready, state, "test"))
    seconds = time.monotonic() - began
    row = grade_row(ready, state, scores, seconds, reached.images_per_second)
    reached = dataclasses.replace(reached, grades=(*reached.grades, row))
    log.save(ready, state, now())
    log.note_end(ready, scores, seconds)
  if ending:
    raise _stopped(log, ready, ready.steps)
  return state, reached


def _stopped(log: Log, ready: ReadyGrade, step: int) -> Stopped:
  return Stopped(f"{log.label}: stopped after step {ready.first_step + step:,}")


def _chunks(ready: ReadyGrade, fleet: Fleet, state: State) -> Iterator[tuple[State, Chunk]]:
  """Runs a grade's steps from where a state is, and looks at what came of every chunk of them."""
  step, per_epoch, compiled = int(state.step), ready.seating.steps, False
  while step < ready.steps:
    epoch, position = divmod(step, per_epoch)
    last = min(per_epoch, (position // ready.batches.chunk + 1) * ready.batches.chunk)
    last = min(last, position + ready.steps - step)
    began = time.monotonic()
    state = ready.teach(state, epoch, position, last)
    step += last - position
    sums, broken = jax.device_get((state.sums, state.broken))
    seconds = time.monotonic() - began
    state = dataclasses.replace(state, sums=fleet.replicate(no_sums(len(ready.methods))))
    losses = dict(zip(ready.methods, map(float, sums.pop("losses")), strict=True))
    figures = {name: float(value) for name, value in sums.items()}
    # The first chunk of a process compiles, and says nothing about speed.
    timed = seconds if compiled else None
    yield state, Chunk(step, int(broken), timed, losses=losses, **figures)
    compiled = True


def _examine_epoch(
  log: Log, ready: ReadyGrade, state: State, reached: Reached, step: int
) -> Reached:
  """Examines on the validation part; the last grade's best epoch so far on the test split, too."""
  scores = _examined(ready, state, "validation")
  if scores is None:
    return reached
  log.note_exam(ready, scores, step)
  better = reached.best is None or scores["top1"] > reached.best[0]
  if not (log.is_last(ready.grade) and better):
    return reached
  tested = cast(dict[str, Any], _examined(ready, state, "test"))
  return dataclasses.replace(reached, best=(scores["top1"], tested["top1"]))


def _examined(ready: ReadyGrade, state: State, split: str) -> dict[str, Any] | None:
  """The scores of the classes that the student knows; None for a split without images of those."""
  return grade_exam(ready.answer(state.examined, split, ready.order), ready.grade)
