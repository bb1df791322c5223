"""Frozen networks with their normalisations folded away: the same answers, fewer operations.

In inference mode a batch normalisation multiplies and shifts channels by constants. Where it alone
reads what a convolution puts out, the factor goes into that convolution's kernel and only the shift
is left; elsewhere mean, variance and scale become one factor.
"""

import collections
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict, unflatten_dict

from edjax.models.normalisation import BatchNorm

_CONVOLUTIONS = ("conv_general_dilated", "custom_vjp_call")  # JAX's own, and `convolution`'s


def fold(network, variables, image_shape):
  """Returns (network, variables) that answer as the given ones do in inference mode.

  Args:
    network: a `models.Network`.
    variables: its own.
    image_shape: (height, width, channels); for tracing, nothing is computed at that size.

  Returns:
    A network with `folded` set, which can only infer, and variables without batch statistics.
  """
  norms, before = _read(network, tuple(image_shape))
  leaves = flatten_dict(variables["params"], sep="/")
  stats = flatten_dict(variables.get("batch_stats", {}), sep="/")
  for path, epsilon in norms.items():
    factor = leaves.pop(f"{path}/scale") / jnp.sqrt(stats[f"{path}/var"] + epsilon)
    leaves[f"{path}/bias"] = leaves[f"{path}/bias"] - stats[f"{path}/mean"] * factor
    if path in before:
      for leaf in (f"{before[path]}/kernel", f"{before[path]}/bias"):
        if leaf in leaves:
          leaves[leaf] = leaves[leaf] * factor.reshape(*(1,) * (leaves[leaf].ndim - 1), -1)
    else:
      leaves[f"{path}/scale"] = factor
  return folded(network, image_shape), {"params": unflatten_dict(leaves, sep="/")}


def folded(network, image_shape):
  """Returns the network that `fold` makes of a `models.Network`."""
  return network.clone(folded=True)


@functools.lru_cache(maxsize=8)
def _read(network, image_shape):
  """Returns ({normalisation: epsilon}, {normalisation: the convolution that only it reads})."""
  norms, read, made = {}, {}, {}

  def watch(call, args, kwargs, context):
    out, module = call(*args, **kwargs), context.module
    if isinstance(module, nn.Conv):
      made["/".join(module.path)] = out
    elif isinstance(module, BatchNorm):
      norms["/".join(module.path)] = module.epsilon
      read["/".join(module.path)] = args[0]
    return out

  image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
  variables = jax.eval_shape(network.init, jax.random.key(0), image)
  with nn.intercept_methods(watch):
    jaxpr = jax.make_jaxpr(network.apply)(variables, image).jaxpr
  convolutions = [e for e in jaxpr.eqns if e.primitive.name in _CONVOLUTIONS]
  readers = collections.defaultdict(list)
  for equation in jaxpr.eqns:
    for value in equation.invars:
      if not hasattr(value, "val"):
        readers[value].append(equation)
  for value in jaxpr.outvars:
    readers[value].append(None)
  biases = flatten_dict(variables["params"], sep="/")
  alone = set()
  for path, equation in zip(made, convolutions, strict=True):
    (out,) = equation.outvars
    if f"{path}/bias" in biases and len(readers[out]) == 1:
      (out,) = readers[out][0].outvars
    if len(readers[out]) == 1:
      alone.add(path)
  names = {id(out): path for path, out in made.items()}
  before = {path: names.get(id(value)) for path, value in read.items()}
  return norms, {path: conv for path, conv in before.items() if conv in alone}
