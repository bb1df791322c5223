"""Semantic calibration (Chen et al. 2021, arXiv:2012.03236)."""

import torch
import torch.nn.functional as F

from tests.reference.methods import shapes

OPTIONS = ({}, {"width": 8, "gather": False})
# Two normalisations, each of which divides a channel that is constant by √1e-5, multiply rounding.
# Among similarities of a thousand a bias has next to no gradient, and that is a difference.
TOLERANCE = {"constant maps": 1e-3, "larger student": 5e-3}


def loss(student, teacher, batch, variables, width=64, gather=True):
  params, stages = variables["params"], (1, 2, 3)
  ours = {stage: student.features[stage] for stage in stages}
  theirs = {stage: teacher.features[stage].detach() for stage in stages}
  queries = {s: perceptron(alike(x, width), params[f"query_{s}"]) for s, x in ours.items()}
  keys = {t: perceptron(alike(x, width), params[f"key_{t}"]) for t, x in theirs.items()}
  total = 0
  for s in stages:
    scores = torch.stack([(queries[s] * keys[t]).sum(1) for t in stages], 1)
    attention = torch.softmax(scores, 1)
    for column, t in enumerate(stages):
      source, target = shapes.same_size(ours[s], theirs[t])
      difference = project(source, params[f"project_{s}_{t}"]) - target
      total = total + attention[:, column] * difference.square().flatten(1).mean(1)
  return total / len(stages)


def alike(maps, width):
  rows = maps.flatten(1)
  return torch.stack(
    [
      torch.stack([row @ other for other in rows] + [row.new_zeros(())] * (width - len(rows)))
      for row in rows
    ]
  )


def perceptron(x, params):
  hidden = F.relu(shapes.dense(x, params["layers_0"]))
  return shapes.normalised(shapes.dense(hidden, params["layers_2"]))


def project(x, params):
  x = F.relu(shapes.batch_norm(shapes.conv(x, params["conv_0"]), params["norm_0"]))
  x = F.relu(shapes.batch_norm(shapes.conv(x, params["conv_1"], padding=1), params["norm_1"]))
  return shapes.conv(x, params["conv_2"])
