"""Probabilities of neighbours by hand, and embeddings that are nothing."""

import jax
import numpy as np
import pytest

from edjax.methods.pkt import PKT
from tests.methods.rkd_test import losses


def test_two_images_by_hand():
  # Student: orthogonal, so each finds itself with 2/3; teacher: opposite, so each finds itself.
  student, teacher = np.float32([[2, 0], [0, 3]]), np.float32([[1], [-5]])
  np.testing.assert_allclose(losses(PKT(), student, teacher), np.log(1.5) / 2, rtol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_dead_embeddings_are_finite(count):
  draw = np.random.default_rng(0)
  student, teacher = draw.normal(size=(2, count, 4)).astype(np.float32)
  student[0] = 0
  value, gradient = jax.value_and_grad(lambda x: losses(PKT(), x, teacher).sum())(student)
  assert np.isfinite(value) and np.isfinite(gradient).all() and not np.asarray(gradient)[0].any()
