"""Frozen networks with their normalisations folded away: the same answers, fewer operations.

In inference mode a batch normalisation multiplies and shifts channels by constants. Where it alone
reads what a convolution puts out, the factor goes into that convolution's kernel and only the shift
is left; elsewhere mean, variance and scale become one factor. What a convolution is and who reads
it is told by the traced program, not by names; where that does not show it (inside `nn.remat` or a
loop, a convolution called twice, a kernel that is computed), nothing goes into the kernel. A
network that does not answer alike without its normalisations is left as it is.
"""

import collections
import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.core.tracers import current_trace
from flax.traverse_util import flatten_dict, unflatten_dict

from edjax.models.cpu import convolution
from edjax.models.cpu.normalisation import BatchNorm
from edjax.models.layers import Network, shapes
from edjax.types import Variables

_Path = tuple[str, ...]  # of a module


@dataclasses.dataclass(frozen=True)
class _Plan:
  """What to fold: {normalisation: epsilon}, {normalisation: the convolution it goes into}."""

  norms: dict[_Path, float]
  before: dict[_Path, _Path]


def fold(
  network: Network, variables: Variables, image_shape: Sequence[int]
) -> tuple[Network, Variables]:
  """Returns (network, variables) that answer as the given ones do in inference mode.

  Args:
    variables: the network's own.
    image_shape: (height, width, channels); for tracing, nothing is computed at that size.

  Returns:
    A network with `folded` set, which can only infer, and its variables, without the statistics
    of what was folded; or the given ones, if the network cannot do without its normalisations.
  """
  plan = _read(network, tuple(image_shape))
  if plan is None:
    return network, variables
  return network.clone(folded=True), _folded(plan, variables)


def folded(network: Network, image_shape: Sequence[int]) -> Network:
  """Returns the network that `fold` makes of a `models.Network`."""
  return network if _read(network, tuple(image_shape)) is None else network.clone(folded=True)


def _folded(plan: _Plan, variables: Variables) -> Variables:
  leaves = flatten_dict(variables["params"])
  stats = flatten_dict(variables.get("batch_stats", {}))
  for path, epsilon in plan.norms.items():
    # No function of JAX's: of arrays on the host it would compile a program for every shape.
    factor = leaves.pop((*path, "scale")) / (stats.pop((*path, "var")) + epsilon) ** 0.5
    leaves[*path, "bias"] = leaves[*path, "bias"] - stats.pop((*path, "mean")) * factor
    if path in plan.before:
      for leaf in ((*plan.before[path], "kernel"), (*plan.before[path], "bias")):
        if leaf in leaves:
          leaves[leaf] = leaves[leaf] * factor.reshape(*(1,) * (leaves[leaf].ndim - 1), -1)
    else:
      leaves[*path, "scale"] = factor
  kept = {name: tree for name, tree in variables.items() if name not in ("params", "batch_stats")}
  if stats:  # of normalisations that are not ours
    kept["batch_stats"] = unflatten_dict(stats)
  return {"params": unflatten_dict(leaves)} | kept


@functools.lru_cache(maxsize=64)
def _read(network: Network, image_shape: tuple[int, ...]) -> _Plan | None:
  """Returns the `_Plan` for a network, or None if it has to stay as it is."""
  image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
  variables = shapes(network, image_shape)
  plan, expected = _plan(network, variables, image)
  if plan is None:
    return None
  try:
    quick = jax.eval_shape(functools.partial(_folded, plan), variables)
    answered = jax.eval_shape(network.clone(folded=True).apply, quick, image)
  except Exception:  # whatever modules of the user's own may raise that is put in their place
    return None
  return plan if answered == expected else None


def _plan(
  network: Network, variables: Variables, image: jax.ShapeDtypeStruct
) -> tuple[_Plan | None, Any]:
  """Reads off the traced program what can be folded.

  Returns:
    (the `_Plan`, None if a normalisation does not infer; shapes of the network's output).
  """
  norms: dict[_Path, float] = {}
  calls: collections.Counter[_Path] = collections.Counter()
  made: dict[_Path, jax.Array] = {}
  read: dict[_Path, jax.Array] = {}
  learning: list[_Path] = []

  def traced(
    variables: Variables, image: jax.Array
  ) -> tuple[Any, dict[_Path, jax.Array], dict[_Path, jax.Array]]:
    here = current_trace()

    def watch(
      call: Callable[..., Any],
      args: tuple[Any, ...],
      kwargs: dict[str, Any],
      context: nn.module.InterceptorContext,
    ) -> Any:
      out, module = call(*args, **kwargs), context.module
      path = module.path
      if isinstance(module, BatchNorm):
        norms[path] = module.epsilon
        learning.extend([path] * (not module.infers))
        kept = read, args[0]
      elif isinstance(module, nn.Conv) and module.conv_general_dilated in _LINEAR:
        kept = made, out
      else:
        return out
      calls[path] += 1
      if current_trace() == here:  # else it is of a program within this one
        kept[0][path] = kept[1]
      return out

    with nn.intercept_methods(watch):
      return network.apply(variables, image), made, read

  closed, traces = jax.make_jaxpr(traced, return_shape=True)(variables, image)
  if learning:
    return None, traces[0]
  program = closed.jaxpr
  answers = len(jax.tree.leaves(traces[0]))
  readers = collections.defaultdict(list)
  for equation in program.eqns:
    for value in equation.invars:
      if not hasattr(value, "val"):
        readers[value].append(equation)
  for value in program.outvars[:answers]:
    if not hasattr(value, "val"):
      readers[value].append(None)
  _, made, read = jax.tree.unflatten(jax.tree.structure(traces), program.outvars)
  places = jax.tree.unflatten(jax.tree.structure((variables, image)), program.invars)[0]
  params = flatten_dict(places["params"])
  before = {}
  for path, value in read.items():
    for conv, out in made.items():
      once = calls[conv] == calls[path] == len(readers[out]) == 1
      if out is value and once and _plain(conv, out, params, readers):
        before[path] = conv
  return _Plan(norms, before), traces[0]


def _plain(conv: _Path, out: Any, params: dict[_Path, Any], readers: dict[Any, list[Any]]) -> bool:
  """Says whether a convolution's output is its input with its kernel, and then its bias, alone."""
  if (*conv, "kernel") not in params:  # another module holds it
    return False
  readings = readers[params[*conv, "kernel"]]
  if len(readings) != 1 or readings[0] is None or readings[0].primitive.name not in _CONVOLUTIONS:
    return False
  (product,) = readings[0].outvars
  if (*conv, "bias") not in params:
    return product is out
  if len(readers[params[*conv, "bias"]]) != 1 or len(readers[product]) != 1:
    return False
  (added,) = readers[product]
  return added is not None and added.primitive.name == "add" and added.outvars[0] is out


_CONVOLUTIONS = ("conv_general_dilated", "custom_vjp_call")  # JAX's own, and `convolution`'s
_LINEAR = (None, jax.lax.conv_general_dilated, convolution.convolve)
