"""Where the Earth is: astropy where it is installed, and what must be."""

import jax
import numpy as np
import pytest

from edjax.et import observers

pytestmark = pytest.mark.usefixtures("precisely")

TARGET = (266.801, -21.383)  # OGLE-2014-BLG-0939
earth, uneven = jax.jit(observers.earth), jax.jit(observers.uneven, static_argnums=2)


def test_the_earth_is_where_the_sun_is_not():
  """At the March equinox of 2000, day 79.32 at 7:35, it is on the far side of autumn's point."""
  place = np.asarray(earth(78.816))
  np.testing.assert_allclose(place, [-0.996, 0, 0], atol=1e-3)
  nearest = np.linalg.norm(earth(np.arange(0, 366.0)), axis=-1)
  assert np.argmin(nearest) == pytest.approx(2, abs=1.5)  # 3 January
  assert nearest.min() == pytest.approx(0.98329, abs=1e-4)
  assert nearest.max() == pytest.approx(1.01671, abs=1e-4)


def test_single_precision():
  days = np.arange(5000, 5400, 7.0)
  single = earth(days.astype(np.float32))
  assert single.dtype == np.float32
  np.testing.assert_allclose(single, earth(days), atol=2e-5)


def test_across_a_line_of_sight():
  """Three axes at right angles, east towards rising right ascension, north towards the pole."""
  right, up = np.radians(TARGET)
  ahead = np.array([np.cos(up) * np.cos(right), np.cos(up) * np.sin(right), np.sin(up)])
  step = 1e-6
  for name, change in (("north", (0, step)), ("east", (step, 0))):
    near = np.radians(np.add(TARGET, change))
    moved = [np.cos(near[1]) * np.cos(near[0]), np.cos(near[1]) * np.sin(near[0]), np.sin(near[1])]
    way = observers.across(np.subtract(moved, ahead) / np.radians(step), TARGET)._asdict()
    other = way.pop({"north": "east", "east": "north"}[name])
    assert way[name] == pytest.approx(np.cos(up) if name == "east" else 1, rel=1e-4)
    assert other == pytest.approx(0, abs=1e-4)
  np.testing.assert_allclose(observers.across(ahead, TARGET), 0, atol=1e-15)


def test_the_way_off_an_even_motion():
  """Nothing to first order, and then half of the Sun's pull: k² / r², k = 0.0172021."""
  assert np.abs(uneven(np.array([5291.0]), 5291.0, TARGET)).max() == 0
  place = np.asarray(earth(5291.0))
  pull = -(0.01720209895**2) * place / np.linalg.norm(place) ** 3
  for day in (-1.0, 1.0):
    found = uneven(np.array([5291.0 + day]), 5291.0, TARGET)
    wanted = observers.across(pull / 2, TARGET)
    np.testing.assert_allclose(np.ravel(found), np.ravel(wanted), atol=3e-6)


def test_the_speed_is_a_difference():
  ends = [observers.across(earth(5291.0 + each), TARGET) for each in (-0.01, 0.01)]
  wanted = np.subtract(ends[1], ends[0]) / 0.02
  np.testing.assert_allclose(observers.speed(5291.0, TARGET), wanted, rtol=1e-5)


def test_behind_the_earth():
  """0.01 au off; across the line of sight all of it in March, and little of it in June."""
  days = np.array([5192.0, 5284.5])  # 20 March and 20 June 2014
  far = np.hypot(*observers.beyond(days, TARGET))
  assert far[0] == pytest.approx(0.01, abs=1e-4) and far[1] < 0.001


def test_the_earth_is_where_astropy_has_it():
  coordinates = pytest.importorskip("astropy.coordinates")
  from astropy import time
  from astropy.utils import iers

  with iers.conf.set_temp("auto_download", False):
    days = np.arange(3653, 9863, 41.0)
    when = time.Time(2451545 + days, format="jd", scale="tdb")
    place, sun = (
      coordinates.get_body_barycentric(body, when).xyz.to_value("au").T for body in ("earth", "sun")
    )
    assert np.linalg.norm(earth(days) - (place - sun), axis=-1).max() < 2.0e-4
    for reference, reach, error in ((5291.0, 30, 4e-5), (6900.0, 30, 4e-5), (5291.0, 100, 3e-4)):
      days = reference + np.linspace(-reach, reach, 13)
      when = time.Time(2451545 + np.append(days, reference), format="jd", scale="tdb")
      place, speed = coordinates.get_body_barycentric_posvel("earth", when)
      place, speed = place.xyz.to_value("au").T, speed.xyz.to_value("au/d").T[-1]
      off = place[:-1] - place[-1] - np.outer(days - reference, speed)
      wanted = np.array(observers.across(off, TARGET))
      assert np.abs(np.array(uneven(days, reference, TARGET)) - wanted).max() < error
      assert np.linalg.norm(off, axis=-1).max() == pytest.approx(1.48e-4 * reach**2, rel=0.2)
