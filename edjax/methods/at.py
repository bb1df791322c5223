"""Attention transfer (Zagoruyko and Komodakis 2017, arXiv:1612.03928, section 3.1).

  Q = mean over channels of |map|^power, over all places, of length 1
  loss = Σ over maps of mean((Q_student − Q_teacher)²)

"mean" is what the authors' published code, RepDistiller and mdistiller compute, all with weight
1000; section 4.1 says as much: β is 10³ divided by the elements of a map. Equation 2 has the length
‖Q_student − Q_teacher‖ itself, which is form "norm"; its weight is the paper's β/2, of order 0.1.

Channels are averaged away, so they need not agree. A student that has not grown is compared where
it has; a specialist's maps are compared on its own seats only. All is done image by image.
"""

import dataclasses
from typing import ClassVar

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float32

from edjax.errors import UserError, choose
from edjax.methods.base import Batch, constant, exact, same_stages
from edjax.methods.maps import same_size, unit
from edjax.models.layers import Output
from edjax.types import Map, PerImage, RandomKey, Variables


@dataclasses.dataclass(frozen=True)
class AT:
  """Squared difference of normalised attention maps, per example.

  Attributes:
    power: to which activations are raised, 1 or more; 2 in the paper's experiments.
    form: "mean" of the squared differences, or the "norm" of the difference.
    pairs: maps to compare, "" for every stage but the stem; see `base.same_stages`.
  """

  power: int = 2
  form: str = "mean"
  pairs: str = ""
  needs_teacher: ClassVar[bool] = True

  def __post_init__(self) -> None:
    if not self.power >= 1:
      raise UserError(f"methods.at.power is {self.power}; it must be 1 or more")
    choose(_FORMS, self.form, "methods.at.form")

  def init(self, key: RandomKey, student_output: Output, teacher_output: Output) -> Variables:
    same_stages("at", student_output.features, teacher_output.features, self.pairs)
    return {}

  def loss(
    self, variables: Variables, student_output: Output, teacher_output: Output, batch: Batch
  ) -> tuple[PerImage, Variables]:
    """Returns float32 [batch], without unit; each map adds 0 to 4/places, or 0 to √2."""
    maps = same_stages("at", student_output.features, teacher_output.features, self.pairs)
    total = jnp.zeros(batch.mask.shape)
    for student, teacher in maps.values():
      student, teacher = same_size(exact(student), constant(teacher))
      total += _FORMS[self.form](self._attention(student) - self._attention(teacher))
    return total, {}

  def _attention(self, maps: Map) -> Float32[Array, "batch places"]:
    size = maps * jnp.sign(maps)  # of a zero, unlike jnp.abs, without a gradient
    return unit(jnp.mean(size**self.power, -1).reshape(maps.shape[0], -1))


def _mean(difference: Float32[Array, "batch places"]) -> PerImage:
  return jnp.mean(difference**2, -1)


def _norm(difference: Float32[Array, "batch places"]) -> PerImage:
  # Below 1e-6 the difference of two vectors of length 1 is rounding, and has no direction.
  square = jnp.sum(difference**2, -1)
  apart = square > 1e-12
  return jnp.where(apart, jnp.sqrt(jnp.where(apart, square, 1)), 0)


_FORMS = {"mean": _mean, "norm": _norm}
