"""Knowledge distillation (Hinton, Vinyals and Dean 2015, arXiv:1503.02531, section 2)."""

import dataclasses
from typing import ClassVar

import jax
import optax

from edjax.errors import UserError
from edjax.methods.base import Batch, constant, exact
from edjax.models.layers import Output
from edjax.types import PerImage, RandomKey, Variables


@dataclasses.dataclass(frozen=True)
class KD:
  r"""T² · KL(softmax(teacher/T) ‖ softmax(student/T)) over the teacher's classes, per example.

  Attributes:
    temperature: T > 0; the factor T² keeps gradients of order 1 in T.
  """

  temperature: float = 4.0
  needs_teacher: ClassVar[bool] = True
  on_logits: ClassVar[bool] = True

  def __post_init__(self) -> None:
    if not self.temperature > 0:
      raise UserError(f"methods.kd.temperature is {self.temperature}; it must be positive")

  def init(self, key: RandomKey, student_output: Output, teacher_output: Output) -> Variables:
    return {}

  def loss(
    self, variables: Variables, student_output: Output, teacher_output: Output, batch: Batch
  ) -> tuple[PerImage, Variables]:
    """Returns float32 [batch], in nats times T², zero iff the softened answers agree."""
    student, teacher = (
      jax.nn.log_softmax(logits / self.temperature)
      for logits in (exact(student_output.logits), constant(teacher_output.logits))
    )
    divergence = optax.losses.kl_divergence_with_log_targets(student, teacher)
    return self.temperature**2 * divergence, {}
