"""A temperature that learns against the student."""

import jax
import numpy as np
import pytest
import torch

from edjax import methods, models
from edjax.errors import UserError
from edjax.methods.ctkd import CTKD
from edjax.methods.kd import KD
from tests.methods.kd_test import logits, loss
from tests.methods.methods_test import batch
from tests.reference import distillation


def of_theta(theta, epoch, **options):
  said = (models.Output(x, (), (), x) for x in logits())
  asked = batch(8).replace(epoch=epoch)
  return CTKD(**options).loss({"params": {"theta": theta}}, *said, asked)[0].mean()


def test_begins_as_distillation_at_its_first_temperature():
  student, teacher = logits()
  theta = CTKD().init(None, None, None)["params"]["theta"]
  expected = loss(KD(1 + 20 / (1 + np.exp(-1))), student, teacher, np.zeros(8, int)).mean()
  np.testing.assert_allclose(of_theta(theta, 0.0), expected, rtol=1e-5)


def test_the_reversal_grows_by_whole_epochs():
  def exactly(theta):
    student, teacher = (torch.tensor(x).double() for x in logits())
    return float(distillation.kd(student, teacher, 1 + 20 / (1 + np.exp(-theta))).mean())

  slope = (exactly(1 + 1e-4) - exactly(1 - 1e-4)) / 2e-4
  for epoch, factor in ((0.0, (np.cos(np.pi / 10) - 1) / 2), (4.9, -0.5), (9.0, -1), (90.5, -1)):
    gradient = jax.grad(of_theta)(1.0, epoch)
    np.testing.assert_allclose(gradient, factor * slope, rtol=1e-4)
  np.testing.assert_allclose(jax.grad(of_theta)(1.0, 0.0, warm_up=0.0), -slope, rtol=1e-4)


@pytest.mark.parametrize("options", [{"lowest": -1.0}, {"span": 0.0}, {"warm_up": -1.0}])
def test_options(options):
  with pytest.raises(UserError, match=f"methods.ctkd.{next(iter(options))}"):
    methods.build({"ctkd": options})
