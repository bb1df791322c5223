"""Binary lenses: a source at the middle of two equal masses, images that a search finds, limits."""

import functools

import jax
import numpy as np
import pytest
from scipy import optimize

from edjax.et import binary, lens

magnified = jax.jit(binary.binary)


pytestmark = pytest.mark.usefixtures("precisely")


def off(place, source, separation, ratio):
  """By how much a place is no image of a source; the origin is the centre of mass."""
  z = complex(*place)
  first, second = -separation * ratio / (1 + ratio), separation / (1 + ratio)
  pull = 1 / (z.conjugate() - first) + ratio / (z.conjugate() - second)
  missed = z - pull / (1 + ratio) - source
  return missed.real, missed.imag


def searched(source, separation, ratio):
  """(magnification, number) of the images that are found from many places near both lenses."""
  found = []
  masses = np.array([1, ratio]) / (1 + ratio)
  for mass, at in zip(masses, (-separation * masses[1], separation * masses[0]), strict=True):
    for distance in np.sqrt(mass) * np.array([0.02, 0.3, 0.8, 1.2, 2.5]):
      for angle in np.linspace(0, 2 * np.pi, 12, endpoint=False) + 0.1:
        start = at + distance * np.cos(angle), distance * np.sin(angle)
        miss = functools.partial(off, source=source, separation=separation, ratio=ratio)
        place, _, solved, _ = optimize.fsolve(miss, start, xtol=1e-13, full_output=True)
        new = all(np.hypot(*(place - each)) > 1e-6 for each in found)
        if solved == 1 and new and np.hypot(*miss(place)) < 1e-10:
          found.append(place)
  z = np.array([complex(*each) for each in found]).conj()
  shear = masses[0] / (z + separation * masses[1]) ** 2
  shear = shear + masses[1] / (z - separation * masses[0]) ** 2
  return (1 / abs(1 - abs(shear) ** 2)).sum(), len(found)


@pytest.mark.parametrize(
  "source, separation, ratio, images",
  [
    (0.1 + 0.02j, 1.0, 0.5, 5),
    (0.4 - 0.3j, 0.6, 0.3, 3),
    (0.62 + 0.002j, 1.35, 1e-3, 5),  # within the caustic of a planet
    (0.8 + 0.3j, 1.35, 1e-3, 3),
    (-0.1 - 0.02j, 1.0, 2.0, 5),
  ],
)
def test_all_images_are_found_and_no_other(source, separation, ratio, images):
  wanted, number = searched(source, separation, ratio)
  assert number == images
  assert magnified(source, separation, ratio) == pytest.approx(wanted, rel=1e-10)


@pytest.mark.parametrize("half", [0.4, 0.8, 1.5])
def test_a_source_in_the_middle_of_equal_masses(half):
  """Its images are the middle, ±√(1 + a²), and with a < 1 ±i √(1 − a²), for lenses at ±a."""
  wanted = 1 / abs(1 - half**-4) + 2 / ((1 + 2 * half**2) ** 2 - 1)
  wanted += 2 / (1 - (2 * half**2 - 1) ** 2) if half < 1 else 0
  assert magnified(0.0, 2 * half, 1.0) == pytest.approx(wanted, rel=1e-12)


def test_light_or_near_companions_are_no_lens_of_their_own():
  source = np.array([0.3, -0.1 + 0.2j, 1.7j])
  alone = lens.point(np.abs(source))
  np.testing.assert_allclose(magnified(source, 1e-3, 0.7), alone, rtol=1e-5)
  np.testing.assert_allclose(magnified(source, 1.5, 1e-9), alone, rtol=1e-6)


def test_the_lenses_may_change_places():
  source, ratio = np.array([0.31 + 0.2j, -0.2 + 0.05j, 0.01j]), np.array([0.02, 0.4, 1e-5])
  turned = magnified(-source, 1.2, 1 / ratio)
  np.testing.assert_allclose(magnified(source, 1.2, ratio), turned, rtol=1e-10)
  mirrored = magnified(source.conj(), 1.2, ratio)
  np.testing.assert_allclose(magnified(source, 1.2, ratio), mirrored, rtol=1e-10)


def test_gradients_are_differences():
  """At three sources, by where they are, by separation and by ratio."""
  places = np.array([[0.3, 0.1, 1.1, 0.5], [0.1, 0.02, 1.0, 0.5], [0.64, 0.01, 1.35, 1e-3]])

  def at(x, y, separation, ratio):
    return magnified(x + 1j * y, separation, ratio)

  slopes = jax.jit(jax.grad(lambda each: at(*each.T).sum()))(places)
  for number in range(4):
    step = 1e-7 * np.eye(4)[number] * (places[:, 3:] if number == 3 else 1)
    ends = [at(*moved.T) for moved in (places + step, places - step)]
    difference = (ends[0] - ends[1]) / (2 * step.max(-1))
    np.testing.assert_allclose(slopes[:, number], difference, rtol=1e-5, atol=1e-5)


def test_shapes_and_kinds():
  found = magnified(np.linspace(0.1, 1, 5).astype(np.float32), np.ones((3, 1)), 0.1)
  assert found.shape == (3, 5) and found.dtype == np.float64
  assert np.isnan(magnified(np.nan, 1.0, 0.1))
  with jax.enable_x64(False), pytest.raises(ValueError, match="jax_enable_x64"):
    binary.binary(0.1, 1.0, 0.1)
