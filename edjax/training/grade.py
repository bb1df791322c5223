"""A grade made ready: its network and optimiser, who sits where, what is compiled, how it begins.

`prepare` has no effect but to put arrays on devices; the loop that spends time is in `school`.
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from edjax import curriculum, models
from edjax import methods as methods_table
from edjax.data import sampler
from edjax.data.augment.strong import MULTI_LEVEL, randaugment
from edjax.data.prefetch import Stream
from edjax.devices.pmap import AXIS
from edjax.errors import UserError
from edjax.models import precision
from edjax.models.analysis.folding import fold, folded
from edjax.models.analysis.macs import network_macs, training_macs
from edjax.storage import checkpoint
from edjax.teachers import faculty
from edjax.teachers.bank import Bank
from edjax.training import growth, optimizers
from edjax.training.step import StepSpec, start, train_step

_CHUNKS_PER_EPOCH = 20
_CHUNK_BYTES = 1 << 26  # of the images of a chunk, unless a single step has more


@dataclasses.dataclass(frozen=True)
class Term:
  """A grade made ready.

  Attributes:
    grade: the `curriculum.Grade`.
    order: the data set's labels the student knows, place by place.
    seating: the `sampler.Seating`.
    first_step: steps of the study before this grade.
    schedule: step of the grade -> learning rate.
    macs: of one image forward.
    macs_per_step: {"student", "teachers"}, training; a bank's are not among them.
    bank: the `Bank` that answers in place of the teachers, or None.
    begin: `(state of the last grade or None) -> state` with which the grade begins, grafted.
    restore: `({path: array}) -> state` that a checkpoint of this grade holds.
    chunk: after how many steps of an epoch the host looks at what came of them.
    ahead: a `prefetch.Stream` of what is laid out for a chunk, to be closed.
    teach: `(state, epoch, first, last) -> state` runs steps first…last−1 of an epoch.
    answer: from `Loader.examiner`.
  """

  grade: curriculum.Grade
  order: tuple[int, ...]
  seating: sampler.Seating
  first_step: int
  schedule: Callable
  macs: int
  macs_per_step: dict
  bank: Bank | None
  begin: Callable
  restore: Callable
  chunk: int
  ahead: Stream
  teach: Callable
  answer: Callable

  @property
  def steps(self):
    """Of the whole grade."""
    return self.grade.epochs * self.seating.steps


def seat(study, loader, number):
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


def make_spec(study, loader, number, seating, schedule):
  """Returns the `StepSpec` of grade `number` of a study; its teachers are folded."""
  grade, recipe = study.curriculum.grades[number], study.recipe
  before = study.curriculum.grades[number - 1] if number else None
  body = models.body(study.model)
  network = models.pupil(
    body,
    grade.fragments,
    grade.num_classes,
    axis_name=AXIS,
    **dict(grade.reference),
  )
  teachers = {name: study.teachers[name] for name in grade.teachers}
  roles = faculty.roles(grade, teachers, study.order, recipe.specialist_weight)
  return StepSpec(
    network=network,
    num_classes=grade.num_classes,
    batch_size=recipe.batch_size,
    methods=methods_table.chosen(study.methods, grade.methods),
    roles=tuple(
      dataclasses.replace(role, network=folded(role.network, loader.image_shape)) for role in roles
    ),
    tx=optimizers.optimiser(recipe, schedule),
    apart=optimizers.apart(recipe),
    augment=loader.augment(
      pad=recipe.pad,
      flip=recipe.flip,
      resized=recipe.resized,
      crops=recipe.crops,
      mixup=recipe.mixup,
      randaugment=randaugment(recipe.randaugment, recipe.magnitude) if recipe.randaugment else None,
      strong=_strong(loader.image_shape) if recipe.views == "two" else None,
    ),
    partners=tuple(sampler.partners(seating, loader.fleet.size).tolist()),
    target=recipe.target,
    consensus=recipe.consensus,
    precision=recipe.precision,
    missing=len(body.fragments) - grade.fragments,
    steps_per_epoch=seating.steps,
    frozen=grade.frozen,
    reuses=body.reuses and grade.fragments == len(body.fragments),
    lower=before.fragments if before else 0,
    lower_rate=grade.lower_rate,
  )


def freeze(network, variables, image_shape, kind):
  """Returns a teacher's variables as training asks it: folded, and in a precision."""
  _, variables = fold(network, variables, image_shape)
  return variables | {"params": precision.lower(variables["params"], kind)}


def prepare(study, loader, number, first_step):
  """Makes grade `number` of a study ready in a `Loader`; returns a `Term`."""
  grade, recipe = study.curriculum.grades[number], study.recipe
  order = study.order[: grade.num_classes]
  places, members, seating = seat(study, loader, number)
  schedule = optimizers.learning_rate(grade, recipe, seating.steps)
  spec = make_spec(study, loader, number, seating, schedule)
  network, roles = spec.network, spec.roles
  teachers = {
    teacher.name: freeze(teacher.network, teacher.variables, loader.image_shape, recipe.precision)
    for teacher in (study.teachers[name] for name in grade.teachers)
  }
  key = jax.random.fold_in(jax.random.key(study.seed), number)
  seats, _ = _seat_teachers(study, roles, grade, seating, loader)
  per_step = macs_per_step(study, loader, grade, seating, spec)
  chunk = max(1, seating.steps // _CHUNKS_PER_EPOCH)
  chunk = max(1, min(chunk, _CHUNK_BYTES // (recipe.batch_size * loader.image_bytes)))

  @functools.lru_cache(maxsize=2)
  def rows_of(epoch):
    rows = sampler.epoch_order(seating, members, (study.seed, number), epoch)
    return np.ascontiguousarray(rows.reshape(seating.steps, loader.fleet.size, -1).swapaxes(0, 1))

  ahead = _ahead(loader, rows_of, chunk, seating.steps, grade.epochs)
  banked = None
  if study.bank and roles:
    banked = Bank(study.bank, study, loader, spec, grade, teachers, seats, key, rows_of, chunk)
  begin = functools.partial(_begin, spec, key, teachers, loader, grade.carry_momentum)
  return Term(
    grade=grade,
    order=order,
    seating=seating,
    first_step=first_step,
    schedule=schedule,
    macs=network_macs(network, loader.image_shape),
    macs_per_step=per_step | ({"teachers": 0} if banked else {}),
    bank=banked,
    begin=lambda last=None: loader.fleet.replicate(begin(last)),
    restore=lambda arrays: loader.fleet.replicate(
      checkpoint.unflatten(_like(spec, key, teachers, loader), arrays)
    ),
    chunk=chunk,
    ahead=ahead,
    teach=_teach(spec, loader, rows_of, key, places, teachers, seats, chunk, ahead, banked),
    answer=loader.examiner(network),
  )


def macs_per_step(study, loader, grade, seating, spec):
  """Returns {"student", "teachers"}: what a step of a grade costs where no bank answers."""
  _, answered = _seat_teachers(study, spec.roles, grade, seating, loader)
  one = training_macs(spec.network, grade.frozen, loader.image_shape, 1 + spec.apart)
  return {
    "student": spec.views * spec.batch_size * one,
    "teachers": spec.views * answered,
  }


def _strong(image_shape):
  """Multi-level logit distillation's, its square up to half as wide as the image."""
  return dataclasses.replace(MULTI_LEVEL, cutout=(1, max(1, image_shape[1] // 2)))


def _shares(grade, earlier):
  """Every subject but the newest may be rehearsed, in a grade that adds none too."""
  known = [len(other.subjects) for other in earlier if len(other.subjects) < len(grade.subjects)]
  rehearsed = max(known, default=0)
  return [grade.rehearsal] * rehearsed + [1.0] * (len(grade.subjects) - rehearsed)


def _begin(spec, key, teachers, loader, carry_momentum, last):
  fresh = models.begin(spec.network, key, loader.image_shape)
  if last is not None:
    fresh, known = jax.device_get((fresh, last.variables))
    last = last.replace(variables=known)
  shape = loader.dataset.train.images.shape
  return grow(spec, shape, carry_momentum, key, fresh, teachers, last)


def grow(spec, shape, carry_momentum, key, fresh, teachers, last):
  """Returns the `State` with which a grade begins, grafted on that of the grade before.

  Args:
    spec: the grade.
    shape: of the training set's images.
    carry_momentum: see `curriculum.Grade`.
    key: of the grade.
    fresh: newly initialised variables of its network.
    teachers: {name: variables}.
    last: the `State` in which the grade before ended, or None.
  """
  variables = fresh if last is None else growth.graft(last.variables, fresh)
  if spec.reuses:
    variables = growth.reuse(variables, _classifier(spec, teachers))
  state = start(spec, key, variables, teachers, shape)
  if last is not None:
    state = state.replace(methods=growth.remember(state.methods, last.methods))
  if last is not None and carry_momentum:
    grown = len(state.variables["params"]) > len(last.variables["params"])
    state = state.replace(opt_state=growth.carry(state.opt_state, last.opt_state, grown))
  return state


def _classifier(spec, teachers):
  """That of a generalist, its columns in the student's order."""
  for role in spec.roles:
    dense = teachers[role.name]["params"].get("head", {}).get("dense")
    if len(role.places) == spec.num_classes and dense is not None:
      columns = np.array(role.columns)[np.argsort(role.places)]
      return {name: leaf[..., columns] for name, leaf in dense.items()}
  raise UserError(
    "no teacher of this grade has a classifier that the student could end in (+simkd)"
  )


def _like(spec, key, teachers, loader):
  """Shapes and types of the states of a grade."""

  def fresh():
    variables = spec.network.init(key, jnp.zeros((1, *loader.image_shape), jnp.float32))
    return start(spec, key, variables, teachers, loader.dataset.train.images.shape)

  return jax.eval_shape(fresh)


def _seat_teachers(study, roles, grade, seating, loader):
  """Returns ({name: seats} of those who do not answer every seat, their MACs per step)."""
  seats, macs = {}, 0
  for role in roles:
    answers, taken = faculty.answers_for(role, grade), sum(seating.seats)
    where = sampler.teacher_seats(seating, answers, loader.fleet.size)
    if where is not None:
      seats[role.name] = where
      taken = sum(n for n, taught in zip(seating.seats, answers, strict=True) if taught)
    macs += taken * network_macs(study.teachers[role.name].network, loader.image_shape)
  return seats, macs


def _ahead(loader, rows_of, chunk, steps, epochs):
  """Returns a `prefetch.Stream` of what the steps of a chunk take, by (epoch, first step).

  That is {"images": uint8 [devices, chunk, batch / devices, …]}. What the host has to lay out, it
  lays out while the devices work at the chunk before, be it of another epoch. At the end of an
  epoch the last step stands in for those that are missing, so that every chunk has one shape.
  """

  def lay_out(place):
    epoch, start = place
    numbers = np.minimum(np.arange(start, start + chunk), steps - 1)
    return {"images": loader.seen("train", rows_of(epoch)[:, numbers])}

  def following(place):
    epoch, start = place
    if loader.residence != "streamed":
      return None
    if start + chunk < steps:
      return epoch, start + chunk
    return (epoch + 1, 0) if epoch + 1 < epochs else None

  return Stream(lay_out, following)


def _teach(spec, loader, rows_of, key, places, teachers, seats, chunk, ahead, banked):
  run = loader.fleet.trainer(functools.partial(train_step, spec))
  key, labels, teachers = loader.fleet.replicate((key, places, teachers))
  seats = loader.fleet.divide(seats)

  @functools.lru_cache(maxsize=2)
  def divided(epoch):
    return loader.fleet.divide(rows_of(epoch))

  def teach(state, epoch, first, last):
    rows = divided(epoch)
    while first < last:
      start = first // chunk * chunk
      end, laid = min(last, start + chunk), ahead((epoch, start))
      if banked:
        laid = laid | {"answers": loader.fleet.divide(banked.lay(epoch, start))}
      state = run(state, key, labels, rows, first, end, teachers, seats, laid, start)
      first = end
    return state

  return teach
