"""Relational knowledge distillation (Park et al. 2019, arXiv:1904.05068, section 3.2)."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jaxtyping import Float32

from edjax.errors import UserError
from edjax.methods.base import Batch, constant, exact, gather, total
from edjax.models.layers import Output
from edjax.types import PerImage, RandomKey, Variables

_AT_ONCE = 2**24  # floats of differences that are there at the same time


@dataclasses.dataclass(frozen=True)
class RKD:
  r"""Distances and angles between the embeddings of a batch, by Huber's loss h (δ = 1).

  distance · mean_ij h(‖s_i − s_j‖/μ_s − ‖t_i − t_j‖/μ_t)
  + angle · mean_ijk h(cos ∠ s_i s_j s_k − cos ∠ t_i t_j t_k)

  μ is the mean distance of two different images of the batch. All means are over n² and n³, as the
  authors and their successors count, equal indices being 0 against 0 or 1 against 1. Squared
  distances are at least 1e-12, so that a network to which all images are one has distances too; a
  vector without a length has no angle. An image's share are the terms with it as i of the
  distances and as the corner j of the angles; n³ cosines are computed, n² or a few times that at
  a time, for which no more than about 64 MiB are used beside the [n, width] embeddings.

  Published: weight 1 with distance 25 and angle 50 (authors, RepDistiller, mdistiller). Embeddings
  may have any widths; a specialist's images are compared with each other only.

  Attributes:
    distance, angle: weights.
    gather: compare with the images of all devices, otherwise of each device alone.
  """

  distance: float = 25.0
  angle: float = 50.0
  gather: bool = True
  needs_teacher: ClassVar[bool] = True

  def __post_init__(self) -> None:
    for name in ("distance", "angle"):
      if not getattr(self, name) >= 0:
        raise UserError(f"methods.rkd.{name} is {getattr(self, name)}; it must not be negative")

  def init(self, key: RandomKey, student_output: Output, teacher_output: Output) -> Variables:
    return {}

  def loss(
    self, variables: Variables, student_output: Output, teacher_output: Output, batch: Batch
  ) -> tuple[PerImage, Variables]:
    """Returns float32 [batch]."""
    if not self.gather:
      batch = dataclasses.replace(batch, axis=None)
    outputs = exact(student_output.embedding), constant(teacher_output.embedding)
    everyone, present = gather(outputs, batch), gather(batch.mask, batch)
    count = jnp.maximum(present.sum(), 1)

    @jax.checkpoint
    def corner(own: tuple[Array, Array]) -> tuple[list[Array], Array]:
      rows = [_seen_from(one, all_) for one, all_ in zip(own, everyone, strict=True)]
      ours, theirs = (cosines for _, cosines in rows)
      angles = optax.losses.huber_loss(ours, theirs)
      mean_angle = jnp.einsum("jk,j,k", angles, present, present, precision="highest")
      return [squares for squares, _ in rows], mean_angle / count**2

    width = max(len(present), *(values.shape[1] for values in outputs))
    squares, angles = jax.lax.map(
      corner, outputs, batch_size=min(len(batch.mask), max(1, _AT_ONCE // (len(present) * width)))
    )
    others = present[None] * (batch.index[:, None] != gather(batch.index, batch)[None])
    pairs = jnp.maximum(count * (count - 1), 1)
    ours, theirs = (_relative(values, others, pairs, batch) for values in squares)
    distances = jnp.sum(others * optax.losses.huber_loss(ours, theirs), axis=1) / count
    return self.distance * distances + self.angle * angles, {}


def _seen_from(
  one: Float32[Array, " width"], everyone: Float32[Array, "n width"]
) -> tuple[Float32[Array, " n"], Float32[Array, "n n"]]:
  """Returns squared distances [n] and the cosines [n, n] of the directions of any two."""
  differences = everyone - one[None]
  squares = jnp.sum(differences**2, axis=1)
  apart = squares > 0
  inverse = jnp.where(apart, jax.lax.rsqrt(jnp.where(apart, squares, 1)), 0)
  directions = differences * inverse[:, None]
  return squares, jnp.matmul(directions, directions.T, precision="highest")


def _relative(
  squares: Float32[Array, "batch n"],
  others: Float32[Array, "batch n"],
  pairs: Float32[Array, ""],
  batch: Batch,
) -> Float32[Array, "batch n"]:
  """Distances [batch, n] to others, divided by the mean over the pairs of the whole batch."""
  far = squares > 1e-12
  distances = jnp.where(far, jnp.sqrt(jnp.where(far, squares, 1)), 1e-6)
  average = total(jnp.sum(others * distances, axis=1), batch) / pairs
  return distances / jnp.where(average > 0, average, 1)
