"""Resized windows, against PyTorch on what they cut out and the statistics of the definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from edjax.data.augment import pipeline, resized
from edjax.data.augment.pipeline import Augment

LEAST = 0.08


def windows(shape, count=20_000, least=LEAST):
  draws = resized.draw(jax.random.key(0), count)
  return np.asarray(resized.windows(least, shape, draws))


def images(count=8, height=24, width=20, channels=3):
  pixels = np.random.default_rng(0).integers(0, 256, (count, height, width, channels))
  return pixels.astype(np.uint8)


@pytest.mark.parametrize("antialias", [False, True])
def test_views_are_pytorch_s(antialias):
  """A window is stretched, never shrunk, so that smoothing against aliasing changes nothing."""
  pixels = images()
  where = windows((24, 20), len(pixels)).copy()
  where[0], where[1], where[2] = (0, 0, 24, 20), (23, 19, 1, 1), (3, 0, 5, 20)
  got = np.asarray(resized.view(pixels, jnp.asarray(where)))
  assert got.dtype == np.float32
  for image, (top, left, height, width), view in zip(pixels, where, got, strict=True):
    cut = image[top : top + height, left : left + width].astype(np.float32)
    stretched = torch.nn.functional.interpolate(
      torch.from_numpy(cut).permute(2, 0, 1)[None],
      (24, 20),
      mode="bilinear",
      align_corners=False,
      antialias=antialias,
    )
    np.testing.assert_allclose(view, stretched[0].permute(1, 2, 0), atol=2e-3)  # of 255
  np.testing.assert_array_equal(got[0], pixels[0])


def test_areas_and_aspects_are_as_defined():
  """Side by side with the definition, an attempt at a time, drawn with numpy."""
  side = 160
  top, left, height, width = windows((side, side)).T
  assert min(top.min(), left.min()) == 0 and min(height.min(), width.min()) > 0
  assert (top + height).max() == side and (left + width).max() == side
  draw, expected = np.random.default_rng(1), []
  while len(expected) < len(top):
    for _ in range(10):
      area = draw.uniform(LEAST, 1) * side**2
      aspect = np.exp(draw.uniform(np.log(3 / 4), np.log(4 / 3)))
      h, w = round(np.sqrt(area / aspect)), round(np.sqrt(area * aspect))
      if h <= side and w <= side:
        break
    else:
      h = w = side
    expected.append((h, w))
  expected = np.array(expected).T
  for ours, theirs in (
    (height * width / side**2, expected[0] * expected[1] / side**2),
    (np.log(width / height), np.log(expected[1] / expected[0])),
  ):
    deciles = np.linspace(0.05, 0.95, 10)
    np.testing.assert_allclose(
      np.quantile(ours, deciles), np.quantile(theirs, deciles), atol=0.03 * np.ptp(theirs)
    )
    assert abs(ours.mean() - theirs.mean()) < 4 * theirs.std() * np.sqrt(2 / len(ours))
  # Corners are uniform over all places where the window fits: (corner + U)/(places) is uniform.
  noise = np.random.default_rng(2).uniform(size=len(top))
  for corner, length in ((top, height), (left, width)):
    place = np.sort((corner + noise) / (side - length + 1))
    assert np.abs(place - np.linspace(0, 1, len(place))).max() < 1.95 / np.sqrt(len(place))


@pytest.mark.parametrize("shape, middle", [((8, 40), (0, 14, 8, 11)), ((40, 8), (14, 0, 11, 8))])
def test_where_nothing_fits_the_middle_is_taken(shape, middle):
  assert windows(shape, 4, least=0.99).tolist() == [list(middle)] * 4


def test_windows_are_mirrored():
  pixels, how = images(), Augment((0.5,) * 3, (0.2,) * 3, resized=LEAST, flip=True)
  draws = np.array(pipeline.draw(how, jax.random.key(0), len(pixels)))
  assert draws.dtype == np.float32 and set(draws[:, -1]) == {0.0, 1.0}
  draws[:, -1] = 0
  straight = np.asarray(pipeline.view(how, pixels, jnp.asarray(draws)))
  draws[:, -1] = 1
  mirrored = np.asarray(pipeline.view(how, pixels, jnp.asarray(draws)))
  np.testing.assert_array_equal(mirrored, straight[:, :, ::-1])
  assert np.ptp(straight - pixels) > 1


@pytest.mark.parametrize("shape", [(1, 40), (40, 1)])
def test_a_window_of_a_line_is_a_stretch_of_it(shape):
  found = np.asarray(resized.windows(0.25, shape, resized.draw(jax.random.key(0), 500)))
  across, along = shape.index(1), shape.index(40)
  starts, sizes = found[:, :2], found[:, 2:]
  assert (starts[:, across] == 0).all() and (sizes[:, across] == 1).all()
  lengths = sizes[:, along]
  assert lengths.min() >= 10 and lengths.max() <= 40 and len(np.unique(lengths)) > 25
  assert (starts[:, along] + lengths <= 40).all() and abs(lengths.mean() - 25) < 2
