"""What is stored for its readers: the same bits, computed once on CPUs, untouched elsewhere."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from edjax import models
from edjax.models.analysis.folding import fold
from edjax.models.cpu.fusion import stored


@pytest.mark.parametrize("shape", [(3, 5, 7, 16), (2, 3, 24), (5, 7), (1,), ()])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_every_finite_number_stays(shape, dtype):
  """Those from the smallest normal one up; a processor may flush smaller ones to zero."""
  draw = np.random.default_rng(0)
  x = np.asarray(draw.normal(size=shape) * 10.0 ** draw.integers(-37, 38, shape))
  x = jnp.asarray(x, dtype)
  out, pull = jax.vjp(jax.jit(stored), x)
  assert out.dtype == dtype and out.shape == shape
  assert (out == x).all()
  assert (pull(x)[0] == x).all()


def test_only_cpus_multiply():
  def products(platform):
    lowered = jax.jit(stored).trace(jnp.ones((4, 16))).lower(lowering_platforms=(platform,))
    return lowered.as_text().count("dot_general")

  assert [products(platform) for platform in ("cpu", "cuda", "tpu")] == [1, 0, 0]


def test_a_long_network_computes_each_sum_once():
  """No fused loop of resnet56 reads more than a convolution, its shift and the sum before."""
  network = models.graduate(models.body("resnet56"), 10)
  shapes = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 16, 16, 3)))
  variables = jax.tree.map(lambda leaf: jnp.ones(leaf.shape), shapes)
  network, variables = fold(network, variables, (16, 16, 3))
  ask = jax.jit(lambda variables, images: network.apply(variables, images).logits)
  text = ask.lower(variables, jnp.ones((2, 16, 16, 3))).compile().as_text()
  read = [operands.count("%") for operands in re.findall(r" fusion\((.*?)\)", text)]
  assert len(read) > 50 and max(read) <= 4
