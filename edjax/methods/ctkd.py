"""Curriculum temperature for knowledge distillation (Li et al. 2023, arXiv:2211.16231)."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float32

from edjax.errors import UserError
from edjax.methods.base import Batch, constant, exact
from edjax.models.layers import Output
from edjax.types import PerImage, RandomKey, Variables


@dataclasses.dataclass(frozen=True)
class CTKD:
  r"""T² · KL(softmax(teacher/T) ‖ softmax(student/T)) per example, with a temperature that learns.

  T = lowest + span · sigmoid(θ) for all images, where θ starts at 1 (so T at 15.6) and is learned
  against the student: its gradient is multiplied by λ, which in the k-th epoch, counted from 1, is
  −(1 − cos(π min(k/warm_up, 1)))/2, from 0 to −1. The step's optimiser moves θ, its weight decay
  included, as in the authors' code. The paper's other temperature, one per image, is not here.

  Published: weight 0.9 beside cross-entropy of weight 0.1, lowest 1, span 20, warm-up 10 (authors).
  Needs logits only, so any grade may use it. Every teacher has its own θ; λ starts anew in every
  grade.

  Attributes:
    lowest: T lies above it; not negative.
    span: and below lowest + span; positive.
    warm_up: epochs until λ is −1; 0 for at once.
  """

  lowest: float = 1.0
  span: float = 20.0
  warm_up: float = 10.0
  needs_teacher: ClassVar[bool] = True
  on_logits: ClassVar[bool] = True

  def __post_init__(self) -> None:
    if not self.span > 0:
      raise UserError(f"methods.ctkd.span is {self.span}; it must be positive")
    for name in ("lowest", "warm_up"):
      if not getattr(self, name) >= 0:
        raise UserError(f"methods.ctkd.{name} is {getattr(self, name)}; it must not be negative")

  def init(self, key: RandomKey, student_output: Output, teacher_output: Output) -> Variables:
    return {"params": {"theta": jnp.float32(1)}}

  def loss(
    self, variables: Variables, student_output: Output, teacher_output: Output, batch: Batch
  ) -> tuple[PerImage, Variables]:
    """Returns float32 [batch], in nats times T²."""
    learned = self.lowest + self.span * jax.nn.sigmoid(variables["params"]["theta"])
    temperature = jax.lax.stop_gradient(learned)
    student, teacher = (
      jax.nn.log_softmax(logits / temperature)
      for logits in (exact(student_output.logits), constant(teacher_output.logits))
    )
    divergence = jnp.sum(_remainders(student, teacher)[0], axis=1)
    slope = temperature * jax.lax.stop_gradient(_slope(student, teacher))
    turned = self._reversal(batch.epoch) * slope * (learned - temperature)
    return temperature**2 * divergence + turned, {}

  def _reversal(self, epoch: Float32[Array, ""]) -> Float32[Array, ""] | float:
    """λ, from 0 to −1."""
    if not self.warm_up:
      return -1.0
    risen = jnp.minimum((jnp.floor(epoch) + 1) / self.warm_up, 1)
    return -(1 - jnp.cos(jnp.pi * risen)) / 2


def _remainders(
  student: Float32[Array, "batch classes"], teacher: Float32[Array, "batch classes"]
) -> tuple[Float32[Array, "batch classes"], Float32[Array, "batch classes"]]:
  """What of KL(teacher ‖ student) float32 should sum up, of log-probabilities [batch, classes].

  With x = log p − log q (p the teacher's), KL is E_p x, but also E_p r with r = x − 1 + e^(−x), as
  probabilities sum to 1. At a high temperature x is small, and r of second order, so that hardly
  anything cancels.

  Returns:
    p r and p (2 r − x²), the latter of third order: −x³/3 (1 − x/4 (1 − x/5 (…))).
  """
  p, q, x = jnp.exp(teacher), jnp.exp(student), teacher - student
  near = jnp.abs(x) < 1
  small = jnp.where(near, x, 0)
  series = jnp.ones_like(x)
  for order in range(12, 3, -1):
    series = 1 - small / order * series
  series *= -(small**3) / 3
  # Where x is large, e^(−x) may be too large, but p e^(−x) = q is not.
  second = jnp.where(near, p * (small**2 + series) / 2, p * (x - 1) + q)
  return second, jnp.where(near, p * series, 2 * second - p * x**2)


def _slope(
  student: Float32[Array, "batch classes"], teacher: Float32[Array, "batch classes"]
) -> PerImage:
  """(1/T) d(T² KL)/dT, [batch], of log-probabilities at temperature T.

  T² KL hardly depends on a high T: its derivative is a small difference of large terms, of which
  float32 would leave little. On paper it is 2 E_p r − Var_p x − Cov_p (r, log q), and the first two
  are E_p (2 r − x²) + KL² where x is small.
  """
  p, x = jnp.exp(teacher), teacher - student
  second, third = _remainders(student, teacher)
  divergence = jnp.sum(second, axis=1, keepdims=True)
  total = jnp.where(
    jnp.all(jnp.abs(x) < 1, axis=1),
    jnp.sum(third, axis=1) + divergence[:, 0] ** 2,
    2 * divergence[:, 0] - jnp.sum(p * (x - divergence) ** 2, axis=1),
  )
  centred = student - jnp.sum(p * student, axis=1, keepdims=True)
  return total - jnp.sum(second * centred, axis=1)
