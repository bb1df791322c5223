"""Relations between and within classes (Huang et al. 2022, arXiv:2205.10536, section 3)."""

import torch

OPTIONS = (
  {},
  {"beta": 2.0, "gamma": 0.5, "temperature": 1.5},
)


def loss(student, teacher, batch, variables, beta=1.0, gamma=1.0, temperature=4.0):
  ours = (student.logits / temperature).softmax(1)
  theirs = (teacher.logits.detach() / temperature).softmax(1)
  images = torch.stack([correlation(s, t) for s, t in zip(ours, theirs, strict=True)])
  classes = [correlation(s, t) for s, t in zip(ours.T, theirs.T, strict=True)]
  return temperature**2 * (beta * (1 - images) + gamma * (1 - sum(classes) / len(classes)))


def correlation(x, y):
  """Pearson's, with 1e-8 beside the product of the lengths; 0 where either does not vary."""
  a, b = x - x.mean(), y - y.mean()
  if a.norm() <= 1e-6 * x.norm() or b.norm() <= 1e-6 * y.norm():
    return 0 * x.sum()
  return (a * b).sum() / (a.norm() * b.norm() + 1e-8)
