"""A grade made ready: its network and optimiser, who sits where, what is compiled, how it begins.

Making one ready has no effect but to put arrays on devices; `trainer` spends the time.
"""

import dataclasses
import functools
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Int32

from edjax import curriculum, models
from edjax import methods as methods_table
from edjax.data import sampler
from edjax.data.augment import pipeline
from edjax.devices.pmap import AXIS
from edjax.errors import UserError
from edjax.models import precision
from edjax.models.analysis.folding import fold, folded
from edjax.models.analysis.macs import network_macs, training_macs
from edjax.models.cut import BODY
from edjax.models.layers import HEAD, LAST, classifier
from edjax.storage import trees
from edjax.study import Study
from edjax.teachers import bank, faculty, statistics
from edjax.training import growth, optimizers
from edjax.training.batches import Batches, augment
from edjax.training.evaluation import Answer, Loader
from edjax.training.spec import StepSpec
from edjax.training.step import Constants, State, no_sums, start, train_step
from edjax.types import RandomKey, Variables


class ReadyGrade:
  """A grade made ready: what it is, how it begins, how it goes on.

  Attributes:
    grade: of the curriculum.
    order: the data set's labels the student knows, place by place.
    batches: who sits where, and what is laid out for the steps.
    first_step: steps of the study before this grade.
    schedule: step of the grade -> learning rate.
    image_size: longer side in pixels of the images that the student sees.
    macs: of one image forward.
    macs_per_step: {"student", "teachers"}, training; a bank's are not among them.
    bank: that answers in place of the teachers, or None.
  """

  def __init__(self, study: Study, loader: Loader, number: int, first_step: int) -> None:
    """Makes grade `number` of a study ready."""
    self.grade = grade = study.curriculum.grades[number]
    self.order, self.first_step = study.order[: grade.num_classes], first_step
    self._start, self._figures = study.start, study.figures
    self._loader, self._places, members, seating = loader, *seat(study, loader, number)
    span = spans(study, loader)[number] if study.recipe.schedule == "cycle" else (0.0, 1.0)
    self.schedule = optimizers.learning_rate(grade, study.recipe, seating.steps, span)
    self._spec = make_spec(study, loader, number, seating, self.schedule)
    self._key = jax.random.fold_in(jax.random.key(study.seed), number)
    self.batches = Batches(loader, seating, members, (study.seed, number), grade.epochs)
    asked = _asked(study, loader, grade, seating, self._spec)
    self._teachers = {each.teacher.name: each.variables for each in asked}
    self._seats = {each.teacher.name: each.seats for each in asked if each.seats is not None}
    self.bank = self._bank(cast(bank.Settings, study.bank), asked) if study.bank and asked else None
    shape = loader.shape_at(grade.image_size)
    self.image_size, self.macs = max(shape[:2]), network_macs(self._spec.network, shape)
    # The graduate is examined on whole images, and so is the last grade.
    last = number + 1 == len(study.curriculum.grades)
    self._exam_size = 0 if last else grade.image_size
    self.macs_per_step = macs_per_step(study, loader, grade, seating, self._spec)
    if self.bank:
      self.macs_per_step["teachers"] = 0

  @property
  def seating(self) -> sampler.Seating:
    """How many steps an epoch has, and the seats of each subject."""
    return self.batches.seating

  @property
  def methods(self) -> tuple[str, ...]:
    """Names of those that teach, in the order of `State.sums`."""
    return tuple(name for name, _, _ in self._spec.methods)

  @property
  def steps(self) -> int:
    """Of the whole grade."""
    return optimizers.steps(self.grade, self.seating.steps)

  def begin(self, last: State | None = None) -> State:
    """Returns the state with which the grade begins, grafted on that in which the last ended."""
    if last is not None:
      kept = jax.device_get({"variables": last.variables, "average": last.average})
      last = dataclasses.replace(last, **kept)
    if last is not None and self._fits(last.variables):
      fresh = last.variables  # nothing is grown, so nothing new is needed, nor compiled
    else:
      size = self.grade.image_size
      fresh = models.begin(self._spec.network, self._key, self._loader.shape_at(size))
      fresh = self._start.adopt(fresh) if self._start else fresh
      fresh = fresh if last is None else jax.device_get(fresh)
    shape = self._loader.dataset.train.images.shape
    state = grow(self._spec, shape, self._key, fresh, self._teachers, last)
    return self._loader.fleet.replicate(state)

  def _fits(self, variables: Variables) -> bool:
    """Whether the network of this grade has just these variables."""
    shape = self._loader.shape_at(self.grade.image_size)
    wanted = models.shapes(self._spec.network, shape)
    return jax.eval_shape(lambda: variables) == wanted

  def restore(self, arrays: dict[str, np.ndarray]) -> State:
    """Returns the state that a checkpoint of this grade holds, {path: array}.

    Raises:
      ValueError: if its arrays are others.
    """
    like = jax.eval_shape(self._fresh)
    # They are zero whenever a checkpoint is written, and were fewer in earlier versions.
    sums = trees.flatten({"sums": no_sums(len(self.methods))})
    return self._loader.fleet.replicate(trees.unflatten(like, arrays | sums))

  def teach(self, state: State, epoch: int, first: int, last: int) -> State:
    """Runs steps first…last−1 of an epoch."""
    run, constants, seats = self._on_devices
    rows = self.batches.on_devices(epoch)
    while first < last:
      start = first // self.batches.chunk * self.batches.chunk
      end, laid = min(last, start + self.batches.chunk), self.batches.ahead((epoch, start))
      if self.bank:
        answers = self._loader.fleet.divide(self.bank.lay(epoch, start))
        laid = laid | {"answers": answers}
      state = run(state, constants, rows, seats, laid, (first, end, start))
      first = end
    return state

  @functools.cached_property
  def answer(self) -> Answer:
    """Asks the student, see `Loader.examiner`."""
    return self._loader.examiner(self._spec.network, self._figures, self._exam_size)

  @functools.cached_property
  def _on_devices(self) -> tuple[Any, ...]:
    """The compiled steps, and what they take that stays the same."""
    fleet = self._loader.fleet
    constants = fleet.replicate(Constants(self._key, jnp.asarray(self._places), self._teachers))
    run = fleet.trainer(functools.partial(train_step, self._spec))
    return run, constants, fleet.divide(self._seats)

  def _fresh(self) -> State:
    image = jnp.zeros((1, *self._loader.shape_at(self.grade.image_size)), jnp.float32)
    variables: Any = self._spec.network.init(self._key, image)
    shape = self._loader.dataset.train.images.shape
    return start(self._spec, self._key, variables, self._teachers, shape)

  def _bank(self, settings: bank.Settings, asked: tuple[bank.Asked, ...]) -> bank.Bank:
    how = self._spec.augment
    shown = bank.Shown(
      grade=self.grade.name,
      how=how,
      precision=self._spec.precision,
      labels=self.order,
      epochs=self.grade.epochs,
      chunk=self.batches.chunk,
      rows=self.batches.rows,
      numbers=self.batches.views(how, self._key),
    )
    return bank.Bank(settings, self._loader.dataset, self._loader.fleet, asked, shown)


def seat(
  study: Study, loader: Loader, number: int
) -> tuple[Int32[np.ndarray, " images"], list[np.ndarray], sampler.Seating]:
  """Who sits in the batches of grade `number` of a study.

  Returns:
    (int32 [n], the place of each training image's label among those the student knows or −1; the
    training images of each subject; the `sampler.Seating`).
  """
  grade = study.curriculum.grades[number]
  places = loader.places("train", study.order[: grade.num_classes])
  members = [np.flatnonzero(np.isin(places, subject.classes)) for subject in grade.subjects]
  shares = _shares(grade, study.curriculum.grades[:number])
  apart = not all(map(curriculum.is_generalist, grade.teachers))
  seating = sampler.seat(list(map(len, members)), study.recipe.batch_size, shares, apart)
  return places, members, seating


def make_spec(
  study: Study,
  loader: Loader,
  number: int,
  seating: sampler.Seating,
  schedule: optax.Schedule,
) -> StepSpec:
  """Returns the `StepSpec` of grade `number` of a study; its teachers are folded."""
  grade, recipe = study.curriculum.grades[number], study.recipe
  before = study.curriculum.grades[number - 1] if number else None
  body, blocks = models.body(study.model), models.blocks(study.model, study.cut)
  own_head = blocks is not None or grade.fragments == len(body.fragments)
  make = functools.partial(
    models.shallow if blocks else models.pupil, body, grade.fragments, grade.num_classes, AXIS
  )
  network = make() if own_head else make(**cast(dict[str, Any], dict(grade.reference)))
  teachers = {name: study.teachers[name] for name in grade.teachers}
  size = pipeline.shrunk(grade.teacher_size or grade.image_size, loader.image_shape)
  shape = pipeline.shape_at(size, loader.image_shape)
  roles = faculty.roles(grade, teachers, study.order, recipe.specialist_weight, size)
  if study.figures:  # the student's, whose views are not by the run's then
    roles = tuple(dataclasses.replace(r, figures=r.figures or loader.figures) for r in roles)
  chosen = methods_table.chosen(study.methods, grade.methods)

  def lowest(fragments: int) -> int:
    """Of a network that began as another all but the new layer goes with the highest fragment."""
    begun = study.start and own_head and not body.reuses  # a projector is new, too
    return BODY if begun and fragments == grade.fragments else fragments

  return StepSpec(
    network=network,
    num_classes=grade.num_classes,
    batch_size=recipe.batch_size,
    methods=chosen if roles else methods_table.alone(chosen),
    roles=tuple(dataclasses.replace(role, network=folded(role.network, shape)) for role in roles),
    tx=optimizers.optimiser(recipe, schedule),
    apart=optimizers.apart(recipe),
    augment=augment(study, loader, grade),
    partners=tuple(sampler.partners(seating, loader.fleet.size).tolist()),
    target=recipe.target,
    consensus=recipe.consensus,
    precision=recipe.precision,
    missing=0 if own_head else len(body.fragments) - grade.fragments,
    steps_per_epoch=seating.steps,
    blocks=blocks,
    frozen=lowest(grade.frozen),
    reuses=body.reuses and own_head,
    kept=lowest(grade.fragments) if study.start and study.keep_statistics else 0,
    lower=lowest(grade.fragments) if study.start else before.fragments if before else 0,
    lower_rate=grade.lower_rate,
    carry_momentum=grade.carry_momentum,
    ema=recipe.ema,
  )


def freeze(
  network: models.Network, variables: Variables, image_shape: tuple[int, ...], kind: str
) -> Variables:
  """Returns a teacher's variables as training asks it: folded, and in a precision."""
  _, variables = fold(network, variables, image_shape)
  return variables | {"params": precision.lower(variables["params"], kind)}


def seats(
  grade: curriculum.Grade,
  roles: Sequence[faculty.Role],
  seating: sampler.Seating,
  devices: int,
) -> dict[str, bank.Seats | None]:
  """Returns {teacher: seats for which it answers, from `sampler.teacher_seats`}."""
  return {
    role.name: sampler.teacher_seats(seating, faculty.answers_for(role, grade), devices)
    for role in roles
  }


def _asked(
  study: Study,
  loader: Loader,
  grade: curriculum.Grade,
  seating: sampler.Seating,
  spec: StepSpec,
) -> tuple[bank.Asked, ...]:
  """The teachers of a grade, as its steps ask them."""
  asked, where = [], seats(grade, spec.roles, seating, loader.fleet.size)
  for role in spec.roles:
    teacher, shape = study.teachers[role.name], pipeline.shape_at(role.size, loader.image_shape)
    known = teacher.variables
    if role.size:
      how = spec.augment.by(role.figures).at(role.size)
      known = statistics.anew(teacher, loader.dataset.train, how)
    variables = freeze(teacher.network, known, shape, spec.precision)
    network = cast(models.Network, role.network)
    asked.append(bank.Asked(teacher, network, variables, role.figures, role.size, where[role.name]))
  return tuple(asked)


def spans(study: Study, loader: Loader) -> list[tuple[float, float]]:
  """Between which shares of the school's compute, learning and answers, each grade lies."""
  work = []
  for number, grade in enumerate(study.curriculum.grades):
    seating = seat(study, loader, number)[2]
    spec = make_spec(study, loader, number, seating, optax.constant_schedule(0.0))
    per_step = macs_per_step(study, loader, grade, seating, spec)
    work.append(optimizers.steps(grade, seating.steps) * sum(per_step.values()))
  ends = np.cumsum([0, *work]) / sum(work)
  return list(itertools.pairwise(map(float, ends)))


def macs_per_step(
  study: Study,
  loader: Loader,
  grade: curriculum.Grade,
  seating: sampler.Seating,
  spec: StepSpec,
) -> dict[str, int]:
  """Returns {"student", "teachers"}: what a step of a grade costs where no bank answers."""
  answered = sum(
    _taken(seating, faculty.answers_for(role, grade))
    * network_macs(
      study.teachers[role.name].network, pipeline.shape_at(role.size, loader.image_shape)
    )
    for role in spec.roles
  )
  shape = loader.shape_at(grade.image_size)
  one = training_macs(spec.network, spec.frozen, shape, 1 + spec.apart, spec.blocks)
  return {
    "student": spec.views * spec.batch_size * one,
    "teachers": spec.views * answered,
  }


def _shares(grade: curriculum.Grade, earlier: Sequence[curriculum.Grade]) -> list[float]:
  """Every subject but the newest may be rehearsed, in a grade that adds none too."""
  known = [len(other.subjects) for other in earlier if len(other.subjects) < len(grade.subjects)]
  rehearsed = max(known, default=0)
  return [grade.rehearsal] * rehearsed + [1.0] * (len(grade.subjects) - rehearsed)


def grow(
  spec: StepSpec,
  shape: tuple[int, ...],
  key: RandomKey,
  fresh: Variables,
  teachers: Mapping[str, Variables],
  last: State | None,
) -> State:
  """Returns the `State` with which a grade begins, grafted on that of the grade before.

  Args:
    spec: the grade.
    shape: of the training set's images.
    key: of the grade.
    fresh: newly initialised variables of its network.
    teachers: {name: variables}.
    last: the `State` in which the grade before ended, or None.
  """
  variables = fresh if last is None else growth.graft(last.variables, fresh, spec.blocks)
  if spec.reuses:
    variables = growth.reuse(variables, _classifier(spec, teachers))
  state = start(spec, key, variables, teachers, shape)
  if last is not None:
    average = _grafted(spec, last.average, state.average)
    methods = growth.remember(state.methods, last.methods)
    state = dataclasses.replace(state, average=average, methods=methods)
  if last is not None and spec.carry_momentum:
    grown = len(state.variables["params"]) > len(last.variables["params"])
    state = dataclasses.replace(
      state, opt_state=growth.carry(state.opt_state, last.opt_state, grown)
    )
  return state


def _grafted(spec: StepSpec, average: Variables, fresh: Variables) -> Variables:
  """The student's average over a graft: that of what is new, or a teacher's, is `fresh`."""
  if not fresh:
    return fresh
  grafted = growth.graft(average, fresh, spec.blocks)
  return growth.reuse(grafted, fresh["params"][HEAD][LAST]) if spec.reuses else grafted


def _classifier(spec: StepSpec, teachers: Mapping[str, Variables]) -> dict[str, Any]:
  """That of a generalist, its columns in the student's order."""
  for role in spec.roles:
    dense = classifier(teachers[role.name])
    if len(role.places) == spec.num_classes and dense is not None:
      columns = np.array(role.columns)[np.argsort(role.places)]
      return {name: leaf[..., columns] for name, leaf in dense.items()}
  raise UserError(
    "no teacher of this grade has a classifier that the student could end in (+simkd)"
  )


def _taken(seating: sampler.Seating, answers: Sequence[bool]) -> int:
  """How many seats a teacher answers for, also of a batch that is not divided among subjects."""
  if all(answers):
    return sum(seating.seats)
  return sum(n for n, taught in zip(seating.seats, answers, strict=True) if taught)
