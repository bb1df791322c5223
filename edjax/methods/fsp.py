"""The flow of the solution procedure (Yim et al. 2017, "A Gift from Knowledge Distillation", CVPR).

  G of two consecutive maps a and b = mean over places of a bᵀ, [channels of a, channels of b]
  loss = Σ over consecutive maps, stem included, of ‖G_teacher − G_student‖² (Frobenius)

Equation 2 of the paper, with all λ equal, is form "sum". RepDistiller has the mean over the entries
of G instead, form "mean", with weight 50. Where two maps differ in size the paper max-pools the
larger; here it is averaged, as in RepDistiller. Both teach by G alone first (there for 30 epochs)
and by labels alone afterwards: a curriculum with two grades. This is one term beside others.

The matrices are compared entry by entry, so the maps of both networks need equal channels. A
student that has not grown is compared up to where it has. All is done image by image. Memory: two
channel-by-channel matrices per image and pair of maps.
"""

import dataclasses
import itertools
from collections.abc import Collection
from typing import ClassVar

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float32

from edjax.errors import UserError, choose
from edjax.methods.base import Batch, constant, exact, same_stages, whole
from edjax.methods.maps import same_size
from edjax.models.layers import Output
from edjax.types import Map, PerImage, RandomKey, ShapedMap, Variables


@dataclasses.dataclass(frozen=True)
class FSP:
  """Squared difference of the Gram matrices between consecutive maps, per example.

  Attributes:
    form: "sum" over the entries of a matrix, or their "mean".
    pairs: maps to compare, lowest first, "" for all with the stem; see `base.same_stages`.
  """

  form: str = "sum"
  pairs: str = ""
  needs_teacher: ClassVar[bool] = True

  def __post_init__(self) -> None:
    choose(_FORMS, self.form, "methods.fsp.form")

  def init(self, key: RandomKey, student_output: Output, teacher_output: Output) -> Variables:
    self._maps(student_output, teacher_output)
    return {}

  def loss(
    self, variables: Variables, student_output: Output, teacher_output: Output, batch: Batch
  ) -> tuple[PerImage, Variables]:
    """Returns float32 [batch], in units of activations to the fourth power."""
    total = jnp.zeros(batch.mask.shape)
    for lower, higher in itertools.pairwise(self._maps(student_output, teacher_output)):
      (student, teacher), (above, teacher_above) = lower, higher
      ours = _flow(exact(student), exact(above))
      theirs = _flow(constant(teacher), constant(teacher_above))
      total += _FORMS[self.form]((ours - theirs) ** 2, (1, 2))
    return total, {}

  def _maps(
    self, student_output: Output, teacher_output: Output
  ) -> Collection[tuple[ShapedMap, ShapedMap]]:
    students, teachers = student_output.features, whole(teacher_output.features)
    maps = same_stages("fsp", students, teachers, self.pairs)
    if not self.pairs:
      maps = {"map_0": (whole(students[:1])[0], teachers[0])} | maps
    for name, (student, teacher) in maps.items():
      if student.shape[-1] != teacher.shape[-1]:
        raise UserError(
          f"methods.fsp: {name} of the student has {student.shape[-1]} channels and the teacher's "
          f"{teacher.shape[-1]}; FSP compares channel by channel, so they must be equal"
        )
    return maps.values()


def _flow(lower: Map, higher: Map) -> Float32[Array, "batch _ _"]:
  lower, higher = same_size(lower, higher)
  places = lower.shape[1] * lower.shape[2]
  return jnp.einsum("bhwc,bhwd->bcd", lower, higher, precision="highest") / places


_FORMS = {"sum": jnp.sum, "mean": jnp.mean}
