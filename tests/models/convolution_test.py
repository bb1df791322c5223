"""The convolution with its own gradient rule: JAX's plain one's numbers, and PyTorch's."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.testing import assert_allclose

from edjax.models.analysis.macs import count_macs
from edjax.models.cpu.convolution import convolve

_LAYOUT = ("NHWC", "HWIO", "NHWC")
# images, kernel, stride, groups
SHAPES = [
  ((1, 7, 5, 3), (3, 3, 3, 4), 1, 1),
  ((2, 9, 8, 4), (3, 3, 4, 6), 2, 1),
  ((3, 8, 7, 5), (1, 1, 5, 2), 2, 1),
  ((2, 6, 6, 4), (1, 1, 4, 4), 1, 1),
  ((2, 11, 9, 2), (5, 5, 2, 3), 2, 1),
  ((1, 5, 6, 2), (5, 5, 2, 3), 1, 1),
  ((2, 7, 5, 4), (3, 3, 1, 4), 1, 4),
  ((3, 9, 8, 6), (3, 3, 1, 6), 2, 6),
  ((2, 10, 7, 3), (5, 5, 1, 3), 2, 3),
  ((2, 5, 6, 3), (1, 1, 1, 3), 1, 3),
  ((2, 6, 4, 3), (3, 3, 1, 6), 1, 3),
  ((2, 6, 5, 6), (1, 1, 2, 9), 1, 3),
  ((2, 9, 7, 4), (3, 3, 2, 6), 2, 2),
]


def drawn(*shapes, seed=0):
  rng = np.random.default_rng(seed)
  return [rng.standard_normal(shape, dtype=np.float32) for shape in shapes]


def padded(kernel):
  return [((kernel.shape[0] - 1) // 2,) * 2] * 2


def ours(x, kernel, stride, groups=1, convolve=convolve, **more):
  return convolve(
    x,
    kernel,
    (stride, stride),
    padded(kernel),
    feature_group_count=groups,
    dimension_numbers=_LAYOUT,
    **more,
  )


plain = functools.partial(ours, convolve=jax.lax.conv_general_dilated)


def both_gradients(function, x, kernel, stride, groups, seen):
  return jax.jit(jax.grad(lambda *a: jnp.vdot(function(*a, stride, groups), seen), (0, 1)))(
    x, kernel
  )


@pytest.mark.parametrize(("images", "kernel", "stride", "groups"), SHAPES)
def test_value_and_gradients_are_those_of_pytorch(images, kernel, stride, groups):
  x, k = drawn(images, kernel)
  tensors = [torch.tensor(x).permute(0, 3, 1, 2), torch.tensor(k).permute(3, 2, 0, 1)]
  for tensor in tensors:
    tensor.requires_grad_(True)
  expected = F.conv2d(*tensors, stride=stride, padding=(kernel[0] - 1) // 2, groups=groups)
  actual = ours(x, k, stride, groups)
  assert_allclose(actual, expected.detach().permute(0, 2, 3, 1), rtol=1e-4, atol=1e-5)
  (seen,) = drawn(actual.shape, seed=1)
  expected.backward(torch.tensor(seen).permute(0, 3, 1, 2))
  to_x, to_kernel = both_gradients(ours, x, k, stride, groups, seen)
  assert_allclose(to_x, tensors[0].grad.permute(0, 2, 3, 1), rtol=1e-4, atol=1e-5)
  assert_allclose(to_kernel, tensors[1].grad.permute(2, 3, 1, 0), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("images", "kernel", "stride", "groups"), SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_gradients_are_those_of_the_plain_one(images, kernel, stride, groups, dtype):
  x, k = (jnp.asarray(array, dtype) for array in drawn(images, kernel))
  out = plain(x, k, stride, groups)
  seen = jnp.asarray(*drawn(out.shape, seed=1), dtype)
  actual, expected = (
    (f(x, k, stride, groups), *both_gradients(f, x, k, stride, groups, seen)) for f in (ours, plain)
  )
  assert groups > 1 or (actual[0] == out).all()
  near = 1e-2 if groups > 1 and dtype == "bfloat16" else 1e-5
  for one, other in zip(actual, expected, strict=True):
    assert one.dtype == other.dtype == dtype
    assert_allclose(*(np.asarray(a, np.float32) for a in (one, other)), rtol=near, atol=near)


def test_of_a_gradient_inside_a_loop():
  x, k = drawn((2, 6, 5, 3), (3, 3, 3, 3))

  def descend(function):
    def step(_, kernel):
      return kernel - 0.01 * jax.grad(lambda k: (function(x, k, 1) ** 2).mean())(kernel)

    return jax.jit(lambda count: jax.lax.fori_loop(0, count, step, k))(3)

  assert_allclose(descend(ours), descend(plain), rtol=1e-5, atol=1e-6)
  assert np.abs(descend(ours) - k).max() > 1e-3


@pytest.mark.parametrize(("kernel", "groups"), [((3, 3, 4, 4), 1), ((3, 3, 1, 4), 4)])
def test_a_gradient_of_a_gradient(kernel, groups):
  x, k = drawn((2, 6, 5, 4), kernel)

  def curved(function):
    def steepness(kernel):
      return (jax.grad(lambda x: (function(x, kernel, 2, groups) ** 3).sum())(x) ** 2).sum()

    return jax.jit(jax.grad(steepness))(k)

  assert_allclose(curved(ours), curved(plain), rtol=1e-4, atol=1e-2)


def test_of_dilated_groups():
  x, k = drawn((2, 9, 8, 4), (3, 3, 1, 4))
  actual, expected = (f(x, k, 1, 4, rhs_dilation=(2, 2)) for f in (ours, plain))
  assert actual.shape == (2, 7, 6, 4)
  assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("kernel", "groups"), [((3, 3, 1, 4), 4), ((3, 3, 2, 4), 2)])
def test_only_cpus_take_groups_apart(kernel, groups):
  x, k = drawn((2, 6, 5, 4), kernel)

  def convolutions(platform):
    text = jax.jit(ours, static_argnums=(2, 3)).trace(x, k, 1, groups)
    text = text.lower(lowering_platforms=(platform,)).as_text()
    return re.findall(r"feature_group_count = (\d+)", text)

  assert convolutions("cpu") == ([] if groups == 4 else ["1", "1"])
  assert convolutions("cuda") == convolutions("tpu") == [str(groups)]
  assert count_macs(lambda: ours(x, k, 1, groups)) == 2 * 6 * 5 * k.size


def test_only_cpus_get_the_product():
  def products(platform):
    x, k = drawn((2, 6, 5, 4), (3, 3, 4, 4))
    gradient = jax.jit(jax.grad(lambda x, k: ours(x, k, 1).sum(), 1))
    text = gradient.trace(x, k).lower(lowering_platforms=(platform,)).as_text()
    return text.count("dot_general")

  assert [products(platform) for platform in ("cpu", "cuda", "tpu")] == [1, 0, 0]
