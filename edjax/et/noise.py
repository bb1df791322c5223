"""How noisy the light of a star is, as a telescope in space sees it. Pure, batched.

In parts per million (ppm) of the light's mean over so many hours. Arguments broadcast, and the
result has their widest type. `light` is the collecting area by Kepler's, see `Survey.light`.
"""

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtri
from jax.typing import ArrayLike

from edjax.et.numbers import alike

_EXPOSURE = 29.4 / 60  # hours, of Kepler's long cadence
_HOURS = 6.5  # as Gilliland et al. have it
INSTRUMENT = 10.0  # of 6.5 hours, what Kepler was promised to have
# In 6.5 hours, of stars like the Sun (Gilliland et al. 2011, arXiv:1107.5207). 10 was promised.
STELLAR = 19.5
GLOW = 10 ** (0.4 * (22 - 18.5))  # unresolved light in a bulge star's image, of 18.5 mag; ours
FLOOR = 1e-3  # of a bulge star's light, below which no exposure gets; ours

# What 2,981 stars of Kepler's with Kp 12 to 12.5 have in 6 hours beyond photons and faint light, so
# with what the instrument adds, and which share of them has less. Giants are among them.
_SHARES = (0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95)
_EXCESS = (6.3, 8.3, 12.4, 20.0, 65.9, 99.9, 261.6)


def photons(magnitude: ArrayLike, hours: ArrayLike = _HOURS, light: ArrayLike = 1.0) -> jax.Array:
  """Of the photons' number alone, 3.46e8 in 29.4 minutes at Kp 12 for Kepler.

  Args:
    magnitude: of the star, in Kepler's band.
    hours: over which the mean is taken.
    light: collecting area by Kepler's.
  """
  magnitude, hours, light = alike(magnitude, hours, light)
  return 1e6 / jnp.sqrt(_counted(magnitude, light) * hours / _EXPOSURE)


def faint(magnitude: ArrayLike, hours: ArrayLike = _HOURS, light: ArrayLike = 1.0) -> jax.Array:
  """Of reading the detector and of the sky, which matter for faint stars (Jenkins et al. 2010).

  √7e6 electrons in 29.4 minutes, more beyond Kp 14. It is not known of another telescope's pixels
  and does not depend on `light` here, but its share of the star's light does.

  Args:
    magnitude: of the star, in Kepler's band.
    hours: over which the mean is taken.
    light: collecting area by Kepler's.
  """
  magnitude, hours, light = alike(magnitude, hours, light)
  electrons = jnp.sqrt(7e6) * jnp.maximum(1, magnitude / 14) ** 2
  return 1e6 * electrons / _counted(magnitude, light) / jnp.sqrt(hours / _EXPOSURE)


def crowded(flux: ArrayLike, hours: ArrayLike, light: ArrayLike) -> jax.Array:
  """σ of the flux of a star in the bulge: photons, its own and unresolved ones, and the floor.

  Args:
    flux: of which 22 mag is 1, in Kepler's band or near it.
    hours: of an exposure.
    light: collecting area by Kepler's.
  """
  flux, hours, light = alike(flux, hours, light)
  unit = 1e-6 * photons(22.0, hours, light)
  return jnp.hypot(unit * jnp.sqrt(flux + GLOW), FLOOR * flux)


def stellar(share: ArrayLike) -> jax.Array:
  """The noise in 6.5 hours of which so large a share of the stars has less, in ppm.

  For `cdpp`, of a star that `share` is drawn for, evenly in (0, 1). Real stars of Kp 12 to 12.5
  in Kepler's field: a tenth have 8, a half 19, a quarter more than 63. What Kepler's instrument
  adds is within, as it cannot be told from the star. In between the logarithm runs evenly in the
  standard deviations of a normal distribution, and outside as in the first and last part.
  """
  (share,) = alike(share)
  at = ndtri(jnp.asarray(_SHARES, share.dtype))
  known = jnp.log(jnp.asarray(_EXCESS, share.dtype))
  place = ndtri(share)
  part = jnp.clip(jnp.searchsorted(at, place) - 1, 0, len(_SHARES) - 2)
  slope = (jnp.diff(known) / jnp.diff(at))[part]
  return jnp.exp(known[part] + slope * (place - at[part])) * (6 / _HOURS) ** 0.5


def cdpp(
  magnitude: ArrayLike,
  hours: ArrayLike = _HOURS,
  star: ArrayLike = STELLAR,
  instrument: ArrayLike = INSTRUMENT,
  light: ArrayLike = 1.0,
) -> jax.Array:
  """All of it (Kepler's combined differential photometric precision), to be held against depths.

  The root of the sum of the squares of `photons`, `faint`, instrument and star. All fall with the
  root of the hours, as white noise does; that of stars falls less in the long run.

  Args:
    magnitude: of the star, in Kepler's band.
    hours: over which the mean is taken.
    star: its own noise in 6.5 hours, see `stellar`.
    instrument: its noise in 6.5 hours; 0 where `star` has it.
    light: collecting area by Kepler's.
  """
  magnitude, hours, star, instrument, light = alike(magnitude, hours, star, instrument, light)
  counted = photons(magnitude, hours, light) ** 2 + faint(magnitude, hours, light) ** 2
  return jnp.sqrt(counted + (star**2 + instrument**2) * _HOURS / hours)


def _counted(magnitude: jax.Array, light: jax.Array) -> jax.Array:
  """Electrons of an exposure."""
  return 3.46e8 * light * 10 ** (0.4 * (12 - magnitude))
