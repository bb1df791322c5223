"""The strong view of light curves: noisier, moved in time, and not seen for a while.

A light curve is a picture one pixel high, see `edjax.data.readers.curves`. Its scalars, channels
that are the same in all places, stay what they are. All of this is edjax's own choice.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float32, Int32, UInt8, UInt32

from edjax.errors import UserError
from edjax.types import RandomKey


@dataclasses.dataclass(frozen=True)
class Disturbed:
  """What a strong view of a light curve does.

  Attributes:
    noise: σ of the most white noise, in bytes; each light curve has some of it. As shipped it is a
      quarter of the depth of a dip.
    shift: how far a light curve is moved at most, in places; what is not there is as the end.
    hidden: the longest stretch of a channel that is not seen, as a share of its width. It has the
      channel's median.

  Raises:
    UserError: if one is negative, or more is hidden than there is.
  """

  noise: float = 14.0
  shift: int = 4
  hidden: float = 0.25

  def __post_init__(self) -> None:
    if min(self.noise, self.shift, self.hidden) < 0 or self.hidden > 1:
      raise UserError(f"noise and shift are 0 or more, hidden is from 0 to 1, not {self}")


class Draws(NamedTuple):
  """One strong view per light curve.

  Attributes:
    seed: uint32 [count], of the noise.
    noise: float32 [count], its σ in bytes.
    shift: int32 [count]: each place shows what was so many places to its right.
    hidden: float32 [count], the stretch as a share of the width.
    begin: float32 [count, channels], of each channel's stretch, in [0, 1) of what is left of it.
  """

  seed: UInt32[Array, "*count"]
  noise: Float32[Array, "*count"]
  shift: Int32[Array, "*count"]
  hidden: Float32[Array, "*count"]
  begin: Float32[Array, "*count channels"]


def draw(settings: Disturbed, key: RandomKey, count: int, channels: int) -> Draws:
  """Draws one strong view per light curve."""
  seed, share, begin = jax.random.split(key, 3)
  noise, shift, hidden = jax.random.uniform(share, (3, count))
  return Draws(
    seed=jax.random.bits(seed, (count,)),
    noise=settings.noise * noise,
    shift=jnp.floor(shift * (2 * settings.shift + 1)).astype(jnp.int32) - settings.shift,
    hidden=settings.hidden * hidden,
    begin=jax.random.uniform(begin, (count, channels)),
  )


def view(
  curves: UInt8[Array, "batch 1 places channels"], draws: Draws
) -> UInt8[Array, "batch 1 places channels"]:
  """Applies `draws` to light curves as bytes."""
  return jax.vmap(_one)(curves, draws)


def _one(curve: UInt8[Array, "1 places channels"], draws: Draws) -> UInt8[Array, "1 places _"]:
  width = curve.shape[1]
  places = jnp.arange(width)
  moved = curve[:, jnp.clip(places + draws.shift, 0, width - 1)]
  noisy = moved + draws.noise * jax.random.normal(jax.random.key(draws.seed), curve.shape)
  length = jnp.round(draws.hidden * width)
  begin = jnp.round(draws.begin * (width - length))[None, None]
  after = places[None, :, None] - begin
  unseen = (after >= 0) & (after < length)
  noisy = jnp.where(unseen, jnp.median(curve, axis=1, keepdims=True), noisy)
  scalar = (curve == curve[:, :1]).all(axis=1, keepdims=True)
  return jnp.where(scalar, curve, jnp.clip(jnp.round(noisy), 0, 255).astype(jnp.uint8))
