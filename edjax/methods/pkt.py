"""Probabilistic knowledge transfer (Passalis and Tefas 2018, arXiv:1803.10837, section 3)."""

import dataclasses
from typing import ClassVar

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float32

from edjax.methods.base import Batch, constant, exact, gather
from edjax.models.layers import Output
from edjax.types import PerImage, RandomKey, Variables

_EPSILON = 1e-7  # the authors' and their successors'


@dataclasses.dataclass(frozen=True)
class PKT:
  r"""mean_ij t_ij log((t_ij + ε)/(s_ij + ε)): how likely image i finds image j in its embedding.

  s_ij = k_ij / Σ_j k_ij with k_ij = (1 + cos(e_i, e_j))/2 of the student's embeddings, t_ij of the
  teacher's, over the images of the batch, i itself among them; lengths are taken ε longer, a
  vector without a length has cosine 0 with all, and no gradient. The paper sums over i and over
  j ≠ i; its authors' later code, and all who follow it, take the mean over all n² pairs, which is
  why the weight is so large. An image's share are the pairs with it as i.

  Published: weight 30000 (RepDistiller, mdistiller). Embeddings may have any widths; a
  specialist's images are compared with each other only.

  Attributes:
    gather: compare with the images of all devices, otherwise of each device alone.
  """

  gather: bool = True
  needs_teacher: ClassVar[bool] = True

  def init(self, key: RandomKey, student_output: Output, teacher_output: Output) -> Variables:
    return {}

  def loss(
    self, variables: Variables, student_output: Output, teacher_output: Output, batch: Batch
  ) -> tuple[PerImage, Variables]:
    """Returns float32 [batch]."""
    if not self.gather:
      batch = dataclasses.replace(batch, axis=None)
    present = gather(batch.mask, batch)[None]
    ours, theirs = (
      _finds(values, present, batch)
      for values in (exact(student_output.embedding), constant(teacher_output.embedding))
    )
    # Both sum to 1, so the last term adds nothing but makes all terms positive: less is rounded.
    terms = -theirs * jnp.log1p((ours - theirs) / (theirs + _EPSILON)) + (ours - theirs)
    return jnp.sum(present * terms, axis=1) / jnp.maximum(present.sum(), 1), {}


def _finds(
  values: Float32[Array, "batch width"], present: Float32[Array, "1 whole"], batch: Batch
) -> Float32[Array, "batch whole"]:
  """Probabilities [batch, whole batch]; padding is never found."""
  squares = jnp.sum(values**2, axis=1, keepdims=True)
  some = squares > 0
  directions = jnp.where(some, values / (jnp.sqrt(jnp.where(some, squares, 1)) + _EPSILON), 0)
  cosines = jnp.matmul(directions, gather(directions, batch).T, precision="highest")
  kernel = present * (1 + cosines) / 2
  return kernel / jnp.maximum(kernel.sum(axis=1, keepdims=True), _EPSILON)
