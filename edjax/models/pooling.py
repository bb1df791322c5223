"""Pooling of whole maps: averages of a grid of any size, and the largest value."""

import jax
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


@jax.custom_vjp
def largest(x: Float[Array, "batch _ _ channels"]) -> Float[Array, "batch channels"]:
  """The largest value of each channel; its gradient is that of the first place that has it.

  JAX's own gradient is of all places that equal the maximum. XLA may compute these again for the
  comparison, with another last bit (seen on a CPU, compiled quickly as the tests do); then none
  equals it, and 0 / 0 is no number.
  """
  return x.max(axis=(1, 2))


def _largest_forward(
  x: Float[Array, "batch _ _ channels"],
) -> tuple[Float[Array, "batch channels"], Float[Array, "batch _ _ channels"]]:
  return largest(x), x


def _largest_backward(
  x: Float[Array, "batch height width channels"], gradient: Float[Array, "batch channels"]
) -> tuple[Float[Array, "batch height width channels"]]:
  places = x.reshape(x.shape[0], -1, x.shape[-1])
  first = jnp.argmax(places, axis=1)[:, None] == jnp.arange(places.shape[1])[None, :, None]
  return (jnp.where(first, gradient[:, None], 0).reshape(x.shape),)


largest.defvjp(_largest_forward, _largest_backward)


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
