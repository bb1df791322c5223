"""Batch normalisation: flax's numbers and gradients, for one device and several."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from edjax.models.normalisation import BatchNorm

SHAPES = [(5, 3), (2, 7, 5, 3), (33, 4, 6, 1), (1, 9, 8, 4)]


def pair(train, axis=None):
  settings = {"use_running_average": not train, "momentum": 0.9, "epsilon": 1e-3}
  return [kind(axis_name=axis, **settings) for kind in (BatchNorm, nn.BatchNorm)]


def drawn(shape, seed=0):
  rng = np.random.default_rng(seed)
  x, seen = rng.standard_normal((2, *shape), dtype=np.float32) + np.float32(0.7)
  some = rng.uniform(0.5, 1.5, (4, shape[-1])).astype(np.float32)
  params = dict(zip(("scale", "bias"), some[:2], strict=True))
  return x, seen, params, dict(zip(("mean", "var"), some[2:], strict=True))


def answer(norm, x, seen, params, stats):
  def score(x, params):
    out, new = norm.apply({"params": params, "batch_stats": stats}, x, mutable=["batch_stats"])
    return jnp.vdot(out.astype(jnp.float32) ** 2, seen), (out, new)

  return jax.grad(score, (0, 1), has_aux=True)(x, params)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("train", [True, False])
def test_it_is_flaxs(shape, train):
  known = drawn(shape)
  ours, theirs = (jax.jit(lambda *a, n=n: answer(n, *a))(*known) for n in pair(train))
  assert jax.tree.structure(ours) == jax.tree.structure(theirs)
  jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=2e-4, atol=2e-4), ours, theirs)


def test_variables_are_flaxs():
  x = drawn((2, 4, 4, 3))[0]
  ours, theirs = (norm.init(jax.random.key(0), x) for norm in pair(train=True))
  jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def test_statistics_are_of_all_devices():
  x, seen, params, stats = drawn((4, 5, 6, 3))

  def mapped(norm):
    each = jax.pmap(
      lambda x, seen: answer(norm, x, seen, params, stats), "all", devices=jax.devices()[:2]
    )
    return each(x.reshape(2, 2, 5, 6, 3), seen.reshape(2, 2, 5, 6, 3))

  ours, theirs = map(mapped, pair(train=True, axis="all"))
  jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=2e-4, atol=2e-4), ours, theirs)
  _, (out, _) = answer(pair(train=True)[1], x, seen, params, stats)
  assert_allclose(ours[1][0].reshape(out.shape), out, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("train", [True, False])
def test_bfloat16_comes_out_as_it_came_in(train):
  x, _, params, stats = drawn((2, 7, 5, 3))
  low = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.bfloat16), (x, params))
  known = {"params": low[1], "batch_stats": stats}
  outs = [norm.apply(known, low[0], mutable=["batch_stats"])[0] for norm in pair(train)]
  assert outs[0].dtype == outs[1].dtype == jnp.bfloat16
  assert_allclose(*(np.asarray(out, np.float32) for out in outs), rtol=1e-2, atol=1e-2)
