"""Knowledge review (Chen et al. 2021, arXiv:2104.09044)."""

import torch
import torch.nn.functional as F

from tests.reference.methods import shapes

OPTIONS = ({}, {"warmup": 0.0, "pairs": "1:2,2:3"})
# Two numbers normalised are 1 and −1 whatever they were, but for an epsilon: gradients are tiny.
TOLERANCE = {"batch of two": 1e-3}


def loss(student, teacher, batch, variables, warmup=20.0, pairs=""):
  params = variables["params"]
  levels = [("embedding", student.embedding[:, :, None, None], teacher.embedding[:, :, None, None])]
  for ours, theirs in [(1, 2), (2, 3)] if pairs else [(1, 1), (2, 2), (3, 3)]:
    levels.insert(1, (f"map_{ours}", student.features[ours], teacher.preactivations[theirs]))
  above, total = None, 0
  for name, ours, theirs in levels:
    x = shapes.batch_norm(shapes.conv(ours, params[f"{name}_in"]), params[f"{name}_in_norm"])
    if above is not None:
      above = F.interpolate(above, x.shape[2:], mode="nearest")
      gates = torch.sigmoid(shapes.conv(torch.cat([x, above], 1), params[f"{name}_gates"]))
      x = x * gates[:, 0].unsqueeze(1) + above * gates[:, 1].unsqueeze(1)
    above = F.interpolate(x, theirs.shape[2:], mode="nearest")
    out = shapes.conv(above, params[f"{name}_out"], padding=1)
    total = total + context(shapes.batch_norm(out, params[f"{name}_out_norm"]), theirs.detach())
  return total * (min(float(batch.epoch) / warmup, 1) if warmup else 1)


def context(ours, theirs):
  grids = [grid for grid in (4, 2, 1) if grid < ours.shape[2] and grid < ours.shape[3]]
  terms = [(1, (ours - theirs).square().flatten(1).mean(1))]
  for halvings, grid in enumerate(grids, start=1):
    difference = shapes.pooled(ours, (grid, grid)) - shapes.pooled(theirs, (grid, grid))
    terms.append((0.5**halvings, difference.square().flatten(1).mean(1)))
  return sum(weight * term for weight, term in terms) / sum(weight for weight, _ in terms)
