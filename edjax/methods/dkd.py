"""Decoupled knowledge distillation (Zhao et al. 2022, arXiv:2203.08679, equation 7)."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float32

from edjax.errors import UserError
from edjax.methods.base import Batch, constant, exact
from edjax.models.layers import Output
from edjax.types import PerImage, RandomKey, Variables


@dataclasses.dataclass(frozen=True)
class DKD:
  r"""T² · (α · TCKD + β · NCKD) of the logits, per example, rising over the first epochs.

  With p = softmax(logits/T) and y the label, TCKD is KL((p_y, 1 − p_y) teacher ‖ student), and
  NCKD is KL(teacher ‖ student) over the classes other than y alone, each side's p there divided by
  its 1 − p_y. Ordinary distillation is TCKD + (1 − p_y of the teacher) · NCKD. The authors' code
  leaves y out by taking 1000 from its logit; here it is left out exactly, and all terms are
  computed from log-sums, so that certain answers stay finite. With one class the loss is zero,
  with two NCKD is.

  Published: weight 1 beside cross-entropy of weight 1, α 1, T 4, warm-up 20; β 8 between networks
  of a kind (2 for ResNet56 → 20 and 110 → 32, 6 for VGG and WRN), on ImageNet T 1, β 0.5 or 2,
  warm-up 1 (mdistiller, which is the authors'). Needs logits only, so any grade may use it; a
  specialist's classes other than y are those of its own subject. Warm-up starts anew in every
  grade.

  Attributes:
    alpha: weight of TCKD.
    beta: weight of NCKD.
    temperature: T > 0.
    warm_up: epochs; in the k-th epoch, counted from 1, the loss is multiplied by min(k/warm_up, 1).
      0 for none.
  """

  alpha: float = 1.0
  beta: float = 8.0
  temperature: float = 4.0
  warm_up: float = 20.0
  needs_teacher: ClassVar[bool] = True
  on_logits: ClassVar[bool] = True

  def __post_init__(self) -> None:
    if not self.temperature > 0:
      raise UserError(f"methods.dkd.temperature is {self.temperature}; it must be positive")
    for name in ("alpha", "beta", "warm_up"):
      if not getattr(self, name) >= 0:
        raise UserError(f"methods.dkd.{name} is {getattr(self, name)}; it must not be negative")

  def init(self, key: RandomKey, student_output: Output, teacher_output: Output) -> Variables:
    return {}

  def loss(
    self, variables: Variables, student_output: Output, teacher_output: Output, batch: Batch
  ) -> tuple[PerImage, Variables]:
    """Returns float32 [batch], in nats times T²."""
    student = exact(student_output.logits) / self.temperature
    teacher = constant(teacher_output.logits) / self.temperature
    if student.shape[1] == 1:
      return jnp.zeros(len(student)), {}
    target = jax.nn.one_hot(batch.labels, student.shape[1], dtype=bool)
    ours, theirs = _target_or_not(student, target), _target_or_not(teacher, target)
    tckd = jnp.sum(jnp.exp(theirs) * (theirs - ours), axis=1)
    ours, theirs = _others(student, target), _others(teacher, target)
    nckd = jnp.sum(jnp.where(target, 0, jnp.exp(theirs)) * (theirs - ours), axis=1)
    loss = self.temperature**2 * (self.alpha * tckd + self.beta * nckd)
    if not self.warm_up:
      return loss, {}
    return jnp.minimum((jnp.floor(batch.epoch) + 1) / self.warm_up, 1) * loss, {}


def _target_or_not(
  logits: Float32[Array, "batch classes"], target: Bool[Array, "batch classes"]
) -> Float32[Array, "batch 2"]:
  """Returns log (p_y, 1 − p_y), [batch, 2]."""
  logits = _shifted(logits, True)
  parts = jnp.stack(
    [jax.nn.logsumexp(logits, axis=1, where=chosen) for chosen in (target, ~target)], axis=1
  )
  return jax.nn.log_softmax(parts)


def _others(
  logits: Float32[Array, "batch classes"], target: Bool[Array, "batch classes"]
) -> Float32[Array, "batch classes"]:
  """Returns log (p/(1 − p_y)) [batch, classes]; at y itself zero."""
  logits = _shifted(logits, ~target)
  total = jax.nn.logsumexp(logits, axis=1, where=~target, keepdims=True)
  return jnp.where(target, 0, logits - total)


def _shifted(
  logits: Float32[Array, "batch classes"], chosen: Bool[Array, "batch classes"] | bool
) -> Float32[Array, "batch classes"]:
  """Lets the greatest of the chosen be 0: a large level would round the small differences away."""
  top = jnp.max(logits, axis=1, where=chosen, initial=-jnp.inf, keepdims=True)
  return logits - jax.lax.stop_gradient(top)
