"""Multiply-accumulates, counted by hand."""

import functools

import jax
import jax.numpy as jnp

from edjax import models
from edjax.models.analysis import macs


def test_macs_by_hand():
  layout = ("NHWC", "HWIO", "NHWC")
  conv = functools.partial(jax.lax.conv_general_dilated, dimension_numbers=layout)
  x, kernel = jnp.zeros((2, 9, 7, 6)), jnp.zeros((3, 3, 6, 5))
  strided = functools.partial(conv, window_strides=(2, 2), padding=((1, 1), (1, 1)))
  assert macs.count_macs(strided, x, kernel) == (2 * 5 * 4 * 5) * (3 * 3 * 6)
  grouped = functools.partial(conv, window_strides=(1, 1), padding="VALID", feature_group_count=3)
  assert macs.count_macs(grouped, x, jnp.zeros((3, 1, 2, 12))) == (2 * 7 * 7 * 12) * (3 * 1 * 2)
  dense = jnp.zeros((4, 6)), jnp.zeros((6, 5))
  assert macs.count_macs(jnp.dot, *dense) == 4 * 6 * 5
  assert macs.count_macs(jax.jit(lambda x, y: jax.nn.relu(jax.jit(jnp.dot)(x, y))), *dense) == 120
  assert macs.count_macs(lambda x, y: x + y, x, x) == 0
  batched = jnp.zeros((3, 4, 6)), jnp.zeros((3, 6, 5))
  assert macs.count_macs(jnp.matmul, *batched) == 3 * 4 * 6 * 5
  assert macs.count_macs(lambda x, y: jax.lax.map(lambda z: z @ y, x), batched[0], dense[1]) == 360
  ways = {"cpu": lambda x, y: (x @ y) + (x @ y), "default": jnp.matmul}
  assert macs.count_macs(lambda *xy: jax.lax.platform_dependent(*xy, **ways), *dense) == 120


def test_training_macs_by_hand():
  network = models.graduate(models.body("resnet8_half"), 100).clone(axis_name="device")
  lowest = (216 + 1152) * 32 * 32
  middle, highest, dense = 3584 * 16 * 16, 14336 * 8 * 8, 3200
  total = lowest + middle + highest + dense
  assert macs.training_macs(network, 0, (32, 32, 3)) == 3 * total
  assert macs.training_macs(network, 1, (32, 32, 3)) == 3 * total - 2 * lowest
  assert macs.training_macs(network, 3, (32, 32, 3)) == total + 2 * dense
