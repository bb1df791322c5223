"""Correlation congruence: what its kernel develops, its order, and few or dead images."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from edjax import methods, models
from edjax.errors import UserError
from edjax.methods.cc import CC
from tests.methods.methods_test import batch


def said(count, seed=0):
  draw = np.random.default_rng(seed)
  return [models.Output(x, (), (), x) for x in draw.normal(size=(2, count, 4)).astype("f")]


def losses(method, variables, outputs):
  return method.loss(variables, *outputs, batch(len(outputs[0].embedding)))[0]


def test_the_series_ends_in_the_gaussian_kernel():
  method, outputs = CC(order=12), said(6)
  known = method.init(jax.random.key(0), *outputs)

  def gaussian(output, params):
    x = output.embedding @ params["dense"]["kernel"] + params["dense"]["bias"][None]
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return np.exp(-0.4 * np.square(x[:, None] - x[None]).sum(-1))

  ours, theirs = (
    gaussian(output, known["params"][name])
    for output, name in zip(outputs, ("student", "teacher"), strict=True)
  )
  expected = np.square(ours - theirs).mean(1)
  np.testing.assert_allclose(losses(method, known, outputs), expected, rtol=1e-4)


def test_only_neighbours_are_consecutive():
  outputs = said(5)
  swapped = jax.tree.map(lambda x: x[jnp.array([1, 0, 2, 3, 4])], outputs)
  for form, depends in (("kernel", False), ("consecutive", True)):
    method = CC(form)
    known = method.init(jax.random.key(0), *outputs)
    means = [losses(method, known, each).mean() for each in (outputs, swapped)]
    assert np.isclose(*means, rtol=1e-5) != depends


def test_neighbours_across_padding_and_devices():
  """Eight images on four devices, two of them padding: six in their order."""
  method, outputs = CC("consecutive"), said(8)
  known, mask = method.init(jax.random.key(0), *outputs), np.float32([1, 1, 0, 1, 1, 1, 1, 0])
  expected = losses(method, known, jax.tree.map(lambda x: x[mask > 0], outputs))[0]

  def device(outputs, mask):
    asked = batch(2, axis="devices").replace(mask=mask)
    return method.loss(known, *outputs, asked)[0]

  split = jax.tree.map(lambda x: x.reshape(4, 2, *x.shape[1:]), (outputs, mask))
  np.testing.assert_allclose(
    jax.pmap(device, "devices")(*split), np.full((4, 2), expected), rtol=1e-5
  )


@pytest.mark.parametrize("form", ["kernel", "consecutive"])
@pytest.mark.parametrize("count", [1, 2])
def test_dead_embeddings_are_finite(form, count):
  student, teacher = said(count)
  student = student.replace(embedding=0 * student.embedding)
  method = CC(form)
  known = jax.tree.map(jnp.zeros_like, method.init(jax.random.key(0), student, teacher))
  value, gradients = jax.value_and_grad(
    lambda known: losses(method, known, (student, teacher)).sum()
  )(known)
  assert np.isfinite(value) and all(np.isfinite(x).all() for x in jax.tree.leaves(gradients))


@pytest.mark.parametrize("options", [{"form": "rbf"}, {"gamma": 0.0}, {"width": 0}, {"order": 0}])
def test_options(options):
  with pytest.raises(UserError, match=f"methods.cc.{next(iter(options))}"):
    methods.build({"cc": options})
