"""Hard-label cross-entropy."""

import dataclasses
from typing import ClassVar

import jax
import optax
from jaxtyping import Float, Int

from edjax.errors import within
from edjax.methods.base import Batch, exact
from edjax.models.layers import Output
from edjax.types import PerImage, RandomKey, Variables


@dataclasses.dataclass(frozen=True)
class CrossEntropy:
  """−log softmax(student logits)[label], in nats, over all classes the student knows.

  Of a mixture of two images (mixup, arXiv:1710.09412) it is the mixture of both labels' losses.

  Attributes:
    smoothing: share of the label that all those classes have in equal parts instead (Szegedy et al.
      2016, arXiv:1512.00567, section 7).
  """

  smoothing: float = 0.0
  needs_teacher: ClassVar[bool] = False

  def __post_init__(self) -> None:
    within(self.smoothing, "methods.ce.smoothing", least=0, below=1)

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
    loss = self._of(logits, batch.labels)
    if batch.others is not None:
      loss = batch.share * loss + (1 - batch.share) * self._of(logits, batch.others)
    return loss, {}

  def _of(
    self, logits: Float[jax.Array, "batch classes"], labels: Int[jax.Array, " batch"]
  ) -> PerImage:
    if not self.smoothing:
      return optax.losses.softmax_cross_entropy_with_integer_labels(logits, labels)
    hard = jax.nn.one_hot(labels, logits.shape[-1])
    return optax.losses.softmax_cross_entropy(
      logits, optax.losses.smooth_labels(hard, self.smoothing)
    )
