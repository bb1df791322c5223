"""Averages and maxima of maps equal PyTorch's."""

import jax
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from edjax.models import pooling
from tests.models.drawn import assert_close, images, nchw, nhwc


@pytest.mark.parametrize(
  "size,grid",
  [((8, 8), (4, 4)), ((7, 5), (3, 3)), ((28, 9), (4, 2)), ((3, 2), (4, 4)), ((6, 9), (1, 1))],
)
def test_average_grid_equals_torch(size, grid):
  x = images((2, *size, 3))
  expected = nhwc(F.adaptive_avg_pool2d(nchw(x), grid))
  assert_close(pooling.average_grid(x, grid), expected, 1e-6)


def test_largest_equals_torch():
  x, slopes = images((2, 5, 7, 3)), images((2, 3))
  theirs = nchw(x).requires_grad_()
  value = F.adaptive_max_pool2d(theirs, 1)[:, :, 0, 0]
  value.backward(torch.from_numpy(np.array(slopes)))
  ours, pull = jax.vjp(jax.jit(pooling.largest), x)
  assert_close(ours, value.detach(), 0)
  assert_close(pull(slopes)[0], nhwc(theirs.grad), 0)


def test_the_gradient_of_the_largest_is_finite_where_maps_are_computed_again():
  """That of `jnp.max` was not, of a network for light curves."""
  x, other = images((2, 8, 4, 16, 32))
  mean, factor, bias = images((3, 1, 1, 1, 32), seed=1)

  def loss(mean, factor, bias):
    maps = jax.nn.relu((x - mean) * factor + bias + other * factor)
    return (pooling.largest(maps) ** 2).sum() + maps.mean()

  for slope in jax.jit(jax.grad(loss, argnums=(0, 1, 2)))(mean, factor, bias):
    assert np.isfinite(slope).all() and np.any(slope)
