"""Knowledge distillation (Hinton, Vinyals and Dean 2015, arXiv:1503.02531, section 2)."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
import optax

from edjax.errors import UserError


@dataclasses.dataclass(frozen=True)
class KD:
  r"""T² · KL(softmax(teacher/T) ‖ softmax(student/T)) over the teacher's classes, per example.

  Attributes:
    temperature: T > 0; the factor T² keeps gradients of order 1 in T.
  """

  temperature: float = 4.0
  needs_teacher: ClassVar[bool] = True

  def __post_init__(self):
    if not self.temperature > 0:
      raise UserError(f"methods.kd.temperature is {self.temperature}; it must be positive")

  def init(self, key, student_output, teacher_output):
    return {}

  def loss(self, variables, student_output, teacher_output, batch):
    """Returns float32 [batch], in nats times T², zero iff the softened answers agree."""
    teacher_logits = jax.lax.stop_gradient(teacher_output.logits)
    student, teacher = (
      jax.nn.log_softmax(logits.astype(jnp.float32) / self.temperature)
      for logits in (student_output.logits, teacher_logits)
    )
    divergence = optax.losses.kl_divergence_with_log_targets(student, teacher)
    return self.temperature**2 * divergence, {}
