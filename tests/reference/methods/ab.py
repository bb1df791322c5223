"""Activation boundaries (Heo et al. 2019, arXiv:1811.03233)."""

import torch

from tests.reference.methods import shapes

OPTIONS = ({}, {"margin": 0.5}, {"pairs": "1:2,3:3"})
# The normalisation divides a channel that is constant by √1e-5, and so multiplies its rounding.
TOLERANCE = {"constant maps": 1e-4}


def loss(student, teacher, batch, variables, margin=1.0, pairs=""):
  chosen = shapes.paired(student.preactivations, teacher.preactivations, pairs)
  names = ["map_1", "map_3"] if pairs else ["map_1", "map_2", "map_3"]
  total = 0
  for name, (ours, theirs) in zip(names, chosen, strict=True):
    if ours.shape != theirs.shape:
      ours = shapes.regressor(ours, variables["params"][name], theirs.shape[2:], relu=False)
    squares = torch.zeros_like(ours)
    low, high = (theirs > 0) & (ours <= margin), (theirs <= 0) & (ours > -margin)
    squares[low] = (ours[low] - margin) ** 2
    squares[high] = (ours[high] + margin) ** 2
    total = total + squares.flatten(1).sum(1) / 2 ** (len(names) - 1 - names.index(name))
  return total / 1000 * 3
