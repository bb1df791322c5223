"""One training step and one exam step: pure per-device functions over the mapped axis `AXIS`.

The frozen teachers are an argument. They run in inference mode inside the same compiled program,
each on its own seats only.
"""

import dataclasses
import functools

import flax
import jax
import jax.numpy as jnp
import optax

from edjax import models
from edjax.data.augment import pipeline, strong
from edjax.devices.pmap import AXIS
from edjax.methods import Batch
from edjax.models import precision
from edjax.teachers import faculty
from edjax.training import growth, objective


@flax.struct.dataclass
class State:
  """All that training changes; what a checkpoint holds.

  Attributes:
    step: int32, within the grade.
    variables: the student's.
    methods: {teacher: {method: {"params": …, "memory": …}}}, "" standing for no teacher.
    opt_state: of the parameters that learn (student and methods).
    sums: float32 of loss, right answers and images since the host last set them to zero.
    broken: int32, the first step of the grade whose loss was not finite, or −1.
  """

  step: jax.Array
  variables: dict
  methods: dict
  opt_state: optax.OptState
  sums: dict
  broken: jax.Array


@dataclasses.dataclass(frozen=True)
class StepSpec:
  """A grade as the compiler sees it: everything static.

  Attributes:
    network: the student's, with `axis_name=AXIS`.
    num_classes: columns of the student's logits.
    batch_size: over all devices.
    methods: ((name, weight, method), …).
    roles: a `faculty.Role` per teacher.
    tx: the optimiser.
    apart: it wants the gradients of hard labels and of teachers apart, see `optimisers`.
    augment: how images enter.
    partners: of every seat, the seat whose image is mixed in where images are mixed.
    target: "slice" or "seen", see `curriculum.Recipe`.
    consensus: how teachers of one image share it, see `curriculum.Recipe`.
    precision: in which the networks compute, see `precision`.
    missing: stages of the whole student that have not grown yet.
    steps_per_epoch: of the grade.
    frozen: fragments that do not learn; −1: nothing of the student does.
    reuses: the student ends in a teacher's classifier, which does not learn.
    lower: fragments whose updates are multiplied by `lower_rate`.
    lower_rate: that factor.
    carry_momentum: see `curriculum.Grade`.
  """

  network: models.Network
  num_classes: int
  batch_size: int
  methods: tuple
  roles: tuple[faculty.Role, ...]
  tx: optax.GradientTransformation
  augment: pipeline.Augment
  apart: bool = False
  partners: tuple[int, ...] = ()
  target: str = "slice"
  consensus: str = "average"
  precision: str = "float32"
  missing: int = 0
  steps_per_epoch: int = 1
  frozen: int = 0
  reuses: bool = False
  lower: int = 0
  lower_rate: float = 1.0
  carry_momentum: bool = False

  @property
  def views(self):
    """How often an image is looked at in a step."""
    return 1 if self.augment.strong is None else 2


def start(spec, key, variables, teachers, shape):
  """Returns the `State` with which a grade begins.

  Args:
    spec: the grade.
    key: for what the methods initialise.
    variables: the student's.
    teachers: {name: variables}.
    shape: (images, height, width, channels) of the training set.
  """
  images = jax.ShapeDtypeStruct((2, *shape[1:]), jnp.float32)
  student = jax.eval_shape(spec.network.apply, variables, images)
  answers = {
    role.name: jax.eval_shape(role.network.apply, teachers[role.name], images)
    for role in spec.roles
  }
  methods = objective.begin(spec, key, student, answers, shape[0])
  learning, _ = _learning(spec, variables, methods)
  return State(
    step=jnp.int32(0),
    variables=variables,
    methods=methods,
    opt_state=spec.tx.init(learning),
    sums=no_sums(),
    broken=jnp.int32(-1),
  )


def no_sums():
  """The counters of a `State`, at zero."""
  return {name: jnp.float32(0) for name in ("loss", "right", "images")}


def train_step(spec, state, key, labels, rows, teachers, seats, ahead):
  """One step of stochastic gradient descent.

  Args:
    spec: static.
    state: replicated over devices.
    key: of the grade; the step's own is `fold_in(key, state.step)`.
    labels: int32 [n], places in the class order.
    rows: int32 [batch / devices], the images on this device's seats.
    teachers: {name: variables}, constants.
    seats: {name: (places, mask)} from `sampler.teacher_seats`, for teachers who do not answer all.
    ahead: what was laid out for this step: {"images": uint8 [batch / devices, height, width,
      channels]}, those on this device's seats, and {"answers": {name: float32 [seats, columns]}} of
      teachers who have answered already and are not run.

  Returns:
    The next state, the same on every device.
  """
  key = jax.random.fold_in(key, state.step)
  show, mixture = _look(spec, key, ahead["images"], rows, labels[rows])
  views = show(())
  batch = Batch(
    labels=labels[rows],
    index=rows,
    mask=jnp.ones(rows.shape, jnp.float32),
    key=key,
    epoch=state.step.astype(jnp.float32) / spec.steps_per_epoch,
    everyone=labels,
    axis=AXIS,
    **mixture,
  )
  answers = {
    name: [models.Output(logits, (), (), None)] for name, logits in ahead.get("answers", {}).items()
  }
  answers |= {
    role.name: [
      role.network.apply(
        jax.lax.stop_gradient(teachers[role.name]), objective.sit(view, seats.get(role.name))
      )
      for view in show(role.figures)
    ]
    for role in spec.roles
    if role.name not in answers
  }
  learning, fixed = _learning(spec, state.variables, state.methods)

  def total(learning):
    outputs, stats = [], {}
    params = precision.lower(growth.union(learning["student"], fixed), spec.precision)
    for view in views:
      known = state.variables | stats | {"params": params}
      output, stats = spec.network.apply(
        known,
        view,
        train=spec.frozen >= 0,
        frozen=spec.frozen,
        mutable=["batch_stats"],
      )
      outputs.append(output)
    hard, soft, memories = objective.losses(
      spec, learning["methods"], state.methods, outputs, answers, batch, seats, teachers
    )
    return (hard.mean(), soft.mean()), (hard + soft, memories, stats, outputs[0].logits)

  _, pull, (losses, memories, stats, logits) = jax.vjp(total, learning, has_aux=True)
  if spec.apart:
    gradients = {"hard": pull((1.0, 0.0))[0], "teachers": pull((0.0, 1.0))[0]}
  else:
    (gradients,) = pull((1.0, 1.0))
  gradients = jax.lax.pmean(gradients, AXIS)
  updates, opt_state = spec.tx.update(gradients, state.opt_state, learning)
  updates["student"] = growth.slow(updates["student"], spec.lower, spec.lower_rate)
  learning = optax.apply_updates(learning, updates)
  sums = {
    "loss": losses.sum(),
    "right": jnp.sum(logits.argmax(-1) == batch.labels).astype(jnp.float32),
    "images": jnp.float32(rows.shape[0]),
  }
  sums = jax.lax.psum(sums, AXIS)
  breaks = (state.broken < 0) & ~jnp.isfinite(sums["loss"])
  return State(
    step=state.step + 1,
    variables={"params": growth.union(learning["student"], fixed), **stats},
    methods=_join(learning["methods"], memories),
    opt_state=opt_state,
    sums=jax.tree.map(jnp.add, state.sums, sums),
    broken=jnp.where(breaks, state.step, state.broken),
  )


def _look(spec, key, images, rows, labels):
  """What is seen of this device's images.

  Returns:
    (`show(figures) -> views` as a network takes them that is shown images by its own mean and
    deviation, or by the run's if it has none of its own; what mixup says of them to a `Batch`).
  """
  own = jax.lax.axis_index(AXIS) * len(labels)

  def mine(draws):
    return jax.tree.map(lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, own, len(labels)), draws)

  how, count = spec.augment, spec.batch_size

  def drawn(key):
    draws = pipeline.settle(how, mine(pipeline.draw(how, key, count)), rows)
    return pipeline.view(how, images, draws)

  def changed(settings, view, key):
    draws = mine(strong.draw(settings, key, count))
    return strong.view(settings, jnp.round(view).astype(jnp.uint8), draws)

  seen = [drawn(key)]
  if how.randaugment is not None:
    seen = [changed(how.randaugment, seen[0], jax.random.fold_in(key, 5))]
  if how.strong is not None:
    other = drawn(jax.random.fold_in(key, 2))
    seen.append(changed(how.strong, other, jax.random.fold_in(key, 3)))
  mixture = {}
  if how.mixup:
    share = pipeline.mixture(how, jax.random.fold_in(key, 4))
    partners = mine(jnp.asarray(spec.partners)) - own
    mixture = {"others": labels[partners], "share": share}

  @functools.cache  # networks with the same figures share their views
  def show(figures):
    views = [pipeline.normalise(how.by(figures), view) for view in seen]
    if mixture:
      views = [share * view + (1 - share) * view[partners] for view in views]
    return [precision.enter(view, spec.precision) for view in views]

  return show, mixture


def exam_step(network, how, variables, images):
  """Returns the logits [batch / devices, classes] of images in inference mode."""
  return network.apply(variables, pipeline.normalise(how, images)).logits


def _learning(spec, variables, methods):
  student, fixed = growth.partition(variables["params"], spec.frozen, spec.reuses)
  params = {
    teacher: {name: method.get("params", {}) for name, method in rows.items()}
    for teacher, rows in methods.items()
  }
  return {"student": student, "methods": params}, fixed


def _join(params, memories):
  def row(teacher, name):
    parts = {"params": params[teacher][name], "memory": memories[teacher][name]}
    return {part: tree for part, tree in parts.items() if tree}

  return {teacher: {name: row(teacher, name) for name in rows} for teacher, rows in params.items()}
