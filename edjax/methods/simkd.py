"""SimKD: the student reuses its teacher's classifier (Chen et al. 2022, arXiv:2203.14001).

Equation 3: the mean square of f_t − P(f_s), f_t being the teacher's map before its pooling and
P(f_s) the student's last map behind a projector. The student is a network whose name says how wide
its teacher's last map is, as in `--config.student.model=resnet8x4+simkd256`: the projector and the
teacher's classifier are its head, its graduate keeps them, and all exams are of the whole. The
published weight is 1, without hard labels.

The larger of two maps of unlike size is pooled (the published code pools before it projects). What
a classifier sees that is wider than its network's last map stands for a map of one place. Under
education distillation the grades below the last have nothing to project to: let another method
teach there (`grades.methods`). The last map of a specialist ends in a classifier of its own
classes, so the grades that reuse one need a generalist.
"""

import dataclasses
from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp

from edjax.errors import UserError
from edjax.methods.base import Batch, constant, exact, whole
from edjax.models.layers import Output
from edjax.models.pooling import average_grid
from edjax.types import PerImage, RandomKey, ShapedMap, Variables


@dataclasses.dataclass(frozen=True)
class SimKD:
  """Mean over the map of (teacher − projected student)², per example."""

  needs_teacher: ClassVar[bool] = True

  def init(self, key: RandomKey, student_output: Output, teacher_output: Output) -> Variables:
    """Raises UserError where the student cannot end in this teacher's classifier."""
    width = teacher_output.embedding.shape[-1]
    grown = student_output.features[-1] is not None
    if grown and (not _projects(student_output) or _projected(student_output).shape[-1] != width):
      raise UserError(
        f"methods.simkd: the student does not end in this teacher's classifier, of width {width}; "
        f"put +simkd{width} behind the student's model"
      )
    return {}

  def loss(
    self, variables: Variables, student_output: Output, teacher_output: Output, batch: Batch
  ) -> tuple[PerImage, Variables]:
    """Returns float32 [batch]; zeros where the student has not grown to its head."""
    if not _projects(student_output):
      return jnp.zeros(len(batch.labels), jnp.float32), {}
    ours = exact(_projected(student_output))
    theirs = constant(_reused(teacher_output))
    size = tuple(map(min, ours.shape[1:3], theirs.shape[1:3]))
    gap = average_grid(ours, size) - average_grid(theirs, size)
    return jnp.mean(gap**2, axis=(1, 2, 3)), {}


def _projects(output: Output) -> bool:
  """The head of a student that reuses a classifier adds its projected map to the others."""
  return len(output.preactivations) > len(output.features)


def _projected(output: Output) -> ShapedMap:
  return whole(output.preactivations)[-1]


def _reused(output: Output) -> ShapedMap:
  """What a teacher's classifier sees before it is pooled, if it is."""
  last = nn.relu(whole(output.preactivations)[-1])
  if last.shape[-1] == output.embedding.shape[-1]:
    return last
  return output.embedding[:, None, None]
