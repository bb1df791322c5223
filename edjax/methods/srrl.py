"""Softmax regression representation learning (Yang, Martinez, Bulat and Tzimiropoulos, ICLR 2021).

  h = pool(relu(norm(conv1×1(student's last map))))
  loss = mean over channels (h − teacher's embedding)²
         + regression · mean over classes (classifier(h) − teacher's logits)²

The classifier is the teacher's own, constant: h shall be to it what the teacher's embedding is.
Means over channels, classes and images, and both terms with weight 1, are the authors' code; the
published weight is 1 (authors, SimKD's toolbox), beside `ce` 1 and in the toolbox `kd` 1.

The authors' connector sits on the student's last map before pooling; with `before` = "embedding" it
sits on the pooled embedding, as in SimKD's toolbox. Networks of which the last map is not what is
pooled (WRN normalises it first, MobileNetV2 widens it) have the authors' penultimate layer in the
embedding only.

While the student grows, its highest map so far is connected, to the same embedding. A specialist
asks with its own classes: the classifier is its columns for them. With target "seen" the columns it
lacks are the same constant on both sides and add nothing but to the number of classes.
"""

import dataclasses
from typing import ClassVar

import jax.numpy as jnp

from edjax.errors import UserError, choose
from edjax.methods.base import Batch, applied, constant, exact
from edjax.methods.projectors import Connector
from edjax.models.layers import LAST, Output
from edjax.types import PerImage, RandomKey, Variables


@dataclasses.dataclass(frozen=True)
class SRRL:
  """Squared differences of embeddings and of what the teacher's classifier says, per example.

  Attributes:
    regression: factor of the classifier's term, not negative.
    before: what of the student is connected, its last "map" before pooling or its "embedding".
  """

  regression: float = 1.0
  before: str = "map"
  needs_teacher: ClassVar[bool] = True

  def __post_init__(self) -> None:
    choose(_TAPS, self.before, "methods.srrl.before")
    if not self.regression >= 0:
      raise UserError(f"methods.srrl.regression is {self.regression}; it is not negative")

  def init(self, key: RandomKey, student_output: Output, teacher_output: Output) -> Variables:
    channels = _TAPS[self.before](student_output).shape[-1]
    connector = Connector(teacher_output.embedding.shape[-1], relu=True)
    fresh = connector.init(key, jnp.zeros((1, 1, 1, channels)))["params"]
    return {"params": {"connector": fresh}}

  def loss(
    self, variables: Variables, student_output: Output, teacher_output: Output, batch: Batch
  ) -> tuple[PerImage, Variables]:
    """Returns float32 [batch] and no memory.

    Raises:
      UserError: if the teacher's logits are not made by one matrix.
    """
    if batch.classifier is None:
      raise UserError(
        f"methods.srrl needs a teacher whose head ends in a dense layer, named {LAST!r}"
      )
    embedding, logits = constant(teacher_output.embedding), constant(teacher_output.logits)
    x = exact(_TAPS[self.before](student_output))
    x = x.reshape(x.shape[0], -1, 1, x.shape[-1])  # an embedding is a map of one place
    connector = Connector(embedding.shape[-1], relu=True)
    x = applied(connector, variables["params"]["connector"], x, batch)
    x, classifier = x.mean(axis=(1, 2)), constant(batch.classifier)
    said = jnp.dot(x, classifier["kernel"], precision="highest") + classifier["bias"][None]
    features = jnp.mean((x - embedding) ** 2, axis=-1)
    return features + self.regression * jnp.mean((said - logits) ** 2, axis=-1), {}


_TAPS = {
  "map": lambda output: [x for x in output.features if x is not None][-1],
  "embedding": lambda output: output.embedding,
}
