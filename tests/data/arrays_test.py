"""Data sets of arrays: cut as files are, by what is in them alone."""

import numpy as np
import pytest

import edjax
from edjax.errors import UserError

LABELS = np.repeat([0, 1, 2], [40, 30, 10])
IMAGES = np.random.default_rng(0).integers(0, 256, (80, 4, 5, 3), np.uint8)


def test_every_image_is_in_one_part_and_classes_keep_their_shares():
  made = edjax.data.from_arrays(IMAGES, LABELS, class_names=["a", "b", "c"])
  parts = (made.train, made.validation, made.test)
  found = np.concatenate([part.images for part in parts])
  assert sorted(map(bytes, found)) == sorted(map(bytes, IMAGES))
  assert [np.bincount(part.labels).tolist() for part in parts] == [
    [29, 22, 7],
    [3, 2, 1],
    [8, 6, 2],
  ]
  wanted = (made.train.images / 255).mean((0, 1, 2)), (made.train.images / 255).std((0, 1, 2))
  np.testing.assert_allclose((made.mean, made.std), wanted, rtol=1e-12)
  assert made.class_names == ("a", "b", "c") and made.name == "arrays"
  assert made.identity == edjax.data.from_arrays(IMAGES, LABELS, class_names="abc").identity


def test_own_test_images_and_figures():
  made = edjax.data.from_arrays(
    IMAGES[..., 0],
    LABELS,
    test=(IMAGES[:5, ..., 1], LABELS[:5]),
    validation_fraction=0,
    mean=(0.5,),
  )
  np.testing.assert_array_equal(made.train.images, IMAGES[..., :1])
  np.testing.assert_array_equal(made.test.images, IMAGES[:5, ..., 1:2])
  assert (
    made.class_names == ("0", "1", "2") and made.mean == (0.5,) and not len(made.validation.labels)
  )


def test_light_curves_have_a_channel_for_each_view():
  curves = np.repeat(IMAGES[:, :1, :, :1], 7, -1)
  assert edjax.data.from_arrays(curves, LABELS).train.images.shape[1:] == (1, 5, 7)
  with pytest.raises(UserError, match="1 or 3 channels unless the height is 1"):
    edjax.data.from_arrays(np.repeat(curves, 2, 1), LABELS)


@pytest.mark.parametrize(
  "images, labels, options, words",
  [
    (IMAGES / 255, LABELS, {}, "give bytes from 0 to 255"),
    (IMAGES[0], LABELS, {}, "one|labels"),
    (IMAGES, LABELS[1:], {}, "a whole number for each of the 80 images"),
    (IMAGES, LABELS / 1.0, {}, "a whole number for each"),
    (IMAGES, LABELS - 1, {}, "a label -1; they count from 0"),
    (IMAGES, LABELS, {"class_names": ["a", "b"]}, "a label 2, but 2 class names"),
    (IMAGES, LABELS, {"class_names": ["a", "b", "a"]}, "names a class twice"),
    (IMAGES, LABELS, {"class_names": "abcd"}, "no training image of d"),
    (IMAGES, LABELS, {"test": (IMAGES[:, :3], LABELS)}, "but the test images"),
    (IMAGES, LABELS, {"test_fraction": 0}, "test_fraction is 0"),
    (IMAGES[[0, 45]], LABELS[[0, 45]], {}, r"none is left.*test=\(images, labels\)"),
    (IMAGES[:0], LABELS[:0], {}, r"have the shape \(0, 4, 5, 3\)"),
  ],
)
def test_what_is_no_labelled_images_is_refused(images, labels, options, words):
  with pytest.raises(UserError, match=words) as caught:
    edjax.data.from_arrays(images, labels, **options)
  assert "\n" not in str(caught.value)
