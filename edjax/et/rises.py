"""What brightens in the Galaxy's bulge, as light that was never measured: a function per class.

Each is `f(key, count, time) -> Rise`: `count` objects at the times of one light curve, in days from
its first. What is drawn, and how often, are our assumptions: wide ranges, even in the logarithm,
not the bulge's own numbers. Light is that of the middle of an exposure. Peaks of single lenses last
2.4 hours or more: their mean over half an hour is another by 0.2 % at most.
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from edjax.et import companions, lens
from edjax.et.companions import Flux, Times
from edjax.et.draws import Key, Numbers, draws, even, slow_noise

_BRIEF = 0.1  # days, that a peak takes at least from its middle to 1/√2 of it


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Rise:
  """Objects that were drawn.

  Attributes:
    flux: relative to the quiet star's and its neighbours', less 1, without noise.
    alone: the same if a lens had no companion.
  """

  flux: Flux
  alone: Flux


@functools.partial(jax.jit, static_argnums=1)
def flat(key: Key, count: int, time: Times) -> Rise:
  """Nothing but drifts: waves without a period of days to weeks, and a slope."""
  draw, waves = draws(jax.random.fold_in(key, 0), count), jax.random.fold_in(key, 1)
  drift = slow_noise(waves, even(next(draw), 0.1, 10.0), len(time))
  slope = (2 * next(draw) - 1)[:, None] * (time[None] / time[-1] - 0.5)
  flux = even(next(draw), 3e-4, 0.1)[:, None] * (drift + slope)
  return Rise(flux, flux)


@functools.partial(jax.jit, static_argnums=1)
def outburst(key: Key, count: int, time: Times) -> Rise:
  """A star that flares up, in hours or days, and fades slower; half of them more than once."""
  draw = draws(key, count)
  rise = even(next(draw), 0.05, 5.0)
  fall = rise * even(next(draw), 1.5, 20.0)
  sharp = even(next(draw), 0.6, 2.0)
  strength = even(next(draw), 0.01, 30.0)
  pause = jnp.where(next(draw) < 0.5, jnp.inf, even(next(draw), 15.0, 200.0))
  first = time[-1] * next(draw)
  flux = jnp.zeros((count, len(time)))
  for number in range(4):
    peak = first + (number * pause * (0.9 + 0.2 * next(draw)) if number else 0)
    again = strength * (0.7 + 0.6 * next(draw) if number else 1)
    days = time[None] - jnp.where(jnp.isfinite(peak), peak, 1e6)[:, None]
    long = jnp.where(days < 0, rise[:, None], fall[:, None])
    flux += again[:, None] * jnp.exp(-((jnp.abs(days) / long) ** sharp[:, None]))
  return Rise(flux, flux)


@functools.partial(jax.jit, static_argnums=1)
def point(key: Key, count: int, time: Times) -> Rise:
  """A lens that passes a source too small to matter."""
  draw = draws(key, count)
  crossing = even(next(draw), 1.0, 60.0)
  least = jnp.maximum(even(next(draw), 0.01, 1.0), _BRIEF / crossing)
  u = _path(time[-1] * next(draw), least, crossing, time[None])
  return _blended(lens.point(u), next(draw))


@functools.partial(jax.jit, static_argnums=1)
def finite(key: Key, count: int, time: Times) -> Rise:
  """A lens that passes before its source's disk, which is evenly bright.

  Further than 192 exposures from the middle, five radii of the disk or more, the light is that of
  `lens.distant`, within 1e-4.
  """
  draw = draws(key, count)
  crossing = even(next(draw), 1.0, 40.0)
  # As long as a peak lasts at least, and as that no more than a fifth of what is computed.
  radius = even(next(draw), _BRIEF / crossing, jnp.minimum(0.2, 0.75 / crossing))
  closest, least = time[-1] * next(draw), 1.2 * radius * next(draw)
  u = _path(closest, least, crossing, time[None])
  flux = lens.distant(jnp.maximum(u, radius[:, None]), radius[:, None])
  near = companions.about(closest, time)
  disk = lens.finite(_path(closest, least, crossing, time[near]), radius[:, None])
  return _blended(_replaced(flux, near, disk), next(draw))


def planetary(key: Key, count: int, time: Times) -> Rise:
  """A lens with a planet, on whose caustics the source comes near; not for use within `jax.jit`."""
  draw = next(draws(jax.random.fold_in(key, 0), count))
  scene = companions.paths(jax.random.fold_in(key, 1), count, time)
  both, alone = companions.magnified(scene, time)
  return Rise(_blended(both, draw).flux, _blended(alone, draw).flux)


def _path(closest: Numbers, least: Numbers, crossing: Numbers, time: Flux) -> Flux:
  return lens.path(time, closest[:, None], least[:, None], crossing[:, None])


def _replaced(flux: Flux, at: jax.Array, values: Flux) -> Flux:
  return flux.at[jnp.arange(len(flux))[:, None], at].set(values)


def _blended(magnified: Flux, draw: Numbers) -> Rise:
  """Of a source that has a tenth to all of the light."""
  flux = even(draw, 0.1, 1.0)[:, None] * (magnified - 1)
  return Rise(flux, flux)


CLASSES: dict[str, Callable[[Key, int, Times], Rise]] = {
  "flat": flat,
  "outburst": outburst,
  "point": point,
  "finite": finite,
  "planetary": planetary,
}
