"""Images and variables drawn at random, and how they are compared with PyTorch's."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import torch

from edjax import models
from tests.reference import zoo


def images(shape, seed=0):
  return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def shapes(network, shape=(1, 32, 32, 3)):
  return jax.eval_shape(network.init, jax.random.key(0), jax.ShapeDtypeStruct(shape, jnp.float32))


def randomised(network, shape, seed=0):
  """Variables without the zeros and ones that would hide an error in the normalisations."""
  rng = np.random.default_rng(seed)

  def leaf(path, spec):
    kind = path[-1].key
    if kind in ("scale", "var"):
      return rng.uniform(0.5, 1.5, spec.shape).astype(np.float32)
    spread = np.sqrt(2 / np.prod(spec.shape[:-1])) if kind == "kernel" else 0.2
    return (spread * rng.standard_normal(spec.shape)).astype(np.float32)

  return jax.tree_util.tree_map_with_path(leaf, shapes(network, shape))


def assert_close(actual, expected, tolerance=1e-4):
  """Every element to `tolerance` of the largest."""
  expected = np.asarray(expected)
  assert actual.shape == expected.shape
  np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def nchw(x):
  return torch.from_numpy(x.transpose(0, 3, 1, 2))


def nhwc(x):
  return x.detach().numpy().transpose(0, 2, 3, 1)


def initial_values(name):
  """Of fragment 0 and, where it fits on there, of the head; and of the whole re-statement."""
  shape, body = (1, 32, 32, 3), models.body(name)
  head = functools.partial(body.head, num_classes=100)
  network = models.Network(body.fragments[:1], head)
  initial = jax.jit(network.init, compiler_options={"xla_backend_optimization_level": 0})
  variables = initial(jax.random.key(0), jnp.zeros(shape))
  if name.startswith("shufflenet"):
    variables = {key: {"fragment_0": tree["fragment_0"]} for key, tree in variables.items()}
  torch.manual_seed(0)
  return zoo.state(variables, name), zoo.make(name, 100).state_dict()
