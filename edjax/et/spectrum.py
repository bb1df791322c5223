"""How a star's own light flickers: spectra of its power, and light curves that have them.

Frequencies are in µHz, times in days, and power in ppm² / µHz, of frequencies that are not
negative: its integral over them is the variance. Arguments broadcast, and the result has their
widest type.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from edjax.et.numbers import alike

Power = Callable[[jax.Array], jax.Array]
_DAY = 0.0864  # in 1 / µHz
_FOLDS = 8  # of frequencies above the highest that a series shows


def oscillator(
  frequency: ArrayLike, rms: ArrayLike, centre: ArrayLike, quality: ArrayLike
) -> jax.Array:
  """A damped harmonic oscillator that noise drives (Foreman-Mackey et al. 2017, arXiv:1703.09710).

  Their equation 20, with rms² for S₀ ω₀ Q, the variance:
  2 rms² ν₀³ / (π Q ((ν² − ν₀²)² + ν² ν₀² / Q²)).

  Args:
    frequency: ν.
    rms: root of the variance, in ppm.
    centre: ν₀, of the oscillator without its damping.
    quality: Q. With 1/√2 the power is even below ν₀ and falls with ν⁻⁴ above.
  """
  frequency, rms, centre, quality = alike(frequency, rms, centre, quality)
  ratio = frequency / centre
  bell = (ratio**2 - 1) ** 2 + (ratio / quality) ** 2
  return 2 * rms**2 / (jnp.pi * quality * centre * bell)


def granulation(frequency: ArrayLike, peak: ArrayLike) -> jax.Array:
  """Of the cells that rise in a star like the Sun or a red giant (Kallinger et al. 2014).

  Two oscillators with Q = 1/√2: both have an rms of 3382 ν_max^−0.609 ppm, and they are at
  0.317 ν_max^0.970 and 0.948 ν_max^0.992 µHz. Read in the code of others, not in the paper.

  Args:
    frequency: at which the power is wanted.
    peak: ν_max, at which the star's pressure modes are strongest; the Sun's is 3090 µHz.
  """
  frequency, peak = alike(frequency, peak)
  rms = 3382 * peak**-0.609
  slow, fast = 0.317 * peak**0.970, 0.948 * peak**0.992
  return oscillator(frequency, rms, slow, 0.5**0.5) + oscillator(frequency, rms, fast, 0.5**0.5)


def rotation(
  frequency: ArrayLike, rms: ArrayLike, period: ArrayLike, quality: ArrayLike, second: ArrayLike
) -> jax.Array:
  """Of spots that come and go on a star that turns: an oscillator of its period, one of half of it.

  Args:
    frequency: at which the power is wanted.
    rms: root of the variance of both, in ppm.
    period: of the damped oscillation, in days.
    quality: of both, above 1/2: the higher, the longer spots live.
    second: the share of the variance that is at half the period.
  """
  frequency, rms, period, quality, second = alike(frequency, rms, period, quality, second)
  damped = 2 * quality / jnp.sqrt(4 * quality**2 - 1)  # by so much it is slower than without
  first = damped / (period * _DAY)
  whole = oscillator(frequency, rms, first, quality)
  half = oscillator(frequency, rms, 2 * first, quality)
  return (1 - second) * whole + second * half


def hump(frequency: ArrayLike, rms: ArrayLike, peak: ArrayLike, width: ArrayLike) -> jax.Array:
  """Of all pressure modes together, none of which is told apart: a Gaussian.

  Args:
    frequency: at which the power is wanted.
    rms: root of the variance of all, in ppm.
    peak: ν_max, of the Gaussian.
    width: its standard deviation, small beside `peak`.
  """
  frequency, rms, peak, width = alike(frequency, rms, peak, width)
  bell = jnp.exp(-(((frequency - peak) / width) ** 2) / 2)
  return rms**2 / (width * jnp.sqrt(2 * jnp.pi)) * bell


def exposed(power: Power, frequency: jax.Array, step: float) -> jax.Array:
  """The power of exposures that follow each other without a break, up to their Nyquist frequency.

  A mean over `step` dims what is fast by sinc², and what is left of it above the highest frequency
  appears below: of eight times both signs that, so that for white light 1 % is missing.

  Args:
    power: of the light, at frequencies [F].
    frequency: [F].
    step: of the exposures, in days.
  """
  rate = 1 / (step * _DAY)
  folds = jnp.arange(-_FOLDS, _FOLDS + 1, dtype=frequency.dtype)
  every = frequency[None] + rate * folds[:, None]
  parts = power(jnp.abs(every).ravel())
  kept = jnp.broadcast_to(jnp.sinc(every / rate).ravel() ** 2, parts.shape)
  return (parts * kept).reshape(*parts.shape[:-1], *every.shape).sum(-2)


def series(key: jax.Array, power: Power, count: int, step: float) -> jax.Array:
  """Draws light curves in ppm about 0, whose points are means over exposures without a break.

  By FFT, twice as long as wanted, so that the end knows nothing of the beginning. What is narrower
  in the spectrum than 1 / (2 · count · step) is not seen as it is.

  Args:
    key: of the draw.
    power: of the light, from frequencies [F] to [..., F]: a light curve for each of the others.
    count: of exposures.
    step: of the exposures, in days.

  Returns:
    [..., count].
  """
  rate = 1 / (step * _DAY)
  frequency = jnp.arange(count + 1, dtype=float) / (2 * count) * rate
  size = jnp.sqrt(count * rate * exposed(power, frequency, step))  # √⟨|X|²⟩ of 2 · count points
  real, imaginary = size[None] * jax.random.normal(key, (2, *size.shape), size.dtype)
  ends = jnp.array([0, count])  # where waves are real
  turned = (real + 1j * imaginary) / 2**0.5
  waves = turned.at[..., ends].set(real[..., ends])
  return jnp.fft.irfft(waves, 2 * count)[..., :count]
