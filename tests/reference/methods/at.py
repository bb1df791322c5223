"""Attention transfer (Zagoruyko and Komodakis 2017, arXiv:1612.03928)."""

from tests.reference.methods import shapes

OPTIONS = ({}, {"form": "norm"}, {"power": 3}, {"power": 1}, {"pairs": "2:1,3:3"})


def loss(student, teacher, batch, variables, power=2, form="mean", pairs=""):
  total = 0
  for ours, theirs in shapes.paired(student.features, teacher.features, pairs):
    ours, theirs = (attention(x, power) for x in shapes.same_size(ours, theirs))
    if form == "mean":
      total = total + (ours - theirs).square().mean(1)
    else:
      total = total + shapes.length(ours - theirs)
  return total


def attention(x, power):
  """[batch, places]: the sum over channels, divided by its length."""
  return shapes.normalised(x.abs().pow(power).sum(1).flatten(1))
