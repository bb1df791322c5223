"""Distillation from a stronger teacher (Huang et al. 2022, arXiv:2205.10536, equation 10)."""

import dataclasses
from collections.abc import Callable
from typing import ClassVar

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float32

from edjax.errors import UserError
from edjax.methods.base import Batch, constant, exact, mean, total
from edjax.models.layers import Output
from edjax.types import PerImage, RandomKey, Variables


@dataclasses.dataclass(frozen=True)
class DIST:
  r"""T² · (β · (1 − mean ρ of images) + γ · (1 − mean ρ of classes)) of softmax(logits/T).

  ρ is Pearson's correlation of student and teacher, for an image over the classes (inter-class
  relation), for a class over the images of the batch (intra-class relation, one number for all
  images). As in the authors' code 1e-8 is added to the product of the two lengths. What is
  constant within float32's precision has no correlation: its ρ is 0, without a gradient.

  Published: weight 2 beside cross-entropy of weight 1, β = γ = 1; T 4 on CIFAR-100, T 1 on
  ImageNet (the authors' configs; the paper writes weight 1 and β = γ = 2). Needs logits only, so
  any grade may use it; a specialist's classes are compared over its own seats, of which there
  should be many. Classes that the teacher does not know stay uncorrelated.

  Attributes:
    beta: weight of the inter-class relation.
    gamma: weight of the intra-class relation.
    temperature: T > 0.
    gather: compare classes over the images of all devices, otherwise of each device alone.
  """

  beta: float = 1.0
  gamma: float = 1.0
  temperature: float = 4.0
  gather: bool = True
  needs_teacher: ClassVar[bool] = True
  on_logits: ClassVar[bool] = True

  def __post_init__(self) -> None:
    if not self.temperature > 0:
      raise UserError(f"methods.dist.temperature is {self.temperature}; it must be positive")
    for name in ("beta", "gamma"):
      if not getattr(self, name) >= 0:
        raise UserError(f"methods.dist.{name} is {getattr(self, name)}; it must not be negative")

  def init(self, key: RandomKey, student_output: Output, teacher_output: Output) -> Variables:
    return {}

  def loss(
    self, variables: Variables, student_output: Output, teacher_output: Output, batch: Batch
  ) -> tuple[PerImage, Variables]:
    """Returns float32 [batch], between 0 and 2 T² (β + γ)."""
    if not self.gather:
      batch = dataclasses.replace(batch, axis=None)
    student = jax.nn.softmax(exact(student_output.logits) / self.temperature)
    teacher = jax.nn.softmax(constant(teacher_output.logits) / self.temperature)
    inter = _correlation(
      student,
      teacher,
      lambda values: jnp.mean(values, 1, keepdims=True),
      lambda values: jnp.sum(values, 1),
    )
    intra = _correlation(
      student,
      teacher,
      lambda values: mean(values, batch)[None],
      lambda values: total(values, batch),
    )
    loss = self.beta * (1 - inter) + self.gamma * (1 - jnp.mean(intra))
    return self.temperature**2 * loss, {}


def _correlation(
  ours: Float32[Array, "batch classes"],
  theirs: Float32[Array, "batch classes"],
  average: Callable[[Array], Array],
  add: Callable[[Array], Array],
) -> Float32[Array, " kept"]:
  """Pearson's ρ along the axis over which `average` and `add` work."""
  lengths, centred = [], []
  for values in (ours, theirs):
    deviations = values - average(values)
    squares = add(deviations**2)
    varies = squares > 1e-12 * add(values**2)
    lengths.append(jnp.where(varies, jnp.sqrt(jnp.where(varies, squares, 1)), 0))
    centred.append(deviations)
  varies = (lengths[0] > 0) & (lengths[1] > 0)
  product = lengths[0] * lengths[1] + 1e-8
  return jnp.where(varies, add(centred[0] * centred[1]) / product, 0)
