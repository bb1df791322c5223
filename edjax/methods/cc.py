"""Correlation congruence (Peng et al. 2019, arXiv:1904.01802, section 3.3)."""

import dataclasses
import math
from typing import ClassVar

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float32

from edjax.errors import UserError
from edjax.methods import embeddings
from edjax.methods.base import Batch, gather
from edjax.methods.maps import unit
from edjax.models.layers import Output
from edjax.types import PerImage, RandomKey, Variables

_FORMS = ("kernel", "consecutive")


@dataclasses.dataclass(frozen=True)
class CC:
  r"""How images correlate, in a student's and a teacher's linear embedding; both are learned.

  "kernel", the paper's: mean_ij (k(s_i, s_j) − k(t_i, t_j))² over the batch, of embeddings of
  length 1, with the Gaussian kernel exp(−γ ‖x − y‖²) = e^(−2γ) e^(2γ x·y) developed to
  Σ_{p ≤ order} e^(−2γ) (2γ)^p/p! (x·y)^p. torchdistill, which has this form too, does not bring
  embeddings to length 1 and does not square the norm of the difference. Published: γ 0.4, order 2,
  width 128. An image's share are the pairs with it as i.

  "consecutive", which RepDistiller has from the authors: mean_i Σ_d |s_i − t_i|_d |s_i+1 − t_i+1|_d
  over neighbours in the batch, so it depends on their order, and says nothing of other images. One
  number for all images. Published: weight 0.02 (RepDistiller), width 128.

  Embeddings of the networks may have any widths; a specialist's images are compared with each
  other only.

  Attributes:
    form: "kernel" or "consecutive".
    width: of both embeddings.
    gamma: γ > 0 of the kernel.
    order: highest power of the kernel's series, at least 1.
    gather: compare with the images of all devices, otherwise of each device alone.
  """

  form: str = "kernel"
  width: int = 128
  gamma: float = 0.4
  order: int = 2
  gather: bool = True
  needs_teacher: ClassVar[bool] = True

  def __post_init__(self) -> None:
    if self.form not in _FORMS:
      raise UserError(f"methods.cc.form is {self.form!r}; it is one of {', '.join(_FORMS)}")
    if not self.gamma > 0:
      raise UserError(f"methods.cc.gamma is {self.gamma}; it must be positive")
    for name in ("width", "order"):
      if not getattr(self, name) >= 1:
        raise UserError(f"methods.cc.{name} is {getattr(self, name)}; it must be at least 1")

  def init(self, key: RandomKey, student_output: Output, teacher_output: Output) -> Variables:
    return {"params": embeddings.new(key, self.width, student_output, teacher_output)}

  def loss(
    self, variables: Variables, student_output: Output, teacher_output: Output, batch: Batch
  ) -> tuple[PerImage, Variables]:
    """Returns float32 [batch]."""
    if not self.gather:
      batch = dataclasses.replace(batch, axis=None)
    student, teacher = embeddings.embed(
      variables["params"], self.width, student_output, teacher_output
    )
    present = gather(batch.mask, batch)
    if self.form == "consecutive":
      return _consecutive(gather(jnp.abs(student - teacher), batch), present, batch), {}
    ours, theirs = (self._kernel(unit(x), batch) for x in (student, teacher))
    differences = jnp.sum(present[None] * (ours - theirs) ** 2, axis=1)
    return differences / jnp.maximum(present.sum(), 1), {}

  def _kernel(
    self, x: Float32[Array, "batch width"], batch: Batch
  ) -> Float32[Array, "batch whole"]:
    """[batch, whole batch] of [batch, width] of length 1."""
    products = jnp.matmul(x, gather(x, batch).T, precision="highest")
    terms = ((2 * self.gamma * products) ** p / math.factorial(p) for p in range(self.order + 1))
    return math.exp(-2 * self.gamma) * sum(terms, jnp.zeros_like(products))


def _consecutive(
  distances: Float32[Array, "whole width"], present: Float32[Array, " whole"], batch: Batch
) -> PerImage:
  order = jnp.argsort(1 - present)  # stable: padding goes to the end
  distances, present = distances[order], present[order]
  products = jnp.sum(distances[:-1] * distances[1:], axis=1) * present[1:]
  average = products.sum() / jnp.maximum(present.sum() - 1, 1)
  return jnp.broadcast_to(average, batch.mask.shape)
