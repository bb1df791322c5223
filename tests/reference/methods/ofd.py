"""Overhaul of feature distillation (Heo et al. 2019, arXiv:1904.01866)."""

import torch

from tests.reference.methods import shapes

OPTIONS = ({}, {"pairs": "1:2,3:3"})
# The normalisation divides a channel that is constant by √1e-5, and so multiplies its rounding; its
# gradients to a kernel are sums of hundreds of numbers that nearly cancel.
TOLERANCE = {"constant maps": 1e-4, "odd sizes": 3e-5}


def loss(student, teacher, batch, variables, pairs=""):
  names, total = ["map_1", "map_3"] if pairs else ["map_1", "map_2", "map_3"], 0
  chosen = shapes.paired(student.preactivations, teacher.preactivations, pairs)
  for place, (name, (s, t)) in enumerate(zip(names, chosen, strict=True)):
    params, t = variables["params"][name], t.detach()
    margin = torch.stack([channel[channel < 0].mean() for channel in t.unbind(1)]).nan_to_num()
    s, t = shapes.same_size(s, t)
    s = shapes.batch_norm(shapes.conv(s, params["conv"]), params["norm"])
    margin = margin[:, None, None].expand_as(t)
    squares = torch.zeros_like(t)
    squares[t > 0] = (s - t)[t > 0] ** 2
    between = (t <= 0) & (t > margin) & (s > t)
    squares[between] = (s - t)[between] ** 2
    below = (t <= 0) & (t <= margin) & (s > margin)
    squares[below] = (s - margin)[below] ** 2
    total = total + squares.flatten(1).sum(1) / 2 ** (len(names) - 1 - place)
  return total
