"""A program without what is there for one kind of device alone.

Layers say how they are computed quickly on CPUs by `jax.lax.platform_dependent` and by gradient
rules of their own. A program that is written to a file runs anywhere and learns nothing, so of each
choice the branch for all other devices is taken, and rules of gradients are passed by. No layer
need know of it, nor those of one's own.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.extend.core import Jaxpr, Literal

# Who chooses by platform: {primitive: what names them, branch by branch; None for all others}.
_CHOICES = {"platform_index": "platforms", "cond": "branches_platforms"}
# Calls that say how to differentiate, or what is compiled apart: {primitive: where its program is}.
_CALLS = {
  "jit": "jaxpr",
  "remat2": "jaxpr",
  "custom_jvp_call": "call_jaxpr",
  "custom_vjp_call": "call_jaxpr",
}


def plain(function: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
  """Returns what computes as `function`, of arrays to an array, does on a device of no kind."""

  def run(*arrays: jax.Array) -> jax.Array:
    traced = jax.make_jaxpr(function)(*arrays)
    (answer,) = _evaluate(traced.jaxpr, traced.consts, arrays)
    return answer

  return run


def _evaluate(program: Jaxpr, constants: Sequence[Any], arguments: Sequence[Any]) -> list[Any]:
  """Computes a traced program, equation by equation."""
  values = dict(zip((*program.constvars, *program.invars), (*constants, *arguments), strict=True))

  def read(atom: Any) -> Any:
    return atom.val if isinstance(atom, Literal) else values[atom]

  for equation in program.eqns:
    kind, options = equation.primitive, equation.params
    platforms = options.get(_CHOICES.get(kind.name, "")) or ()
    if kind.name == "platform_index" and None in platforms:
      values[equation.outvars[0]] = None  # which branch it is is not asked
      continue
    given = [read(atom) for atom in equation.invars]
    if kind.name == "cond" and None in platforms:
      branch = options["branches"][platforms.index(None)]
      made = _evaluate(branch.jaxpr, branch.consts, given[1:])
    elif kind.name in _CALLS:
      inner = options[_CALLS[kind.name]]
      made = _evaluate(getattr(inner, "jaxpr", inner), getattr(inner, "consts", ()), given)
    else:
      with equation.ctx.manager:
        made = kind.bind(*given, **kind.get_bind_params(options))
      made = made if kind.multiple_results else [made]
    values.update(zip(equation.outvars, made, strict=True))
  return [read(atom) for atom in program.outvars]
