"""Flicker: integrals and cosine transforms by quadrature, periodograms of what is drawn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate

from edjax.et import spectrum

CADENCE = 29.4 / 1440  # days
DAY = 0.0864


pytestmark = pytest.mark.usefixtures("precisely")


def variance(power, scale):
  """The integral over all frequencies, by a change of variable that ends at 1."""
  place = (np.arange(100_000) + 0.5) / 100_000
  return float(np.mean(power(scale * place / (1 - place)) * scale / (1 - place) ** 2))


def test_spectra_integrate_to_the_variance():
  for quality in (0.3, 0.5**0.5, 20.0):
    found = variance(lambda f, q=quality: spectrum.oscillator(f, 7.0, 3.0, q), 3.0)
    assert found == pytest.approx(49, rel=1e-9)
  turning = variance(lambda f: spectrum.rotation(f, 500.0, 25.0, 4.0, 0.3), 0.5)
  assert turning == pytest.approx(500**2, rel=1e-9)
  assert variance(lambda f: spectrum.hump(f, 8.0, 3090.0, 330.0), 3090) == pytest.approx(
    64, rel=1e-9
  )
  cells = variance(lambda f: spectrum.granulation(f, 3090.0), 1000)
  assert cells == pytest.approx(2 * (3382 * 3090**-0.609) ** 2, rel=1e-9)


@pytest.mark.parametrize("quality", (0.5**0.5, 4.0))
def test_an_oscillator_forgets_as_its_kernel_says(quality):
  """Foreman-Mackey et al. 2017, equation 23, of which the spectrum is the cosine transform."""
  centre = 2.0
  eta = np.sqrt(1 - 1 / (4 * quality**2))
  lag = np.array([0.05, 0.2, 0.6])  # in 1 / µHz
  angle = 2 * np.pi * centre * lag
  wave = np.cos(eta * angle) + np.sin(eta * angle) / (2 * eta * quality)
  frequency = np.linspace(0, 2000, 2_000_001)
  power = np.asarray(spectrum.oscillator(frequency, 1.0, centre, quality))
  found = [
    integrate.trapezoid(power * np.cos(2 * np.pi * each * frequency), frequency) for each in lag
  ]
  np.testing.assert_allclose(found, np.exp(-angle / (2 * quality)) * wave, atol=1e-6)


def folded(power, frequency, step):
  """What exposures show of a spectrum, with many more folds."""
  rate = 1 / (step * DAY)
  every = frequency + rate * np.arange(-60, 61)[:, None]
  return (np.asarray(power(np.abs(every))) * np.sinc(every / rate) ** 2).sum(0)


def test_periodograms_of_what_is_drawn_have_the_spectrum():
  """2,000 light curves of 512 exposures of a subgiant, seen through Hann's window."""

  def power(frequency):
    return spectrum.granulation(frequency, 200.0) + spectrum.hump(frequency, 60.0, 200.0, 25.0)

  curves = draw(power, 2000, 512)
  assert curves.shape == (2000, 512) and curves.dtype == np.float64
  hann = np.hanning(513)[:-1]
  waves = np.abs(np.fft.rfft(curves * hann)) ** 2 / np.sum(hann**2) * 2 * CADENCE * DAY
  frequency = np.fft.rfftfreq(512, CADENCE * DAY)
  chosen = slice(4, -4, 4)  # which Hann's window leaves independent of each other
  ratio = waves.mean(0)[chosen] / folded(power, frequency[chosen], CADENCE)
  assert np.abs(ratio - 1).max() < 5 / np.sqrt(2000)
  assert ratio.mean() == pytest.approx(1, abs=4 / np.sqrt(2000 * ratio.size))


def draw(power, stars, count, step=CADENCE):
  """Light curves [stars, count] of one spectrum."""

  def alike(frequency):
    return jnp.broadcast_to(power(frequency), (stars, frequency.size))

  return np.asarray(
    jax.jit(lambda key: spectrum.series(key, alike, count, step))(jax.random.key(0))
  )


def test_exposures_average_what_is_faster_than_they_are():
  """The Sun's granulation: as much variance as sinc² leaves, and as in means of short exposures."""

  def power(frequency):
    return spectrum.granulation(frequency, 3090.0)

  frequency = np.linspace(0, 0.5 / (CADENCE * DAY), 2001)
  wanted = integrate.trapezoid(folded(power, frequency, CADENCE), frequency)
  assert np.var(draw(power, 500, 256)) == pytest.approx(wanted, rel=0.02)
  short = draw(power, 500, 16 * 64, CADENCE / 16)
  assert np.var(short.reshape(500, 64, 16).mean(-1)) == pytest.approx(wanted, rel=0.04)
  assert np.var(short) > 1.5 * wanted


def test_the_end_knows_nothing_of_the_beginning():
  """Points next to each other are alike, the first and the last are not; in float32 also."""
  with jax.enable_x64(False):
    curves = draw(lambda f: spectrum.rotation(f, 500.0, 2.0, 1.0, 0.0), 1000, 2000)
  assert curves.dtype == np.float32
  first, second, last = curves[:, 0], curves[:, 1], curves[:, -1]
  assert np.corrcoef(first, second)[0, 1] > 0.95
  assert abs(np.corrcoef(first, last)[0, 1]) < 4 / np.sqrt(1000)
  assert np.std(curves) == pytest.approx(500, rel=0.02)
