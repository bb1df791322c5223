"""Batch normalisation: PyTorch's numbers, flax's gradients, for one device and several."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from edjax.models.cpu.normalisation import BatchNorm

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
  for _, new in (ours[1], theirs[1]):
    assert (new["batch_stats"].pop("var") != known[3]["var"]).all() == train
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
  for _, new in (ours[1], theirs[1]):
    del new["batch_stats"]["var"]  # PyTorch's, below
  jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=2e-4, atol=2e-4), ours, theirs)
  _, (out, _) = answer(pair(train=True)[1], x, seen, params, stats)
  assert_allclose(ours[1][0].reshape(out.shape), out, rtol=1e-4, atol=1e-5)


def torchs(shape, params, stats, dtype):
  """A normalisation of PyTorch's with these variables, in training."""
  kind = torch.nn.BatchNorm1d if len(shape) == 2 else torch.nn.BatchNorm2d
  twin = kind(shape[-1], eps=1e-3).to(dtype).train()
  values = {"weight": params["scale"], "bias": params["bias"]}
  values |= {f"running_{name}": stats[name] for name in ("mean", "var")}
  twin.load_state_dict({name: torch.tensor(value) for name, value in values.items()}, strict=False)
  return twin


def last(array):
  return np.moveaxis(array, 1, -1)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 2e-6)])
@pytest.mark.parametrize("shape", [*SHAPES, (2, 3), (2, 1, 1, 4)])
def test_what_is_kept_is_pytorchs(shape, dtype, tolerance):
  x, _, params, stats = drawn(shape)
  twin = torchs(shape, params, stats, getattr(torch, dtype))
  with jax.enable_x64(dtype == "float64"):
    known = jax.tree.map(lambda leaf: np.asarray(leaf, dtype), {"p": params, "s": stats})
    for step in range(3):
      batch = np.asarray(x * (1 + step), dtype)
      out, new = pair(train=True)[0].apply(
        {"params": known["p"], "batch_stats": known["s"]}, batch, mutable=["batch_stats"]
      )
      known["s"] = new["batch_stats"]
      expected = last(twin(torch.from_numpy(np.moveaxis(batch, -1, 1).copy())).detach().numpy())
      assert_allclose(out, expected, rtol=0, atol=100 * tolerance)
    for name in ("mean", "var"):
      assert_allclose(known["s"][name], getattr(twin, f"running_{name}"), rtol=tolerance)


def test_what_is_kept_is_of_all_devices():
  shape = (4, 5, 1, 3)
  x, _, params, stats = drawn(shape)
  twin = torchs(shape, params, stats, torch.float32)
  twin(torch.from_numpy(np.moveaxis(x, -1, 1).copy()))
  norm = pair(train=True, axis="all")[0]
  known = {"params": params, "batch_stats": stats}
  each = jax.pmap(lambda x: norm.apply(known, x, mutable=["batch_stats"])[1], "all")
  for kept in each(x.reshape(4, 1, 5, 1, 3))["batch_stats"]["var"]:
    assert_allclose(kept, twin.running_var, rtol=2e-6)


def test_one_value_says_nothing_of_a_variance():
  x, _, params, stats = drawn((1, 1, 1, 3))
  known = {"params": params, "batch_stats": stats}
  out, new = pair(train=True)[0].apply(known, x, mutable=["batch_stats"])
  assert_allclose(out[0, 0, 0], params["bias"], rtol=1e-6)
  assert_allclose(new["batch_stats"]["var"], stats["var"], rtol=1e-6)


@pytest.mark.parametrize("train", [True, False])
def test_bfloat16_comes_out_as_it_came_in(train):
  x, _, params, stats = drawn((2, 7, 5, 3))
  low = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.bfloat16), (x, params))
  known = {"params": low[1], "batch_stats": stats}
  outs = [norm.apply(known, low[0], mutable=["batch_stats"])[0] for norm in pair(train)]
  assert outs[0].dtype == outs[1].dtype == jnp.bfloat16
  assert_allclose(*(np.asarray(out, np.float32) for out in outs), rtol=1e-2, atol=1e-2)
