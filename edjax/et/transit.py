"""How much light a planet takes from its star, and where on the star it is. Pure and batched.

Lengths are in radii of the star, times in days, angles in radians, unless a line says otherwise.
Arguments broadcast, and the result has their widest type: float64 only where JAX is allowed it.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from edjax.et.numbers import alike, nodes, root

_NODES = 12
_ROUNDS = 8  # of Newton's method, enough for eccentricities up to 0.95


def depth(z: ArrayLike, k: ArrayLike, u1: ArrayLike, u2: ArrayLike) -> jax.Array:
  """The share of a star's light that a dark disk hides.

  The star's intensity is 1 − u1 (1 − μ) − u2 (1 − μ)², with μ = √(1 − r²) at the distance r from
  its centre. By Green's theorem the hidden light is an integral along the edge of what is hidden:
  with G(r) = ∫₀ʳ I s ds, that of G(r) / r² (k² + z k cos φ) dφ over the planet's limb inside the
  star, and G(1) for every radian of the star's limb behind the planet. Twelve Gauss-Legendre nodes
  in s, φ = φ₁ + (π − φ₁) s², make the limb's square root smooth: for k ≤ 0.2 the result is within
  1e-9 of adaptive quadrature in float64, and for k ≤ 0.1 within 1e-7 in float32.

  Args:
    z: distance of the centres, not negative.
    k: radius of the planet, not negative.
    u1, u2: coefficients of quadratic limb darkening.

  Returns:
    1 less the flux, in [0, 1]. The difference itself, as float32 has no digits left for 1 − 1e-5.
  """
  z, k, u1, u2 = alike(z, k, u1, u2)
  # From products of sides, which lose no digits where an angle is small: φ₁, and half of what is
  # hidden of the star's limb.
  inwards = 1 - z  # to the limb, which is exact near it
  first = _angle((k - inwards) * (1 + z + k), (k + inwards) * (1 + z - k))
  hidden = _angle((k - inwards) * (k + inwards), (1 + z - k) * (1 + z + k))
  gap = jnp.maximum((inwards - k) * (1 + z + k), 0)  # least 1 − r² of a planet on the star

  place, weight = nodes(_NODES, z)
  half = (jnp.pi - first)[..., None] * place**2 / 2
  z, k, first, gap = (each[..., None] for each in (z, k, first, gap))
  inside = gap + 4 * z * k * jnp.sin(half + first) * jnp.sin(half)  # 1 − r²
  mu = root(inside)
  flat, linear, square = (each[..., None] for each in (1 - u1 - u2, u1 + 2 * u2, -u2))
  per_area = (  # G(r) / r²
    flat / 2 + linear * (1 + mu + mu**2) / (3 * (1 + mu)) + square * (1 + inside) / 4
  )
  along = k * (k + z * jnp.cos(2 * half + first))
  limb = 4 * (jnp.pi - first[..., 0]) * (weight * place * per_area * along).sum(-1)
  whole = (1 - u1 / 3 - u2 / 6) / 2  # G(1)
  return (limb / whole + 2 * hidden) / (2 * jnp.pi)


def separation(
  time: ArrayLike,
  period: ArrayLike,
  axis: ArrayLike,
  inclination: ArrayLike,
  eccentricity: ArrayLike = 0.0,
  periastron: ArrayLike = 0.0,
) -> tuple[jax.Array, jax.Array]:
  """Where a planet is as seen from far away (Winn 2010, arXiv:1001.2010, equations 1 to 5).

  Args:
    time: since the planet was between the star and us, at inferior conjunction.
    period: of the orbit.
    axis: half the long axis of the orbit.
    inclination: of the orbit, π/2 when it is seen from its edge.
    eccentricity: of the orbit, below 0.95.
    periastron: its argument, of the planet's orbit.

  Returns:
    (distance of the centres on the sky, whether the planet is in front of the star).
  """
  time, period, axis, inclination, eccentricity, periastron = alike(
    time, period, axis, inclination, eccentricity, periastron
  )
  start = mean_anomaly(jnp.pi / 2 - periastron, eccentricity)
  true = true_anomaly(start + 2 * jnp.pi * time / period, eccentricity)
  distance = axis * (1 - eccentricity**2) / (1 + eccentricity * jnp.cos(true))
  along, towards = jnp.cos(periastron + true), jnp.sin(periastron + true)
  # Not from 1 − sin², of which float32 leaves little where the planet is before the star.
  return distance * root(along**2 + (towards * jnp.cos(inclination)) ** 2), towards > 0


def true_anomaly(mean: ArrayLike, eccentricity: ArrayLike) -> jax.Array:
  """The angle from periastron to the planet, from the mean anomaly: Kepler's equation, solved.

  By Newton's method from Danby's start, M ± 0.85 e (Celestial Mechanics 40, 303, 1987).
  """
  mean, eccentricity = alike(mean, eccentricity)
  mean = jnp.mod(mean + jnp.pi, 2 * jnp.pi) - jnp.pi
  eccentric = mean + 0.85 * eccentricity * jnp.sign(mean)
  for _ in range(_ROUNDS):
    slope = 1 - eccentricity * jnp.cos(eccentric)
    eccentric -= (eccentric - eccentricity * jnp.sin(eccentric) - mean) / slope
  wide = jnp.sqrt(1 + eccentricity) * jnp.sin(eccentric / 2)
  return 2 * jnp.arctan2(wide, jnp.sqrt(1 - eccentricity) * jnp.cos(eccentric / 2))


def mean_anomaly(true: ArrayLike, eccentricity: ArrayLike) -> jax.Array:
  """The mean anomaly of the angle from periastron to the planet: `true_anomaly` the other way."""
  true, eccentricity = alike(true, eccentricity)
  wide = jnp.sqrt(1 - eccentricity) * jnp.sin(true / 2)
  eccentric = 2 * jnp.arctan2(wide, jnp.sqrt(1 + eccentricity) * jnp.cos(true / 2))
  return eccentric - eccentricity * jnp.sin(eccentric)


def duration(
  period: ArrayLike,
  axis: ArrayLike,
  k: ArrayLike,
  impact: ArrayLike = 0.0,
  eccentricity: ArrayLike = 0.0,
  periastron: ArrayLike = 0.0,
) -> jax.Array:
  """How long the disks touch, from first to last contact (Winn 2010, equations 7 and 14 to 16).

  P / π · asin(√((1 + k)² − b²) / (a sin i)) · √(1 − e²) / (1 + e sin ω), where the last factor is
  how much slower the planet is than on a circle. With e = 0 this is exact; otherwise it takes the
  speed in transit for even.

  Args:
    period: of the orbit; the result is in its unit.
    axis: half the long axis of the orbit.
    k: radius of the planet.
    impact: b, least distance of the centres: a cos i (1 − e²) / (1 + e sin ω).
    eccentricity: of the orbit.
    periastron: its argument ω, of the planet's orbit.

  Returns:
    0 where they never touch.
  """
  period, axis, k, impact, eccentricity, periastron = alike(
    period, axis, k, impact, eccentricity, periastron
  )
  ahead = 1 + eccentricity * jnp.sin(periastron)
  chord = root((1 + k) ** 2 - impact**2)
  edge_on = root(axis**2 - (impact * ahead / (1 - eccentricity**2)) ** 2)  # a sin i
  slower = jnp.sqrt(1 - eccentricity**2) / ahead
  return period / jnp.pi * jnp.arcsin(chord / edge_on) * slower


def odd_even(depths: ArrayLike, errors: ArrayLike) -> tuple[jax.Array, jax.Array]:
  """How differently deep every other transit is: an eclipsing binary, if at half its period.

  The depth of the odd transits, the first, third and so on, is their mean weighted by 1 / σ², and
  has the error 1 / √(Σ 1 / σ²); so have the even ones. The difference is in units of its error,
  (odd − even) / √(σ_odd² + σ_even²), as Kepler's Robovetter compares them (Coughlin et al. 2016,
  Thompson et al. 2018), but signed and with means for medians. Where all transits are alike and
  noise is Gaussian it is of a normal distribution.

  Args:
    depths: of the transits one after another, along the last axis.
    errors: σ of each; infinity for a transit that was missed, whose depth is then of no account.

  Returns:
    (difference in units of its error, probability that noise alone makes one as large of either
    sign), both 0 and 1 where there is no odd or no even transit.
  """
  depths, errors = alike(depths, errors)
  seen = jnp.isfinite(errors)
  weight = jnp.where(seen, 1 / jnp.where(seen, errors, 1) ** 2, 0)
  light = weight * jnp.where(seen, depths, 0)
  both = weight[..., ::2].sum(-1), weight[..., 1::2].sum(-1)
  one, other = (jnp.where(each > 0, each, 1) for each in both)
  change = light[..., ::2].sum(-1) / one - light[..., 1::2].sum(-1) / other
  there = (both[0] > 0) & (both[1] > 0)
  sigmas = jnp.where(there, change / jnp.sqrt(1 / one + 1 / other), 0)
  return sigmas, jax.scipy.special.erfc(jnp.abs(sigmas) / jnp.sqrt(2))


def _angle(sine: jax.Array, cosine: jax.Array) -> jax.Array:
  """The angle of whose half these are in proportion to the squares: 0 to π, also out of range."""
  return 2 * jnp.arctan2(root(sine), root(cosine))
