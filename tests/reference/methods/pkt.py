"""Probabilities of neighbours (Passalis and Tefas 2018, arXiv:1803.10837, equations 4 to 7)."""

import torch

OPTIONS = ({},)


def loss(student, teacher, batch, variables):
  ours, theirs = neighbours(student.embedding), neighbours(teacher.embedding.detach())
  return (theirs * ((theirs + 1e-7).log() - (ours + 1e-7).log())).mean(1)


def neighbours(x):
  units = torch.stack([row / (row.norm() + 1e-7) for row in x])
  kernel = torch.stack([torch.stack([(a @ b + 1) / 2 for b in units]) for a in units])
  return torch.stack([row / row.sum() for row in kernel])
