"""How several teachers share an image, restated from the papers (and SciPy-free, by search)."""

import itertools

import numpy as np


def softmax(z):
  e = np.exp(z - z.max(-1, keepdims=True))
  return e / e.sum(-1, keepdims=True)


def entropy_shares(logits):
  """EBKD over logits [teachers, batch, classes]: w_m = (1 − H_m/Σ H)/(M − 1), which sum to 1."""
  p = softmax(np.asarray(logits, float))
  entropies = -(p * np.log(p)).sum(-1)
  return (1 - entropies / entropies.sum(0)) / (len(logits) - 1)


def confidence_shares(logits, labels):
  """CA-MKD: w_m = (1 − exp(CE_m)/Σ exp(CE))/(M − 1)."""
  p = softmax(np.asarray(logits, float))
  errors = -np.log(p[:, np.arange(len(labels)), labels])
  return (1 - np.exp(errors) / np.exp(errors).sum(0)) / (len(logits) - 1)


def smallest_mean(gradients, cap, steps=60):
  """AEKD by brute force: the weights on a fine grid whose mean gradient is shortest."""
  grid = np.arange(steps + 1) / steps
  best, least = None, np.inf
  for part in itertools.product(grid, repeat=len(gradients) - 1):
    weights = np.array([*part, 1 - sum(part)])
    if weights.min() < -1e-9 or weights.max() > cap + 1e-9:
      continue
    length = np.linalg.norm(weights @ gradients)
    if length < least:
      best, least = weights, length
  return best, least
