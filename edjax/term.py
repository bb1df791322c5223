"""A grade made ready: its network and optimiser, who sits where, what is compiled, how it begins.

`prepare` has no effect but to put arrays on devices; the loop that spends time is in `school`.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax

from edjax import checkpoint, curriculum, faculty, fragments, models
from edjax.data import memory
from edjax.models.macs import network_macs, training_macs
from edjax.step import AXIS, Lesson, start, train_step


@dataclasses.dataclass(frozen=True)
class Study:
  """One network's schooling, as settled before it begins.

  Attributes:
    label: "student", or a teacher's name.
    model: a row of `models.MODELS`.
    curriculum: a `curriculum.Curriculum`.
    order: the data set's labels in the class order of this study.
    teachers: {name: faculty.Teacher}.
    recipe: a `curriculum.Recipe`.
    methods: from `methods.build`.
    seed: of initialisation, data order and augmentation.
    directory: of its checkpoints and its metrics.jsonl.
    every_seconds, keep: how often a checkpoint is written, and how many are kept.
  """

  label: str
  model: str
  curriculum: curriculum.Curriculum
  order: tuple[int, ...]
  teachers: dict
  recipe: curriculum.Recipe
  methods: tuple
  seed: int
  directory: pathlib.Path
  every_seconds: float
  keep: int


@dataclasses.dataclass(frozen=True)
class Term:
  """What training one grade needs.

  Attributes:
    grade: the `curriculum.Grade`.
    order: the data set's labels the student knows, place by place.
    lesson: the `step.Lesson`.
    seating: the `memory.Seating`.
    members: per subject, the training images that belong to it.
    schedule: step of the grade -> learning rate.
    key: of the grade.
    seed: (seed of the study, number of the grade).
    first_step: steps of the study before this grade.
    image_shape: (height, width, channels).
    answer: from `Classroom.examiner`.
    macs, macs_per_step: of one image forward; of one step, {"student", "teachers"}.
    teach: `(state, epoch, first, last) -> state` runs steps first…last−1 of an epoch.
    replicate: puts a tree on the devices.
  """

  grade: curriculum.Grade
  order: tuple[int, ...]
  lesson: Lesson
  seating: memory.Seating
  members: tuple
  schedule: Callable
  key: jax.Array
  seed: tuple[int, int]
  first_step: int
  image_shape: tuple[int, int, int]
  answer: Callable
  macs: int
  macs_per_step: dict
  teach: Callable
  teachers: dict
  replicate: Callable

  @property
  def steps(self):
    return self.grade.epochs * self.seating.steps

  def begin(self, before=None):
    """Returns the state with which the grade begins, grafted onto `before`, the last grade's."""
    images = jnp.zeros((1, *self.image_shape), jnp.float32)
    # Initialising runs once: compiling it without optimisation is several times quicker.
    init = jax.jit(
      self.lesson.network.init, compiler_options={"xla_backend_optimization_level": 0}
    )
    variables = init(self.key, images)
    if before is not None:
      variables = fragments.graft(jax.device_get(before.variables), jax.device_get(variables))
    state = start(self.lesson, self.key, variables, self.teachers, self.image_shape)
    if before is not None and self.grade.carry_momentum:
      state = state.replace(opt_state=fragments.carry(state.opt_state, before.opt_state))
    return self.replicate(state)

  def restore(self, arrays):
    """Returns the state that a checkpoint of this grade holds."""
    like = jax.eval_shape(self.begin)
    return self.replicate(checkpoint.unflatten(like, arrays))


def prepare(study, room, number, first_step):
  """Makes grade `number` of a study ready in a `Classroom`; returns a `Term`."""
  grade, recipe = study.curriculum.grades[number], study.recipe
  body, order = models.body(study.model), study.order[: grade.num_classes]
  counts, members = _members(grade, room.places("train", order))
  # Images of earlier subjects may be shown less often than those of the newest one.
  known = len(study.curriculum.grades[number - 1].subjects) if number else 0
  old = known if known < len(grade.subjects) else 0
  shares = [grade.rehearsal if k < old else 1.0 for k in range(len(counts))]
  seating = memory.seat(counts, recipe.batch_size, shares)
  schedule = learning_rate(grade, recipe, seating.steps)
  network = models.pupil(
    body, grade.fragments, grade.num_classes, axis_name=AXIS, **dict(grade.reference)
  )
  lesson = Lesson(
    network=network,
    num_classes=grade.num_classes,
    batch_size=recipe.batch_size,
    methods=study.methods,
    roles=faculty.roles(grade, study.teachers, study.order, recipe.specialist_weight),
    tx=optimiser(recipe, schedule),
    augment=room.augment(recipe.pad, recipe.flip),
    target=recipe.target,
    frozen=grade.frozen,
    lower=study.curriculum.grades[number - 1].fragments if number else 0,
    lower_rate=grade.lower_rate,
  )
  teachers, seats, taught = _seat_teachers(lesson.roles, grade, study.teachers, seating, room)
  key = jax.random.fold_in(jax.random.key(study.seed), number)
  seed = (study.seed, number)
  return Term(
    grade=grade,
    order=order,
    lesson=lesson,
    seating=seating,
    members=members,
    schedule=schedule,
    key=key,
    seed=seed,
    first_step=first_step,
    image_shape=room.image_shape,
    answer=room.examiner(network),
    macs=network_macs(network, room.image_shape),
    macs_per_step={
      "student": recipe.batch_size * training_macs(network, grade.frozen, room.image_shape),
      "teachers": taught,
    },
    teach=_teach(lesson, room, seating, members, seed, key, order, teachers, seats),
    teachers=teachers,
    replicate=room.fleet.replicate,
  )


def learning_rate(grade, recipe, steps_per_epoch):
  """Returns the schedule of a grade: step within the grade -> learning rate."""
  warmup = round(grade.warmup_epochs * steps_per_epoch)
  total = grade.epochs * steps_per_epoch
  if recipe.schedule == "cosine":
    after = optax.cosine_decay_schedule(grade.learning_rate, max(1, total - warmup))
  else:
    past = sum(milestone <= grade.start_epoch for milestone in recipe.milestones)
    drops = {
      (milestone - grade.start_epoch) * steps_per_epoch - warmup: recipe.factor
      for milestone in recipe.milestones
      if milestone > grade.start_epoch
    }
    after = optax.piecewise_constant_schedule(grade.learning_rate * recipe.factor**past, drops)
  if not warmup:
    return after
  rise = optax.linear_schedule(0.0, grade.learning_rate, warmup)
  return optax.join_schedules([rise, after], [warmup])


def optimiser(recipe, schedule):
  """SGD with momentum and weight decay on every parameter, as the field's recipes have it."""
  return optax.chain(
    optax.add_decayed_weights(recipe.weight_decay),
    optax.trace(recipe.momentum, recipe.nesterov),
    optax.scale_by_learning_rate(schedule),
  )


def _members(grade, places):
  members = tuple(np.flatnonzero(np.isin(places, s.classes)) for s in grade.subjects)
  return [len(images) for images in members], members


def _seat_teachers(roles, grade, teachers, seating, room):
  """Returns ({name: device variables}, {name: device seats}, their MACs per step)."""
  variables, seats, macs = {}, {}, 0
  for role in roles:
    variables[role.name] = room.fleet.replicate(teachers[role.name].variables)
    answers = faculty.answers_for(role, grade)
    where = memory.teacher_seats(seating, answers, room.fleet.size)
    if where is not None:
      seats[role.name] = room.fleet.divide(where)
    taken = sum(n for n, taught in zip(seating.seats, answers) if taught)
    macs += taken * network_macs(role.network, room.image_shape)
  return variables, seats, macs


def _teach(lesson, room, seating, members, seed, key, order, teachers, seats):
  run = room.fleet.trainer(functools.partial(train_step, lesson))
  key = room.fleet.replicate(key)
  labels = room.fleet.replicate(room.places("train", order))

  @functools.lru_cache(maxsize=1)
  def rows_of(epoch):
    rows = memory.epoch_order(seating, members, seed, epoch)
    return room.fleet.divide(
      rows.reshape(seating.steps, room.fleet.size, -1).swapaxes(0, 1).copy()
    )

  def teach(state, epoch, first, last):
    images = room.images["train"]
    return run(state, key, images, labels, rows_of(epoch), first, last, teachers, seats)

  return teach
