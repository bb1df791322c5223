"""What skies that never were are drawn with: numbers, slow noise, how long an exposure takes."""

from collections.abc import Iterator

import jax
from jaxtyping import Array, Float

from edjax.et import spectrum

EXPOSURE = 0.5 / 24  # days

Key = jax.Array
Numbers = Float[Array, " n"]


def draws(key: Key, count: int) -> Iterator[Numbers]:
  """Yields as many draws [count], even in [0, 1), as are asked for."""
  number = 0
  while True:
    yield jax.random.uniform(jax.random.fold_in(key, number), (count,))
    number += 1


def even(draw: Numbers, low: float | jax.Array, high: float | jax.Array) -> Numbers:
  """A draw from [0, 1) as one between two numbers, even in the logarithm."""
  return low * (high / low) ** draw


def slow_noise(key: Key, rate: Numbers, exposures: int) -> Float[Array, "n times"]:
  """Draws noise with σ 1 that has no memory beyond 1 / `rate`, in µHz: a damped oscillator's."""

  def power(frequency: jax.Array) -> jax.Array:
    return spectrum.oscillator(frequency[None], 1.0, rate[:, None], 0.5**0.5)

  return spectrum.series(key, power, exposures, EXPOSURE)
