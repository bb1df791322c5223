"""Average pooling to a grid of any size, for networks and for methods that compare their maps."""

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Float32


def average_grid(
  x: Float[Array, "batch _ _ channels"], grid: tuple[int, ...]
) -> Float[Array, "batch _ _ channels"]:
  """Average pooling of [batch, height, width, channels] to [batch, *grid, channels].

  Cell i of n covers rows floor(i·height/n) up to ceil((i+1)·height/n), so any size will do.
  """
  if grid == x.shape[1:3]:
    return x
  if grid == (1, 1):
    return x.mean(axis=(1, 2), keepdims=True)
  rows, columns = map(_pooling_matrix, x.shape[1:3], grid)
  return jnp.einsum("gh,bhwc,kw->bgkc", rows, x, columns, precision="highest")


def edged(x: Float[Array, "batch _ _ channels"]) -> Float[Array, "batch _ _ channels"]:
  """Puts a row and a column of zeros on every side, as pooling of rectified maps is padded.

  It stands apart from the pooling, as writers of other formats have padded that wrongly.
  """
  return jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))


def _pooling_matrix(size: int, grid: int) -> Float32[Array, "{grid} {size}"]:
  cell, place = jnp.arange(grid)[:, None], jnp.arange(size)[None, :]
  low, high = cell * size // grid, -(-(cell + 1) * size // grid)
  inside = (place >= low) & (place < high)
  return inside / (high - low).astype(jnp.float32)
