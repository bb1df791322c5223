"""VGG: where it pools, how it starts, what there is not."""

import jax
import jax.numpy as jnp
import pytest
import torch

from edjax import models
from edjax.models.vgg import vgg
from tests.models.drawn import shapes
from tests.reference import zoo


def test_it_pools_before_its_last_block_from_64_pixels_on():
  network = models.graduate(models.body("vgg8"), 7)
  variables = shapes(network)
  sizes = (
    (32, 32, 4, 4),
    (63, 63, 7, 7),
    (64, 64, 4, 4),
    (64, 8, 8, 1),
    (96, 80, 6, 5),
    (8, 8, 1, 1),
  )
  for height, width, rows, columns in sizes:
    image = jax.ShapeDtypeStruct((1, height, width, 3), jnp.float32)
    last = jax.eval_shape(network.apply, variables, image).features[-1]
    assert last.shape == (1, rows, columns, 512)


def test_initial_values_are_the_fields():
  """Ours and the re-statement's: He's by fan out, plain normalisations, a small dense layer."""
  network = models.graduate(models.body("vgg8"), 100)
  initial = jax.jit(network.init, compiler_options={"xla_backend_optimization_level": 0})
  variables = initial(jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
  torch.manual_seed(0)
  for values in (zoo.state(variables, "vgg8"), zoo.make("vgg8", 100).state_dict()):
    for key, value in values.items():
      if value.ndim == 4:
        outputs, _, height, width = value.shape
        expected = (2 / (height * width * outputs)) ** 0.5
        assert abs(value.std() / expected - 1) < 0.05, key
        assert value.abs().max() > 3 * expected, f"{key} is truncated"
      elif key.endswith("running_var") or (value.ndim == 1 and key.endswith("weight")):
        assert (value == 1).all(), key
      elif key.endswith(("running_mean", "bias")):
        assert (value == 0).all(), key
    assert abs(values["classifier.weight"].std() / 0.01 - 1) < 0.05


def test_what_there_is_not():
  for convolutions in ((1, 1, 1, 1), (1, 1, 1, 1, 0)):
    with pytest.raises(ValueError, match="five blocks"):
      vgg(convolutions)
  with pytest.raises(ValueError, match="8×8"):
    shapes(models.graduate(models.body("vgg8"), 7), (1, 7, 32, 3))
