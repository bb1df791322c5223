"""How a star's gravity magnifies another behind it, and what that says of its mass. Pure, batched.

Angles on the sky are in Einstein radii θ_E, unless a line says otherwise. Arguments broadcast, and
the result has their widest type.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from edjax.et.numbers import alike, nodes, root

KAPPA = 8.1439  # 4 G / (c² au), in milliarcseconds for a mass of the Sun
Pair = tuple[ArrayLike, ArrayLike]
_NODES = 32
_RINGS = 12
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
  so the 32 Gauss-Legendre nodes are in s, φ = π (1 − s³). Far from the lens it is `distant`.

  Within 1e-6 of adaptive quadrature in float64, relative to the magnification, and 2e-5 in float32.

  Args:
    u: distance of the disk's centre from the lens, not negative.
    rho: radius of the disk, positive.
  """
  u, rho = alike(u, rho)
  far = u > _FAR[str(u.dtype)] * rho
  away = jnp.where(far, u, 1)
  place, weight = nodes(_NODES, u)
  near, radius = (each[..., None] for each in (jnp.where(far, rho, u), rho))
  # With the angle from the point of the limb that is nearest to the lens nothing cancels.
  across = jnp.sin(jnp.pi * place**3 / 2) ** 2
  square = (near - radius) ** 2 + 4 * near * radius * across
  along = radius * (radius - near) + 2 * near * radius * across
  there = square > 0
  pull = jnp.sqrt(1 + 4 / jnp.where(there, square, 1))
  parts = jnp.where(there, 3 * jnp.pi * place**2 * weight * pull * along, 0)
  return jnp.where(far, distant(away, rho), parts.sum(-1) / (jnp.pi * rho**2))


def distant(u: ArrayLike, rho: ArrayLike) -> jax.Array:
  """The same far from the lens: A(u) + 4 ρ² (u² + 1) / (u³ (u² + 4)^(5/2)), its second order in ρ.

  Args:
    u: distance of the disk's centre from the lens, positive.
    rho: radius of the disk.
  """
  u, rho = alike(u, rho)
  return point(u) + 4 * rho**2 * (u**2 + 1) / (u**3 * (u**2 + 4) ** 2.5)


def darkened(u: ArrayLike, rho: ArrayLike, u1: ArrayLike, u2: ArrayLike = 0.0) -> jax.Array:
  """The magnification by a point of a disk that is darker towards its limb.

  The intensity is 1 − u1 (1 − μ) − u2 (1 − μ)², μ = √(1 − r² / ρ²), as in `transit.depth`. With
  u2 = 0 the Γ of microlensing, of 1 − Γ (1 − 3 μ / 2) (Yoo et al. 2004), is 2 u1 / (3 − u1).

  Such a disk is one of even brightness, as bright as the limb, and others within it, of radius
  ρ sin θ, that add (u1 + 2 u2 (1 − μ)) sin θ dθ each, with μ = cos θ. The lens lies on the limb of
  one of them, where `finite` is steep: twelve Gauss-Legendre nodes on either side of it are set
  closer there. As near to adaptive quadrature as `finite` is.

  Args:
    u: distance of the disk's centre from the lens, not negative.
    rho: radius of the disk, positive.
    u1, u2: coefficients of quadratic limb darkening.
  """
  u, rho, u1, u2 = alike(u, rho, u1, u2)
  # Where the parts meet is of no consequence to the sum, and so to gradients. No part is empty, as
  # a disk of no radius is none.
  edge = jax.lax.stop_gradient(jnp.arcsin(jnp.clip(u / rho, 1e-3, 1)))[..., None]
  place, weight = nodes(_RINGS, u)
  near, dense = place**3, 3 * place**2 * weight  # from the edge
  angle = jnp.concatenate([edge * (1 - near), edge + (jnp.pi / 2 - edge) * near], -1)
  share = jnp.concatenate([edge * dense, (jnp.pi / 2 - edge) * dense], -1)
  sine = jnp.sin(angle)
  drop = (u1[..., None] + 2 * u2[..., None] * (1 - jnp.cos(angle))) * sine
  disks = finite(u[..., None], rho[..., None] * sine)
  inner = (share * drop * sine**2 * disks).sum(-1)
  return ((1 - u1 - u2) * finite(u, rho) + inner) / (1 - u1 / 3 - u2 / 6)


def track(
  time: ArrayLike,
  closest: ArrayLike,
  least: ArrayLike,
  crossing: ArrayLike,
  parallax: Pair = (0.0, 0.0),
  place: Pair = (0.0, 0.0),
) -> tuple[jax.Array, jax.Array]:
  """Where the lens is from the source, along its even motion and across it (Gould 2004).

  τ = (t − t₀) / t_E − (N d_N + E d_E) and β = u₀ − (N d_E − E d_N), with the parallax (N, E) and
  the place (d_N, d_E). For an observer at the origin of places the motion is even.

  Args:
    time: in the unit of `closest` and `crossing`.
    closest: t₀, when they are nearest as seen from the origin.
    least: u₀, their distance then, positive where the lens passes on the source's side that is a
      quarter of a turn from its motion, from north to east.
    crossing: t_E, in which they move by one Einstein radius.
    parallax: the vector π_E (north, east), along the motion of the lens past the source.
    place: of the observer from the origin, across the line of sight (north, east), in au; also one
      for every time.
  """
  time, closest, least, crossing, *vectors = alike(
    time, closest, least, crossing, *parallax, *place
  )
  north, east, up, right = vectors
  along = (time - closest) / crossing - (north * up + east * right)
  return along, least - (north * right - east * up)


def path(
  time: ArrayLike,
  closest: ArrayLike,
  least: ArrayLike,
  crossing: ArrayLike,
  parallax: Pair = (0.0, 0.0),
  place: Pair = (0.0, 0.0),
) -> jax.Array:
  """The distance u of a lens and a source that move past each other, see `track`."""
  along, aside = track(time, closest, least, crossing, parallax, place)
  # Not by `jnp.hypot`: its slopes ask whether what it took for the larger is the larger of the two,
  # and are wrong where XLA computes that twice and not the same to the last bit.
  return root(along**2 + aside**2)


def parallax(later: ArrayLike, wider: ArrayLike, place: Pair) -> tuple[jax.Array, jax.Array]:
  """The vector π_E (north, east) from what two observers see: au / D (Δt₀ / t_E, Δu₀).

  Components are along the observers' distance D and a quarter of a turn from it, from north to east
  (Refsdal 1966, Gould 1994). A light curve does not tell the signs of the two u₀, so that there are
  four solutions.

  Args:
    later: Δt₀ / t_E, by how much the second observer sees the peak later.
    wider: Δu₀ of the second less that of the first, with their signs.
    place: of the second observer from the first, across the line of sight (north, east), in au.
  """
  later, wider, north, east = alike(later, wider, *place)
  square = north**2 + east**2
  return (later * north - wider * east) / square, (later * east + wider * north) / square


def einstein_radius(mass: ArrayLike, parallax: ArrayLike) -> jax.Array:
  """θ_E in milliarcseconds: √(κ M π_rel).

  Args:
    mass: of the lens, in that of the Sun.
    parallax: π_rel, au / distance of the lens less that of the source, in milliarcseconds.
  """
  mass, parallax = alike(mass, parallax)
  return jnp.sqrt(KAPPA * mass * parallax)


def einstein_time(radius: ArrayLike, motion: ArrayLike) -> jax.Array:
  """t_E in days, in which lens and source move by one Einstein radius: θ_E / μ.

  Args:
    radius: θ_E in milliarcseconds.
    motion: μ, of the lens past the source, in milliarcseconds per year of 365.25 days.
  """
  radius, motion = alike(radius, motion)
  return 365.25 * radius / motion


def mass(radius: ArrayLike, parallax: ArrayLike) -> jax.Array:
  """The mass of a lens in that of the Sun, from what two observers see: θ_E / (κ π_E).

  Args:
    radius: θ_E in milliarcseconds, from how long the lens takes to cross the source's disk.
    parallax: π_E = π_rel / θ_E, from how differently two observers see it, see `offset`; the length
      of the vector that the function `parallax` returns.
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
