"""Strong views against the Python Imaging Library, draw by draw, and cutout against slices."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from edjax.data.augment import operations, policies
from edjax.data.augment.policies import FIXMATCH, RANDAUGMENT, SCALE, Operation
from edjax.data.augment.strong import MULTI_LEVEL, Draws, Strong, draw, randaugment, view
from edjax.errors import UserError

# Pillow's whole-numbered operations are equalled. Blends are in floating point there, which
# processors may round in two ways; auto_contrast has its own test.
ROUGH = ("auto_contrast", *policies.ENHANCING)
SHAPES = [(41, 31, 3), (16, 24, 1), (2, 5, 3), (3, 3, 1)]
compiled = functools.partial(jax.jit, static_argnums=0)(view)


def pictures(count, height, width, channels, seed=0):
  """Of four kinds: all values, values in the middle, three values, one value."""
  rng = np.random.default_rng(seed)
  images = rng.integers(0, 256, (count, height, width, channels))
  images[1::4] = rng.integers(90, 160, images[1::4].shape)
  images[2::4] = rng.choice([3, 100, 254], images[2::4].shape)
  images[3::4] = images[3::4, :1, :1]
  return images.astype(np.uint8)


def by_pillow(kind, value, array):
  """One operation on uint8 [height, width, channels]; `value` as `policies` says."""
  image = Image.fromarray(array if array.shape[-1] == 3 else array[..., 0])
  height, width, _ = array.shape
  move = functools.partial(image.transform, image.size, Image.Transform.AFFINE)
  result = {
    "identity": lambda: image,
    "auto_contrast": lambda: ImageOps.autocontrast(image),
    "equalize": lambda: ImageOps.equalize(image),
    "rotate": lambda: image.rotate(value),
    "shear_x": lambda: move((1, value, 0, 0, 1, 0)),
    "shear_y": lambda: move((1, 0, 0, value, 1, 0)),
    "translate_x": lambda: move((1, 0, value * width, 0, 1, 0)),
    "translate_y": lambda: move((1, 0, 0, 0, 1, value * height)),
    "solarize": lambda: ImageOps.solarize(image, value),
    "posterize": lambda: ImageOps.posterize(image, int(value)),
    "color": lambda: ImageEnhance.Color(image).enhance(value),
    "contrast": lambda: ImageEnhance.Contrast(image).enhance(value),
    "brightness": lambda: ImageEnhance.Brightness(image).enhance(value),
    "sharpness": lambda: ImageEnhance.Sharpness(image).enhance(value),
  }[kind]()
  return np.asarray(result).reshape(array.shape)


def value_of(operation, magnitude, mirrored):
  way = -1 if mirrored and operation.mirrored else 1
  return operation.start + way * (operation.end - operation.start) * magnitude / SCALE


def apart(one, two):
  return np.abs(np.asarray(one).astype(int) - two).max()


def views(settings, images, operation, magnitude, mirrored):
  """`view` without cutout; draws are [count] or [count, layers]."""
  operation, magnitude, mirrored = (
    jnp.asarray(x).astype(jnp.int32).reshape(len(images), -1)
    for x in (operation, magnitude, mirrored)
  )
  nowhere = jnp.zeros(len(images), jnp.int32), jnp.zeros((len(images), 2))
  return compiled(settings, images, Draws(operation, magnitude, mirrored, *nowhere))


@pytest.mark.parametrize("shape", SHAPES)
def test_every_operation_at_every_magnitude_is_pillows(shape):
  cells = [
    (place, magnitude, mirrored)
    for place in range(len(RANDAUGMENT))
    for magnitude in range(SCALE + 1)
    for mirrored in (0, 1)
  ]
  cells += [(place, magnitude, 0) for place, magnitude, _ in cells[::7]]
  images = pictures(len(cells), *shape)
  images = images[np.random.default_rng(1).permutation(len(cells))]
  got = np.asarray(views(Strong(), images, *np.array(cells).T))
  assert got.dtype == np.uint8 and got.shape == images.shape
  changed = set()
  for image, result, (place, magnitude, mirrored) in zip(images, got, cells, strict=True):
    operation = RANDAUGMENT[place]
    value = value_of(operation, magnitude, mirrored)
    expected = by_pillow(operation.kind, value, image)
    assert apart(result, expected) <= (operation.kind in ROUGH), (operation, value)
    if (expected != image).any():
      changed.add(operation.kind)
  if shape == SHAPES[0]:
    assert changed == set(policies.KINDS) - {"identity"}


# At magnitude 10 of 30: the value, and the value mirrored.
TEN = {
  "rotate": (10, -10),
  "shear_x": (0.1, -0.1),
  "shear_y": (0.1, -0.1),
  "translate_x": (50 / 331, -50 / 331),
  "translate_y": (50 / 331, -50 / 331),
  "solarize": (171, 171),
  "posterize": (6, 6),
} | dict.fromkeys(policies.ENHANCING, (1.3, 0.7))
TEN_OF_FIXMATCH = (
  TEN
  | {
    "translate_x": (0.1, -0.1),
    "translate_y": (0.1, -0.1),
    "solarize": (86, 86),
    "posterize": (5, 5),
  }
  | dict.fromkeys(policies.ENHANCING, (0.35, 0.35))
)


@pytest.mark.parametrize("policy, ten", [(RANDAUGMENT, TEN), (FIXMATCH, TEN_OF_FIXMATCH)])
def test_magnitude_10_of_30(policy, ten):
  image = pictures(1, 60, 70, 3)[0]
  kinds = [operation.kind for operation in policy]
  cells = [(kinds.index(kind), 10, mirrored) for kind in ten for mirrored in (0, 1)]
  images = np.broadcast_to(image, (len(cells), *image.shape))
  got = views(Strong(operations=policy), images, *np.array(cells).T)
  values = [(kind, value) for kind, pair in ten.items() for value in pair]
  for result, (kind, value) in zip(got, values, strict=True):
    assert apart(result, by_pillow(kind, value, image)) <= (kind in ROUGH), (kind, value)


def test_the_lists_are_the_published_ones():
  for policy in (RANDAUGMENT, FIXMATCH):
    assert sorted(operation.kind for operation in policy) == sorted(policies.KINDS)
  assert len(set(policies.KINDS)) == 14


def test_layers_follow_one_another():
  exact = [operation for operation in RANDAUGMENT if operation.kind not in ROUGH]
  settings = Strong(layers=3, magnitude=(5, 25), operations=tuple(exact), cutout=(0, 0))
  images = pictures(64, 20, 26, 3)
  draws = draw(settings, jax.random.key(3), len(images))
  got = compiled(settings, images, draws)
  for i, expected in enumerate(images):
    for layer in range(3):
      operation = exact[draws.operation[i, layer]]
      value = value_of(operation, int(draws.magnitude[i, layer]), bool(draws.mirrored[i, layer]))
      expected = by_pillow(operation.kind, value, expected)
    np.testing.assert_array_equal(got[i], expected)


def test_randaugment_is_some_operations_of_one_magnitude():
  settings = randaugment(2, 9)
  draws = draw(settings, jax.random.key(0), 7000)
  assert draws.operation.shape == (7000, 2) and (draws.magnitude == 9).all()
  times = np.bincount(np.ravel(draws.operation))
  assert len(times) == 14 and abs(times - 1000).max() < 150  # five standard deviations
  assert settings.operations == RANDAUGMENT and not draws.side.any()


def test_auto_contrast_is_the_rounded_down_fraction():
  ends = [(low, high) for low in range(0, 256, 17) for high in range(low, 256, 3)]
  images = np.array([[[low], [high]] * 128 for low, high in ends], np.uint8)[..., None]
  images[:, :, 0, 0] = np.clip(np.arange(256), *np.array(ends).T[..., None])
  got = np.asarray(views(Strong(), images, *np.array([(1, 0, 0)] * len(ends)).T))
  for image, result, (low, high) in zip(images, got, ends, strict=True):
    steps = 255 * (image.astype(int) - low)
    expected = steps // (high - low) if high > low else image
    np.testing.assert_array_equal(result, expected)
    off = expected - by_pillow("auto_contrast", None, image)
    assert set(np.unique(off)) <= {0, 1} and not (steps % max(high - low, 1))[off > 0].any()


@pytest.mark.parametrize("shape", [(31, 25, 3), (10, 9, 1)])
def test_what_is_blended_is_pillows_exactly(shape):
  images = pictures(40, *shape)
  parts = operations.grey, operations.mean_grey, operations.smooth
  got = jax.jit(jax.vmap(lambda image: [part(image) for part in parts]))(images)
  for i, array in enumerate(images):
    image = Image.fromarray(array if shape[-1] == 3 else array[..., 0])
    for part, way in zip(got, ("Color", "Contrast", "Sharpness"), strict=True):
      expected = np.asarray(getattr(ImageEnhance, way)(image).degenerate).reshape(shape)
      np.testing.assert_array_equal(np.broadcast_to(part[i], shape), expected)


@pytest.mark.parametrize("factor", [0.0, 0.1, 0.35, 0.7, 1.0, 1.3, 1.9])
def test_blend_of_all_values(factor):
  poor, image = np.meshgrid(*[np.arange(256, dtype=np.uint8)] * 2)
  expected = Image.blend(Image.fromarray(poor), Image.fromarray(image), factor)
  got = jax.jit(operations.blend)(poor, image, jnp.float32(factor))
  assert apart(got, np.asarray(expected)) <= 1
  assert (got != np.asarray(expected)).mean() < 0.01


@pytest.mark.parametrize("channels", [1, 3])
def test_magnitude_0_changes_nothing(channels):
  idle = tuple(x for x in RANDAUGMENT if x.kind not in ("auto_contrast", "equalize"))
  settings = Strong(layers=5, magnitude=(0, 0), operations=idle, cutout=(0, 0))
  images = pictures(200, 9, 11, channels)
  draws = draw(settings, jax.random.key(1), 200)
  np.testing.assert_array_equal(compiled(settings, images, draws), images)


@pytest.mark.parametrize("shape, colour", [((8, 13, 3), (1, 2, 3)), ((9, 6, 1), (7,))])
def test_cutout_is_a_clipped_square(shape, colour):
  settings = Strong(layers=0, cutout=(0, 20), colour=colour)
  images = pictures(400, *shape)
  draws = draw(settings, jax.random.key(4), len(images))
  corners = jnp.array([[0, 0], [0, 1], [1, 0], [1, 1]]) * (1 - 2.0**-23)
  draws = draws._replace(centre=draws.centre.at[:4].set(corners))
  got = compiled(settings, images, draws)
  sides, whole = set(), 0
  for image, result, side, centre in zip(
    images, got, np.asarray(draws.side), np.asarray(draws.centre, float), strict=True
  ):
    row, column = (
      int(share * size) - side // 2 for share, size in zip(centre, shape, strict=False)
    )
    expected = image.copy()
    expected[max(row, 0) : max(row + side, 0), max(column, 0) : max(column + side, 0)] = colour
    np.testing.assert_array_equal(result, expected)
    sides.add(int(side))
    whole += row >= 0 and column >= 0 and row + side <= shape[0] and column + side <= shape[1]
  assert sides == set(range(21)) and 0 < whole < 400


def test_the_square_has_luma_on_grey_images_and_is_black_at_first():
  where = Draws(*[jnp.zeros((1, 0), jnp.int32)] * 3, jnp.array([3]), jnp.array([[0.5, 0.5]]))
  image = np.full((1, 3, 3, 1), 200, np.uint8)
  luma = np.asarray(Image.new("RGB", (1, 1), MULTI_LEVEL.colour).convert("L")).item()
  assert (compiled(MULTI_LEVEL, image, where) == luma).all()
  assert (compiled(Strong(), image.repeat(3, axis=-1), where) == 0).all()


def test_draws_are_uniform():
  settings = Strong(layers=2, magnitude=(3, 7), cutout=(2, 5))
  draws = draw(settings, jax.random.key(5), 6000)
  rows, columns = (np.asarray(draws.centre * 8).astype(int)).T
  parts = [(x, count) for x, count in ((draws.side - 2, 4), (rows, 8), (columns, 8))]
  for layer in range(2):
    parts += [
      (draws.operation[:, layer], 14),
      (draws.magnitude[:, layer] - 3, 5),
      (draws.mirrored[:, layer], 2),
    ]
  for i, (one, count) in enumerate(parts):
    one = np.asarray(one)
    times = np.bincount(one, minlength=count)
    assert len(times) == count and chi(times) < 45  # 13 degrees of freedom: p 2e-5
    for other, size in parts[:i]:
      pairs = np.bincount(one * size + np.asarray(other), minlength=count * size)
      assert len(pairs) == count * size and chi(pairs) < 290  # 195 degrees: p 1e-5


def chi(times):
  expected = times.sum() / len(times)
  return ((times - expected) ** 2 / expected).sum()


def test_multi_level_draws_the_whole_range():
  draws = draw(MULTI_LEVEL, jax.random.key(6), 2000)
  assert set(np.unique(draws.magnitude)) == set(range(31))
  assert set(np.unique(draws.side)) == set(range(1, 17))
  assert draws.operation.shape == (2000, 2)


def test_draws_follow_the_key_and_go_with_their_images():
  images = pictures(12, 16, 16, 3)
  draws, again, other = (draw(MULTI_LEVEL, jax.random.key(seed), 12) for seed in (7, 7, 8))
  jax.tree.map(np.testing.assert_array_equal, draws, again)
  assert all((a != b).any() for a, b in zip(draws, other, strict=True))
  got = np.asarray(compiled(MULTI_LEVEL, images, draws))
  assert (got != images).any(axis=(1, 2, 3)).sum() > 6
  own = np.r_[5:12, 0:5]
  cut = jax.tree.map(lambda x: x[own], draws)
  np.testing.assert_array_equal(compiled(MULTI_LEVEL, images[own], cut), got[own])


@pytest.mark.parametrize(
  "wrong",
  [
    {"layers": -1},
    {"magnitude": (0, 31)},
    {"magnitude": (4, 3)},
    {"cutout": (5, 4)},
    {"cutout": (-1, 4)},
    {"colour": (0, 0)},
    {"colour": (256,)},
  ],
)
def test_settings_that_make_no_sense(wrong):
  with pytest.raises(UserError, match="not|cannot"):
    Strong(**wrong)


def test_two_channels_are_not_an_image():
  with pytest.raises(UserError, match="these have 2"):
    view(Strong(), np.zeros((1, 4, 4, 2), np.uint8), None)


def test_a_list_of_ones_own():
  upside_down = Strong(operations=(Operation("rotate", 180, 180),), layers=1, cutout=(0, 0))
  images = pictures(4, 8, 10, 3)
  got = views(upside_down, images, [0] * 4, [0, 1, 15, 30], [0, 1, 0, 1])
  np.testing.assert_array_equal(got, images[:, ::-1, ::-1])
