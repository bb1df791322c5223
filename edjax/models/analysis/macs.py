"""Multiply-accumulates of convolutions and matrix products, read off the jaxpr."""

import functools
import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from edjax.models.layers import Network, Norm, shapes


def count_macs(function: Callable[..., Any], *args: Any) -> int:
  """Returns the multiply-accumulates of one call, an int.

  Args:
    function: anything `jax.make_jaxpr` can trace; nothing is computed.
    *args: arrays or `jax.ShapeDtypeStruct`s.

  A convolution costs its output elements × kernel elements per output channel, a product its
  output elements × contracted length; additions, normalisations and activations are not counted,
  as is usual in the distillation literature.
  """
  return _count(jax.make_jaxpr(function)(*args).jaxpr)


@functools.lru_cache(maxsize=64)
def network_macs(network: Network, image_shape: tuple[int, ...]) -> int:
  """Returns the multiply-accumulates of one image [height, width, channels] through a network."""
  image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
  network = network.clone(axis_name=None)
  variables = shapes(network, tuple(image_shape))
  return count_macs(network.apply, variables, image)


def training_macs(
  network: Network, frozen: int, image_shape: tuple[int, ...], backward: int = 1
) -> int:
  """Returns what one image costs in training: forward once, and twice that per `backward` pass.

  The backward pass has one product for the gradient of a layer's input and one for that of its
  kernel. The lowest `frozen` fragments are only run forward; with −1 the whole network is.
  """
  forward = network_macs(network, image_shape)
  if frozen < 0:
    return forward
  if not frozen:
    return (1 + 2 * backward) * forward
  trunk = Network(network.fragments[:frozen], _NoHead)
  return (1 + 2 * backward) * forward - 2 * backward * network_macs(trunk, image_shape)


class _NoHead(nn.Module):
  """Ends a network after its fragments, at no cost."""

  def __call__(self, x: Any, norm: Norm) -> tuple[Any, Any, tuple[()]]:
    return x, x, ()


def _count(jaxpr: Any) -> int:
  total = 0
  for equation in jaxpr.eqns:
    if equation.primitive.name == "conv_general_dilated":
      kernel, out = equation.invars[1].aval, equation.outvars[0].aval
      out_channel = equation.params["dimension_numbers"].rhs_spec[0]
      total += out.size * kernel.size // kernel.shape[out_channel]
    elif equation.primitive.name == "dot_general":
      (contracted, _), _ = equation.params["dimension_numbers"]
      left, out = equation.invars[0].aval, equation.outvars[0].aval
      total += out.size * math.prod(left.shape[axis] for axis in contracted)
    elif equation.primitive.name == "cond":  # platforms compute the same in other ways
      total += _count(equation.params["branches"][-1].jaxpr)  # the one as it is defined
    else:
      times = equation.params["length"] if equation.primitive.name == "scan" else 1
      for inner in jax.tree.leaves(
        list(equation.params.values()), is_leaf=lambda leaf: hasattr(leaf, "jaxpr")
      ):
        inner = getattr(inner, "jaxpr", inner)
        if hasattr(inner, "eqns"):
          total += times * _count(inner)
  return total
