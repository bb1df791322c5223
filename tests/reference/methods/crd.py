"""Contrast with a memory (Tian et al. 2020, arXiv:1910.10699, equation 17), as its authors have it:
probabilities divided by n times the mean of the first batch, against K others in n. Which images
are drawn is the method's own affair; see `tests/methods/crd_test.py`."""

import numpy as np
import torch

from edjax.methods.crd import draw
from tests.reference.methods import shapes

OPTIONS = (
  {"negatives": 30, "width": 16},
  {"negatives": 3, "width": 5, "temperature": 0.5, "momentum": 0.2},
  {},
)


def loss(student, teacher, batch, variables, negatives=16384, temperature=0.07, width=128, **_):
  params, memory = variables["params"], variables["memory"]
  ours = shapes.dense(student.embedding, params["student"]["dense"])
  theirs = shapes.dense(teacher.embedding.detach(), params["teacher"]["dense"])
  labels = np.asarray(batch.labels, np.int32)
  others, _ = draw(batch.key, batch.index, labels, batch.everyone, negatives)
  rows = torch.tensor(np.concatenate([np.asarray(batch.index)[:, None], others], 1)).long()
  return one_way(ours, memory["teacher"], rows, temperature, width) + one_way(
    theirs, memory["student"], rows, temperature, width
  )


def one_way(vectors, memory, rows, temperature, width):
  bank, count = memory["bank"].detach(), rows.shape[1] - 1
  assert vectors.shape[1] == bank.shape[1] == width
  scores = torch.stack(
    [bank[chosen] @ (v / v.norm()) for v, chosen in zip(vectors, rows, strict=True)]
  )
  likely = (scores / temperature).exp()
  known = memory["average"].item() * np.exp(1 / temperature)
  likely = likely / (len(bank) * (known or likely.mean().detach()))
  noise = count / len(bank)
  own, other = likely[:, 0], likely[:, 1:]
  return -(own / (own + noise)).log() - (noise / (other + noise)).log().sum(1)
