"""Vision transformers: names, how they start, grids of patches, taps."""

import jax
import numpy as np
import pytest
import torch

from edjax import convert, models
from edjax.convert.names import vit as names
from edjax.models import layers
from tests.models.drawn import images, initial_values, randomised, shapes
from tests.reference import zoo


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


def test_a_file_for_wide_images_comes_in(tmp_path):
  """Of a re-statement with other rows than columns; `models_test` compares what both answer."""
  shape = (1, 32, 48, 3)
  network = models.graduate(models.body("vit_tiny_patch4"), 7)
  drawn = randomised(network, shape)
  twin = zoo.load(zoo.make("vit_tiny_patch4", 7, shape[1:]), drawn, "vit_tiny_patch4")
  torch.save(twin.state_dict(), tmp_path / "a.pth")
  variables, *_ = convert.read(tmp_path / "a.pth", "vit_tiny_patch4")
  assert jax.tree.all(jax.tree.map(np.array_equal, variables, drawn))
  output = jax.eval_shape(network.apply, variables, images(shape))
  assert [tap.shape for tap in output.features] == [(1, 8, 12, 192)] * 5


@pytest.mark.parametrize("size", [(3, 3), (32, 3), (3, 32)])
def test_images_smaller_than_a_patch(size):
  height, width = size
  with pytest.raises(ValueError, match=f"images of {height}×{width} pixels hold no patch of 4×4"):
    shapes(models.graduate(models.body("vit_tiny_patch4"), 7), (1, height, width, 3))


def test_a_transformers_tokens_are_its_taps_without_the_class_token():
  body, shape = models.body("vit_tiny_patch4"), (2, 12, 20, 3)
  network = models.graduate(body, 7)
  variables, x = randomised(network, shape), images(shape)

  def tokens():
    fragment = body.fragments[0]()
    return fragment.apply({"params": variables["params"]["fragment_0"]}, x, None)

  x, features, preactivations = jax.jit(tokens)()
  assert x.sequence.shape == (2, 1 + 3 * 5, 192)
  assert x.grid == (3, 5)
  assert features[1].shape == (2, 3, 5, 192)
  assert np.array_equal(x.sequence[:, 1:], features[1].reshape(2, 15, 192))
  assert np.array_equal(layers.as_map(x), features[1])
  assert all(map(np.array_equal, features, preactivations))
