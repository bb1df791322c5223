"""Lower parts of networks under a teaching reference, and fragments that are frozen."""

import functools

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from edjax import models
from tests.models.drawn import assert_close, images, nchw, nhwc, randomised, shapes
from tests.reference.zoo import ZOO

FAMILIES = ("resnet8", "wrn_16_1")


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("name", FAMILIES)
def test_a_pupil_is_the_lower_part_of_the_graduate(name, count):
  shape, body = (2, 32, 32, 3), models.body(name)
  whole, part = models.graduate(body, 7), models.pupil(body, count, 5)
  variables, own = randomised(whole, shape), randomised(part, shape, seed=1)
  fragments = [f"fragment_{number}" for number in range(count)]
  for collection in own:
    assert set(own[collection]) == {*fragments, "head"}
    own[collection].update({key: variables[collection][key] for key in fragments})
  x = images(shape)
  expected = jax.jit(whole.apply)(variables, x)
  actual = jax.jit(part.apply)(own, x)
  assert len(actual.features) == len(actual.preactivations) == count + 1
  # A WRN's last preactivation belongs to its head, which is the pupil's own.
  pairs = zip(
    actual.features + actual.preactivations[:count],
    expected.features[: count + 1] + expected.preactivations[:count],
    strict=True,
  )
  for ours, theirs in pairs:
    assert np.array_equal(ours, theirs)
  assert actual.logits.shape == (2, 5)
  assert actual.embedding.shape == expected.embedding.shape == (2, body.width)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_pupil_with_all_fragments_is_the_graduate(name):
  body = models.body(name)
  assert shapes(models.pupil(body, 3, 7, width=9, grid=2)) == shapes(models.graduate(body, 7))


def test_it_stays_so_however_many_others_are_asked_for():
  body = models.body("resnet8_half")
  pupil = models.pupil(body, 3, 10, "batch")
  for classes in range(11, 150):
    models.graduate(body, classes)
  assert pupil.clone(axis_name=None) == models.graduate(body, 10)


@pytest.mark.parametrize("size", [32, 28])
def test_a_teaching_reference_has_the_same_shape_at_any_image_size(size):
  network = models.pupil(models.body("resnet20"), 1, 33, grid=4)
  variables = shapes(network, (1, size, size, 3))
  output = jax.eval_shape(network.apply, variables, jnp.zeros((2, size, size, 3)))
  assert output.embedding.shape == (2, 1024)
  head = jax.tree.map(lambda leaf: leaf.shape, variables["params"]["head"])
  assert head["conv"]["kernel"] == (1, 1, 16, 64)
  assert head["dense"] == {"kernel": (1024, 33), "bias": (33,)}


@pytest.mark.parametrize(
  "name,relu",
  [("resnet8", True), ("resnet8", False), ("wrn_16_1", True), ("vit_tiny_patch4", True)],
)
def test_a_teaching_reference_equals_torch(name, relu):
  shape = (2, 13, 11, 3)
  network = models.pupil(models.body(name), 2, 5, width=6, grid=2, relu=relu)
  variables = randomised(network, shape)
  params, stats = (variables[key]["head"] for key in ("params", "batch_stats"))
  output = jax.jit(network.apply)(variables, images(shape))

  def normalised(x, name):
    mean, var, scale, bias = (
      torch.from_numpy(tree[name][key])
      for tree, key in ((stats, "mean"), (stats, "var"), (params, "scale"), (params, "bias"))
    )
    return F.batch_norm(x, mean, var, scale, bias)

  x = nchw(np.array(output.features[-1]))
  if name == "wrn_16_1":
    x = normalised(x, "bn_in")
    assert_close(output.preactivations[-1], nhwc(x))
    x = F.relu(x)
  kernel = torch.from_numpy(params["conv"]["kernel"].transpose(3, 2, 0, 1))
  x = normalised(F.conv2d(x, kernel), "bn")
  x = nhwc(F.adaptive_avg_pool2d(F.relu(x) if relu else x, 2)).reshape(2, -1)
  assert output.embedding.shape == (2, 2 * 2 * 6)
  assert_close(output.embedding, x)
  assert_close(output.logits, x @ params["dense"]["kernel"] + params["dense"]["bias"])


@pytest.mark.parametrize("name", FAMILIES)
def test_frozen_fragments_infer_and_keep_their_statistics(name):
  shape, network = (2, 16, 16, 3), models.graduate(models.body(name), 5)
  variables, x = randomised(network, shape), images(shape)
  inferred = jax.jit(network.apply)(variables, x)
  train = functools.partial(network.apply, train=True, frozen=2, mutable=["batch_stats"])
  output, updates = jax.jit(train)(variables, x)
  for ours, theirs in zip(output.features[:3], inferred.features[:3], strict=True):
    assert_close(ours, theirs, 1e-6)
  assert not np.allclose(output.features[3], inferred.features[3], rtol=0.01)
  before = flax.traverse_util.flatten_dict(variables["batch_stats"])
  after = flax.traverse_util.flatten_dict(updates["batch_stats"])
  assert set(before) == set(after)
  for path, value in before.items():
    assert np.array_equal(value, after[path]) == (path[0] in ("fragment_0", "fragment_1")), path


@pytest.mark.parametrize(
  "name", ["resnet18", "vgg8", "mobilenetv2_half", "shufflenetv2", "vit_tiny_patch4", "curve"]
)
def test_pupils_of_all_families_have_the_graduates_lower_fragments(name):
  body, shape = models.body(name), (2, *ZOO[name].image)
  graduate = models.graduate(body, 7)
  whole = shapes(graduate, shape)
  given = jax.eval_shape(graduate.apply, whole, jnp.zeros(shape))
  for count in range(1, len(body.fragments)):
    pupil = models.pupil(body, count, 5, grid=2)
    part = shapes(pupil, shape)
    fragments = [f"fragment_{number}" for number in range(count)]
    assert set(part["params"]) == {*fragments, "head"}
    for collection in whole:
      for fragment in fragments:
        assert part[collection][fragment] == whole[collection][fragment]
    taken = jax.eval_shape(pupil.apply, part, jnp.zeros(shape))
    assert taken.features == given.features[: count + 1]
    assert taken.preactivations == given.preactivations[: count + 1]
    assert taken.logits.shape == (2, 5)
    assert taken.embedding.shape == (2, 4 * body.width)
