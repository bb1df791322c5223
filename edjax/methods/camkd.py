"""Confidence-aware hints of several teachers (Zhang, Chen and Wang 2022, "Confidence-Aware
Multi-Teacher Knowledge Distillation", arXiv:2201.00007, equations 6 to 8).

  h_m = relu(norm(conv1×1(student's last map, at the size of teacher m's)))
  loss = Σ over teachers m of share_m · mean((h_m − teacher m's last map)²)
  share_m ∝ 1 − softmax over the teachers of CE(teacher m's classifier(pool(h_m)), label)

A teacher counts for more on an image where the student, through this teacher's classifier, would be
right. The shares are the image's own and of this term alone; logits are shared by the recipe's
`consensus` of "confidence", by the teachers' own errors. As in the authors' code the gradient goes
through the shares, the larger map is averaged to the smaller size or the smaller enlarged
bilinearly, and the first epoch is without this term; their weight is 50 beside `ce` 1 and `kd` 1,
and they divide by the number of teachers once more (`edjax.settings` does for the variant).

A teacher's map is what it pools, after the ReLU; the student's is where `features` taps it (WRN:
before the last normalisation, which the authors have behind them). Teachers who do not pool their
last stage's map, as MobileNetV2 widens it first, are compared in their embedding, a map of one
place, to which their classifier belongs. While the student grows, its highest map so far is
compared. A specialist judges by its own classes, and shares only with who answers the same image.
"""

import dataclasses
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from edjax.errors import UserError
from edjax.methods.base import Batch, applied, constant, exact, whole
from edjax.methods.projectors import Connector
from edjax.models.layers import LAST, Output
from edjax.models.pooling import average_grid
from edjax.types import Map, PerImage, RandomKey, ShapedMap, Variables


@dataclasses.dataclass(frozen=True)
class CAMKD:
  """Mean squared error to what a teacher pools, per example, with shares of its own.

  Attributes:
    silent: epochs of a grade, from its first, in which the loss is 0.
  """

  silent: int = 1
  needs_teacher: ClassVar[bool] = True

  def __post_init__(self) -> None:
    if not self.silent >= 0:
      raise UserError(f"methods.camkd.silent is {self.silent}; it is not negative")

  def init(self, key: RandomKey, student_output: Output, teacher_output: Output) -> Variables:
    channels = _last(student_output).shape[-1]
    connector = Connector(teacher_output.embedding.shape[-1], relu=True)
    return {"params": {"connector": connector.init(key, jnp.zeros((1, 1, 1, channels)))["params"]}}

  def loss(
    self, variables: Variables, student_output: Output, teacher_output: Output, batch: Batch
  ) -> tuple[PerImage, Variables]:
    """Returns float32 [batch], in squared units of the teacher's map, and no memory."""
    hint = _hint(variables, student_output, teacher_output, batch)
    error = jnp.mean((hint - constant(_pooled(teacher_output))) ** 2, axis=(1, 2, 3))
    return jnp.where(batch.epoch >= self.silent, error, 0), {}

  def errors(
    self, variables: Variables, student_output: Output, teacher_output: Output, batch: Batch
  ) -> PerImage:
    """Returns float32 [batch]: the cross-entropy of the hint, said by the teacher's classifier.

    Raises:
      UserError: if the teacher's logits are not made by one matrix.
    """
    if batch.classifier is None:
      raise UserError(
        f"methods.camkd needs teachers whose heads end in a dense layer, named {LAST!r}"
      )
    hint = _hint(variables, student_output, teacher_output, batch).mean(axis=(1, 2))
    classifier = constant(batch.classifier)
    said = jnp.dot(hint, classifier["kernel"], precision="highest") + classifier["bias"][None]
    return optax.losses.softmax_cross_entropy_with_integer_labels(said, batch.labels)


def _hint(
  variables: Variables, student_output: Output, teacher_output: Output, batch: Batch
) -> Map:
  """The student's last map in the teacher's terms: [batch, height, width, teacher's channels]."""
  target, x = _pooled(teacher_output), exact(_last(student_output))
  size = target.shape[1:3]
  x = average_grid(x, tuple(map(min, x.shape[1:3], size)))
  x = jax.image.resize(x, (x.shape[0], *size, x.shape[-1]), "bilinear")
  connector = Connector(target.shape[-1], relu=True)
  return applied(connector, variables["params"]["connector"], x, batch)


def _last(output: Output) -> ShapedMap:
  """The highest map that has grown."""
  return [x for x in output.features if x is not None][-1]


def _pooled(output: Output) -> Map:
  """The map whose mean is the embedding, or the embedding as a map of one place."""
  embedding, maps = output.embedding, whole(output.preactivations)
  if maps and maps[-1].shape[-1] == embedding.shape[-1]:
    return nn.relu(maps[-1])
  return embedding.reshape(embedding.shape[0], 1, 1, -1)
