"""Networks that are cut by depth: what a fragment is, and that a further one changes no answer."""

import dataclasses
import functools
import itertools

import jax
import numpy as np
import pytest

from edjax import models
from edjax.errors import UserError
from edjax.models.analysis import macs
from edjax.models.curve import curve
from edjax.models.cut import among_lowest
from edjax.models.imagenet_resnet import imagenet_resnet
from edjax.models.resnet import resnet
from edjax.models.vit import vit
from edjax.models.wrn import wrn
from edjax.training import growth
from tests.models.drawn import images, randomised
from tests.models.families_test import FAMILIES

# Of every family that can be cut by depth, as small as may be.
SMALL = {
  "resnet": resnet(14, (4, 4, 8, 8)),
  "option_a": resnet(14, (4, 4, 8, 8), option_a=True),
  "curve": curve((4, 4, 8, 8), blocks=2),
  "wrn": wrn(16, 1),
  "vit": vit(16, 2, 8),
  "mobilenetv2": models.body("mobilenetv2_half"),
  "shufflenetv1": models.body("shufflenetv1"),
  "imagenet_resnet": imagenet_resnet(18, small_images=True),
  "bottlenecks": imagenet_resnet(50, small_images=True),
  "efficientnet": models.body("efficientnet_b0"),
}
LARGE = ("mobilenetv2", "shufflenetv1", "imagenet_resnet", "bottlenecks", "efficientnet")
SLOW = pytest.mark.slow
CANNOT = ("mobilenetv1", "shufflenetv2", "shufflenetv2_imagenet", "vgg8")


def paths(network):
  """{path of a leaf: its shape} of a network's variables."""
  leaves = jax.tree_util.tree_leaves_with_path(models.shapes(network, (32, 32, 3)))
  return {jax.tree_util.keystr(path): leaf.shape for path, leaf in leaves}


@pytest.mark.parametrize(
  "family", [pytest.param(name, marks=SLOW if name in LARGE else ()) for name in SMALL]
)
def test_further_blocks_change_no_answer(family):
  """Bit by bit, in inference mode, as far as there are blocks; nor what the stages hand on.

  Operations are done one after the other: compiled together, without optimisation as tests are,
  the same sums are rounded in other places.
  """
  body, shape = SMALL[family], (2, 16, 16, 3)
  x, variables, before = images(shape), None, None
  for count in range(1, 1 + max(body.blocks.counts)):
    network = models.shallow(body, count, 5)
    fresh = randomised(network, shape, seed=count)
    variables = growth.graft(variables, fresh, body.blocks) if variables else fresh
    said = network.apply(variables, x)
    if before is not None:
      assert np.array_equal(said.logits, before.logits)
      assert np.array_equal(said.embedding, before.embedding)
      for ours, theirs in zip(said.features, before.features, strict=True):
        assert np.array_equal(ours, theirs)
    before = said
  assert not np.array_equal(network.apply(fresh, x).logits, before.logits)  # blocks do matter


@pytest.mark.parametrize("name", FAMILIES)
def test_a_shallow_network_is_less_of_the_graduate(name):
  body = models.body(name)
  if name in CANNOT:
    assert body.blocks is None
    return
  count = models.fragments(name, "depth")
  assert models.shallow(body, count, 7) == models.graduate(body, 7)
  grown = [paths(models.shallow(body, number, 7)) for number in sorted({1, count - 1, count} - {0})]
  for less, more in itertools.pairwise(grown):
    assert less.items() < more.items()


def test_a_fragment_is_a_block_of_every_stage():
  """ImageNet's stages have three, four, six and three: those that have no further one are whole."""
  assert models.fragments("resnet34", "depth") == 6 and models.fragments("resnet34") == 4
  body, network = models.body("resnet34"), models.shallow(models.body("resnet34"), 4, 7)
  names = {
    part: {name for name in tree if name.startswith("block")}
    for part, tree in models.shapes(network, (32, 32, 3))["params"].items()
  }
  counts = {part: len(blocks) for part, blocks in names.items()}
  assert counts == {"fragment_0": 3, "fragment_1": 4, "fragment_2": 4, "fragment_3": 3, "head": 0}
  where = {
    ("fragment_0", "conv"): 0,
    ("fragment_2", "block_0", "bn1"): 0,
    ("fragment_2", "block_5", "bn1"): 5,
  }
  for path, number in where.items():
    assert among_lowest(path, number + 1, body.blocks) and not among_lowest(
      path, number, body.blocks
    )
  assert not among_lowest(("head", "dense"), 6, body.blocks)


@pytest.mark.parametrize("name", [*CANNOT, "tests.small:SMALL", "vgg8+simkd64"])
def test_a_network_without_residual_blocks_is_refused_by_name(name):
  with pytest.raises(UserError) as error:
    models.fragments(name, "depth")
  said = str(error.value)
  assert said.startswith(f"{name} cannot be cut by depth") and "student.cut to 'stages'" in said


def test_a_block_without_the_layer_that_ends_it_is_refused():
  wrong = dataclasses.replace(SMALL["resnet"].blocks, ends=("bn3",))
  old, fresh = (
    models.shapes(models.shallow(SMALL["resnet"], number, 7), (8, 8, 3)) for number in (1, 2)
  )
  with pytest.raises(UserError, match="no layer 'bn3'.*Blocks.ends.*it has bn1, bn2, conv1"):
    growth.graft(old, fresh, wrong)


def test_training_macs_of_frozen_blocks_by_hand():
  """Below what learns, nothing is passed back; above it, a frozen block passes back and no more."""
  network, blocks = models.graduate(models.body("resnet14"), 10), models.body("resnet14").blocks
  pixels = 32 * 32
  stem, dense = 27 * 16 * pixels, 640
  first = [2 * 9 * 16 * 16 * pixels] * 2
  second = [(9 * 16 + 9 * 32 + 16) * 32 * pixels // 4, 2 * 9 * 32 * 32 * pixels // 4]
  third = [(9 * 32 + 9 * 64 + 32) * 64 * pixels // 16, 2 * 9 * 64 * 64 * pixels // 16]
  forward = stem + sum(first) + sum(second) + sum(third) + dense
  asked = functools.partial(macs.training_macs, network, image_shape=(32, 32, 3), blocks=blocks)
  assert asked(0) == 3 * forward
  assert asked(-1) == forward
  assert asked(2) == forward + 2 * dense
  learns, passes = first[1] + second[1] + third[1] + dense, second[0] + third[0]
  assert asked(1) == forward + 2 * learns + passes
  assert asked(1, backward=2) == forward + 2 * (2 * learns + passes)
