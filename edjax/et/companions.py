"""A star with a planet that passes before a source: paths that are drawn, and their light. Batched.

A disk is the mean of seven points, which an exposure's moments are spread over, too. None counts
for more than four times their median, as points on a caustic have no finite light. Every exposure
is computed within four days of the peak and of where the path passes the caustic. Elsewhere the
source is a point and computed every 16 hours, and the ratio to a single lens, which is no more than
four, interpolated.

So what a caustic does to a disk is right in kind rather than at each exposure. Of 4,608 exposures
within two days of 24 passages, half agree with VBMicrolensing's disks to 3e-5 of the light, 90 % to
1e-4 and 99 % to 5 %; the worst is off by 68 %. Further than four days from both, 99.9 % of 8,942 do
to 6e-4.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from edjax.et import binary, lens
from edjax.et.draws import EXPOSURE, Key, Numbers, draws, even

_NEAR = 384  # exposures about a caustic or a peak that are computed one by one
_APART = 32  # exposures from one to the next elsewhere
_SPIKE = 4.0  # times the median of a disk's points, and times a single lens
# Points of a disk and moments of an exposure, whose mean is right to the second order in both, and
# to the fourth in the disk alone: its middle and a hexagon, by turns before and after the middle.
_HEXAGON = (2 / 3) ** 0.5 * np.exp(2j * np.pi * np.arange(6) / 6)
_PLACES = np.array([0, *_HEXAGON])  # in radii of the disk
_MOMENTS = EXPOSURE / 3 * np.array([0, 1, -1, 1, -1, 1, -1])
_WEIGHTS = np.array([1 / 4] + [1 / 8] * 6)

Flux = Float[Array, "n times"]
Times = Float[Array, " times"]


class Scene(NamedTuple):
  """Paths past a star and its planet: t₀, u₀ and t_E with respect to the star, in days.

  Then the angle α of the path from the axis, see `binary.binary`, s, q, the disk's radius ρ, and
  when the path passes the caustic that it was drawn for.
  """

  closest: Numbers
  least: Numbers
  crossing: Numbers
  angle: Numbers
  separation: Numbers
  ratio: Numbers
  radius: Numbers
  passed: Numbers


@functools.partial(jax.jit, static_argnums=1)
def paths(key: Key, count: int, time: Times) -> Scene:
  """Draws paths of a source past a star with a planet.

  A third of them pass the star's caustic, the others the planet's (Bozza 2000): at s − 1/s from the
  star, and for s < 1 2 √q √(1 − s²) / s beside the axis. Ranges are ours, even in the logarithm.

  Args:
    key: of the draw.
    count: of paths.
    time: of the exposures, within which t₀ is.
  """
  draw = draws(key, count)
  crossing, radius = even(next(draw), 5.0, 40.0), even(next(draw), 3e-4, 1e-2)
  separation, ratio = even(next(draw), 0.5, 2.0), even(next(draw), 1e-5, 1e-2)
  along = separation - 1 / separation
  aside = 2 * jnp.sqrt(ratio * jnp.maximum(1 - separation**2, 0)) / separation
  far, turn = jnp.hypot(along, aside), jnp.arctan2(aside, along)
  size = 2 * jnp.sqrt(ratio) * jnp.minimum(separation**-2, separation**3)
  central = next(draw) < 1 / 3
  least = jnp.minimum(far, 1) * next(draw)
  tilt = jnp.arcsin(jnp.minimum(least / jnp.maximum(far, 1e-6), 1))
  angle = turn - jnp.where(next(draw) < 0.5, tilt, jnp.pi - tilt)  # behind the peak, or before it
  off = 1.5 * (size + radius) * (2 * next(draw) - 1)
  angle = jnp.where(central, 2 * jnp.pi * next(draw), angle)
  least = jnp.where(central, even(next(draw), 3e-3, 0.1), jnp.abs(least + off))
  least = jnp.maximum(least, 2 * radius)  # the disk never covers the star's own place
  passed = jnp.where(central, 0, far * jnp.cos(turn - angle)) * crossing
  closest = time[-1] * next(draw)
  passed = closest + passed
  return Scene(closest, least, crossing, angle, separation, ratio, radius, passed)


def magnified(scene: Scene, time: Times) -> tuple[Flux, Flux]:
  """The magnification by the star and its planet, and by the star alone, in float32.

  Computed in float64, whatever JAX is allowed; so it is not for use within `jax.jit`.
  """
  precise = jax.tree.map(lambda each: np.asarray(each, np.float64), (scene, time))
  with jax.enable_x64(True):
    return _both(*precise)


def about(when: Numbers, time: Times) -> jax.Array:
  """Which exposures [n, 384] are nearest to a time, as far as there are any."""
  first = jnp.round(when / EXPOSURE).astype(int) - _NEAR // 2
  return jnp.clip(first, 0, len(time) - _NEAR)[:, None] + jnp.arange(_NEAR)[None]


@jax.jit
def _both(scene: Scene, time: Times) -> tuple[Flux, Flux]:
  sparse = jnp.arange(0, len(time), _APART)
  at = jnp.arange(len(time)) / _APART
  low = jnp.minimum(at.astype(int), len(sparse) - 2)
  share = jnp.clip(at - low, 0, 1)

  def one(scene: Scene) -> tuple[jax.Array, jax.Array]:
    closest, least, crossing, angle, separation, ratio, radius, passed = scene
    dense = jnp.concatenate([about(each[None], time)[0] for each in (closest, passed)])

    def magnified(when: jax.Array, off: jax.Array) -> tuple[jax.Array, jax.Array]:
      from_star = (when - closest) / crossing + 1j * least + off
      zeta = from_star * jnp.exp(1j * angle) - separation * ratio / (1 + ratio)
      # In one row: loops over a disk's seven places would be too short to be fast.
      both = binary.binary(zeta.ravel(), separation, ratio).reshape(zeta.shape)
      return both, lens.point(jnp.abs(from_star))

    near, single = magnified(time[dense][:, None] + _MOMENTS[None], radius * _PLACES[None])
    near = jnp.minimum(near, _SPIKE * jnp.median(near, -1, keepdims=True))
    away, lone = magnified(time[sparse], jnp.zeros(len(sparse)))
    rate = jnp.minimum(away / lone, _SPIKE)
    alone = lens.point(lens.path(time, closest, least, crossing))
    flux = alone * (rate[low] * (1 - share) + rate[low + 1] * share)
    return flux.at[dense].set(near @ _WEIGHTS), alone.at[dense].set(single @ _WEIGHTS)

  return jax.tree.map(lambda each: each.astype(jnp.float32), jax.lax.map(one, scene))
