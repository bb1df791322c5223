"""Neuron selectivity transfer (Huang and Wang 2017, arXiv:1707.01219), every pair written out."""

import torch

from tests.reference.methods import shapes

OPTIONS = ({}, {"kernel": "linear"}, {"kernel": "gaussian"}, {"pairs": "1:2"})


def loss(student, teacher, batch, variables, kernel="polynomial", pairs=""):
  total = 0
  for maps in shapes.paired(student.features, teacher.features, pairs):
    ours, theirs = (shapes.normalised(x.flatten(2)) for x in shapes.same_size(*maps))
    variance = squares(ours, theirs).mean((1, 2), keepdim=True).detach()
    total = total + mean(kernel, theirs, theirs, variance) + mean(kernel, ours, ours, variance)
    total = total - 2 * mean(kernel, ours, theirs, variance)
  return total


def squares(xs, ys):
  """[batch, len(xs), len(ys)] squared distances of channels [batch, number, places]."""
  return (xs[:, :, None] - ys[:, None]).square().sum(3)


def mean(kernel, xs, ys, variance):
  """The mean of k over all pairs, [batch]."""
  products = (xs[:, :, None] * ys[:, None]).sum(3)
  values = {
    "polynomial": products**2,
    "linear": products,
    "gaussian": torch.exp(-squares(xs, ys) / (2 * torch.where(variance > 0, variance, 1))),
  }
  return values[kernel].mean((1, 2))
