"""Decoupled knowledge distillation (Zhao et al. 2022, arXiv:2203.08679, section 3)."""

import math

import torch

OPTIONS = (
  {},
  {"alpha": 0.3, "beta": 2.0, "temperature": 1.5, "warm_up": 0.0},
  {"alpha": 2.0, "beta": 0.5, "warm_up": 5.0},
)


def loss(student, teacher, batch, variables, alpha=1.0, beta=8.0, temperature=4.0, warm_up=20.0):
  losses = []
  for ours, theirs, label in zip(
    student.logits / temperature, teacher.logits.detach() / temperature, batch.labels, strict=True
  ):
    others = torch.arange(len(ours)) != label
    target = divergence(_coin(ours, label, others), _coin(theirs, label, others))
    rest = divergence(ours[others].log_softmax(0), theirs[others].log_softmax(0))
    losses.append(temperature**2 * (alpha * target + beta * rest))
  epoch = math.floor(batch.epoch) + 1
  return torch.stack(losses) * (min(1.0, epoch / warm_up) if warm_up else 1.0)


def _coin(logits, label, others):
  """log p_y and log (1 − p_y), the latter summed from the others: 1 − p_y itself may round to 0."""
  total = logits.logsumexp(0)
  return torch.stack([logits[label] - total, logits[others].logsumexp(0) - total])


def divergence(ours, theirs):
  return sum(t.exp() * (t - s) for s, t in zip(ours, theirs, strict=True))
