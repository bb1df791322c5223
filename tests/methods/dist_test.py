"""Relations between and within classes, by NumPy's own correlations."""

import jax
import numpy as np
import pytest

from edjax import methods
from edjax.errors import UserError
from edjax.methods.dist import DIST
from tests.methods.kd_test import logits, loss


def test_correlations_are_pearsons():
  student, teacher = logits()
  ours, theirs = (np.asarray(jax.nn.softmax(x / 4), np.float64) for x in (student, teacher))
  images = [np.corrcoef(s, t)[0, 1] for s, t in zip(ours, theirs, strict=True)]
  classes = [np.corrcoef(s, t)[0, 1] for s, t in zip(ours.T, theirs.T, strict=True)]
  labels = np.zeros(8, int)
  got = loss(DIST(gamma=0.0), student, teacher, labels)
  np.testing.assert_allclose(got, 16 * (1 - np.array(images)), rtol=1e-5)
  got = loss(DIST(beta=0.0), student, teacher, labels)
  np.testing.assert_allclose(got, np.full(8, 16 * (1 - np.mean(classes))), rtol=1e-5)


@pytest.mark.parametrize("count, classes", [(1, 5), (8, 1), (8, 100)])
def test_a_student_without_preferences_gets_no_gradient(count, classes):
  """Its answers are as good as constant; dividing by what rounding leaves would blow them up."""
  draw = np.random.default_rng(0)
  teacher = draw.normal(size=(count, classes)).astype(np.float32)
  student = np.repeat(draw.normal(size=(count, 1)).astype(np.float32), classes, 1)

  def total(student):
    return loss(DIST(temperature=1.0), student, teacher, np.zeros(count, int)).sum()

  value, gradient = jax.value_and_grad(total)(student)
  np.testing.assert_allclose(value, 2 * count)
  np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("options", [{"temperature": 0.0}, {"beta": -1.0}, {"gamma": -1.0}])
def test_options(options):
  with pytest.raises(UserError, match=f"methods.dist.{next(iter(options))}"):
    methods.build({"dist": options})
