"""What all methods of all teachers say about a batch, put together image by image.

Each teacher is asked about its own seats and its own classes. Where several answer the same image,
they share it by the recipe's consensus, or as a method says that weighs them by itself.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from edjax.methods import base
from edjax.methods.base import across, constant
from edjax.training import weighting

_NEVER = -1e4  # a logit whose probability is exactly 0 in float32, at temperatures up to 100


def begin(spec, key, student, answers, images):
  """What the methods of a grade begin with.

  Args:
    spec: a `step.StepSpec`.
    key: for what they draw.
    student: its output, or one of that shape.
    answers: {teacher: output}, likewise.
    images: how many there are to train with.

  Returns:
    {teacher: {method: {"params": …, "memory": …}}}, "" standing for no teacher.
  """
  methods = {}
  for role in spec.roles:
    outputs = jax.eval_shape(
      lambda student, answer, role=role: (
        _student(spec, role, student), _teacher(spec, role, answer)
      ),
      student,
      answers[role.name],
    )  # fmt: skip
    methods[role.name] = {
      name: base.begin(method, jax.random.fold_in(key, number), *outputs, images)
      for number, (name, _, method) in enumerate(spec.methods)
      if method.needs_teacher
    }
  methods[""] = {
    name: base.begin(method, key, _grown(spec, student), None, images)
    for name, _, method in spec.methods
    if not method.needs_teacher
  }
  return methods


def losses(spec, params, methods, outputs, answers, batch, seats, teachers):
  """What a batch is taught.

  Methods without a teacher are asked about every view, and count by the mean; methods with one are
  asked about the first view, and find the second in `Batch.strong`.

  Args:
    spec: a `step.StepSpec`.
    params: {teacher: {method: params}} that learn; "" stands for no teacher.
    methods: `State.methods`, for the memories.
    outputs: the student's, one per view.
    answers: {teacher: its outputs on its own seats, one per view}.
    batch: a `methods.Batch`; its labels are places in the class order.
    seats: {teacher: (places, mask)} of those who do not answer every seat.
    teachers: {teacher: variables}.

  Returns:
    (float32 [batch] without teachers, float32 [batch] from teachers, both weighted; the methods'
    new memories {teacher: {method: memory}}).
  """
  nothing = jnp.zeros(batch.labels.shape, jnp.float32)
  memories = {teacher: {} for teacher in methods}
  known = {
    role.name: {
      "teacher": _teacher(spec, role, answers[role.name][0]),
      "batch": _seated(spec, role, batch, seats.get(role.name), teachers[role.name]),
    }
    for role in spec.roles
  }

  def ask(teacher, name, question, *arguments):
    return question(methods[teacher][name] | {"params": params[teacher][name]}, *arguments)

  def taught(role, logits):
    """One teacher's losses [batch] and memories, as a function of the student's logits.

    The losses are the sum of those that are shared by the consensus, and {method: (loss, errors)}
    of the others.
    """
    where, total, apart, new = seats.get(role.name), nothing, {}, {}
    student = _student(spec, role, sit(outputs[0].replace(logits=logits), where))
    seated = known[role.name]["batch"]
    if len(outputs) == 2:
      strong = _student(spec, role, sit(outputs[1], where))
      seated = seated.replace(strong=(strong, _teacher(spec, role, answers[role.name][1])))
    for name, weight, method in spec.methods:
      if method.needs_teacher:
        asked = student, known[role.name]["teacher"], seated
        loss, new[name] = ask(role.name, name, method.loss, *asked)
        loss = weight * _spread(where, loss * seated.mask, nothing)
        if len(spec.roles) > 1 and hasattr(method, "errors"):
          errors = ask(role.name, name, method.errors, *asked)
          apart[name] = loss, _spread(where, errors, nothing)
        else:
          total += loss
    return total, apart, new

  hard = soft = nothing
  for name, weight, method in spec.methods:
    if not method.needs_teacher:
      for output in outputs:
        loss, memories[""][name] = ask("", name, method.loss, _grown(spec, output), None, batch)
        hard += weight / len(outputs) * loss
  if not spec.roles:
    return hard, soft, memories

  def everywhere(values):
    return jnp.stack([_spread(seats.get(name), values(**known[name]), nothing) for name in known])

  present = everywhere(lambda teacher, batch: batch.mask)
  weights = _weights(spec, everywhere, present, lambda role: _pull(taught, role, outputs[0], batch))
  apart = {}
  for role, share in zip(spec.roles, _shares(spec, present, weights), strict=True):
    loss, others, memories[role.name] = taught(role, outputs[0].logits)
    soft += share * loss
    for name, pair in others.items():
      apart.setdefault(name, []).append(pair)
  for pairs in apart.values():
    each, errors = map(jnp.stack, zip(*pairs, strict=True))
    weights = weighting.by_confidence(errors, present)
    soft += jnp.sum(_shares(spec, present, weights) * each, axis=0)
  return hard, soft, memories


def sit(tree, where):
  """Keeps the seats of one teacher."""
  return tree if where is None else jax.tree.map(lambda leaf: leaf[where[0]], tree)


def _weights(spec, everywhere, present, pull):
  """How much each teacher counts by the recipe's consensus; broadcasts to [teachers, batch]."""
  if spec.consensus == "entropy":
    return weighting.by_entropy(everywhere(_entropy), present)
  if spec.consensus == "confidence":
    return weighting.by_confidence(everywhere(_error), present)
  if spec.consensus == "gradient":
    return weighting.by_gradient(jnp.stack([pull(role) for role in spec.roles]))[:, None]
  return jnp.ones_like(present)


def _shares(spec, present, weights):
  """Every teacher's share [teachers, batch] of every image; 0 where it does not answer."""
  weights = present * jnp.asarray([role.weight for role in spec.roles])[:, None] * weights
  return weights / jnp.maximum(weights.sum(0, keepdims=True), 1e-12)


def _entropy(teacher, batch):
  logs = jax.nn.log_softmax(constant(teacher.logits))
  return -jnp.sum(jnp.exp(logs) * logs, axis=-1)


def _error(teacher, batch):
  logits = constant(teacher.logits)
  return optax.losses.softmax_cross_entropy_with_integer_labels(logits, batch.labels)


def _pull(taught, role, output, batch):
  """Where a teacher would move the student's logits, averaged over the batch: [classes]."""
  logits = jax.lax.stop_gradient(output.logits)
  gradient = jax.grad(lambda logits: taught(role, logits)[0].sum())(logits).astype(jnp.float32)
  return across(gradient.sum(0), batch)


def _spread(where, values, like):
  """Puts one teacher's per-seat values back on the seats of the whole batch."""
  if where is None:
    return jnp.broadcast_to(values, like.shape)
  return jnp.zeros_like(like).at[where[0]].add(values * where[1])


def _seated(spec, role, batch, where, teacher):
  """The batch as one teacher's methods see it: own seats, own columns, own classifier."""
  shared = {name: getattr(batch, name) for name in ("key", "epoch", "everyone", "share")}
  seated = sit(batch.replace(**dict.fromkeys(shared)), where).replace(**shared)
  column = np.full(spec.num_classes + 1, -1, np.int32)  # the last is that of classes unseen
  places = np.array(role.places)
  column[places] = np.arange(len(places)) if spec.target == "slice" else places
  column = jnp.asarray(column)
  return seated.replace(
    labels=jnp.maximum(column[seated.labels], 0),
    others=None if seated.others is None else jnp.maximum(column[seated.others], 0),
    mask=seated.mask if where is None else where[1],
    everyone=column[batch.everyone],
    classifier=_classifier(spec, role, teacher),
  )


def _classifier(spec, role, teacher):
  """The teacher's last matrix, where it has one; for a class it does not know it says `_NEVER`."""
  dense = teacher["params"].get("head", {}).get("dense")
  if dense is None:
    return None
  known = {name: leaf[..., np.array(role.columns)] for name, leaf in dense.items()}
  if spec.target == "slice":
    return known
  empty = {"kernel": 0.0, "bias": _NEVER}
  return {name: _among_all(spec, role, leaf, empty[name]) for name, leaf in known.items()}


def _among_all(spec, role, known, otherwise):
  """Puts columns of a teacher's classes among those of all classes that the student knows."""
  full = jnp.full((*known.shape[:-1], spec.num_classes), otherwise, known.dtype)
  return full.at[..., np.array(role.places)].set(known)


def _grown(spec, student):
  """Fills up the tuples of maps with None for what the student has not grown yet."""
  return student.replace(
    features=student.features + (None,) * spec.missing,
    preactivations=student.preactivations + (None,) * spec.missing,
  )


def _student(spec, role, student):
  """Lets the student's logits mean what the teacher's do, column by column."""
  student = _grown(spec, student)
  if spec.target == "slice":
    student = student.replace(logits=student.logits[:, np.array(role.places)])
  return student


def _teacher(spec, role, teacher):
  known = teacher.logits[:, np.array(role.columns)]
  if spec.target == "seen":
    known = _among_all(spec, role, known, _NEVER)
  return teacher.replace(logits=known)
