"""Decoupled distillation: what the decoupling means, and few classes."""

import jax
import numpy as np
import pytest

from edjax import methods
from edjax.errors import UserError
from edjax.methods.dkd import DKD
from edjax.methods.kd import KD
from tests.methods.kd_test import logits, loss


def test_kd_is_the_target_and_what_the_teacher_leaves_to_the_others():
  # Equation 5: KD = TCKD + (1 − p_y) NCKD.
  student, teacher = logits()
  labels = np.arange(8) % 5
  parts = [loss(DKD(alpha, 1 - alpha, warm_up=0), student, teacher, labels) for alpha in (1.0, 0.0)]
  doubt = 1 - jax.nn.softmax(teacher / 4)[np.arange(8), labels]
  np.testing.assert_allclose(
    parts[0] + doubt * parts[1], loss(KD(), student, teacher, labels), rtol=1e-5
  )


@pytest.mark.parametrize("classes", [1, 2])
def test_few_classes_are_finite(classes):
  student, teacher = (x[:, :classes] for x in logits())
  labels = np.arange(8) % classes

  def total(student):
    return loss(DKD(), student, teacher, labels).sum()

  value, gradient = jax.value_and_grad(total)(student)
  assert np.isfinite(value) and np.isfinite(gradient).all()
  assert (value > 0) == (classes > 1)
  nobody_else = loss(DKD(0.0, 1.0), student, teacher, labels)
  np.testing.assert_array_equal(nobody_else, 0)


def test_a_teacher_that_is_sure_teaches_the_others_all_the_same():
  """Where the label leads by 3000 its mask of −1000 would not have left it out."""
  student, teacher = logits()
  labels = np.arange(8) % 5
  sure = teacher + 3000 * 4 * np.eye(5, dtype=np.float32)[labels]
  expected = loss(DKD(0.0, 1.0), student, teacher, labels)
  np.testing.assert_allclose(loss(DKD(0.0, 1.0), student, sure, labels), expected, rtol=1e-5)


@pytest.mark.parametrize(
  "options", [{"temperature": 0.0}, {"alpha": -1.0}, {"beta": float("nan")}, {"warm_up": -1.0}]
)
def test_options(options):
  with pytest.raises(UserError, match=f"methods.dkd.{next(iter(options))}"):
    methods.build({"dkd": options})
