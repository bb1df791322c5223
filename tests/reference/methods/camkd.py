"""A hint in the terms of one teacher of several (Zhang et al. 2022, arXiv:2201.00007)."""

import torch.nn.functional as F

from tests.reference.methods import shapes

OPTIONS = ({}, {"silent": 8})
# Normalisation multiplies the rounding of a constant map by 1/√1e-5.
TOLERANCE = {"constant maps": 1e-4, "batch of two": 1e-4}


def hint(student, teacher, variables):
  x, params = student.features[-1], variables["params"]["connector"]
  for axis in (2, 3):
    here, there = x.shape[axis], teacher.features[-1].shape[axis]
    size = [*x.shape[2:]]
    size[axis - 2] = there
    if here > there:
      x = F.adaptive_avg_pool2d(x, size)
    elif here < there:
      x = F.interpolate(x, size=size, mode="bilinear", align_corners=False)
  return F.relu(shapes.batch_norm(shapes.conv(x, params["conv"]), params["norm"]))


def loss(student, teacher, batch, variables, silent=1):
  target = teacher.features[-1].detach()
  error = (hint(student, teacher, variables) - target).square().mean((1, 2, 3))
  return error * float(int(batch.epoch) >= silent)


def errors(student, teacher, batch, variables):
  said = shapes.dense(hint(student, teacher, variables).mean((2, 3)), batch.classifier)
  return F.cross_entropy(said, batch.labels, reduction="none")
