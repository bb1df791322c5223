"""One training step and one exam step: pure per-device functions over the mapped axis `AXIS`.

The frozen teachers are an argument. They run in inference mode inside the same compiled program,
each on its own seats only.
"""

import dataclasses
import functools

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from edjax import fragments
from edjax.data import augment
from edjax.methods import Batch
from edjax.methods.interface import begin

AXIS = "devices"
_NEVER = -1e4  # a logit whose probability is exactly 0 in float32, at temperatures up to 100


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
class Role:
  """What one teacher does in a grade.

  Attributes:
    name: of the teacher.
    network: the teacher's.
    columns: of its logits, those whose classes the student knows.
    places: the columns of the student's logits that mean the same classes.
    weight: beside other teachers who answer the same image.
  """

  name: str
  network: nn.Module
  columns: tuple[int, ...]
  places: tuple[int, ...]
  weight: float = 1.0


@dataclasses.dataclass(frozen=True)
class Lesson:
  """A grade as the compiler sees it: everything static.

  Attributes:
    network: the student's, with `axis_name=AXIS`.
    num_classes: columns of the student's logits.
    batch_size: over all devices.
    methods: ((name, weight, method), …).
    roles: one per teacher.
    tx: the optimiser.
    augment: how images enter.
    target: "slice" or "seen", see `curriculum.Recipe`.
    missing: stages of the whole student that have not grown yet.
    steps_per_epoch: of the grade.
    frozen: fragments that do not learn.
    lower: fragments whose updates are multiplied by `lower_rate`.
    lower_rate: that factor.
  """

  network: nn.Module
  num_classes: int
  batch_size: int
  methods: tuple
  roles: tuple[Role, ...]
  tx: optax.GradientTransformation
  augment: augment.Augment
  target: str = "slice"
  missing: int = 0
  steps_per_epoch: int = 1
  frozen: int = 0
  lower: int = 0
  lower_rate: float = 1.0


def start(lesson, key, variables, teachers, shape):
  """Returns the `State` with which a grade begins.

  Args:
    lesson: the grade.
    key: for what the methods initialise.
    variables: the student's.
    teachers: {name: variables}.
    shape: (images, height, width, channels) of the training set.
  """
  images = jax.ShapeDtypeStruct((2, *shape[1:]), jnp.float32)
  student = jax.eval_shape(lesson.network.apply, variables, images)
  methods = {}
  for role in lesson.roles:
    answer = jax.eval_shape(role.network.apply, teachers[role.name], images)
    outputs = jax.eval_shape(functools.partial(_face, lesson, role), student, answer)
    methods[role.name] = {
      name: begin(method, jax.random.fold_in(key, number), *outputs, shape[0])
      for number, (name, _, method) in enumerate(lesson.methods)
      if method.needs_teacher
    }
  methods[""] = {
    name: begin(method, key, _grown(lesson, student), None, shape[0])
    for name, _, method in lesson.methods
    if not method.needs_teacher
  }
  learning, _ = _learning(lesson, variables, methods)
  return State(
    step=jnp.int32(0),
    variables=variables,
    methods=methods,
    opt_state=lesson.tx.init(learning),
    sums=no_sums(),
    broken=jnp.int32(-1),
  )


def no_sums():
  """The counters of a `State`, at zero."""
  return {name: jnp.float32(0) for name in ("loss", "right", "images")}


def train_step(lesson, state, key, images, labels, rows, teachers, seats):
  """One step of stochastic gradient descent.

  Args:
    lesson: static.
    state: replicated over devices.
    key: of the grade; the step's own is `fold_in(key, state.step)`.
    images: uint8 [n, height, width, channels], the training set, on every device.
    labels: int32 [n], places in the class order.
    rows: int32 [batch / devices], the images on this device's seats.
    teachers: {name: variables}, constants.
    seats: {name: (places, mask)} from `memory.teacher_seats`, for teachers who do not answer all.

  Returns:
    The next state, the same on every device.
  """
  key = jax.random.fold_in(key, state.step)
  draws = augment.draw(lesson.augment, key, lesson.batch_size)
  own = jax.lax.axis_index(AXIS) * rows.shape[0]
  draws = jax.lax.dynamic_slice_in_dim(draws, own, rows.shape[0])
  views = augment.normalise(lesson.augment, augment.view(lesson.augment, images[rows], draws))
  batch = Batch(
    labels=labels[rows],
    index=rows,
    mask=jnp.ones(rows.shape, jnp.float32),
    key=key,
    epoch=state.step.astype(jnp.float32) / lesson.steps_per_epoch,
    everyone=labels,
    axis=AXIS,
  )
  answers = {
    role.name: role.network.apply(
      jax.lax.stop_gradient(teachers[role.name]), _sit(views, seats.get(role.name))
    )
    for role in lesson.roles
  }
  learning, fixed = _learning(lesson, state.variables, state.methods)

  def objective(learning):
    params = fixed | learning["student"]
    output, stats = lesson.network.apply(
      state.variables | {"params": params},
      views,
      train=True,
      frozen=lesson.frozen,
      mutable=["batch_stats"],
    )
    losses, memories = _losses(
      lesson, learning["methods"], state.methods, output, answers, batch, seats, teachers
    )
    return losses.mean(), (losses, memories, stats, output.logits)

  gradients, (losses, memories, stats, logits) = jax.grad(objective, has_aux=True)(learning)
  gradients = jax.lax.pmean(gradients, AXIS)
  updates, opt_state = lesson.tx.update(gradients, state.opt_state, learning)
  updates["student"] = fragments.slow(updates["student"], lesson.lower, lesson.lower_rate)
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
    variables={"params": fixed | learning["student"], **stats},
    methods=_join(learning["methods"], memories),
    opt_state=opt_state,
    sums=jax.tree.map(jnp.add, state.sums, sums),
    broken=jnp.where(breaks, state.step, state.broken),
  )


def exam_step(network, how, variables, images, rows):
  """Returns the logits [batch / devices, classes] of `images[rows]`, in inference mode."""
  return network.apply(variables, augment.normalise(how, images[rows])).logits


def _learning(lesson, variables, methods):
  student, fixed = fragments.partition(variables["params"], lesson.frozen)
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


def _losses(lesson, params, methods, output, answers, batch, seats, teachers):
  """Returns float32 [batch] and the methods' new memories {teacher: {method: memory}}."""
  total = jnp.zeros(batch.labels.shape, jnp.float32)
  memories = {teacher: {} for teacher in methods}
  weights = sum(
    (_spread(seats.get(role.name), role.weight, total) for role in lesson.roles), start=total
  )
  weights = jnp.maximum(weights, 1e-12)

  def ask(teacher, name, method, *arguments):
    variables = methods[teacher][name] | {"params": params[teacher][name]}
    loss, memories[teacher][name] = method.loss(variables, *arguments)
    return loss

  for name, weight, method in lesson.methods:
    if not method.needs_teacher:
      total += weight * ask("", name, method, _grown(lesson, output), None, batch)
  for role in lesson.roles:
    where = seats.get(role.name)
    student, teacher = _face(lesson, role, _sit(output, where), answers[role.name])
    seated = _seated(lesson, role, batch, where, teachers[role.name])
    for name, weight, method in lesson.methods:
      if method.needs_teacher:
        loss = ask(role.name, name, method, student, teacher, seated)
        total += weight * role.weight * _spread(where, loss * seated.mask, total) / weights
  return total, memories


def _sit(tree, where):
  """Keeps the seats of one teacher."""
  return tree if where is None else jax.tree.map(lambda leaf: leaf[where[0]], tree)


def _spread(where, values, like):
  """Puts one teacher's per-seat values back on the seats of the whole batch."""
  if where is None:
    return jnp.broadcast_to(values, like.shape)
  return jnp.zeros_like(like).at[where[0]].add(values * where[1])


def _seated(lesson, role, batch, where, teacher):
  """The batch as one teacher's methods see it: own seats, own columns, own classifier."""
  shared = {"key": None, "epoch": None, "everyone": None}
  seated = _sit(batch.replace(**shared), where)
  seated = seated.replace(**{name: getattr(batch, name) for name in shared})
  column = np.full(lesson.num_classes + 1, -1, np.int32)  # the last is that of classes unseen
  places = np.array(role.places)
  column[places] = np.arange(len(places)) if lesson.target == "slice" else places
  column = jnp.asarray(column)
  return seated.replace(
    labels=jnp.maximum(column[seated.labels], 0),
    mask=seated.mask if where is None else where[1],
    everyone=column[batch.everyone],
    classifier=_classifier(lesson, role, teacher),
  )


def _classifier(lesson, role, teacher):
  """The teacher's last matrix, where it has one; for a class it does not know it says `_NEVER`."""
  dense = teacher["params"].get("head", {}).get("dense")
  if dense is None:
    return None
  known = {name: leaf[..., np.array(role.columns)] for name, leaf in dense.items()}
  if lesson.target == "slice":
    return known
  empty = {"kernel": 0.0, "bias": _NEVER}
  return {
    name: jnp.full((*leaf.shape[:-1], lesson.num_classes), empty[name], leaf.dtype)
    .at[..., np.array(role.places)]
    .set(leaf)
    for name, leaf in known.items()
  }


def _grown(lesson, student):
  """Fills up the tuples of maps with None for what the student has not grown yet."""
  return student.replace(
    features=student.features + (None,) * lesson.missing,
    preactivations=student.preactivations + (None,) * lesson.missing,
  )


def _face(lesson, role, student, teacher):
  """Lets the logits of student and teacher mean the same classes, column by column."""
  known = teacher.logits[:, jnp.asarray(role.columns)]
  places = jnp.asarray(role.places)
  student = _grown(lesson, student)
  if lesson.target == "slice":
    return student.replace(logits=student.logits[:, places]), teacher.replace(logits=known)
  full = jnp.full((known.shape[0], lesson.num_classes), _NEVER, known.dtype)
  return student, teacher.replace(logits=full.at[:, places].set(known))
