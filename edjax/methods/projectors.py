"""What methods learn to make a student's values comparable with a teacher's."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float32

from edjax.methods.base import Batch
from edjax.models.layers import conv_init
from edjax.types import Map


class Norm(nn.Module):
  """Batch normalisation by the statistics of the batch itself, of all devices, without padding.

  It keeps no running statistics: projectors are thrown away when training ends.
  """

  @nn.compact
  def __call__(
    self, x: Float32[Array, "batch ... channels"], batch: Batch | None = None
  ) -> Float32[Array, "batch ... channels"]:
    """Normalises [batch, …, channels]; without a `Batch` (to initialise) all images count."""
    scale = self.param("scale", nn.initializers.ones_init(), x.shape[-1:])
    bias = self.param("bias", nn.initializers.zeros_init(), x.shape[-1:])
    mask = jnp.ones(x.shape[0]) if batch is None else batch.mask
    weights = jnp.broadcast_to(mask.reshape(-1, *(1,) * (x.ndim - 1)), (*x.shape[:-1], 1))
    axes = tuple(range(x.ndim - 1))

    def mean(values: Array) -> Array:
      total, count = jnp.sum(weights * values, axes), jnp.sum(weights)
      if batch is not None and batch.axis is not None:
        total, count = jax.lax.psum((total, count), batch.axis)
      return (total / jnp.maximum(count, 1)).reshape(*(1,) * len(axes), -1)

    centred = x - mean(x)
    centred -= mean(centred)  # of a constant channel rounding is left, and the root enlarges it
    normal = centred * jax.lax.rsqrt(mean(centred**2) + 1e-5)
    return normal * scale.reshape(*(1,) * len(axes), -1) + bias.reshape(*(1,) * len(axes), -1)


class Connector(nn.Module):
  """A 1×1 convolution without bias to `channels`, and a normalisation; the size stays.

  Attributes:
    channels: of the teacher's map.
    relu: rectify at last.
  """

  channels: int
  relu: bool = False

  @nn.compact
  def __call__(self, x: Map, batch: Batch | None = None) -> Map:
    x = nn.Conv(self.channels, (1, 1), use_bias=False, kernel_init=conv_init, name="conv")(x)
    x = Norm(name="norm")(x, batch)
    return nn.relu(x) if self.relu else x


class Regressor(nn.Module):
  """One convolution from a student's map to the shape of a teacher's, and a normalisation.

  The convolution has no bias, which the normalisation would take away. Its kernel makes the sizes
  meet, as RepDistiller's does: 3×3 with stride 2 from twice the size, 4×4 transposed to twice the
  size, otherwise as large as it takes without padding (1×1 for equal sizes). To a map that is
  larger by another factor the student's is first enlarged to the nearest.

  Attributes:
    shape: (height, width, channels) of the teacher's map.
    relu: rectify at last.
  """

  shape: tuple[int, ...]
  relu: bool = True

  @nn.compact
  def __call__(self, x: Map, batch: Batch | None = None) -> Map:
    size, channels = self.shape[:2], self.shape[2]
    here = x.shape[1:3]
    if any(ours < theirs for ours, theirs in zip(here, size, strict=True)):
      if size == tuple(2 * side for side in here):
        x = nn.ConvTranspose(
          channels,
          (4, 4),
          (2, 2),
          ((2, 2), (2, 2)),
          use_bias=False,
          kernel_init=conv_init,
          name="conv",
        )(x)
        return self._end(x, batch)
      x = jax.image.resize(x, (x.shape[0], *size, x.shape[-1]), "nearest")
      here = size
    padding: str | tuple[tuple[int, int], ...]
    if here == tuple(2 * side for side in size):
      kernel, stride, padding = (3, 3), (2, 2), ((1, 1), (1, 1))
    else:
      kernel = (1 + here[0] - size[0], 1 + here[1] - size[1])
      stride, padding = (1, 1), "VALID"
    x = nn.Conv(
      channels, kernel, stride, padding, use_bias=False, kernel_init=conv_init, name="conv"
    )(x)
    return self._end(x, batch)

  def _end(self, x: Map, batch: Batch | None) -> Map:
    x = Norm(name="norm")(x, batch)
    return nn.relu(x) if self.relu else x
