"""When telescopes on the ground see the Galaxy's bulge: night, altitude and weather. Batched.

Times are in days of UTC since JD 2451545.0, angles in degrees. In float32 times are right to a
minute. Arguments broadcast.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from edjax.et import observers
from edjax.et.numbers import alike

BULGE = (268.85, -30.2)  # right ascension and declination of OGLE-2016-BLG-1195
VISIT = 29 / 1440  # days from one visit of a field to the next
_DARK, _HIGH = -12.0, 30.0  # Sun and bulge in 99.3 % or more of every KMTNet site's pictures
_GRID = 48  # places in a day at which a night is looked for


@dataclasses.dataclass(frozen=True)
class Site:
  """Where a telescope is, and what the weather leaves."""

  latitude: float
  longitude: float  # to the east
  nights: float  # the share that has any data
  open: float  # the mean share of such a night from the first to the last picture


# KMTNet's three. The last two columns are those of the photometry of OGLE-2016-BLG-1195 in the 190
# days from JD 2457460, in which fields 1, 41 and 42 were visited every 19 to 31 minutes. Nights are
# the sites' own: by days of UTC, of which SSO's nights have parts of two, its share would be 0.63.
KMTNET = {
  "CTIO": Site(latitude=-30.17, longitude=-70.80, nights=0.69, open=0.79),
  "SAAO": Site(latitude=-32.38, longitude=20.81, nights=0.66, open=0.76),
  "SSO": Site(latitude=-31.27, longitude=149.06, nights=0.57, open=0.65),
}


def altitudes(
  time: ArrayLike, site: Site, target: tuple[float, float] = BULGE
) -> tuple[jax.Array, jax.Array]:
  """How high the Sun and a target are, without refraction."""
  (time,) = alike(time)
  along = jnp.radians(observers.sun(time)[0])
  tilt = jnp.radians(observers.TILT)
  ascension = jnp.arctan2(jnp.cos(tilt) * jnp.sin(along), jnp.cos(along))
  declination = jnp.arcsin(jnp.sin(tilt) * jnp.sin(along))
  # The whole turn of every day is left out before float32 loses the rest.
  turned = 280.46062 + 360 * jnp.mod(time, 1) + jnp.mod(0.98564737 * time, 360) + site.longitude
  north = jnp.radians(site.latitude)

  def altitude(right: jax.Array, up: jax.Array) -> jax.Array:
    level = jnp.cos(north) * jnp.cos(up) * jnp.cos(jnp.radians(turned) - right)
    return jnp.degrees(jnp.arcsin(jnp.clip(jnp.sin(north) * jnp.sin(up) + level, -1, 1)))

  right, up = jnp.radians(jnp.asarray(target, time.dtype))
  return altitude(ascension, declination), altitude(right, up)


def possible(time: ArrayLike, site: Site, target: tuple[float, float] = BULGE) -> jax.Array:
  """Whether the Sun is 12 degrees below the horizon and the target 30 above it."""
  sun, high = altitudes(time, site, target)
  return (sun < _DARK) & (high > _HIGH)


def visited(
  key: jax.Array, time: ArrayLike, site: Site, target: tuple[float, float] = BULGE
) -> jax.Array:
  """Draws whether a visit at this time is made.

  Every night has data or has none, independently of the others, and then for one stretch of what
  is possible, which begins anywhere: the share u^(1 / a) of it, of u drawn evenly, that has the
  site's mean. Real weather lasts: a night with data follows such a one in three of four cases.

  Args:
    key: of the draw, another for every site; the same nights for the same key.
    time: of the visits, which may be some of a night's or all.
    site, target: where from, and where to.
  """
  (time,) = alike(time)
  shift = site.longitude / 360
  night = jnp.floor(time + shift)  # from noon to noon

  def weather(number: jax.Array) -> jax.Array:
    return jax.random.uniform(jax.random.fold_in(key, number), (3,), time.dtype)

  drawn = jax.vmap(weather)(night.astype(jnp.int32).ravel()).reshape(*night.shape, 3)
  share = drawn[..., 1] ** ((1 - site.open) / site.open)
  start = drawn[..., 2] * (1 - share)
  grid = (jnp.arange(_GRID, dtype=time.dtype) + 0.5) / _GRID
  places = jnp.expand_dims(night - shift, -1) + jnp.broadcast_to(grid, (*night.shape, _GRID))
  there = possible(places, site, target)
  before = (there & (places < time[..., None])).sum(-1) / jnp.maximum(there.sum(-1), 1)
  open_ = (before >= start) & (before <= start + share)
  return (drawn[..., 0] < site.nights) & open_ & possible(time, site, target)
