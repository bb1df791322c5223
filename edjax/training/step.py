"""One training step and one exam step: pure per-device functions over the mapped axis `AXIS`.

The frozen teachers are an argument. They run in inference mode inside the same compiled program,
each on its own seats only.
"""

from collections.abc import Mapping
from typing import Any, cast

import flax
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Int32, UInt8

from edjax.data.augment import pipeline
from edjax.devices.pmap import AXIS
from edjax.methods import Batch
from edjax.models import precision
from edjax.models.layers import Network, Output
from edjax.training import growth, objective
from edjax.training.alignment import Where, sit
from edjax.training.look import Show, look
from edjax.training.spec import StepSpec
from edjax.types import Logits, RandomKey, Size, Variables


@flax.struct.dataclass
class State:
  """All that training changes; what a checkpoint holds.

  Attributes:
    step: int32, within the grade.
    variables: the student's.
    average: of them over the steps, see `StepSpec.ema`; {} where none is kept.
    methods: {teacher: {method: {"params": …, "memory": …}}}, "" standing for no teacher.
    opt_state: of the parameters that learn (student and methods).
    sums: float32 of loss, right answers and images since the host last set them to zero; and of
      what each method adds to the loss, in their order.
    broken: int32, the first step of the grade whose loss was not finite, or −1.
  """

  step: jax.Array
  variables: dict
  average: dict
  methods: dict
  opt_state: optax.OptState
  sums: dict
  broken: jax.Array

  @property
  def examined(self) -> dict:
    """The variables that exams are of, and the graduate: the average where one is kept."""
    return self.average or self.variables


@flax.struct.dataclass
class Constants:
  """What stays the same through a grade.

  Attributes:
    key: of the grade; a step's own is `fold_in(key, state.step)`.
    labels: int32 [images], places in the class order.
    teachers: {name: variables}.
  """

  key: RandomKey
  labels: Int32[jax.Array, " images"]
  teachers: dict[str, Variables]


def start(
  spec: StepSpec,
  key: RandomKey,
  variables: Variables,
  teachers: Mapping[str, Variables],
  shape: tuple[int, ...],
) -> State:
  """Returns the `State` with which a grade begins.

  Args:
    spec: the grade.
    key: for what the methods initialise.
    variables: the student's.
    teachers: {name: variables}.
    shape: (images, height, width, channels) of the training set.
  """

  def images(size: Size) -> Any:
    return jax.ShapeDtypeStruct((2, *pipeline.shape_at(size, shape[1:])), jnp.float32)

  student = jax.eval_shape(spec.network.apply, variables, images(spec.augment.size))
  answers = {
    role.name: jax.eval_shape(role.network.apply, teachers[role.name], images(role.size))
    for role in spec.roles
  }
  methods = objective.begin(spec, key, student, answers, shape[0])
  learning, _ = _learning(spec, variables, methods)
  return State(
    step=jnp.int32(0),
    variables=variables,
    # Arrays of its own: what a step is given is donated, and nothing can be twice.
    average=jax.tree.map(jnp.array, variables) if spec.ema else {},
    methods=methods,
    opt_state=spec.tx.init(learning),
    sums=no_sums(len(spec.methods)),
    broken=jnp.int32(-1),
  )


def no_sums(methods: int) -> dict[str, jax.Array]:
  """The counters of a `State`, at zero, of a grade with so many methods."""
  whole = {name: jnp.float32(0) for name in ("loss", "right", "images")}
  return whole | {"losses": jnp.zeros(methods, jnp.float32)}


def train_step(
  spec: StepSpec,
  state: State,
  constants: Constants,
  rows: Int32[jax.Array, " seats"],
  seats: Mapping[str, Where],
  ahead: Mapping[str, Any],
) -> State:
  """One step of stochastic gradient descent.

  Args:
    spec: static.
    state: replicated over devices.
    constants: likewise.
    rows: the images on this device's seats.
    seats: {name: (places, mask)} from `sampler.teacher_seats`, for teachers who do not answer all.
    ahead: what was laid out for this step: {"images": uint8 [batch / devices, height, width,
      channels]}, those on this device's seats, and {"answers": {name: float32 [seats, columns]}} of
      teachers who have answered already and are not run.

  Returns:
    The next state, the same on every device.
  """
  key, labels = jax.random.fold_in(constants.key, state.step), constants.labels
  show, mixture = look(spec, key, ahead["images"], rows, labels[rows])
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
  views = show((), spec.augment.size)
  answers = _answers(spec, constants.teachers, show, seats, ahead.get("answers", {}))
  learning, held = _learning(spec, state.variables, state.methods)

  def total(learning: dict[str, Any]) -> tuple[Any, Any]:
    outputs, stats = _outputs(spec, state.variables, growth.union(learning["student"], held), views)
    seen = objective.Seen(outputs, answers, batch, seats, constants.teachers)
    hard, soft, parts, memories = objective.losses(spec, learning["methods"], state.methods, seen)
    return (hard.mean(), soft.mean()), (hard + soft, parts, memories, stats, outputs[0].logits)

  _, pull, (losses, parts, memories, stats, logits) = jax.vjp(total, learning, has_aux=True)
  if spec.apart:
    gradients = {"hard": pull((1.0, 0.0))[0], "teachers": pull((0.0, 1.0))[0]}
  else:
    (gradients,) = pull((1.0, 1.0))
  gradients = jax.lax.pmean(gradients, AXIS)
  updates, opt_state = spec.tx.update(gradients, state.opt_state, learning)
  updates["student"] = growth.slow(updates["student"], spec.lower, spec.lower_rate, spec.blocks)
  learning = optax.apply_updates(learning, updates)
  sums = {
    "loss": losses.sum(),
    "right": jnp.sum(logits.argmax(-1) == batch.labels).astype(jnp.float32),
    "images": jnp.float32(rows.shape[0]),
    "losses": jnp.array([parts[name].sum() for name, _, _ in spec.methods], jnp.float32),
  }
  sums = jax.lax.psum(sums, AXIS)
  breaks = (state.broken < 0) & ~jnp.isfinite(sums["loss"])
  variables = {"params": growth.union(learning["student"], held), **stats}
  return State(
    step=state.step + 1,
    variables=variables,
    average=_averaged(spec, state, variables),
    methods=_join(learning["methods"], memories),
    opt_state=opt_state,
    sums=jax.tree.map(jnp.add, state.sums, sums),
    broken=jnp.where(breaks, state.step, state.broken),
  )


def _averaged(spec: StepSpec, state: State, variables: Variables) -> Variables:
  """The average after a step that made these variables; what has not moved stays to the bit."""
  if not spec.ema:
    return state.average
  done = state.step.astype(jnp.float32)
  share = 1 - jnp.minimum(spec.ema, (1 + done) / (10 + done))
  return jax.tree.map(lambda was, now: was + share * (now - was), state.average, variables)


def _answers(
  spec: StepSpec,
  teachers: Mapping[str, Variables],
  show: Show,
  seats: Mapping[str, Where],
  given: Mapping[str, Logits],
) -> dict[str, list[Output]]:
  """What every teacher says on its own seats, of every view: computed, or given already."""
  answers = {name: [Output(logits, (), (), cast(Any, None))] for name, logits in given.items()}
  for role in spec.roles:
    if role.name not in answers:
      variables = jax.lax.stop_gradient(teachers[role.name])
      answers[role.name] = [
        cast(Output, role.network.apply(variables, sit(view, seats.get(role.name))))
        for view in show(role.figures, role.size)
      ]
  return answers


def _outputs(
  spec: StepSpec, variables: Variables, params: Variables, views: list[jax.Array]
) -> tuple[list[Output], Variables]:
  """What the student says of every view, and its statistics after them."""
  outputs: list[Output] = []
  stats: Any = {}
  lowered = precision.lower(params, spec.precision)
  for view in views:
    output, stats = spec.network.apply(
      variables | stats | {"params": lowered},
      view,
      train=spec.frozen >= 0,
      frozen=max(spec.frozen, spec.kept),
      blocks=spec.blocks,
      mutable=["batch_stats"],
    )
    outputs.append(output)
  return outputs, stats


def exam_step(
  network: Network,
  how: pipeline.Augment,
  variables: Variables,
  images: UInt8[jax.Array, "batch height width channels"],
) -> Logits:
  """Returns the logits [batch / devices, classes] of images in inference mode."""
  output = network.apply(variables, pipeline.normalise(how, images))
  return cast(Output, output).logits


def _learning(
  spec: StepSpec, variables: Variables, methods: growth.Memories
) -> tuple[dict[str, Any], Variables]:
  student, fixed = growth.partition(variables["params"], spec.frozen, spec.reuses, spec.blocks)
  params = {
    teacher: {name: method.get("params", {}) for name, method in rows.items()}
    for teacher, rows in methods.items()
  }
  return {"student": student, "methods": params}, fixed


def _join(params: growth.Memories, memories: growth.Memories) -> growth.Memories:
  def row(teacher: str, name: str) -> Variables:
    parts = {"params": params[teacher][name], "memory": memories[teacher][name]}
    return {part: tree for part, tree in parts.items() if tree}

  return {teacher: {name: row(teacher, name) for name in rows} for teacher, rows in params.items()}
