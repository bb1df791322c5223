"""Hard-label cross-entropy."""

import dataclasses
from typing import ClassVar

import optax

from edjax.methods.base import Batch, exact
from edjax.models.layers import Output
from edjax.types import PerImage, RandomKey, Variables


@dataclasses.dataclass(frozen=True)
class CrossEntropy:
  """−log softmax(student logits)[label], in nats, over all classes the student knows.

  Of a mixture of two images (mixup, arXiv:1710.09412) it is the mixture of both labels' losses.
  """

  needs_teacher: ClassVar[bool] = False

  def init(
    self, key: RandomKey, student_output: Output, teacher_output: Output | None
  ) -> Variables:
    return {}

  def loss(
    self,
    variables: Variables,
    student_output: Output,
    teacher_output: Output | None,
    batch: Batch,
  ) -> tuple[PerImage, Variables]:
    """Returns float32 [batch] and no memory."""
    logits = exact(student_output.logits)
    loss = optax.losses.softmax_cross_entropy_with_integer_labels(logits, batch.labels)
    if batch.others is not None:
      other = optax.losses.softmax_cross_entropy_with_integer_labels(logits, batch.others)
      loss = batch.share * loss + (1 - batch.share) * other
    return loss, {}
