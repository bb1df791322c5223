"""One teacher beside the student: what each column means on both sides, and on which seats.

A teacher's logits have a column for each class that it knows, in its own order; the student's have
a *place* for each class of the grade, in the class order of the run. A method is shown both alike:
cut to the classes both know (target "slice"), or spread over all places (target "seen").
"""

import dataclasses
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Float32

from edjax.methods import Batch
from edjax.models.layers import Output, classifier
from edjax.teachers.faculty import Role
from edjax.types import PerImage, Variables

Where = tuple[jax.Array, jax.Array] | None  # (places in the batch, mask) of seats; None for all
T = TypeVar("T")

_NEVER = -1e4  # a logit whose probability is exactly 0 in float32, at temperatures up to 100


def sit(tree: T, where: Where) -> T:
  """Keeps the seats of one teacher."""
  return tree if where is None else jax.tree.map(lambda leaf: leaf[where[0]], tree)


def spread(where: Where, values: Float32[jax.Array, " seats"], like: PerImage) -> PerImage:
  """Puts one teacher's per-seat values back on the seats of the whole batch."""
  if where is None:
    return jnp.broadcast_to(values, like.shape)
  return jnp.zeros_like(like).at[where[0]].add(values * where[1])


def grown(student: Output, missing: int) -> Output:
  """Fills up the tuples of maps with None for the stages that the student has not grown yet."""
  return dataclasses.replace(
    student,
    features=student.features + (None,) * missing,
    preactivations=student.preactivations + (None,) * missing,
  )


class Alignment:
  """How one teacher and the student of a grade are compared: static."""

  def __init__(self, role: Role, num_classes: int, target: str) -> None:
    """Takes what the teacher does, the places of the student, and see `curriculum.Recipe`."""
    self._num_classes, self._sliced = num_classes, target == "slice"
    self._places, self._columns = np.array(role.places), np.array(role.columns)

  def student(self, output: Output) -> Output:
    """Lets the student's logits mean what the teacher's do, column by column."""
    if not self._sliced:
      return output
    return dataclasses.replace(output, logits=output.logits[:, self._places])

  def teacher(self, output: Output) -> Output:
    """Lets the teacher's logits mean what the student's do."""
    known = output.logits[:, self._columns]
    known = known if self._sliced else self._among_all(known, _NEVER)
    return dataclasses.replace(output, logits=known)

  def batch(self, batch: Batch, where: Where, teacher: Variables) -> Batch:
    """The batch as the teacher's methods see it: own seats, own columns, own classifier."""
    shared = {name: getattr(batch, name) for name in ("key", "epoch", "everyone", "share")}
    alone: Any = dict.fromkeys(shared)
    seated = dataclasses.replace(sit(dataclasses.replace(batch, **alone), where), **shared)
    numbers = np.full(self._num_classes + 1, -1, np.int32)  # the last is that of classes unseen
    numbers[self._places] = np.arange(len(self._places)) if self._sliced else self._places
    column = jnp.asarray(numbers)
    return dataclasses.replace(
      seated,
      labels=jnp.maximum(column[seated.labels], 0),
      others=None if seated.others is None else jnp.maximum(column[seated.others], 0),
      mask=seated.mask if where is None else where[1],
      everyone=column[batch.everyone],
      classifier=self._classifier(teacher),
    )

  def _classifier(self, teacher: Variables) -> dict[str, jax.Array] | None:
    """The teacher's last layer, if it has one; of a class it does not know that says `_NEVER`."""
    dense = classifier(teacher)
    if dense is None:
      return None
    known = {name: leaf[..., self._columns] for name, leaf in dense.items()}
    if self._sliced:
      return known
    empty = {"kernel": 0.0, "bias": _NEVER}
    return {name: self._among_all(leaf, empty[name]) for name, leaf in known.items()}

  def _among_all(self, known: Float[jax.Array, "*_ known"], otherwise: float) -> Any:
    """Puts columns of the teacher's classes among those of all classes that the student knows."""
    full = jnp.full((*known.shape[:-1], self._num_classes), otherwise, known.dtype)
    return full.at[..., self._places].set(known)
