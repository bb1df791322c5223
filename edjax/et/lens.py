"""How a star's gravity magnifies another behind it, and what that says of its mass. Pure, batched.

Angles on the sky are in Einstein radii θ_E, unless a line says otherwise. Arguments broadcast, and
the result has their widest type.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from edjax.et.numbers import alike, nodes

KAPPA = 8.1439  # 4 G / (c² au), in milliarcseconds for a mass of the Sun
_NODES = 32
# Beyond so many source radii an expansion is nearer than the integral, whose parts cancel there.
_FAR = {"float32": 10.0, "float64": 300.0}


def point(u: ArrayLike) -> jax.Array:
  """The magnification of a point by a point (Paczyński 1986): (u² + 2) / (u √(u² + 4)).

  Args:
    u: their distance, positive.
  """
  (u,) = alike(u)
  return (u**2 + 2) / (u * jnp.sqrt(u**2 + 4))


def finite(u: ArrayLike, rho: ArrayLike) -> jax.Array:
  """The magnification of a disk of even brightness by a point.

  By Green's theorem an integral along the disk's limb: 1 / (π ρ²) ∫₀^π √(1 + 4 / r²)
  (ρ² + u ρ cos φ) dφ, with r² = u² + ρ² + 2 u ρ cos φ. Where the limb passes the lens it is steep,
  so the 32 Gauss-Legendre nodes are in s, φ = π (1 − s³). Far from the lens it is
  A(u) + 4 ρ² (u² + 1) / (u³ (u² + 4)^(5/2)), the second order in ρ.

  Within 1e-6 of adaptive quadrature in float64, relative to the magnification, and 2e-5 in float32.

  Args:
    u: distance of the disk's centre from the lens, not negative.
    rho: radius of the disk, positive.
  """
  u, rho = alike(u, rho)
  far = u > _FAR[str(u.dtype)] * rho
  away = jnp.where(far, u, 1)
  second = 4 * rho**2 * (away**2 + 1) / (away**3 * (away**2 + 4) ** 2.5)
  place, weight = nodes(_NODES, u)
  near, radius = (each[..., None] for each in (jnp.where(far, rho, u), rho))
  # With the angle from the point of the limb that is nearest to the lens nothing cancels.
  across = jnp.sin(jnp.pi * place**3 / 2) ** 2
  square = (near - radius) ** 2 + 4 * near * radius * across
  along = radius * (radius - near) + 2 * near * radius * across
  there = square > 0
  pull = jnp.sqrt(1 + 4 / jnp.where(there, square, 1))
  parts = jnp.where(there, 3 * jnp.pi * place**2 * weight * pull * along, 0)
  return jnp.where(far, point(away) + second, parts.sum(-1) / (jnp.pi * rho**2))


def path(time: ArrayLike, closest: ArrayLike, least: ArrayLike, crossing: ArrayLike) -> jax.Array:
  """The distance of lens and source that move past each other evenly.

  Args:
    time: in the unit of the next.
    closest: when they are nearest.
    least: their distance then.
    crossing: t_E, in which they move by one Einstein radius.
  """
  time, closest, least, crossing = alike(time, closest, least, crossing)
  return jnp.hypot((time - closest) / crossing, least)


def einstein_radius(mass: ArrayLike, parallax: ArrayLike) -> jax.Array:
  """θ_E in milliarcseconds: √(κ M π_rel).

  Args:
    mass: of the lens, in that of the Sun.
    parallax: π_rel, au / distance of the lens less that of the source, in milliarcseconds.
  """
  mass, parallax = alike(mass, parallax)
  return jnp.sqrt(KAPPA * mass * parallax)


def mass(radius: ArrayLike, parallax: ArrayLike) -> jax.Array:
  """The mass of a lens in that of the Sun, from what two observers see: θ_E / (κ π_E).

  Args:
    radius: θ_E in milliarcseconds, from how long the lens takes to cross the source's disk.
    parallax: π_E = π_rel / θ_E, from how differently two observers see it, see `offset`.
  """
  radius, parallax = alike(radius, parallax)
  return radius / (KAPPA * parallax)


def offset(parallax: ArrayLike, apart: ArrayLike) -> jax.Array:
  """By how much two observers disagree on where the source passes the lens.

  Args:
    parallax: π_E.
    apart: distance of the observers across the line of sight, in au.

  Returns:
    √((Δt₀ / t_E)² + Δu₀²), up to the signs of u₀, which a light curve does not tell.
  """
  parallax, apart = alike(parallax, apart)
  return parallax * apart
