"""What methods that compare maps do before they compare."""

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from edjax.models.pooling import average_grid
from edjax.types import Map


def same_size(student: Map, teacher: Map) -> tuple[Map, Map]:
  """The larger of two [batch, height, width, channels] averaged to the smaller, axis by axis."""
  grid = tuple(map(min, student.shape[1:3], teacher.shape[1:3]))
  return average_grid(student, grid), average_grid(teacher, grid)


def unit(x: Float[Array, "*shape"], axis: int = -1) -> Float[Array, "*shape"]:
  """x of length 1 along `axis`; what is shorter than 1e-12 becomes zero, and so its gradient."""
  square = jnp.sum(x**2, axis, keepdims=True)
  long = square > 1e-24
  return jnp.where(long, x / jnp.sqrt(jnp.where(long, square, 1)), 0)
