"""Nights: the almanac, astropy where it is installed, and real nights of OGLE-2016-BLG-1195."""

import jax
import numpy as np
import pytest

from edjax.et import nights

SEASON = 2457460 - 2451545
CTIO = nights.KMTNET["CTIO"]
altitudes = jax.jit(nights.altitudes, static_argnums=(1, 2))
visited = jax.jit(nights.visited, static_argnums=2)


pytestmark = pytest.mark.usefixtures("precisely")


@pytest.mark.parametrize("kind", (np.float32, np.float64))
def test_the_sun_is_where_the_almanac_has_it(kind):
  """How high at Greenwich's meridian, and how many minutes before noon: the equation of time."""
  minutes, site = np.arange(1440), nights.Site(latitude=50.0, longitude=0.0, nights=1.0, open=0.9)
  for day, height, early in (
    (2457560.5, 40 + 23.44, -1.8),  # 21 June 2016, the solstice
    (2457695.5, None, 16.4),  # 3 November 2016, when it is earliest
    (2457743.5, 40 - 23.44, None),  # 21 December 2016, the solstice
    (2457795.5, None, -14.2),  # 11 February 2017, when it is latest
    (2457832.5, 40.0, None),  # 20 March 2017, the equinox
  ):
    sun, _ = altitudes(kind(day - 2451545 + minutes / 1440), site, nights.BULGE)
    assert sun.dtype == kind
    assert height is None or np.max(sun) == pytest.approx(height, abs=0.04)
    highest = np.mean(minutes[sun > np.max(sun) - 0.3])
    assert early is None or 720 - highest == pytest.approx(early, abs=1)


def test_altitudes_are_those_of_astropy():
  """Precession since 2000 is left out, a fifth of a degree."""
  coordinates = pytest.importorskip("astropy.coordinates")
  from astropy import time, units
  from astropy.utils import iers

  with iers.conf.set_temp("auto_download", False):
    days = SEASON + np.linspace(0, 190, 77)
    when = time.Time(2451545 + days, format="jd")
    where = coordinates.EarthLocation.from_geodetic(CTIO.longitude, CTIO.latitude)
    frame = coordinates.AltAz(obstime=when, location=where)
    known = (
      coordinates.get_sun(when).transform_to(frame).alt.deg,
      coordinates.SkyCoord(*nights.BULGE * units.deg).transform_to(frame).alt.deg,
    )
  for found, wanted in zip(altitudes(days, CTIO, nights.BULGE), known, strict=True):
    np.testing.assert_allclose(found, wanted, atol=0.3)


def test_three_sites_see_half_of_all_hours():
  """In 190 days 47 % of hours have a picture of any field, 18, 18 and 12 % by site (measured)."""
  time = SEASON + np.arange(0, 190, 12.6 / 1440)
  hour = np.floor((time - SEASON) * 24).astype(int)
  covered = {}
  for number, (name, site) in enumerate(nights.KMTNET.items()):
    for draw in range(3):
      key = jax.random.fold_in(jax.random.key(draw), number)
      seen = np.zeros(190 * 24, bool)
      seen[hour[np.asarray(visited(key, time, site))]] = True
      covered[name, draw] = seen
  for name, wanted in (("CTIO", 0.180), ("SAAO", 0.177), ("SSO", 0.124)):
    mean = np.mean([covered[name, draw] for draw in range(3)])
    assert mean == pytest.approx(wanted, rel=0.12), name
  together = [
    np.any([covered[name, draw] for name in nights.KMTNET], 0).mean() for draw in range(3)
  ]
  assert np.mean(together) == pytest.approx(0.466, rel=0.1)


def test_nights_are_the_sites_own():
  """As many have data as its weather leaves, and the same ones however they are asked."""
  time = SEASON + np.arange(0, 190, nights.VISIT)
  night = np.floor(time + CTIO.longitude / 360)
  shares = []
  for draw in range(3):
    seen = np.asarray(visited(jax.random.key(draw), time, CTIO))
    shares.append(np.unique(night[seen]).size / np.unique(night).size)
    assert not np.any(seen & ~np.asarray(nights.possible(time, CTIO)))
  assert np.mean(shares) == pytest.approx(0.69, abs=4 * np.sqrt(0.69 * 0.31 / 190 / 3))
  some = visited(jax.random.key(2), time[:9432].reshape(-1, 8)[300:310], CTIO)
  np.testing.assert_array_equal(some, seen[:9432].reshape(-1, 8)[300:310])
