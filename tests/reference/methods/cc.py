"""Correlation congruence (Peng et al. 2019, arXiv:1904.01802, equations 6 to 11)."""

import math

import torch

from tests.reference.methods import shapes

OPTIONS = (
  {},
  {"width": 6, "gamma": 1.5, "order": 3},
  {"form": "consecutive"},
)


def loss(student, teacher, batch, variables, form="kernel", width=128, gamma=0.4, order=2):
  params = variables["params"]
  ours = shapes.dense(student.embedding, params["student"]["dense"])
  theirs = shapes.dense(teacher.embedding.detach(), params["teacher"]["dense"])
  assert ours.shape == theirs.shape == (len(batch.labels), width)
  if form == "consecutive":
    apart = (ours - theirs).abs()
    neighbours = [(one * two).sum() for one, two in zip(apart[:-1], apart[1:], strict=True)]
    return sum(neighbours) / len(neighbours)
  tables = [kernel([row / row.norm() for row in x], gamma, order) for x in (ours, theirs)]
  return (tables[0] - tables[1]).square().mean(1)


def kernel(rows, gamma, order):
  def entry(x, y):
    powers = [(2 * gamma * (x @ y)) ** p / math.factorial(p) for p in range(order + 1)]
    return math.exp(-2 * gamma) * sum(powers)

  return torch.stack([torch.stack([entry(x, y) for y in rows]) for x in rows])
