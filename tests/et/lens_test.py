"""Lenses: adaptive quadrature over the source's face, published events, what must be."""

import jax
import numpy as np
import pytest
from scipy import integrate, optimize

from edjax.et import lens

EARTH = 3.0035e-6  # in masses of the Sun
finite, darkened = jax.jit(lens.finite), jax.jit(lens.darkened)


pytestmark = pytest.mark.usefixtures("precisely")


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


def ring(u, radius):
  """The mean magnification of a circle's points, with the circle's steep part spread out."""

  def at(place):
    square = (u - radius) ** 2 + 4 * u * radius * np.sin(np.pi * place**3 / 2) ** 2
    return 3 * place**2 * (square + 2) / np.sqrt(square * (square + 4))

  return integrate.quad(at, 0, 1, epsabs=0, epsrel=1e-8, limit=200)[0]


@pytest.mark.parametrize(
  "u, rho, law",
  [
    (0.0, 0.5, (0.6, 0.0)),
    (5e-4, 1e-3, (0.6, 0.0)),
    (9.7e-2, 0.1, (0.4, 0.25)),
    (0.103, 0.1, (0.4, 0.25)),
    (6.0, 3.0, (0.9, -0.2)),
  ],
)
def test_a_dark_limb_counts_less(u, rho, law):
  """By adaptive quadrature over circles about the disk's centre, of those over each."""

  def light(r):
    mu = np.sqrt(1 - r**2)
    return 2 * r * (1 - law[0] * (1 - mu) - law[1] * (1 - mu) ** 2)

  edges = sorted({0.0, min(1.0, u / rho), 1.0})
  parts = [
    integrate.quad(lambda r: light(r) * ring(u, r * rho), *ends, epsabs=0, epsrel=1e-8)[0]
    for ends in zip(edges, edges[1:], strict=False)
  ]
  wanted = sum(parts) / (1 - law[0] / 3 - law[1] / 6)
  assert darkened(u, rho, *law) == pytest.approx(wanted, rel=1e-7)
  assert darkened(u, rho, 0.0, 0.0) == pytest.approx(float(finite(u, rho)), rel=1e-12)
  single = [np.float32(each) for each in (u, rho, *law)]
  exact = darkened(*(np.float64(each) for each in single))
  assert darkened(*single).dtype == np.float32
  np.testing.assert_allclose(darkened(*single), exact, rtol=2e-6)


def test_gradients_of_a_dark_limb():
  u, rho = np.array([0.0, 0.004, 0.01, 0.0103, 0.5]), np.full(5, 0.01)
  law = np.full(5, 0.4), np.full(5, 0.25)
  slopes = jax.jit(jax.grad(lambda *a: lens.darkened(*a).sum(), (0, 1, 2, 3)))(u, rho, *law)
  assert all(np.isfinite(slope).all() for slope in slopes)
  smooth, step = np.array([1, 3, 4]), 1e-7  # neither in the middle, the least u, nor on the limb
  ends = [darkened(u[smooth] + sign * step, 0.01, 0.4, 0.25) for sign in (1, -1)]
  np.testing.assert_allclose(slopes[0][smooth], (ends[0] - ends[1]) / (2 * step), rtol=1e-3)


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
  assert 24 * lens.einstein_time(radius, 6.0) == pytest.approx(0.91, abs=6e-3)


def test_how_long_a_published_event_took():
  """KMT-2017-BLG-2820: θ_E of about 6 µas, 8 mas a year, and a published t_E of 6.5 h."""
  assert 24 * lens.einstein_time(6e-3, 8.0) == pytest.approx(6.57, abs=6e-3)


def test_an_observer_elsewhere_sees_another_path():
  """Angles on the sky of a lens at 3 kpc and a source at 8, from two places, in au and mas."""
  far, radius, crossing, least = np.array([3.0, 8.0]), 0.05, 1.3, -0.2
  ahead = np.array([np.cos(0.7), np.sin(0.7)])  # motion of the lens: north, east
  aside = np.array([-ahead[1], ahead[0]])  # a quarter of a turn on, from north to east
  places = np.array([[0.01 * np.sin(each), 0.004 * each] for each in range(9)])  # it moves, too
  times = np.linspace(-2, 3, 9)
  between = radius * (np.outer((times - 0.4) / crossing, ahead) + least * aside)  # from the origin
  source = np.array([0.3, -0.2])  # in au across the line of sight
  star = source / far[1] + between
  seen = (star * far[0] - places) / far[0] - (source - places) / far[1]
  strength = (1 / far[0] - 1 / far[1]) / radius
  vector = tuple(strength * ahead)
  found = lens.path(times, 0.4, least, crossing, vector, tuple(places.T))
  np.testing.assert_allclose(found, np.hypot(*seen.T) / radius, rtol=1e-12)
  along, across = lens.track(times, 0.4, least, crossing, vector, tuple(places.T))
  np.testing.assert_allclose(along, seen @ ahead / radius, atol=1e-12)
  np.testing.assert_allclose(across, seen @ aside / radius, atol=1e-12)


def test_slopes_of_what_an_observer_sees():
  """Compiled together with what follows, where those of `jnp.hypot` came out wrong."""
  times = np.linspace(-2, 3, 61)
  place = (0.01 * np.sin(times), 0.3 + 0.02 * times)

  def light(*passage):
    return lens.point(lens.path(times, *passage[:3], passage[3:], place)).sum()

  passage, step = np.array([0.2, 0.3, 1.3, -0.24, 0.25]), 1e-6
  slopes = jax.jit(jax.grad(light, range(5)))(*passage)
  for number in range(5):
    ends = [light(*(passage + sign * step * np.eye(5)[number])) for sign in (1, -1)]
    np.testing.assert_allclose(slopes[number], (ends[0] - ends[1]) / (2 * step), rtol=1e-6)
  assert np.isfinite(jax.grad(lambda u: lens.path(0.0, 0.0, u, 1.0))(0.0))


def test_two_observers_tell_the_parallax_and_the_mass():
  """From the peaks that each sees, by a search: 10 M⊕ in the disk, θ_E 5.53 µas, π_E 22.2."""
  radius = 5.529e-3
  vector, place, crossing, least = (-13.0, 18.0), (0.006, 0.008), 8.08, 0.4
  peaks = []
  for where in ((0.0, 0.0), place):
    found = optimize.minimize_scalar(
      lambda time, where=where: float(lens.path(time, 0.0, least, crossing, vector, where)),
      (-10, 0, 10),
      tol=1e-10,
    )
    side = np.sign(lens.track(found.x, 0.0, least, crossing, vector, where)[1])
    peaks.append((found.x / crossing, side * found.fun))
  later, wider = np.subtract(peaks[1], peaks[0])
  apart = float(lens.offset(np.hypot(*vector), 0.01))
  assert np.hypot(later, wider) == pytest.approx(apart, rel=1e-6)
  found = lens.parallax(later, wider, place)
  np.testing.assert_allclose(found, vector, rtol=1e-6)
  assert lens.mass(radius, np.hypot(*found)) / EARTH == pytest.approx(10.1, abs=0.1)
