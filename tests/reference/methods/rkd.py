"""Relations of pairs and triplets (Park et al. 2019, arXiv:1904.05068, equations 4 to 8)."""

import torch

OPTIONS = (
  {},
  {"distance": 1.0, "angle": 0.0},
  {"distance": 0.0, "angle": 2.0},
)


def loss(student, teacher, batch, variables, distance=25.0, angle=50.0):
  ours, theirs = student.embedding, teacher.embedding.detach()
  count = len(ours)
  pairs = huber(distances(ours) - distances(theirs)).sum()
  triplets = sum(
    huber(cosines(ours, corner) - cosines(theirs, corner)).sum() for corner in range(count)
  )
  return distance * pairs / count**2 + angle * triplets / count**3


def huber(x):
  return torch.where(x.abs() < 1, x**2 / 2, x.abs() - 0.5)


def distances(x):
  """Divided by their mean over different images; those of squares below 1e-12 count as 1e-6."""
  count, zero = len(x), torch.zeros((), dtype=torch.float64)
  table = [
    (x[i] - x[j]).square().sum().clamp_min(1e-12).sqrt() if i != j else zero
    for i in range(count)
    for j in range(count)
  ]
  return torch.stack(table) * count * (count - 1) / sum(table)


def cosines(x, corner):
  """Of the angles there between any two other images; 0 where a side has no length."""
  sides = [side / side.norm() if side.any() else 0 * side for side in x - x[corner]]
  return torch.stack([a @ b for a in sides for b in sides])
