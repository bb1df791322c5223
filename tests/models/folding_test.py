"""Folding: the same answers without normalisations, and none folded where something else reads."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from edjax import models
from edjax.models.analysis import macs
from edjax.models.analysis.folding import fold
from tests.models.drawn import assert_close, images, randomised
from tests.models.models_test import SHAPES

# How many normalisations keep a factor: those of sums, and WRN's stem, which is tapped raw.
KEPT = {"wrn_16_1": 7, "wrn_40_2": 19}


def folded(name, shape):
  network = models.graduate(models.body(name), 7)
  variables = randomised(network, shape)
  return network, variables, *fold(network, variables, shape[1:])


def leaves(tree, kind):
  return [p for p, _ in jax.tree_util.tree_leaves_with_path(tree) if p[-1].key == kind]


QUICK = ("resnet8", "wrn_16_1", "vgg8", "shufflenetv2")


@pytest.mark.parametrize("name", QUICK)
def test_the_same_answers(name):
  shape = SHAPES[name][1]
  network, variables, quick, few = folded(name, shape)
  x = images(shape)
  expected, actual = jax.jit(network.apply)(variables, x), jax.jit(quick.apply)(few, x)
  jax.tree.map(assert_close, actual, expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(models.MODELS) - set(QUICK)))
def test_the_same_answers_of_more_networks(name):
  test_the_same_answers(name)


@pytest.mark.parametrize("name", QUICK)
def test_what_is_left(name):
  network, variables, quick, few = folded(name, (1, 16, 16, 3))
  assert set(few) == {"params"}
  assert len(leaves(variables["params"], "scale")) > KEPT.get(name, 0)
  assert len(leaves(few, "scale")) == KEPT.get(name, 0)
  assert len(leaves(few, "kernel")) == len(leaves(variables, "kernel"))
  image = jnp.zeros((1, 16, 16, 3))
  assert macs.count_macs(quick.apply, few, image) == macs.network_macs(network, (16, 16, 3))


def test_a_transformer_has_nothing_to_fold():
  _, variables, _, few = folded("vit_tiny_patch4", (1, 8, 8, 3))
  assert jax.tree.all(jax.tree.map(np.array_equal, variables["params"], few["params"]))
