"""What a survey finds, as light that was never measured: one function per class, pure and batched.

Each is `f(key, count, time) -> Light`: `count` objects, drawn from what their class is here, at the
times of one light curve, in days from its first. Which periods, radii and so on are drawn, and how
often, are our assumptions: wide ranges, even in the logarithm, not the sky's own numbers. An
exposure takes half an hour, and what is shorter is smeared.
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from edjax.et import transit
from edjax.et.draws import EXPOSURE, Key, Numbers, draws, even, slow_noise

_PLACES = 256  # of a dip's table
_ROUND = 1.5  # durations on either side of a dip that its table covers
SHORTEST = 0.1  # days, of the periods at which a search folds
_SUN = 4.2  # the axis of an orbit of one day around the Sun, in its radii


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Light:
  """Objects that were drawn.

  Attributes:
    flux: relative to the star's, less 1, without noise.
    depth: of the deepest dip, or how far the light swings.
    moved: by what share a dip is deeper in a wider aperture, as the light of a neighbour is.
    period: in days, at which a search that folds finds it; None where any may do.
    dips: (epoch, duration) in days, of what dips once a period; None of what waves.
  """

  flux: Float[Array, "n times"]
  depth: Numbers
  moved: Numbers
  period: Numbers | None = None
  dips: tuple[Numbers, Numbers] | None = None


@functools.partial(jax.jit, static_argnums=1)
def planet(key: Key, count: int, time: Float[Array, " times"]) -> Light:
  """Planets before stars between a fifth and three times as dense as the Sun, on circles."""
  draw = draws(key, count)
  period = even(next(draw), 0.6, 0.7 * time[-1])
  axis = _SUN * period ** (2 / 3) * even(next(draw), 0.2, 3.0) ** (1 / 3)
  k, impact = even(next(draw), 0.01, 0.2), 0.95 * next(draw)
  law = 0.2 + 0.4 * next(draw), 0.3 * next(draw)
  long = transit.duration(period, axis, k, impact)
  epoch = period * next(draw)
  inclination = jnp.arccos(impact / axis)

  def hidden(days: jax.Array) -> jax.Array:
    z, before = transit.separation(days, *_columns(period, axis, inclination))
    return jnp.where(before, transit.depth(z, *_columns(k, *law)), 0)

  flux = -smeared(hidden, long, since(time, period, epoch))
  return Light(flux, -flux.min(1), _on_target(next(draw)), period, (epoch, long))


@functools.partial(jax.jit, static_argnums=1)
def eclipsing(key: Key, count: int, time: Float[Array, " times"]) -> Light:
  """Two stars that eclipse each other, near enough to change their shapes where orbits are short.

  Where both eclipses are nearly alike and half an orbit apart, half of them are found at half
  the period, as a search that folds finds them.
  """
  return _binary(key, count, time, blended=False)


@functools.partial(jax.jit, static_argnums=1)
def blended(key: Key, count: int, time: Float[Array, " times"]) -> Light:
  """The same behind or beside a brighter star that is not eclipsed: shallow, and moved."""
  return _binary(key, count, time, blended=True)


@functools.partial(jax.jit, static_argnums=1)
def variable(key: Key, count: int, time: Float[Array, " times"]) -> Light:
  """Pulsators and spotted stars: up to three waves with overtones, which swell and fade.

  A search that folds finds the strongest wave, or twice or half its period.
  """
  draw = draws(key, count)
  first = period = even(next(draw), 0.06, 8.0)
  flux = jnp.zeros((count, len(time)))
  for strength in (1.0, 0.5, 0.25):
    turn = 2 * jnp.pi * (time[None] / period[:, None] + next(draw)[:, None])
    overtones = sum(
      0.6 * next(draw)[:, None] / order * jnp.cos(order * turn + 2 * jnp.pi * next(draw)[:, None])
      for order in (2, 3)
    )
    swell = 2 * jnp.pi * (next(draw)[:, None] * time[None] / time[-1] + next(draw)[:, None])
    envelope = 1 + 0.5 * next(draw)[:, None] * jnp.cos(swell)
    # The strongest is always there, each of the others for half of the stars.
    share = jnp.where(strength == 1.0, 1.0, strength * jnp.maximum(2 * next(draw) - 1, 0))
    flux += jnp.broadcast_to(share, (count,))[:, None] * envelope * (jnp.cos(turn) + overtones)
    period = period * even(next(draw), 0.3, 3.0)
  choice = next(draw)
  found = first * jnp.where(choice < 0.6, 1.0, jnp.where(choice < 0.8, 2.0, 0.5))
  found *= 2 ** jnp.ceil(jnp.maximum(jnp.log2(SHORTEST / found), 0))
  return Light(flux, flux.max(1) - flux.min(1), _anywhere(next(draw)), found)


@functools.partial(jax.jit, static_argnums=1)
def systematic(key: Key, count: int, time: Float[Array, " times"]) -> Light:
  """What telescopes do: steps that are forgotten, stray light at the ends of an orbit, short dips.

  A search folds it at whatever period makes the deepest dip. Half of it is in the background.
  """
  draw = draws(key, count)
  flux = jnp.zeros((count, len(time)))
  for _ in range(4):  # steps, each forgotten within hours or a day
    after = time[None] - time[-1] * next(draw)[:, None]
    fading = jnp.exp(-jnp.maximum(after, 0) / even(next(draw), 0.05, 1.0)[:, None])
    size = (2 * next(draw) - 1) * (next(draw) < 0.5)
    flux += size[:, None] * jnp.where(after > 0, fading, 0)
  for _ in range(6):  # dips of an hour to half a day
    after = time[None] - time[-1] * next(draw)[:, None]
    long, size = even(next(draw), 0.03, 0.5), next(draw) * (next(draw) < 0.5)
    flux -= size[:, None] * jnp.exp(-0.5 * (after / long[:, None] * 2.355) ** 2)
  size, long = (2 * next(draw) - 1) * (next(draw) < 0.5), even(next(draw), 0.1, 1.0)
  ends = jnp.minimum(time, jnp.abs(time - time[-1] / 2))[None]
  flux += size[:, None] * jnp.exp(-ends / long[:, None])
  return Light(flux, jnp.abs(flux).max(1), _background(next(draw)))


@functools.partial(jax.jit, static_argnums=1)
def orbital(key: Key, count: int, time: Float[Array, " times"]) -> Light:
  """What comes back with every orbit of the telescope, of which a light curve has two.

  A dip or a swing of hours to a day with a sharp edge, here a little other than there.
  """
  draw = draws(key, count)
  orbit = (time[-1] / 2) * (0.98 + 0.1 * next(draw))
  flux = jnp.zeros((count, len(time)))
  for _ in range(3):
    epoch, long = orbit * next(draw), even(next(draw), 0.05, 1.0)
    days = since(time, orbit, epoch)
    edge = even(next(draw), 0.01, 1.0) * long
    rise = 1 / (1 + jnp.exp(-jnp.clip((days + long[:, None] / 2) / edge[:, None], -30, 30)))
    fade = jnp.exp(-jnp.maximum(days + long[:, None] / 2, 0) / long[:, None])
    size = jnp.where(next(draw) < 0.75, -1.0, 1.0) * next(draw)
    other = 0.5 + next(draw)  # as strong in the second orbit
    strength = jnp.where(time[None] < time[-1] / 2, 1.0, other[:, None])
    flux += size[:, None] * strength * rise * fade
  return Light(flux, jnp.abs(flux).max(1), _background(next(draw)), orbit)


@functools.partial(jax.jit, static_argnums=1)
def flickering(key: Key, count: int, time: Float[Array, " times"]) -> Light:
  """Slow noise of a star or its telescope, without any period: a search takes it for dips."""
  numbers, slow = jax.random.split(key)
  draw = draws(numbers, count)
  flux = slow_noise(slow, even(next(draw), 3.0, 100.0), len(time))  # from hours to days
  return Light(flux, flux.max(1) - flux.min(1), _anywhere(next(draw)))


def _binary(key: Key, count: int, time: Float[Array, " times"], blended: bool) -> Light:
  draw = draws(key, count)
  period = even(next(draw), 0.2, time[-1])
  axis = _SUN * period ** (2 / 3) * even(next(draw), 0.1, 2.0) ** (1 / 3)
  k, surface = even(next(draw), 0.1, 1.0), even(next(draw), 0.003, 1.0)
  axis = jnp.maximum(axis, 1.7 * (1 + k))  # nearer they are waves, which people call variable
  law = 0.2 + 0.4 * next(draw), 0.3 * next(draw)
  round_ = period < 5 * next(draw) + 2  # tides make orbits of days round
  eccentricity = jnp.where(round_, 0, 0.5 * next(draw))
  periastron = 2 * jnp.pi * next(draw)
  impact = (1 + k) * 0.98 * next(draw)
  ahead = 1 + eccentricity * jnp.sin(periastron)
  inclination = jnp.arccos(jnp.minimum(impact / axis * ahead / (1 - eccentricity**2), 1))
  long = transit.duration(period, axis, k, impact, eccentricity, periastron)
  orbit = period, axis, inclination, eccentricity, periastron
  here, there = (
    transit.mean_anomaly(sign * jnp.pi / 2 - periastron, eccentricity) for sign in (1, -1)
  )
  between = ((there - here) / (2 * jnp.pi) % 1) * period  # from one conjunction to the other
  light = surface * k**2

  def near(days: jax.Array) -> jax.Array:
    z, before = transit.separation(days, *_columns(*orbit))
    return jnp.where(before, transit.depth(z, *_columns(k, *law)), 0) / (1 + light[:, None])

  def far(days: jax.Array) -> jax.Array:
    z, before = transit.separation(days + between[:, None], *_columns(*orbit))
    share = transit.depth(z / k[:, None], *_columns(1 / k, *law))
    return jnp.where(before, 0, share) * (light / (1 + light))[:, None]

  epoch = period * next(draw)
  first = smeared(near, long, since(time, period, epoch))
  second = smeared(far, long, since(time, period, epoch + between))
  turn = 2 * jnp.pi * (time[None] - epoch[:, None]) / period[:, None]
  tides = (axis**-3 * 0.8 * next(draw))[:, None] * (1 - jnp.cos(2 * turn)) / 2
  shine = ((k / axis) ** 2 * 0.5 * next(draw))[:, None] * (1 - jnp.cos(turn)) / 2
  flux = tides + shine - first - second
  one, two = first.max(1), second.max(1)
  swapped = two > one
  alike = (jnp.minimum(one, two) > 0.7 * jnp.maximum(one, two)) & (eccentricity == 0)
  halved = alike & (next(draw) < 0.5)
  epoch = jnp.where(swapped, (epoch + between) % period, epoch)
  faint = 10 ** (-0.5 - 2 * next(draw)) if blended else 1 - 0.5 * next(draw) ** 4
  return Light(
    flux=flux * faint[:, None],
    depth=jnp.maximum(one, two) * faint,
    moved=_off_target(next(draw)) if blended else _on_target(next(draw)),
    period=jnp.where(halved, period / 2, period),
    dips=(epoch, long),
  )


def smeared(
  hidden: Callable[[jax.Array], jax.Array], long: Numbers, days: Float[Array, "n times"]
) -> Float[Array, "n times"]:
  """The mean of what is hidden over an exposure, from a table of one dip.

  The table is of the integral up to a place: its difference at both ends of an exposure is exact
  but for what happens between places.

  Args:
    hidden: the share [n, places] that is, so many days [n, places] from the middle of the dip.
    long: how long the dips are, in days.
    days: from the middle of the nearest dip to the middle of each exposure.
  """
  reach = _ROUND * long / 2 + EXPOSURE
  places = jnp.linspace(-1.0, 1.0, _PLACES)[None]
  each = hidden(places * reach[:, None])
  step = (2 * reach / (_PLACES - 1))[:, None]
  between = (each[:, 1:] + each[:, :-1]) / 2 * step
  summed = jnp.pad(between.cumsum(1), ((0, 0), (1, 0)))

  def upto(when: jax.Array) -> jax.Array:
    at = jnp.clip((when / reach[:, None] + 1) / 2 * (_PLACES - 1), 0, _PLACES - 1)
    low = jnp.minimum(at.astype(int), _PLACES - 2)
    below, above = (jnp.take_along_axis(summed, low + more, 1) for more in (0, 1))
    return below + (at - low) * (above - below)

  return (upto(days + EXPOSURE / 2) - upto(days - EXPOSURE / 2)) / EXPOSURE


def since(time: Float[Array, " times"], period: Numbers, epoch: Numbers) -> Float[Array, "n times"]:
  """Days from the nearest middle of a dip."""
  cycles = (time[None] - epoch[:, None]) / period[:, None] + 0.5
  return (cycles - jnp.floor(cycles) - 0.5) * period[:, None]


def _columns(*values: Numbers) -> tuple[jax.Array, ...]:
  return tuple(jnp.asarray(each)[:, None] for each in values)


def _on_target(draw: Numbers) -> Numbers:
  """A dip that is the star's own is hardly deeper; noise and neighbours make it seem so."""
  return 1.5 * draw**2 - 0.15


def _off_target(draw: Numbers) -> Numbers:
  """One of a neighbour is deeper the wider the aperture, up to thirty times."""
  return even(draw, 0.1, 30.0)


def _background(draw: Numbers) -> Numbers:
  """What changes the sky's light, too, is the deeper the wider the aperture."""
  return jnp.where(draw < 0.5, _anywhere(2 * draw), _off_target(2 * draw - 1))


def _anywhere(draw: Numbers) -> Numbers:
  return jnp.tan(jnp.pi * 0.94 * (draw - 0.5)) * 0.1


CLASSES = {
  "planet": planet,
  "eclipsing": eclipsing,
  "blended": blended,
  "variable": variable,
  "systematic": systematic,
  "orbital": orbital,
  "flickering": flickering,
}
