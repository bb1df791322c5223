"""Similarity-preserving distillation (Tung and Mori 2019, arXiv:1907.09682)."""

from tests.reference.methods import shapes

OPTIONS = ({}, {"pairs": "1:2,2:1"}, {"gather": False})


def loss(student, teacher, batch, variables, pairs="", gather=True):
  ours, theirs = shapes.paired(student.features, teacher.features, pairs)[-1]
  difference = similarities(theirs.detach()) - similarities(ours)
  return difference.square().sum() / len(ours) ** 2


def similarities(maps):
  """[batch, batch] products, every row divided by its length."""
  rows = maps.flatten(1)
  return shapes.normalised(rows @ rows.T)
