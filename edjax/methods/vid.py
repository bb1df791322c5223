"""Variational information distillation (Ahn et al. 2019, arXiv:1904.05835, equations 3 to 5).

  −log q(teacher's map | student's map) with q a normal distribution, whose
  mean is a small network of the student's map, and whose variance is one number per channel:
  loss = Σ over maps of the mean over places and channels of ½ ((teacher − mean)²/σ² + log σ²)

with σ² = softplus(spread) + 1e-5. Minimising it raises a lower bound of the mutual information of
the maps. RepDistiller and mdistiller take the same mean with weight 1 (the paper sums instead); in
mdistiller the spread never learns, here and in RepDistiller it does, and it is saved with the rest.

The network is three 1×1 convolutions of the teacher's width without biases, ReLU between them. A
specialist has networks of its own; a student that has not grown has them where it has.
"""

import dataclasses
import math
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float32

from edjax.errors import UserError
from edjax.methods.base import Batch, applied, constant, exact, same_stages
from edjax.methods.maps import same_size
from edjax.models.layers import Output, dense_init
from edjax.types import Map, PerImage, RandomKey, Variables

_LEAST = 1e-5  # of a variance


@dataclasses.dataclass(frozen=True)
class VID:
  """Negative log-likelihood of the teacher's maps, given the student's, per example.

  Attributes:
    variance: with which every channel begins, in squared units of the teacher's map; above 1e-5.
    pairs: maps to compare, "" for every stage but the stem; see `base.same_stages`.
  """

  variance: float = 5.0
  pairs: str = ""
  needs_teacher: ClassVar[bool] = True

  def __post_init__(self) -> None:
    if not _LEAST < self.variance < math.inf:
      raise UserError(f"methods.vid.variance is {self.variance}; it must be above {_LEAST}")

  def init(self, key: RandomKey, student_output: Output, teacher_output: Output) -> Variables:
    """Returns {"params": {"map_1": {"conv_0", "conv_1", "conv_2", "spread"}, …}}."""
    maps = same_stages("vid", student_output.features, teacher_output.features, self.pairs)
    params = {}
    for number, (name, (student, teacher)) in enumerate(maps.items()):
      belief = _Belief(teacher.shape[-1], self.variance)
      own = jax.random.fold_in(key, number)
      params[name] = belief.init(own, jnp.zeros((1, 1, 1, student.shape[-1])))["params"]
    return {"params": params}

  def loss(
    self, variables: Variables, student_output: Output, teacher_output: Output, batch: Batch
  ) -> tuple[PerImage, Variables]:
    """Returns float32 [batch], in nats per entry of a map less ½ log 2π; it can be negative."""
    maps = same_stages("vid", student_output.features, teacher_output.features, self.pairs)
    total = jnp.zeros(batch.mask.shape)
    for name, (student, teacher) in maps.items():
      student, teacher = same_size(exact(student), constant(teacher))
      belief = _Belief(teacher.shape[-1], self.variance)
      mean, variance = applied(belief, variables["params"][name], student)
      surprise = (teacher - mean) ** 2 / variance + jnp.log(variance)
      total += 0.5 * jnp.mean(surprise, (1, 2, 3))
    return total, {}


class _Belief(nn.Module):
  """What a student's map says of a teacher's with so many channels: its mean and variance."""

  channels: int
  variance: float

  @nn.compact
  def __call__(self, x: Map) -> tuple[Map, Float32[Array, "1 1 1 channels"]]:
    for number in range(3):
      x = nn.relu(x) if number else x
      # A Dense layer over channels is a 1×1 convolution.
      x = nn.Dense(self.channels, use_bias=False, kernel_init=dense_init, name=f"conv_{number}")(x)
    start = math.log(math.expm1(self.variance - _LEAST)) if self.variance < 30 else self.variance
    spread = self.param("spread", nn.initializers.constant(start), (self.channels,))
    return x, (jax.nn.softplus(spread) + _LEAST).reshape(1, 1, 1, -1)
