"""What all methods of all teachers say about a batch, put together image by image.

Each teacher is asked about its own seats and its own classes. Where several answer the same image,
they share it by the recipe's consensus, or as a method says that weighs them by itself.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float32

from edjax.methods import Batch, base
from edjax.methods.base import across, constant
from edjax.models.layers import Output
from edjax.teachers.faculty import Role
from edjax.training import weighting
from edjax.training.alignment import Alignment, Where, grown, sit, spread
from edjax.training.growth import Memories
from edjax.training.spec import StepSpec
from edjax.training.weighting import Shares
from edjax.types import Logits, PerImage, RandomKey, Variables

Parts = dict[str, PerImage]  # {method: loss}


@dataclasses.dataclass(frozen=True)
class Seen:
  """What a batch's losses are made of.

  Attributes:
    outputs: the student's, one per view.
    answers: {teacher: its outputs on its own seats, one per view}.
    batch: its labels are places in the class order.
    seats: {teacher: (places, mask)} of those who do not answer every seat.
    teachers: {teacher: variables}.
  """

  outputs: list[Output]
  answers: Mapping[str, list[Output]]
  batch: Batch
  seats: Mapping[str, Where]
  teachers: Mapping[str, Variables]


def begin(
  spec: StepSpec, key: RandomKey, student: Output, answers: Mapping[str, Output], images: int
) -> Memories:
  """What the methods of a grade begin with.

  Args:
    spec: the grade.
    key: for what they draw.
    student: its output, or one of that shape.
    answers: {teacher: output}, likewise.
    images: how many there are to train with.

  Returns:
    {teacher: {method: {"params": …, "memory": …}}}, "" standing for no teacher.
  """
  student = grown(student, spec.missing)
  methods: Memories = {}
  for role in spec.roles:
    aligned = Alignment(role, spec.num_classes, spec.target)
    outputs: Any = jax.eval_shape(
      lambda student, answer, aligned=aligned: (aligned.student(student), aligned.teacher(answer)),
      student,
      answers[role.name],
    )
    methods[role.name] = {
      name: base.begin(method, jax.random.fold_in(key, number), outputs[0], outputs[1], images)
      for number, (name, _, method) in enumerate(spec.methods)
      if method.needs_teacher
    }
  methods[""] = {
    name: base.begin(method, key, student, None, images)
    for name, _, method in spec.methods
    if not method.needs_teacher
  }
  return methods


def losses(
  spec: StepSpec, params: Memories, methods: Memories, seen: Seen
) -> tuple[PerImage, PerImage, Parts, Memories]:
  """What a batch is taught.

  Methods without a teacher are asked about every view, and count by the mean; methods with one are
  asked about the first view, and find the second in `Batch.strong`.

  Args:
    spec: the grade.
    params: {teacher: {method: params}} that learn; "" stands for no teacher.
    methods: `State.methods`, for the memories.
    seen: what they are computed from.

  Returns:
    (float32 [batch] without teachers, float32 [batch] from teachers, both weighted; {method: what
    of them is its own}; the methods' new memories {teacher: {method: memory}}).
  """
  known = {
    teacher: {name: row | {"params": params[teacher][name]} for name, row in rows.items()}
    for teacher, rows in methods.items()
  }
  whole = [grown(output, spec.missing) for output in seen.outputs]
  seen = dataclasses.replace(seen, outputs=whole)
  hard, own, alone = _without_teachers(spec, known[""], seen)
  if not spec.roles:
    return hard, jnp.zeros(seen.batch.labels.shape, jnp.float32), own, {"": alone}
  asked = [_Teacher(spec, role, known[role.name], seen) for role in spec.roles]
  soft, parts, memories = _from_teachers(spec, asked, seen)
  return hard, soft, own | parts, memories | {"": alone}


def _without_teachers(
  spec: StepSpec, known: dict[str, Variables], seen: Seen
) -> tuple[PerImage, Parts, dict[str, Variables]]:
  """The weighted losses of the methods that need no teacher, each its own, and their memories."""
  total, memories = jnp.zeros(seen.batch.labels.shape, jnp.float32), {}
  parts: Parts = {}
  for name, weight, method in spec.methods:
    if not method.needs_teacher:
      for output in seen.outputs:
        loss, memories[name] = method.loss(known[name], output, None, seen.batch)
        loss = weight / len(seen.outputs) * loss
        total += loss
        parts[name] = parts.get(name, 0.0) + loss
  return total, parts, memories


def _from_teachers(
  spec: StepSpec, asked: list["_Teacher"], seen: Seen
) -> tuple[PerImage, Parts, Memories]:
  """The weighted losses of the methods that need a teacher, shared by those.

  Returns:
    (float32 [batch]; {method: what of it is its own}; the methods' new memories).
  """
  present = jnp.stack([each.everywhere(each.batch.mask) for each in asked])
  own = jnp.asarray([role.weight for role in spec.roles])[:, None]
  logits = seen.outputs[0].logits
  shares = _normalised(present * own * _weights(spec, asked, present, logits))
  total, memories = jnp.zeros(seen.batch.labels.shape, jnp.float32), {}
  parts: Parts = {}
  apart: dict[str, list[tuple[PerImage, PerImage]]] = {}
  for each, share in zip(asked, shares, strict=True):
    shared, others, memories[each.name] = each.taught(logits)
    total += share * each.added(shared)
    for name, loss in shared.items():
      parts[name] = parts.get(name, 0.0) + share * loss
    for name, pair in others.items():
      apart.setdefault(name, []).append(pair)
  for name, pairs in apart.items():
    losses, errors = map(jnp.stack, zip(*pairs, strict=True))
    weights = weighting.by_confidence(errors, present)
    parts[name] = jnp.sum(_normalised(present * own * weights) * losses, axis=0)
    total += parts[name]
  return total, parts, memories


class _Teacher:
  """One teacher of a batch: what it says, and what its methods make of that."""

  def __init__(self, spec: StepSpec, role: Role, known: dict[str, Variables], seen: Seen) -> None:
    self.name, self._known, self._spec = role.name, known, spec
    self._outputs = seen.outputs
    self._nothing = jnp.zeros(seen.batch.labels.shape, jnp.float32)
    self._where = seen.seats.get(role.name)
    self._aligned = Alignment(role, spec.num_classes, spec.target)
    self.answers = [self._aligned.teacher(answer) for answer in seen.answers[role.name]]
    self.batch = self._aligned.batch(seen.batch, self._where, seen.teachers[role.name])
    # For one who shares images with others by how well a method goes with each of them.
    self._several = len(spec.roles) > 1

  def everywhere(self, values: Float32[jax.Array, " seats"]) -> PerImage:
    """Puts values of the teacher's seats on those of the whole batch."""
    return spread(self._where, values, self._nothing)

  def taught(
    self, logits: Logits
  ) -> tuple[Parts, dict[str, tuple[PerImage, PerImage]], dict[str, Variables]]:
    """The teacher's losses and memories, as a function of the student's logits.

    Returns:
      ({method: loss} of those that are shared by the consensus; {method: (loss, errors)} of the
      others; {method: its new memory}).
    """
    shared, apart, memories = {}, {}, {}
    student, batch = self._student(0, logits), self.batch
    if len(self._outputs) == 2:
      batch = dataclasses.replace(batch, strong=(self._student(1), self.answers[1]))
    for name, weight, method in self._spec.methods:
      if method.needs_teacher:
        asked = self._known[name], student, self.answers[0], batch
        loss, memories[name] = method.loss(*asked)
        loss = weight * self.everywhere(loss * batch.mask)
        if self._several and hasattr(method, "errors"):
          apart[name] = loss, self.everywhere(method.errors(*asked))
        else:
          shared[name] = loss
    return shared, apart, memories

  def added(self, losses: Parts) -> PerImage:
    """The sum of losses."""
    return sum(losses.values(), self._nothing)

  def pull(self, logits: Logits) -> Float32[jax.Array, " classes"]:
    """Where the teacher would move the student's logits, averaged over the batch."""
    logits = jax.lax.stop_gradient(logits)
    gradient = jax.grad(lambda logits: self.added(self.taught(logits)[0]).sum())(logits)
    gradient = gradient.astype(jnp.float32)
    return across(gradient.sum(0), self.batch)

  def _student(self, view: int, logits: Logits | None = None) -> Output:
    """What the student says on the teacher's seats and of its classes, of one of the views."""
    output = self._outputs[view]
    if logits is not None:
      output = dataclasses.replace(output, logits=logits)
    return self._aligned.student(sit(output, self._where))


def _weights(spec: StepSpec, asked: list[_Teacher], present: Shares, logits: Logits) -> jax.Array:
  """How much each teacher counts by the recipe's consensus; broadcasts to [teachers, batch]."""

  def each(measure: Callable[[Output, Batch], jax.Array]) -> Shares:
    return jnp.stack([one.everywhere(measure(one.answers[0], one.batch)) for one in asked])

  if spec.consensus == "entropy":
    return weighting.by_entropy(each(_entropy), present)
  if spec.consensus == "confidence":
    return weighting.by_confidence(each(_error), present)
  if spec.consensus == "gradient":
    return weighting.by_gradient(jnp.stack([one.pull(logits) for one in asked]))[:, None]
  return jnp.ones_like(present)


def _normalised(weights: Shares) -> Shares:
  """Every teacher's share of every image; 0 where it does not answer."""
  return weights / jnp.maximum(weights.sum(0, keepdims=True), 1e-12)


def _entropy(teacher: Output, batch: Batch) -> Float32[jax.Array, " seats"]:
  logs = jax.nn.log_softmax(constant(teacher.logits))
  return -jnp.sum(jnp.exp(logs) * logs, axis=-1)


def _error(teacher: Output, batch: Batch) -> Float32[jax.Array, " seats"]:
  logits = constant(teacher.logits)
  return optax.losses.softmax_cross_entropy_with_integer_labels(logits, batch.labels)
