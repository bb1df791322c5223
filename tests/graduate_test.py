"""A network as an object answers as the network does, and comes back from its folder the same."""

import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import edjax
from edjax import graduate, models
from edjax.errors import UserError
from tests import small
from tests.school import bits

NAMES = ("ant", "bee", "cat", "dog")
MEAN, STD = (0.3,), (0.5,)


@pytest.fixture(scope="module")
def student():
  network = models.graduate(small.SMALL, len(NAMES))
  variables = jax.device_get(network.init(jax.random.key(3), jnp.zeros((1, 6, 5, 1))))
  with pytest.MonkeyPatch.context() as patch:
    patch.setitem(models.MODELS, "small", small.SMALL)
    yield graduate.Graduate("small", NAMES, (6, 5, 1), MEAN, STD, variables, {"note": "kept"})


def photographs(count):
  return np.random.default_rng(0).integers(0, 256, (count, 6, 5, 1), np.uint8)


@pytest.mark.parametrize("count", [0, 1, 70])
def test_it_answers_as_the_network_does(student, count):
  images = photographs(count)
  network = models.graduate(small.SMALL, len(NAMES))
  shown = jnp.asarray((images / 255 - MEAN[0]) / STD[0], jnp.float32)
  wanted = np.asarray(network.apply(student.variables, shown).logits)
  np.testing.assert_allclose(student.logits(images), wanted, atol=1e-5)
  odds = np.exp(wanted) / np.exp(wanted).sum(1, keepdims=True)
  np.testing.assert_allclose(student.predict(images), odds, atol=1e-5)
  np.testing.assert_array_equal(student(images[..., 0]), student.predict(images))
  assert student.names(images) == [NAMES[column] for column in wanted.argmax(1)]


def test_it_comes_back_from_its_folder(student, tmp_path):
  student.save(tmp_path / "graduate")
  again = edjax.load(tmp_path / "graduate")
  assert bits(again.variables) == bits(student.variables)
  np.testing.assert_array_equal(again(photographs(3)), student(photographs(3)))
  assert (again.class_names, again.info["note"]) == (NAMES, "kept")
  assert again.num_parameters == sum(x.size for x in jax.tree.leaves(student.variables["params"]))
  again.save(tmp_path / "graduate")  # over the same network
  (tmp_path / "graduate" / "note.txt").write_text("mine")
  with pytest.raises(UserError, match="only a network of edjax's is ever replaced"):
    again.save(tmp_path / "graduate")


def test_it_reads_pictures_of_its_own_size(student, tmp_path):
  """Of a network that takes no squares; grey from colours is Pillow's."""
  images = photographs(2)
  np.testing.assert_array_equal(student([images[0], images[1, ..., 0]]), student(images))
  assert student([]).shape == (0, 4)
  with pytest.raises(UserError, match="6x5 pixels, and pictures are brought to squares only"):
    student([np.zeros((12, 10), np.uint8)])


def test_it_reads_pictures_of_any_size(tmp_path):
  """Whatever holds them; against Pillow's own resizing and middle."""
  square = graduate.Graduate("resnet8", NAMES, (8, 8, 3), MEAN * 3, STD * 3, {})
  wide = np.random.default_rng(1).integers(0, 256, (16, 40, 3), np.uint8)
  Image.fromarray(wide).save(path := tmp_path / "wide.png")
  opened = Image.open(path)
  wanted = np.asarray(opened.resize((20, 8), Image.Resampling.BILINEAR))[:, 6:14]
  for pictures in ([str(path), path], [opened, wide], str(path), path, opened):
    found = square.read(pictures)
    assert found.dtype == np.uint8 and found.shape[1:] == (8, 8, 3)
    for image in found:
      assert np.abs(image.astype(int) - wanted).max() <= 1
  assert opened.size == (40, 16)
  grey = square.read([wide[..., :1], wide[..., 0]])
  assert np.all(grey == grey[:1, ..., :1])
  luma = graduate.Graduate("resnet8", NAMES, (16, 16, 1), MEAN, STD, {}).read([wide[:, :16]])
  np.testing.assert_allclose(luma[0, ..., 0], wide[:, :16] @ (0.299, 0.587, 0.114), atol=1)


def test_a_damaged_picture_of_pillows(tmp_path):
  square = graduate.Graduate("resnet8", NAMES, (8, 8, 3), MEAN * 3, STD * 3, {})
  Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(
    whole := io.BytesIO(), "PNG"
  )
  with pytest.raises(UserError, match="a picture: cannot be read as an image .*truncated"):
    square.read([Image.open(io.BytesIO(whole.getvalue()[:6000]))])


@pytest.mark.parametrize(
  "pictures, words",
  [
    ("nothing.png", "nothing.png: cannot be read as an image .No such file"),
    ([np.zeros((6, 5))], "a picture is float64 .6, 5, 1.; give bytes"),
    ([np.zeros((2, 6, 5, 1), np.uint8)], "a picture is uint8 .2, 6, 5, 1.; give bytes"),
    ([np.zeros((9, 9, 2), np.uint8)], "a picture is uint8 .9, 9, 2.; give bytes"),
    ([np.zeros((0, 9, 3), np.uint8)], "a picture is uint8 .0, 9, 3.; give bytes"),
  ],
)
def test_pictures_that_are_none(pictures, words):
  square = graduate.Graduate("resnet8", NAMES, (8, 8, 3), MEAN * 3, STD * 3, {})
  with pytest.raises(UserError, match=words):
    square.read(pictures)


def test_a_work_directory_is_its_graduate(finished, small, tmp_path):
  whole = edjax.load(finished)
  assert bits(whole.variables) == bits(edjax.load(finished / "graduate").variables)
  (tmp_path / "config.json").write_text("{}")
  with pytest.raises(UserError, match="has no graduate yet; give its command again first"):
    edjax.load(tmp_path)


@pytest.mark.parametrize(
  "images",
  [np.zeros((2, 6, 5, 1)), np.zeros((2, 5, 6, 1), np.uint8), np.zeros((6, 5), np.uint8)],
)
def test_other_images_are_refused(student, images):
  with pytest.raises(UserError, match=r"takes bytes \(uint8\) \[n, 6, 5, 1\]"):
    student.predict(images)


def test_one_that_does_not_say_how_it_is_shown_images(student, tmp_path):
  edjax.graduate.checkpoint.save_variables(
    tmp_path / "bare", student.variables, {"model": "small", "classes": list(NAMES), "mean": None}
  )
  with pytest.raises(UserError, match="image_shape, mean, std; convert it again with --size"):
    edjax.load(tmp_path / "bare")
