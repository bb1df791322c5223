"""Views of images on the device, against slices of padded arrays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from edjax.data.augment.pipeline import Augment, draw, normalise, number, numbered, settle, view

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


def pictures(count=6, height=7, width=5, channels=3):
  pixels = np.random.default_rng(0).integers(1, 256, (count, height, width, channels))
  return pixels.astype(np.uint8)


def test_normalise_by_definition():
  images = pictures()
  got = normalise(Augment(MEAN, STD), images)
  expected = [(images[..., c].astype(float) / 255 - MEAN[c]) / STD[c] for c in range(3)]
  assert got.dtype == jnp.float32
  np.testing.assert_allclose(got, np.stack(expected, -1), rtol=1e-5, atol=1e-6)


def test_normalise_grey():
  images = pictures(channels=1)
  got = normalise(Augment((0.25,), (0.5,)), images)
  np.testing.assert_allclose(got, (images / 255 - 0.25) / 0.5, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("pad", [0, 1, 3])
def test_every_view_is_a_slice_of_the_padded_image(pad):
  images = pictures()
  how = Augment(MEAN, STD, pad=pad, flip=True)
  draws = np.asarray(draw(how, jax.random.key(0), len(images)))
  views = np.asarray(view(how, images, draws))
  assert views.dtype == np.uint8 and views.shape == images.shape
  for image, got, (row, column, mirrored) in zip(images, views, draws, strict=True):
    padded = np.pad(image, ((pad, pad), (pad, pad), (0, 0)))
    crop = padded[row : row + 7, column : column + 5]
    np.testing.assert_array_equal(got, crop[:, ::-1] if mirrored else crop)


@pytest.mark.parametrize("height, width", [(1, 9), (9, 1), (1, 1)])
def test_a_line_is_cropped_along_itself(height, width):
  """Rows are not added to an image of one row, which most views would then show none of.

  And what is added to a row is as its ends: black would be a dip of a light curve.
  """
  images = pictures(200, height, width)
  how = Augment(MEAN, STD, pad=2, flip=True, flat=(height == 1, width == 1))
  draws = np.asarray(draw(how, jax.random.key(0), len(images)))
  views = np.asarray(view(how, images, draws))
  assert views.shape == images.shape
  for image, got, (row, column, mirrored) in zip(images, views, draws, strict=True):
    pads = [(0, 0) if size == 1 else (2, 2) for size in image.shape[:2]]
    mode = "edge" if height == 1 else "constant"
    crop = np.pad(image, (*pads, (0, 0)), mode)[row : row + height, column : column + width]
    assert np.array_equal(got, crop[:, ::-1] if mirrored else crop)
  assert (views > 0).any(axis=(1, 2, 3)).all()  # none is black
  crops = 5 if height * width > 1 else 1
  assert how.distinct == crops * (2 if width > 1 else 1) == len(np.unique(draws, axis=0))
  every = np.arange(how.distinct, dtype=np.int32)
  np.testing.assert_array_equal(number(how, np.asarray(numbered(how, every))), every)
  np.testing.assert_array_equal(numbered(how, number(how, draws)), draws)


def test_nothing_to_do_changes_nothing():
  images = pictures()
  how = Augment(MEAN, STD)
  np.testing.assert_array_equal(view(how, images, draw(how, jax.random.key(1), 6)), images)


def test_draws_are_uniform():
  draws = np.asarray(draw(Augment(MEAN, STD, pad=2, flip=True), jax.random.key(2), 4000))
  for column, choices in enumerate((5, 5, 2)):
    values, times = np.unique(draws[:, column], return_counts=True)
    assert values.tolist() == list(range(choices))
    expected = 4000 / choices
    assert ((times - expected) ** 2 / expected).sum() < 25  # χ², 4 degrees of freedom: p 5e-5
  pairs = np.unique(draws, axis=0, return_counts=True)[1]
  assert len(pairs) == 50 and ((pairs - 80) ** 2 / 80).sum() < 100  # 49 degrees: p 2e-5


def test_draws_follow_the_key_and_flips_can_be_off():
  how = Augment(MEAN, STD, pad=4, flip=False)
  draws = [np.asarray(draw(how, jax.random.key(seed), 64)) for seed in (0, 0, 1)]
  np.testing.assert_array_equal(draws[0], draws[1])
  assert (draws[0] != draws[2]).any()
  assert not draws[0][:, 2].any()


@pytest.mark.parametrize("pad, flip, views", [(4, True, 162), (4, False, 81), (0, True, 2)])
def test_views_have_numbers(pad, flip, views):
  how = Augment(MEAN, STD, pad=pad, flip=flip)
  every = np.arange(views)
  draws = np.asarray(numbered(how, every))
  assert how.distinct == views and len(np.unique(draws, axis=0)) == views
  assert (draws >= 0).all() and (draws <= [2 * pad, 2 * pad, int(flip)]).all()
  np.testing.assert_array_equal(number(how, draws), every)
  drawn = draw(how, jax.random.key(0), 100)
  np.testing.assert_array_equal(numbered(how, number(how, drawn)), drawn)


@pytest.mark.parametrize("crop", [{"pad": 3}, {"resized": 0.3}])
def test_lists_of_views(crop):
  """Drawn once, of every image by itself, uniformly."""
  how = Augment(MEAN, STD, flip=True, crops=4, **crop)
  drawn = np.asarray(draw(how, jax.random.key(0), 4000))
  values, times = np.unique(drawn, return_counts=True)
  assert how.distinct == 4 and values.tolist() == [0, 1, 2, 3] and times.min() > 900
  np.testing.assert_array_equal(numbered(how, number(how, drawn)), drawn)
  index = np.arange(4000) % 50
  settled = np.asarray(settle(how, drawn, index))
  # 200 views are drawn: windows are never alike, and there are 98 of the others.
  different = len(np.unique(settled, axis=0))
  assert different == 200 if "resized" in crop else 75 < different <= 98
  for image, which in ((3, 0), (3, 2), (49, 2)):
    same = settled[(index == image) & (drawn[:, 0] == which)]
    assert len(same) > 1 and (same == same[0]).all()
    alone = settle(how, jnp.array([[which]]), jnp.array([image]))
    np.testing.assert_array_equal(alone[0], same[0])


def test_without_a_list_a_draw_is_the_view():
  how = Augment(MEAN, STD, pad=2)
  drawn = draw(how, jax.random.key(0), 6)
  assert settle(how, drawn, jnp.arange(6)) is drawn
