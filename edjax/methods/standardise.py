"""Logit standardisation (Sun et al. 2024, arXiv:2403.01427), before any method on logits."""

import dataclasses
from typing import ClassVar

import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float32

from edjax.methods.base import Batch, Method, constant, exact
from edjax.models.layers import Output
from edjax.types import PerImage, RandomKey, Variables

_UNKNOWN = -5e3  # teachers' logits below it stand for classes that they do not know


@dataclasses.dataclass(frozen=True)
class Standardised:
  r"""A method that is told (z − mean)/(1e-7 + standard deviation) instead of the logits z.

  Mean and (unbiased) standard deviation are an image's own, over the classes that the teacher
  knows, for the student too: it may be as sure as it likes that no other class is meant. Columns
  of classes unknown to the teacher stay as they are, so that their probability stays 0. Logits
  that are all alike within float32's precision become 0, without a gradient; hard labels beside
  it lead a network out of there.

  Published with T 2 and larger weights: kd 9 beside cross-entropy of weight 0.1 (tuned per pair
  from 1 to 18, T 2 to 4), dkd with both α and β times 9 (the authors).

  Attributes:
    method: the one to tell, of those with `on_logits`.
  """

  method: Method
  needs_teacher: ClassVar[bool] = True
  on_logits: ClassVar[bool] = True

  def init(self, key: RandomKey, student_output: Output, teacher_output: Output) -> Variables:
    return self.method.init(key, student_output, teacher_output)

  def loss(
    self, variables: Variables, student_output: Output, teacher_output: Output, batch: Batch
  ) -> tuple[PerImage, Variables]:
    """Returns what the method does."""
    if batch.strong is not None:
      batch = dataclasses.replace(batch, strong=_told(*batch.strong))
    return self.method.loss(variables, *_told(student_output, teacher_output), batch)


def _told(student_output: Output, teacher_output: Output) -> tuple[Output, Output]:
  student, teacher = exact(student_output.logits), constant(teacher_output.logits)
  known = teacher > _UNKNOWN
  teacher = jnp.where(known, _standardised(teacher, known), teacher)
  return (
    dataclasses.replace(student_output, logits=_standardised(student, known)),
    dataclasses.replace(teacher_output, logits=teacher),
  )


def _standardised(
  logits: Float32[Array, "batch classes"], known: Bool[Array, "batch classes"]
) -> Float32[Array, "batch classes"]:
  count = jnp.sum(known, axis=1, keepdims=True)

  def total(values: Array) -> Array:
    return jnp.sum(jnp.where(known, values, 0), axis=1, keepdims=True)

  centred = logits - total(logits) / jnp.maximum(count, 1)
  squares = total(centred**2)
  varies = squares > 1e-12 * total(logits**2)
  variance = jnp.where(varies, squares, 1) / jnp.maximum(count - 1, 1)
  return jnp.where(varies, centred / (1e-7 + jnp.sqrt(variance)), 0)
