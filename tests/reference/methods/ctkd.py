"""A temperature that learns against the student (Li et al. 2023, arXiv:2211.16231)."""

import math

import torch

from tests.reference import distillation

OPTIONS = (
  {},
  {"lowest": 0.5, "span": 4.0, "warm_up": 0.0},
  {"warm_up": 5.0},
)
# The temperature's gradient is a sum over images of both signs, which may nearly cancel.
TOLERANCE = {"alike": 1e-4, "huge logits": 3e-5}


def loss(student, teacher, batch, variables, lowest=1.0, span=20.0, warm_up=10.0):
  theta = variables["params"]["theta"]
  epoch = math.floor(batch.epoch) + 1
  risen = min(epoch / warm_up, 1) if warm_up else 1
  theta.register_hook(lambda gradient: gradient * (math.cos(math.pi * risen) - 1) / 2)
  temperature = lowest + span * torch.sigmoid(theta)
  return distillation.kd(student.logits, teacher.logits, temperature)
