"""Arrays of one shape and kind, nodes of integrals, cells of grids, and a root that has a slope."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike


def alike(*values: ArrayLike) -> list[jax.Array]:
  """Returns arrays of one shape and of one kind of real numbers, the widest of these."""
  kind = jnp.result_type(float, *values)
  arrays = [jnp.asarray(each, kind) for each in values]
  shape = np.broadcast_shapes(*(each.shape for each in arrays))
  return [jnp.broadcast_to(each, shape) for each in arrays]


def nodes(count: int, like: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Returns Gauss-Legendre places in [0, 1] and weights, along an axis behind those of `like`."""
  places, weights = np.polynomial.legendre.leggauss(count)
  shape = (1,) * like.ndim + (count,)
  place, weight = (
    jnp.asarray(each, like.dtype).reshape(shape) for each in ((places + 1) / 2, weights / 2)
  )
  return place, weight


def cell(
  value: jax.Array, edges: Sequence[float] | jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Between which edges a value is, how far apart they are in the logarithm, whether it is."""
  edge = jnp.asarray(edges, value.dtype)
  found = jnp.clip(jnp.searchsorted(edge, value, side="right") - 1, 0, len(edges) - 2)
  return found, jnp.diff(jnp.log(edge))[found], (value >= edge[0]) & (value < edge[-1])


def root(square: jax.Array) -> jax.Array:
  """The square root, 0 of what is not positive, where the gradient is 0, too."""
  there = square > 0
  return jnp.where(there, jnp.sqrt(jnp.where(there, square, 1)), 0)
