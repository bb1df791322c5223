"""A network as an object answers as the network does, and comes back from its folder the same."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

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
