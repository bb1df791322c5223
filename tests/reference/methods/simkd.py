"""SimKD's loss: between the map that the student's projector made and the teacher's last."""

import numpy as np
import torch

from tests import outputs
from tests.reference.methods.shapes import pooled

OPTIONS = ({},)


def _projecting(student, teacher):
  """A student whose head adds its projected map to the preactivations."""
  *size, _ = student.features[-1].shape
  draw = np.random.default_rng(11)
  projected = draw.normal(size=(*size, teacher.embedding.shape[-1])).astype(np.float32)
  return student.replace(
    preactivations=(*student.preactivations, np.maximum(projected, 0))
  ), teacher


CASES = {name: _projecting(*pair) for name, pair in outputs.cases().items()}


def loss(student, teacher, batch, variables):
  ours, theirs = student.preactivations[-1], torch.relu(teacher.preactivations[-1])
  size = tuple(map(min, ours.shape[2:], theirs.shape[2:]))
  ours, theirs = pooled(ours, size), pooled(theirs, size)
  return ((ours - theirs) ** 2).flatten(1).mean(1)
