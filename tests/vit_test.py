"""Vision transformers: names, how they start, square grids, taps."""

import jax
import numpy as np
import pytest

from edjax import models
from edjax.convert import vit as names
from edjax.models import layers
from tests.models_test import images, initial_values, randomised, shapes


def test_published_names():
  assert names.timm("fragment_3/block_2/qkv") == "blocks.11.attn.qkv"
  assert names.timm("fragment_0/cls_token") == "cls_token"
  assert names.timm("fragment_1/block_1/bn") is None


def test_a_transformer_starts_as_the_fields():
  ours, theirs = initial_values("vit_tiny_patch4")
  for values in (ours, theirs):
    for key, value in values.items():
      if key.startswith("patch_embed"):
        bound = (4 * 4 * 3) ** -0.5
        assert 0.97 * bound < value.abs().max() <= bound, key
        assert abs(value.mean()) < 0.2 * bound, key
      elif key == "cls_token":
        assert 0.7e-6 < value.std() < 1.3e-6
      elif value.ndim > 1:
        assert abs(value.std() / 0.02 - 1) < 0.05, key
        assert value.abs().max() > 3 * 0.02, key
      elif key.endswith("bias"):
        assert (value == 0).all(), key
      elif value.ndim == 1:
        assert (value == 1).all(), key


@pytest.mark.parametrize("size", [(32, 28), (3, 3), (4, 8)])
def test_a_transformers_patches_make_a_square(size):
  height, width = size
  with pytest.raises(ValueError, match=f"images of {height}×{width} pixels have"):
    shapes(models.graduate(models.body("vit_tiny_patch4"), 7), (1, height, width, 3))


def test_a_transformers_tokens_are_its_taps_without_the_class_token():
  body, shape = models.body("vit_tiny_patch4"), (2, 12, 12, 3)
  network = models.graduate(body, 7)
  variables, x = randomised(network, shape), images(shape)

  def tokens():
    fragment = body.fragments[0]()
    return fragment.apply({"params": variables["params"]["fragment_0"]}, x, None)

  x, features, preactivations = jax.jit(tokens)()
  assert x.shape == (2, 1 + 3 * 3, 192)
  assert features[1].shape == (2, 3, 3, 192)
  assert np.array_equal(x[:, 1:], features[1].reshape(2, 9, 192))
  assert np.array_equal(layers.as_map(x), features[1])
  assert all(map(np.array_equal, features, preactivations))
