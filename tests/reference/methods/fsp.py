"""The flow of the solution procedure (Yim et al. 2017), one pair of channels after another."""

import torch

from tests.reference.methods import shapes

OPTIONS = ({}, {"form": "mean"}, {"pairs": "1:1,3:3"})
USUAL = "alike"
UNEQUAL = "has 4 channels and the teacher's 5"
LEFT_OUT = {
  "random": UNEQUAL,
  "huge logits": UNEQUAL,
  "constant maps": UNEQUAL,
  "batch of two": UNEQUAL,
  "larger student": UNEQUAL,
  "larger teacher": UNEQUAL,
  "odd sizes": UNEQUAL,
}


def loss(student, teacher, batch, variables, form="sum", pairs=""):
  pairs = pairs or "0:0,1:1,2:2,3:3"
  maps = shapes.paired(student.features, teacher.features, pairs)
  total = 0
  for (a, their_a), (b, their_b) in zip(maps[:-1], maps[1:], strict=True):
    squares = (flow(a, b) - flow(their_a, their_b).detach()).square().flatten(1)
    total = total + (squares.sum(1) if form == "sum" else squares.mean(1))
  return total


def flow(lower, higher):
  """[batch, channels, channels]."""
  size = [min(lower.shape[axis], higher.shape[axis]) for axis in (2, 3)]
  lower, higher = shapes.pooled(lower, size), shapes.pooled(higher, size)
  rows = [torch.stack([(a * b).mean((1, 2)) for b in higher.unbind(1)], 1) for a in lower.unbind(1)]
  return torch.stack(rows, 1)
