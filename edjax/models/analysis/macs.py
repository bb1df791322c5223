"""Multiply-accumulates of convolutions and matrix products, read off the jaxpr."""

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from edjax.models.cut import Blocks, among_lowest
from edjax.models.layers import Network, shapes


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
  network: Network,
  frozen: int,
  image_shape: tuple[int, ...],
  backward: int = 1,
  blocks: Blocks | None = None,
) -> int:
  """Returns what one image costs in training: forward once, and up to twice that backward.

  A `backward` pass has one product for the gradient of a layer's kernel and one for that of its
  input, which counts for the lowest layer that learns, too. Of the lowest `frozen` fragments it has
  the second alone, and only above something that learns, as is where a network is cut by depth.
  With −1 the whole network is only run forward.

  Args:
    network: the student's.
    frozen: fragments that do not learn.
    image_shape: (height, width, channels).
    backward: how many such passes a step has.
    blocks: of a student that is cut by depth; None: by stages.
  """
  forward = network_macs(network, image_shape)
  if frozen < 0:
    return forward
  if not frozen:
    return (1 + 2 * backward) * forward
  network = network.clone(axis_name=None)
  image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
  variables = shapes(network, tuple(image_shape))
  jaxpr = jax.make_jaxpr(network.apply)(variables, image).jaxpr
  learns = [_learns(path, frozen, blocks) for path, _ in jax.tree.leaves_with_path(variables)]
  return forward + backward * _backward(jaxpr, [*learns, False])


def _learns(path: Sequence[Any], frozen: int, blocks: Blocks | None) -> bool:
  """Says it of a leaf of the variables."""
  collection, *names = (entry.key for entry in path)
  return collection == "params" and not among_lowest(tuple(names), frozen, blocks)


def _count(jaxpr: Any) -> int:
  return sum(
    _product(equation) or sum(times * _count(inner) for times, inner, _ in _within(equation))
    for equation in jaxpr.eqns
  )


def _backward(jaxpr: Any, learns: Sequence[bool]) -> int:
  """Counts a backward pass, by a forward one and by which of its inputs learn."""
  total, found = 0, dict(zip(jaxpr.invars, learns, strict=True))  # or depend on what learns
  for equation in jaxpr.eqns:
    given = [not hasattr(each, "val") and found.get(each, False) for each in equation.invars]
    if product := _product(equation):
      entering, kernel = given
      total += product * (2 if kernel else entering)
    for times, inner, first in _within(equation):
      passed = given[first:]
      if len(passed) != len(inner.invars):
        passed = [any(given)] * len(inner.invars)
      total += times * _backward(inner, passed)
    found |= dict.fromkeys(equation.outvars, any(given))
  return total


def _product(equation: Any) -> int:
  """The multiply-accumulates of a convolution or a matrix product; 0 for anything else."""
  if equation.primitive.name == "conv_general_dilated":
    kernel, out = equation.invars[1].aval, equation.outvars[0].aval
    out_channel = equation.params["dimension_numbers"].rhs_spec[0]
    return out.size * kernel.size // kernel.shape[out_channel]
  if equation.primitive.name == "dot_general":
    (contracted, _), _ = equation.params["dimension_numbers"]
    left, out = equation.invars[0].aval, equation.outvars[0].aval
    return out.size * math.prod(left.shape[axis] for axis in contracted)
  return 0


def _within(equation: Any) -> Iterator[tuple[int, Any, int]]:
  """Yields (how often it runs, a program within an equation, the first input that it is given)."""
  if equation.primitive.name == "cond":  # platforms compute the same in other ways
    yield 1, equation.params["branches"][-1].jaxpr, 1  # the one as it is defined
    return
  times = equation.params["length"] if equation.primitive.name == "scan" else 1
  for inner in jax.tree.leaves(
    list(equation.params.values()), is_leaf=lambda leaf: hasattr(leaf, "jaxpr")
  ):
    inner = getattr(inner, "jaxpr", inner)
    if hasattr(inner, "eqns"):
      yield times, inner, 0
