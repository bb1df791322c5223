"""What other programs say of transits and lenses, each at its own error. They are optional."""

import jax
import numpy as np
import pytest

from edjax.et import binary, lens, transit

separation, depth = jax.jit(transit.separation), jax.jit(transit.depth)
finite, darkened = jax.jit(lens.finite), jax.jit(lens.darkened)
magnified = jax.jit(binary.binary)


pytestmark = pytest.mark.usefixtures("precisely")


@pytest.mark.parametrize("eccentricity, argument", [(0.0, 0.3), (0.4, 0.7), (0.6, 4.0)])
@pytest.mark.parametrize("k", [0.00917, 0.1])
def test_batman(eccentricity, argument, k):
  """Its errors are 3e-8 of the depth, by adaptive quadrature, and 2e-6 of places on an ellipse."""
  batman = pytest.importorskip("batman")
  orbit = batman.TransitParams()
  orbit.t0, orbit.per, orbit.a, orbit.rp = 0.0, 10.0, 15.0, k
  orbit.inc, orbit.ecc, orbit.w = np.rad2deg(1.53), eccentricity, np.rad2deg(argument)
  orbit.limb_dark, orbit.u = "quadratic", [0.4, 0.25]
  times = np.linspace(-0.3, 0.3, 301)
  model = batman.TransitModel(orbit, times, max_err=1e-3)
  z, front = separation(times, 10.0, 15.0, 1.53, eccentricity, argument)
  assert front.all() and (np.asarray(z) < 1 + k).sum() > 50
  np.testing.assert_allclose(z, model.ds, rtol=0, atol=5e-6)
  found = 1 - depth(z, k, 0.4, 0.25)
  np.testing.assert_allclose(found, model.light_curve(orbit), rtol=0, atol=5e-8)


@pytest.mark.parametrize(
  "method, error",
  [
    ("finite_source_uniform_Gould94", 4e-6),  # without what is of the order ρ² / 8 = 3e-6
    ("finite_source_uniform_Lee09", 2e-4),
    ("finite_source_uniform_WittMao94", 2e-4),
    ("finite_source_LD_Yoo04", 4e-6),
    ("finite_source_LD_Lee09", 2e-4),
  ],
)
def test_mulensmodel(method, error):
  """A disk of 0.0049, as even or as dark at the limb as Γ = 0.5 says."""
  mulens = pytest.importorskip("MulensModel")
  rho, gamma = 0.0049, 0.5 if "LD" in method else 0.0
  model = mulens.Model({"t_0": 0.0, "u_0": 1e-3, "t_E": 1.0, "rho": rho})
  model.set_magnification_methods([-1.0, method, 1.0])
  times = np.linspace(-2, 2, 9) * rho
  wanted = model.get_magnification(times, gamma=gamma)
  u = lens.path(times, 0.0, 1e-3, 1.0)
  found = darkened(u, rho, 3 * gamma / (2 + gamma))
  np.testing.assert_allclose(found, wanted, rtol=error)


def test_vbmicrolensing_of_disks():
  """Its table is 1e-3 from adaptive quadrature."""
  vbm = pytest.importorskip("VBMicrolensing").VBMicrolensing()
  rho = 0.01
  u = np.linspace(0, 3, 31) * rho
  wanted = [vbm.ESPLMag2(each, rho) for each in u]
  np.testing.assert_allclose(finite(u, rho), wanted, rtol=1e-3)


def errors(count):
  """How far binary lenses are from VBMicrolensing, relative to the magnification.

  Separations of 0.3 to 3 and ratios of 1e-5 to 1, evenly in the logarithm; half of the sources
  evenly within ±2, the others about the planet's caustic, twice its Einstein radius wide.
  """
  vbm = pytest.importorskip("VBMicrolensing").VBMicrolensing()
  random = np.random.default_rng(0)
  separation = 10 ** random.uniform(np.log10(0.3), np.log10(3), count)
  ratio = 10 ** random.uniform(-5, 0, count)
  wide = random.uniform(-2, 2, (2, count))
  close = 2 * np.sqrt(ratio) * random.normal(size=(2, count))
  close[0] += separation / (1 + ratio) - 1 / separation
  x, y = np.where(np.arange(count) % 2, wide, close)
  wanted = [vbm.BinaryMag0(*each) for each in zip(separation, ratio, x, y, strict=True)]
  return np.abs(magnified(x + 1j * y, separation, ratio) / np.array(wanted) - 1)


def test_vbmicrolensing_of_binaries():
  wrong = errors(3000)
  assert np.quantile(wrong, 0.5) < 2e-15 and np.quantile(wrong, 0.99) < 1e-11
  assert wrong.max() < 1e-7


@pytest.mark.slow
def test_vbmicrolensing_of_many_binaries():
  wrong = errors(100_000)
  print(np.quantile(wrong, [0.5, 0.99, 0.999, 0.9999, 1]))
  assert np.quantile(wrong, 0.999) < 2e-10
  assert wrong.max() < 1e-6
