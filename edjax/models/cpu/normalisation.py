"""Batch normalisation (Ioffe & Szegedy 2015, arXiv:1502.03167), with sums that are quick on CPUs.

XLA computes the sum of a map over images and places on CPUs four to ten times as slowly as the
product of a row of ones with the images, each a row of that matrix (jax 0.10.2). Training takes
four such sums per normalisation, two of them in the gradient, hence a gradient rule.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

Maps = Float[Array, "*places channels"]
Sums = Float[Array, " channels"]
_Row = Float[Array, "*_ channels"]  # as many axes as maps, each of one place


class BatchNorm(nn.Module):
  """Normalises channels, the last axis, as PyTorch does; variables are named as `nn.BatchNorm`'s.

  A batch of n values per channel, over all devices, is normalised by their mean squared distance
  from the mean, while the average over batches is of n / (n − 1) times that, which estimates the
  variance without bias (flax leaves the factor out). One value has no variance, which PyTorch
  refuses; here the average stays as it is. Statistics and what is computed with them are float32,
  or as wide as `x` and its variables.

  Attributes:
    use_running_average: infer: take the averages over past batches, and leave them as they are; or
      what says of the module's path whether to.
    momentum: of these averages.
    epsilon: added to the variance.
    axis_name: the mapped axis over which the statistics of a batch are averaged, or None.
  """

  use_running_average: bool | Callable[[tuple[str, ...]], bool]
  momentum: float
  epsilon: float
  axis_name: str | None = None

  @property
  def infers(self) -> bool:
    told = self.use_running_average
    return told(self.path) if callable(told) else told

  @nn.compact
  def __call__(self, x: Maps) -> Maps:
    channels = x.shape[-1:]
    scale = self.param("scale", nn.initializers.ones, channels)
    bias = self.param("bias", nn.initializers.zeros, channels)
    known_mean = self.variable("batch_stats", "mean", jnp.zeros, channels)
    known_var = self.variable("batch_stats", "var", jnp.ones, channels)
    kind = jnp.result_type(x, scale, bias)
    wide = x.astype(jnp.promote_types(kind, jnp.float32))
    if self.infers:
      mean, var, affine = known_mean.value, known_var.value, _affine
    else:
      mean, square = (total * channels[0] / x.size for total in _moments(wide))
      count = x.size // channels[0]
      if self.axis_name and not self.is_initializing():
        mean, square = jax.lax.pmean((mean, square), self.axis_name)
        count *= jax.lax.axis_size(self.axis_name)
      var, affine = jnp.maximum(0.0, square - mean**2), _trained_affine
      if not self.is_initializing():
        spread = var * count / (count - 1) if count > 1 else known_var.value
        for known, seen in ((known_mean, mean), (known_var, spread)):
          known.value = self.momentum * known.value + (1 - self.momentum) * seen
    factor = jax.lax.rsqrt(var + self.epsilon) * scale
    axes = (1,) * (x.ndim - 1) + channels
    values = (value.reshape(axes).astype(wide.dtype) for value in (mean, factor, bias))
    return affine(wide, *values).astype(kind)


def _affine(x: Maps, mean: _Row, factor: _Row, bias: _Row) -> Maps:
  return (x - mean) * factor + bias


_trained_affine = jax.custom_vjp(_affine)


def _affine_forward(
  x: Maps, mean: _Row, factor: _Row, bias: _Row
) -> tuple[Maps, tuple[Array, Array, Array]]:
  return _affine(x, mean, factor, bias), (x, mean, factor)


def _affine_backward(
  saved: tuple[Array, Array, Array], gradient: Array
) -> tuple[Array, Array, Array, Array]:
  x, mean, factor = saved
  total = channel_sums(gradient).reshape(mean.shape)
  steep = channel_sums(gradient * (x - mean)).reshape(mean.shape)
  return gradient * factor, -factor * total, steep, total


_trained_affine.defvjp(_affine_forward, _affine_backward)


@jax.custom_vjp
def _moments(x: Maps) -> tuple[Sums, Sums]:
  """Sums over all axes but the last, of [..., channels] and of its square."""
  return channel_sums(x), channel_sums(x * x)


def _moments_forward(x: Maps) -> tuple[tuple[Sums, Sums], Maps]:
  return _moments(x), x


def _moments_backward(x: Maps, gradients: tuple[Sums, Sums]) -> tuple[Maps]:
  first, second = (g.reshape((1,) * (x.ndim - 1) + g.shape) for g in gradients)
  return (first + 2 * second * x,)


_moments.defvjp(_moments_forward, _moments_backward)


def channel_sums(x: Maps) -> Sums:
  """Sums of [..., channels] over all axes but the last: [channels]."""
  return jax.lax.platform_dependent(
    x, cpu=_product_sums, default=lambda x: x.sum(tuple(range(x.ndim - 1)))
  )


def _product_sums(x: Maps) -> Sums:
  """Over the images first: few and long rows are the quickest, and what they round is least.

  The little that is left is a plain sum: a second product would be no quicker, and takes ten
  milliseconds to compile.
  """
  ones = jnp.ones((1, x.shape[0]), x.dtype)
  rows = x.reshape(x.shape[0], -1)
  places = jnp.matmul(ones, rows, precision=jax.lax.Precision.HIGHEST)
  return places.reshape(-1, x.shape[-1]).sum(0)
