"""Variational information distillation (Ahn et al. 2019, arXiv:1904.05835)."""

import torch

from tests.reference.methods import shapes

OPTIONS = ({}, {"variance": 0.5, "pairs": "3:3,1:2"})


def loss(student, teacher, batch, variables, variance=5.0, pairs=""):
  del variance  # it is where the parameters begin
  stages = [pair[0] for pair in pairs.split(",")] if pairs else "123"
  total = 0
  for stage, maps in zip(
    stages, shapes.paired(student.features, teacher.features, pairs), strict=True
  ):
    ours, theirs = (x.permute(0, 2, 3, 1) for x in shapes.same_size(*maps))
    params = variables["params"][f"map_{stage}"]
    hidden = shapes.dense(ours, params["conv_0"]).relu()
    hidden = shapes.dense(hidden, params["conv_1"]).relu()
    mean = shapes.dense(hidden, params["conv_2"])
    deviation = (torch.log(1 + torch.exp(params["spread"])) + 1e-5).sqrt()
    # The normal density itself, but for its constant.
    density = torch.exp(-0.5 * ((theirs - mean) / deviation) ** 2) / deviation
    total = total - torch.log(density).mean((1, 2, 3))
  return total
