"""How two masses magnify a star behind them: a binary lens, or a star and its planet. Batched."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from edjax.et.numbers import alike

_ROUNDS = 30  # of Aberth's method; 20 are enough for ratios down to 1e-9, and 10 are not
# The fourth and the fifth root are images if they solve the lens equation to this share of the
# lighter lens's Einstein radius. Images do to 5e-8 even for q = 1e-9; outside a caustic the others
# miss by about as much as the source is away from it.
_SOLVED = 1e-6


def binary(zeta: ArrayLike, separation: ArrayLike, ratio: ArrayLike) -> jax.Array:
  """The magnification of a point by two points.

  Lengths are in Einstein radii of both masses together. The origin is the centre of mass and the
  lenses are on the real axis: the first, 1 / (1 + q) of the mass, at −s q / (1 + q), and the
  second, q / (1 + q) of it, at s / (1 + q), as VBMicrolensing has them. For a source that moves,
  ζ = (τ + i β) exp(i α), with `lens.track` and the angle α of its way from the lenses' axis.

  The images are the roots of a quintic (Witt 1990) that solve the lens equation, three or five. It
  is built by products of polynomials with the lighter lens at the origin, where its close images
  keep their digits, and solved by Aberth's method. A step of Newton's in the lens equation follows,
  through which gradients pass, and none through the search.

  Half of the points agree with VBMicrolensing's BinaryMag0 to 1e-15 and 99.9 % to 1e-12, relative
  to the magnification. Errors grow as it does at caustics. Single precision is of no use: at
  q = 1e-4 it is wrong by more than 1 % for most points.

  Args:
    zeta: where the source is, complex.
    separation: s, of the lenses, positive.
    ratio: q, mass of the second lens by that of the first, positive; also above 1.

  Raises:
    ValueError: where JAX is not allowed float64.
  """
  if jnp.result_type(complex) != jnp.complex128:
    raise ValueError("binary lenses need float64: jax.config.update('jax_enable_x64', True)")
  zeta = jnp.asarray(zeta, jnp.complex128)
  east, north, separation, ratio = (
    each[None] for each in alike(zeta.real, zeta.imag, separation, ratio)
  )
  # Turned by half a circle where the first lens is the lighter one.
  swapped = ratio > 1
  light = jnp.where(swapped, 1 / ratio, ratio)
  heavy, light = 1 / (1 + light), light / (1 + light)
  source = jnp.where(swapped, -1, 1) * (east + 1j * north) - separation * heavy
  scene = source, -separation, heavy, light

  # The best three are images, and the others both or neither. They are sorted together, as what is
  # computed twice is not the same to the last bit when XLA fuses it twice.
  roots = _roots(*jax.lax.stop_gradient(scene))
  missed = jnp.abs(_mapped(roots, *jax.lax.stop_gradient(scene))[0])
  missed, x, y = jax.lax.sort((missed, roots.real, roots.imag), dimension=0, num_keys=1)
  three = missed[4:] > _SOLVED * jnp.sqrt(light)
  wrong = jnp.concatenate([jnp.zeros_like(three)] * 3 + [three] * 2)

  # A root that is no image is moved to where nothing is steep, for the sake of gradients.
  images = jnp.where(wrong, 10j, x + 1j * y)
  off, shear = _mapped(images, *scene)
  images -= (off - shear * off.conj()) / (1 - _square(shear))
  area = 1 - _square(_mapped(images, *scene)[1])
  return jnp.where(wrong, 0, 1 / jnp.abs(area)).sum(0)


def _mapped(
  z: jax.Array, source: jax.Array, first: jax.Array, heavy: jax.Array, light: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """By how much a place is no image of the source, and the derivative of this by its conjugate.

  Masses: heavy at `first`, light at the origin.
  """
  one, other = heavy / (z.conj() - first), light / z.conj()
  return z - one - other - source, one / (z.conj() - first) + other / z.conj()


def _roots(source: jax.Array, first: jax.Array, heavy: jax.Array, light: jax.Array) -> jax.Array:
  """The five roots, along the first axis, of which the images are some."""
  # The conjugate of z, as the lens equation has it, is put in for that within the equation itself:
  # z − ζ = heavy / (z̄ − first) + light / z̄, where z̄ − a = (of a) / lenses.
  one = jnp.ones_like(source)
  lenses = _product([-first, one], [0 * one, one])
  pull = [-light * first, one, 0 * one]
  of_heavy, of_light = (
    [offset * lens + each for lens, each in zip(lenses, pull, strict=True)]
    for offset in (source.conj() - first, source.conj())
  )
  sides = [heavy * b + light * a for a, b in zip(of_heavy, of_light, strict=True)]
  left, right = _product([-source, one], of_heavy, of_light), _product(lenses, sides)
  quintic = [a - b for a, b in zip(left, [*right, 0 * one], strict=True)]

  def closer(_: int, z: jax.Array) -> jax.Array:
    value, slope = quintic[5] * jnp.ones_like(z), jnp.zeros_like(z)
    for coefficient in quintic[4::-1]:
      value, slope = value * z + coefficient, slope * z + value
    # Each pair of roots pushes both ways: of the others, two come before and two behind.
    push = [_inverse(z - jnp.roll(z, turn, 0)) for turn in (1, 2)]
    pushed = sum(each - jnp.roll(each, -turn, 0) for turn, each in zip((1, 2), push, strict=True))
    moved = z - value * _inverse(slope - value * pushed)
    return jnp.where(jnp.isfinite(moved), moved, z)  # where roots have met, or one is exact

  return jax.lax.fori_loop(0, _ROUNDS, closer, _starts(source, first, heavy, light))


def _inverse(z: jax.Array) -> jax.Array:
  """1 / z, as it is written down. XLA's own takes longer, as it looks for what is not finite."""
  return z.conj() / _square(z)


def _starts(source: jax.Array, first: jax.Array, heavy: jax.Array, light: jax.Array) -> jax.Array:
  """Where the roots are for a light lens of no mass, a little off.

  Two are the heavy lens's images, two are at the light lens, and one is where the images' equation
  sends the light lens, first − heavy / ζ̄.
  """
  away = source - first
  distance = jnp.abs(away) + 1e-9
  reach = jnp.sqrt(distance**2 + 4 * heavy)
  ring = jnp.sqrt(light)
  return jnp.concatenate(
    [
      first + (away + 1e-9) / distance * (distance + reach) / 2 * (1.001 + 0.002j),
      first + (away + 1e-9) / distance * (distance - reach) / 2 * (0.998 + 0.001j),
      first - heavy * source / (_square(source) + 1e-6) * (1.001 - 0.001j) + 1e-9,
      ring * (0.8 + 0.6j),
      -ring * (0.8 + 0.5j),
    ]
  )


def _product(*factors: Sequence[jax.Array]) -> list[jax.Array]:
  """The product of polynomials, whose coefficients begin with the constant one."""
  product, *rest = factors
  for factor in rest:
    terms = [jnp.zeros_like(product[0])] * (len(product) + len(factor) - 1)
    for power, a in enumerate(product):
      for further, b in enumerate(factor):
        terms[power + further] = terms[power + further] + a * b
    product = terms
  return list(product)


def _square(z: jax.Array) -> jax.Array:
  return z.real**2 + z.imag**2
