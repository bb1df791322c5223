"""Lenses: adaptive quadrature over the source's face, published events, what must be."""

import jax
import numpy as np
import pytest
from scipy import integrate

from edjax.et import lens

EARTH = 3.0035e-6  # in masses of the Sun
finite = jax.jit(lens.finite)


@pytest.fixture(autouse=True)
def precisely():
  with jax.enable_x64(True):
    yield


def seen(u, rho):
  """The mean of √(1 + 4 / r²) … over the disk: rings round the lens, and no limb.

  A ring of radius r about the lens has the share of its length that is on the disk, and the
  magnification of a point there.
  """

  def ring(r):
    if r <= abs(u - rho):
      share = float(rho > u)
    else:
      share = np.arccos(np.clip((r**2 + u**2 - rho**2) / (2 * r * u), -1, 1)) / np.pi
    return 2 * np.pi * share * (r**2 + 2) / np.sqrt(r**2 + 4)  # r · A(r)

  edges = sorted({max(0.0, u - rho), abs(u - rho), u + rho})
  light = 0.0
  for low, high in zip(edges, edges[1:], strict=False):
    middle, wide = (low + high) / 2, (high - low) / 2
    light += integrate.quad(
      lambda a, m=middle, w=wide: ring(m - w * np.cos(a)) * w * np.sin(a),
      0,
      np.pi,
      epsabs=0,
      epsrel=1e-12,
      limit=400,
    )[0]
  return light / (np.pi * rho**2)


PLACES = [
  (ratio * rho, rho)
  for rho in (1e-3, 0.0049, 0.1, 0.5, 3.0)
  for ratio in (0.01, 0.5, 0.97, 1.0, 1.03, 2.0, 9.9, 10.1, 40.0)
]


def test_a_disk_is_magnified_as_its_points_are():
  u, rho = np.array(PLACES).T
  wanted = np.array([seen(*place) for place in PLACES])
  found = finite(u, rho)
  assert found.dtype == np.float64
  np.testing.assert_allclose(found, wanted, rtol=1e-6)
  single = finite(u.astype(np.float32), rho.astype(np.float32))
  assert single.dtype == np.float32
  # Near the limb the exam is of the same numbers, as a bit of u matters there.
  rounded = (u.astype(np.float32).astype(float), rho.astype(np.float32).astype(float))
  np.testing.assert_allclose(single, finite(*rounded), rtol=2e-5)


def test_a_disk_behind_the_lens_is_a_ring():
  rho = np.array([0.01, 1.0, 5.0])
  np.testing.assert_allclose(finite(0.0, rho), np.sqrt(1 + 4 / rho**2), rtol=1e-12)
  assert finite(0.3, 1e-4) == pytest.approx(float(lens.point(0.3)), rel=1e-6)
  assert lens.point(1.0) == pytest.approx(1.34164, abs=5e-6)


def test_the_expansion_takes_over_without_a_step():
  u = np.array([299.9e-3, 300.1e-3])  # on either side of 300 radii
  np.testing.assert_allclose(np.diff(finite(u, 1e-3)), np.diff(lens.point(u)), rtol=1e-4)


def test_gradients_are_finite_and_differences():
  u, rho = np.array(PLACES).T
  for number in (0, 1):
    slope = jax.grad(lambda *place: finite(*place).sum(), number)(u, rho)
    assert np.isfinite(slope).all()
  difference = (finite(0.02 + 1e-6, 0.01) - finite(0.02 - 1e-6, 0.01)) / 2e-6
  np.testing.assert_allclose(jax.grad(finite)(0.02, 0.01), difference, rtol=1e-6)


def test_a_source_that_moves_evenly():
  times = np.array([-3.0, 0.0, 4.0]) + 7.0
  np.testing.assert_allclose(lens.path(times, 7.0, 0.3, 2.0), np.hypot([-1.5, 0, 2], 0.3))


@pytest.mark.parametrize(
  "micro, earths, tolerance",
  [(4.8, 59, 0.3), (6.30, 102, 0.7)],  # KMT-2019-BLG-2073; KMT-2024-BLG-3237
)
def test_masses_of_published_events(micro, earths, tolerance):
  """θ_E in µas, and the published mass for a relative parallax of 16 µas."""
  radius, parallax = micro / 1e3, 16e-3
  found = lens.mass(radius, parallax / radius) / EARTH
  assert found == pytest.approx(earths, abs=tolerance)
  assert lens.einstein_radius(found * EARTH, parallax) == pytest.approx(radius, rel=1e-12)


def test_an_earth_in_the_bulge_seen_from_two_places():
  """1 M⊕, π_rel 16 µas, observers 0.01 au apart: θ_E 0.626 µas, π_E 25.6, Δu 0.256."""
  radius = lens.einstein_radius(EARTH, 16e-3)
  assert 1e3 * radius == pytest.approx(0.626, abs=1e-3)
  parallax = 16e-3 / radius
  assert parallax == pytest.approx(25.6, abs=0.05)
  assert lens.offset(parallax, 0.01) == pytest.approx(0.256, abs=5e-4)
