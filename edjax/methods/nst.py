"""Neuron selectivity transfer (Huang and Wang 2017, arXiv:1707.01219, sections 3 and 4).

  loss = Σ over maps of mean k(t, t′) + mean k(s, s′) − 2 mean k(s, t)

over all pairs of channels, s of the student and t of the teacher, each channel a vector over places
of length 1: the squared maximum mean discrepancy between what the channels of both select.
  polynomial: (xᵀy)²        linear: xᵀy        gaussian: exp(−‖x − y‖²/(2σ²))
with σ² the mean of ‖s − t‖² over the pairs of the image, a constant.

The paper has the three kernels; RepDistiller and mdistiller the polynomial one, with weight 50.
All is done image by image, and channels need not agree. A student that has not grown is compared
where it has. Memory: three channel-by-channel matrices per image and map, never one over places.
"""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float32

from edjax.errors import choose
from edjax.methods.base import Batch, constant, exact, same_stages
from edjax.methods.maps import same_size, unit
from edjax.models.layers import Output
from edjax.types import Map, PerImage, RandomKey, Variables


@dataclasses.dataclass(frozen=True)
class NST:
  """Squared maximum mean discrepancy of normalised channels, per example.

  Attributes:
    kernel: "polynomial", "linear" or "gaussian".
    pairs: maps to compare, "" for every stage but the stem; see `base.same_stages`.
  """

  kernel: str = "polynomial"
  pairs: str = ""
  needs_teacher: ClassVar[bool] = True

  def __post_init__(self) -> None:
    choose(_KERNELS, self.kernel, "methods.nst.kernel")

  def init(self, key: RandomKey, student_output: Output, teacher_output: Output) -> Variables:
    same_stages("nst", student_output.features, teacher_output.features, self.pairs)
    return {}

  def loss(
    self, variables: Variables, student_output: Output, teacher_output: Output, batch: Batch
  ) -> tuple[PerImage, Variables]:
    """Returns float32 [batch], without unit, 0 or more; each map adds at most 4."""
    maps = same_stages("nst", student_output.features, teacher_output.features, self.pairs)
    kernel = _KERNELS[self.kernel]
    total = jnp.zeros(batch.mask.shape)
    for student, teacher in maps.values():
      s, t = map(_channels, same_size(exact(student), constant(teacher)))
      variance = jax.lax.stop_gradient(jnp.mean(_distances(s, t), (1, 2), keepdims=True))
      within = sum(jnp.mean(kernel(x, x, variance), (1, 2)) for x in (t, s))
      total += within - 2 * jnp.mean(kernel(s, t, variance), (1, 2))
    return total, {}


def _channels(maps: Map) -> Float32[Array, "batch places channels"]:
  """[batch, places, channels], each channel of length 1 over places or zero."""
  return unit(maps.reshape(maps.shape[0], -1, maps.shape[-1]), 1)


def _products(
  x: Float32[Array, "batch places ours"], y: Float32[Array, "batch places theirs"]
) -> Float32[Array, "batch ours theirs"]:
  return jnp.einsum("bpc,bpd->bcd", x, y, precision="highest")


def _distances(
  x: Float32[Array, "batch places ours"], y: Float32[Array, "batch places theirs"]
) -> Float32[Array, "batch ours theirs"]:
  squares = jnp.sum(x**2, 1)[:, :, None] + jnp.sum(y**2, 1)[:, None, :]
  return jnp.maximum(squares - 2 * _products(x, y), 0)


def _gaussian(
  x: Float32[Array, "batch places ours"],
  y: Float32[Array, "batch places theirs"],
  variance: Float32[Array, "batch 1 1"],
) -> Float32[Array, "batch ours theirs"]:
  return jnp.exp(-_distances(x, y) / (2 * jnp.where(variance > 0, variance, 1)))


_KERNELS = {
  "polynomial": lambda x, y, variance: _products(x, y) ** 2,
  "linear": lambda x, y, variance: _products(x, y),
  "gaussian": _gaussian,
}
