"""Standardised logits against PyTorch, for every method that may have them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from edjax import methods
from edjax.errors import UserError
from edjax.methods.kd import KD
from edjax.methods.standardise import _UNKNOWN
from edjax.training import alignment
from tests import outputs
from tests.methods.methods_test import CASES, batch, close, oracle

ABLE = [name for name, method in methods.METHODS.items() if getattr(method, "on_logits", False)]


def standardised(name):
  ((_, _, method),) = methods.build({name: {"standardise": True}})
  return method


def ours(method, variables, student, teacher, weights):
  def total(logits):
    said = student.replace(logits=logits), teacher
    losses, _ = method.loss(variables, *said, batch(len(logits)))
    return jnp.sum(weights * losses), losses

  return jax.jit(jax.grad(total, has_aux=True))(student.logits)


def theirs(name, variables, student, teacher, weights, known=None):
  ours, theirs = (torch.tensor(x.logits).double() for x in (student, teacher))
  known = torch.ones(ours.shape[1], dtype=torch.bool) if known is None else torch.tensor(known)
  z = ours.clone().requires_grad_()

  def normal(x):
    return (x - x[:, known].mean(1, keepdim=True)) / (1e-7 + x[:, known].std(1, keepdim=True))

  target = torch.where(known, normal(theirs), torch.full_like(theirs, alignment._NEVER))
  told = outputs.in_torch(student)._replace(logits=normal(z))
  taught = outputs.in_torch(teacher)._replace(logits=target)
  asked = batch(len(z)).replace(labels=torch.arange(len(z)) % outputs.CLASSES)
  numbers = jax.tree.map(lambda x: torch.tensor(float(x)).double().requires_grad_(), variables)
  losses = oracle(name).loss(told, taught, asked, numbers)
  (losses * torch.tensor(weights)).sum().backward()
  return z.grad.numpy(), losses.detach().numpy()


@pytest.mark.parametrize("case", ["random", "alike", "batch of two"])
@pytest.mark.parametrize("name", ["kd", "dkd", "ctkd"])
def test_equals_pytorch(name, case):
  student, teacher = CASES[case]
  method, weights = standardised(name), np.linspace(0.5, 2, len(student.logits), dtype=np.float32)
  variables = method.init(jax.random.key(0), student, teacher)
  got = ours(method, variables, student, teacher, weights)
  expected = theirs(name, variables, student, teacher, weights)
  close(got, expected, 2e-5)


@pytest.mark.parametrize("name", ["kd", "dkd"])
def test_classes_unknown_to_the_teacher_stay_out(name):
  assert alignment._NEVER < _UNKNOWN
  student, teacher = CASES["random"]
  known = np.array([True, True, False, True, False])
  teacher = teacher.replace(logits=np.where(known, teacher.logits, np.float32(alignment._NEVER)))
  method, weights = standardised(name), np.linspace(0.5, 2, 8, dtype=np.float32)
  got = ours(method, {}, student, teacher, weights)
  close(got, theirs(name, {}, student, teacher, weights, known), 2e-5)


@pytest.mark.parametrize("name", ABLE)
def test_logits_that_are_all_alike_are_finite(name):
  student, teacher = CASES["random"]
  student = student.replace(logits=np.full_like(student.logits, 0.3))
  method = standardised(name)
  gradient, losses = ours(
    method, method.init(jax.random.key(0), student, teacher), student, teacher, np.ones(8)
  )
  assert np.isfinite(losses).all() and not np.asarray(gradient).any()
  one = jax.tree.map(lambda x: x, (student.replace(logits=student.logits[:, :1]),) * 2)
  asked = batch(8).replace(labels=jnp.zeros(8, int))
  assert np.isfinite(method.loss(method.init(None, *one), *one, asked)[0]).all()


def test_only_methods_on_logits_have_it():
  assert {"kd", "dkd"} <= set(ABLE)
  with pytest.raises(UserError, match="methods.rkd.standardise is for .* logits, .* kd, .*dkd"):
    methods.build({"rkd": {"standardise": True}})
  with pytest.raises(UserError, match="it has weight, temperature, standardise$"):
    methods.build({"kd": {"standardize": True}})
  assert methods.build({"kd": {"standardise": False}}) == (("kd", 1.0, KD()),)
  made = standardised("kd")
  assert hash(made) == hash(standardised("kd")) and made.needs_teacher
