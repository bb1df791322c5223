"""Hard-label cross-entropy."""

import dataclasses
from typing import ClassVar

import optax

from edjax.methods.interface import exact


@dataclasses.dataclass(frozen=True)
class CrossEntropy:
  """−log softmax(student logits)[label], in nats, over all classes the student knows."""

  needs_teacher: ClassVar[bool] = False

  def init(self, key, student_output, teacher_output):
    return {}

  def loss(self, variables, student_output, teacher_output, batch):
    """Returns float32 [batch] and no memory."""
    logits = exact(student_output.logits)
    return optax.losses.softmax_cross_entropy_with_integer_labels(logits, batch.labels), {}
