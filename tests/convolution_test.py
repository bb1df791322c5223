"""The convolution with its own gradient rule: JAX's plain one's numbers, and PyTorch's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.testing import assert_allclose

from edjax.models.convolution import convolve

_LAYOUT = ("NHWC", "HWIO", "NHWC")
# images, kernel, stride
SHAPES = [
  ((1, 7, 5, 3), (3, 3, 3, 4), 1),
  ((2, 9, 8, 4), (3, 3, 4, 6), 2),
  ((3, 8, 7, 5), (1, 1, 5, 2), 2),
  ((2, 6, 6, 4), (1, 1, 4, 4), 1),
  ((2, 11, 9, 2), (5, 5, 2, 3), 2),
  ((1, 5, 6, 2), (5, 5, 2, 3), 1),
]


def drawn(*shapes, seed=0):
  rng = np.random.default_rng(seed)
  return [rng.standard_normal(shape, dtype=np.float32) for shape in shapes]


def padded(kernel):
  return [((kernel.shape[0] - 1) // 2,) * 2] * 2


def ours(x, kernel, stride, **more):
  return convolve(x, kernel, (stride, stride), padded(kernel), dimension_numbers=_LAYOUT, **more)


def plain(x, kernel, stride):
  return jax.lax.conv_general_dilated(
    x, kernel, (stride, stride), padded(kernel), dimension_numbers=_LAYOUT
  )


def both_gradients(function, x, kernel, stride, seen):
  return jax.jit(jax.grad(lambda *a: jnp.vdot(function(*a, stride), seen), (0, 1)))(x, kernel)


@pytest.mark.parametrize(("images", "kernel", "stride"), SHAPES)
def test_value_and_gradients_are_those_of_pytorch(images, kernel, stride):
  x, k = drawn(images, kernel)
  tensors = [torch.tensor(x).permute(0, 3, 1, 2), torch.tensor(k).permute(3, 2, 0, 1)]
  for tensor in tensors:
    tensor.requires_grad_(True)
  expected = F.conv2d(*tensors, stride=stride, padding=(kernel[0] - 1) // 2)
  actual = ours(x, k, stride)
  assert_allclose(actual, expected.detach().permute(0, 2, 3, 1), rtol=1e-4, atol=1e-5)
  (seen,) = drawn(actual.shape, seed=1)
  expected.backward(torch.tensor(seen).permute(0, 3, 1, 2))
  to_x, to_kernel = both_gradients(ours, x, k, stride, seen)
  assert_allclose(to_x, tensors[0].grad.permute(0, 2, 3, 1), rtol=1e-4, atol=1e-5)
  assert_allclose(to_kernel, tensors[1].grad.permute(2, 3, 1, 0), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("images", "kernel", "stride"), SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_gradients_are_those_of_the_plain_one(images, kernel, stride, dtype):
  x, k = (jnp.asarray(array, dtype) for array in drawn(images, kernel))
  out = plain(x, k, stride)
  seen = jnp.asarray(*drawn(out.shape, seed=1), dtype)
  assert (ours(x, k, stride) == out).all()
  actual, expected = (both_gradients(f, x, k, stride, seen) for f in (ours, plain))
  for one, other in zip(actual, expected, strict=True):
    assert one.dtype == other.dtype == dtype
    assert_allclose(*(np.asarray(a, np.float32) for a in (one, other)), rtol=1e-5, atol=1e-5)


def test_of_a_gradient_inside_a_loop():
  x, k = drawn((2, 6, 5, 3), (3, 3, 3, 3))

  def descend(function):
    def step(_, kernel):
      return kernel - 0.01 * jax.grad(lambda k: (function(x, k, 1) ** 2).mean())(kernel)

    return jax.jit(lambda count: jax.lax.fori_loop(0, count, step, k))(3)

  assert_allclose(descend(ours), descend(plain), rtol=1e-5, atol=1e-6)
  assert np.abs(descend(ours) - k).max() > 1e-3


def test_a_gradient_of_a_gradient():
  x, k = drawn((2, 6, 5, 3), (3, 3, 3, 3))

  def curved(function):
    def steepness(kernel):
      return (jax.grad(lambda x: (function(x, kernel, 2) ** 3).sum())(x) ** 2).sum()

    return jax.jit(jax.grad(steepness))(k)

  assert_allclose(curved(ours), curved(plain), rtol=1e-4, atol=1e-2)


def test_groups_are_left_to_jax():
  x, k = drawn((2, 6, 5, 4), (3, 3, 1, 4))
  expected = np.stack([ours(x[..., [c]], k[..., [c]], 1)[..., 0] for c in range(4)], -1)
  assert_allclose(ours(x, k, 1, feature_group_count=4), expected, rtol=1e-5, atol=1e-5)


def test_only_cpus_get_the_product():
  def products(platform):
    x, k = drawn((2, 6, 5, 4), (3, 3, 4, 4))
    gradient = jax.jit(jax.grad(lambda x, k: ours(x, k, 1).sum(), 1))
    text = gradient.trace(x, k).lower(lowering_platforms=(platform,)).as_text()
    return text.count("dot_general")

  assert [products(platform) for platform in ("cpu", "cuda", "tpu")] == [1, 0, 0]
