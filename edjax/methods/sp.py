"""Similarity-preserving distillation (Tung and Mori 2019, arXiv:1907.09682, section 3, equation 4).

  G = F Fᵀ, every row of length 1, F [batch, height·width·channels]
  loss = ‖G_teacher − G_student‖² (Frobenius) / batch²

of the last stage, as its author checked for RepDistiller; mdistiller does the same, both with
weight 3000 (the paper's γ). A row of the difference is the share of its image.

Only the numbers of images must agree, not those of places or channels. A specialist compares the
images on its own seats; a student that has not grown, its highest stage with the teacher's like.
Memory: the maps of all devices and [images here, images of all devices] twice.
"""

import dataclasses
from typing import ClassVar

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float32

from edjax.methods.base import Batch, constant, exact, gather, last_stage
from edjax.methods.maps import unit
from edjax.models.layers import Output
from edjax.types import Map, PerImage, RandomKey, Variables


@dataclasses.dataclass(frozen=True)
class SP:
  """Squared difference of the similarities to the batch's images, per example.

  Attributes:
    gather: compare with the images of all devices, not only with those of the same.
    pairs: which stages belong together, see `base.same_stages`; the highest is compared.
  """

  gather: bool = True
  pairs: str = ""
  needs_teacher: ClassVar[bool] = True

  def init(self, key: RandomKey, student_output: Output, teacher_output: Output) -> Variables:
    last_stage("sp", student_output.features, teacher_output.features, self.pairs)
    return {}

  def loss(
    self, variables: Variables, student_output: Output, teacher_output: Output, batch: Batch
  ) -> tuple[PerImage, Variables]:
    """Returns float32 [batch], without unit, 0 to 4/batch."""
    maps = last_stage("sp", student_output.features, teacher_output.features, self.pairs)
    if not self.gather:
      batch = dataclasses.replace(batch, axis=None)
    total, there = jnp.zeros(batch.mask.shape), gather(batch.mask, batch)
    for student, teacher in maps.values():
      ours, theirs = (
        _similarities(exact(student), there, batch),
        _similarities(constant(teacher), there, batch),
      )
      total += jnp.sum((theirs - ours) ** 2, -1) / jnp.maximum(jnp.sum(there), 1)
    return total, {}


def _similarities(
  maps: Map, there: Float32[Array, " whole"], batch: Batch
) -> Float32[Array, "batch whole"]:
  """[images here, images of all], rows of length 1; nothing is similar to padding."""
  flat = maps.reshape(maps.shape[0], -1)
  products = jnp.matmul(flat, gather(flat, batch).T, precision="highest")
  return unit(products * there[None])
