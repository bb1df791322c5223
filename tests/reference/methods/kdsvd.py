"""Distillation of singular vectors (Lee et al. 2018, arXiv:1807.06819), image by image.

The vectors are those of torch.linalg.svd; how they change is the perturbation theory of symmetric
matrices, dv = (λI − A)⁺ dA v, with a pseudo-inverse that leaves out what is degenerate.
"""

import torch

from tests.reference.methods import shapes

OPTIONS = (
  {},
  {"vectors": "columns"},
  {"k": 2},
  {"k": 2, "vectors": "columns", "spare": 0, "pairs": "2:1,3:3"},
)
USUAL = "alike"
UNEQUAL = dict.fromkeys(
  (
    "random",
    "huge logits",
    "constant maps",
    "batch of two",
    "larger student",
    "larger teacher",
    "odd sizes",
  ),
  "has 4 channels and the teacher's 5.*vectors to 'columns'",
)
# Two of the second vectors have squares near each other, and rounding, another one on every kind of
# processor, turns them by that much more.
TOLERANCE = {"alike": 1e-4}
LEFT_OUT = (UNEQUAL, {}, UNEQUAL, {})


def loss(student, teacher, batch, variables, k=1, spare=3, vectors="channels", pairs=""):
  maps = [
    shapes.same_size(*pair) for pair in shapes.paired(student.features, teacher.features, pairs)
  ]
  losses = []
  for image in range(len(batch.labels)):
    own = [[matrix(x[image], vectors) for x in pair] for pair in maps]
    aligned = [align(*pair, k, spare) for pair in own]
    total = 0
    for (below, their_below), (ours, theirs) in zip(aligned[:-1], aligned[1:], strict=True):
      for i in range(k):
        difference = related(ours[i], below[i]) - related(theirs[i], their_below[i])
        total = total + difference.square().sum()
    losses.append(total)
  return torch.stack(losses)


def matrix(maps, vectors):
  """Of [channels, height, width]."""
  if vectors == "channels":
    return maps.flatten(1).T
  return maps.flatten(0, 1)


def related(ours, below):
  return torch.exp(-(ours.unsqueeze(1) - below.unsqueeze(0)).square() / 8)


def align(ours, theirs, k, spare):
  """Two lists of k vectors."""
  targets, values = singular(theirs, k)
  candidates, _ = singular(ours, k + spare)
  values = values[:k] / values[:k].norm()
  pairs = []
  for target, value in zip(targets, values, strict=True):
    target = target * torch.sign(target[target.abs().argmax()])
    best = max(candidates, key=lambda v, to=target: float((v @ to).detach().abs()))
    pairs.append((best * torch.sign((best @ target).detach()) * value, target * value))
  return list(zip(*pairs, strict=True))


def singular(m, count):
  """The first right vectors, zero where the map has no such dimension, and the values."""
  known = m.detach()
  _, values, rows = torch.linalg.svd(known, full_matrices=False)
  values = torch.where(values > 1e-3 * values[0], values, 0)
  a, a_known = m.T @ m, known.T @ known
  vectors = []
  for value, v in list(zip(values, rows, strict=True))[:count]:
    gaps = value**2 * torch.eye(len(v)) - a_known
    inverse = torch.linalg.pinv(gaps, atol=1e-4 * float(values[0] ** 2), rtol=0, hermitian=True)
    vectors.append((v + inverse @ (a - a_known) @ v) * (value > 0))
  return vectors, values
