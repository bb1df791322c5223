"""Hard labels, smoothed and of mixed images, against PyTorch."""

import jax
import numpy as np
import pytest
import torch

from edjax import models
from edjax.errors import UserError
from edjax.methods.cross_entropy import CrossEntropy
from tests.methods.methods_test import batch

LOGITS = np.random.default_rng(0).normal(size=(8, 5)).astype(np.float32) * 3
LABELS = np.arange(8) % 5


def loss(logits, smoothing, **mixed):
  asked = batch(8).replace(labels=LABELS, **mixed)
  return CrossEntropy(smoothing).loss({}, models.Output(logits, (), (), logits), None, asked)[0]


def torchs(logits, labels, smoothing):
  labels = torch.from_numpy(labels)
  return torch.nn.functional.cross_entropy(
    logits, labels, label_smoothing=smoothing, reduction="none"
  )


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_value_and_gradient(smoothing):
  ours, gradient = jax.value_and_grad(lambda logits: loss(logits, smoothing).sum())(LOGITS)
  logits = torch.tensor(LOGITS, requires_grad=True)
  theirs = torchs(logits, LABELS, smoothing)
  theirs.sum().backward()
  np.testing.assert_allclose(loss(LOGITS, smoothing), theirs.detach(), rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(ours, theirs.sum().item(), rtol=1e-5)
  np.testing.assert_allclose(gradient, logits.grad, rtol=1e-4, atol=1e-6)


def test_mixed_images_have_both_labels_smoothed():
  others, share = LABELS[::-1].copy(), np.linspace(0, 1, 8, dtype=np.float32)
  logits = torch.from_numpy(LOGITS)
  first, second = (torchs(logits, labels, 0.2).numpy() for labels in (LABELS, others))
  got = loss(LOGITS, 0.2, others=others, share=share)
  np.testing.assert_allclose(got, share * first + (1 - share) * second, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, float("nan")])
def test_it_is_a_share(smoothing):
  with pytest.raises(UserError, match="methods.ce.smoothing"):
    CrossEntropy(smoothing)
