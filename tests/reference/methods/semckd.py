"""Semantic calibration (Chen et al. 2021, arXiv:2012.03236)."""

import torch

from tests.reference.methods import shapes

OPTIONS = ({},)
# Two normalisations, each of which may multiply the rounding of a constant map by 1/√1e-5: what
# is left is that all is finite and of the right size.
TOLERANCE = {"constant maps": 1e-2}


def loss(student, teacher, batch, variables):
  params = variables["params"]
  keys = [embedding(x.detach(), params[f"key_{t + 1}"]) for t, x in enumerate(teacher.features[1:])]
  total = 0
  for s, ours in enumerate(student.features[1:]):
    query = embedding(ours, params[f"query_{s + 1}"])
    energy = torch.stack([(query * key).sum(1) for key in keys]).exp()
    for t, theirs in enumerate(teacher.features[1:]):
      x, target = shapes.same_size(ours, theirs)
      guess = projection(x, params[f"projection_{s + 1}_{t + 1}"])
      error = (guess - target).square().flatten(1).mean(1)
      total = total + energy[t] / energy.sum(0) * error
  return total / len(student.features[1:])


def embedding(maps, params):
  """Only the first inputs are used: as many as there are images."""
  flat = maps.flatten(1)
  first = {"kernel": params["dense_0"]["kernel"][: len(flat)], "bias": params["dense_0"]["bias"]}
  hidden = shapes.dense(flat @ flat.T, first).relu()
  return shapes.normalised(shapes.dense(hidden, params["dense_1"]))


def projection(x, params):
  x = shapes.batch_norm(shapes.conv(x, params["conv_0"]), params["norm_0"]).relu()
  x = shapes.batch_norm(shapes.conv(x, params["conv_1"], padding=1), params["norm_1"]).relu()
  return shapes.conv(x, params["conv_2"])
