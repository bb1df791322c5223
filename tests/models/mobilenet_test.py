"""MobileNets and EfficientNet: their activations, names, how they start."""

import functools

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from edjax import models
from edjax.convert.names import efficientnet as efficientnet_names
from edjax.convert.names import mobilenet as mobilenet_names
from edjax.convert.names import mobilenetv2 as mobilenetv2_names
from edjax.models.mobilenet import SeparableBlock
from edjax.models.mobilenetv2 import InvertedResidual
from tests.models.drawn import images, randomised, shapes
from tests.reference import zoo
from tests.reference.efficientnet import EfficientNet
from tests.reference.mobilenet import MobileNetV1
from tests.reference.mobilenetv2 import MobileNetV2, MobileNetV2Half

# Compiling costs more than running here.
quick = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def test_relu6_and_relu_are_told_apart():
  """Random weights seldom pass 6; here the ImageNet network must be cut there, the half not."""
  for name, cut in (("mobilenetv2", True), ("mobilenetv2_half", False)):
    network = models.pupil(models.body(name), 1, 3)
    x = 50 * images((1, 9, 9, 3))
    output = quick(network.apply)(randomised(network, x.shape), x)
    assert (output.features[0].max() == 6) == cut
    assert output.features[0].min() == 0
    assert output.preactivations[0].max() > 6


def timm_names(counts, squeezes):
  """timm's module names in the order of execution, from the numbers of blocks of the stages."""
  names = ["conv_stem", "bn1"]
  for stage, count in enumerate(counts):
    for block in range(count):
      bottleneck = ["conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3"]
      if stage == 0:
        bottleneck = ["conv_dw", "bn1", "conv_pw", "bn2"]
      if squeezes:
        bottleneck[-2:-2] = ["se.conv_reduce", "se.conv_expand"]
      names += [f"blocks.{stage}.{block}.{layer}" for layer in bottleneck]
  return [*names, "conv_head", "bn2", "classifier"]


@pytest.mark.parametrize(
  "name,names,counts",
  [
    ("mobilenetv2", mobilenetv2_names, (1, 2, 3, 4, 3, 3, 1)),
    ("efficientnet_b0", efficientnet_names, (1, 2, 2, 3, 3, 4, 1)),
  ],
)
def test_timm_and_torchvision_name_the_same_modules(name, names, counts):
  with torch.device("meta"):
    keys = zoo.make(name).state_dict()
  modules = dict.fromkeys(key.rpartition(".")[0] for key in keys)
  leaves = flax.traverse_util.flatten_dict(shapes(models.graduate(models.body(name), 7)))
  scopes = {"/".join(path[1:-1]) for path in leaves}
  places = {names.torchvision(scope): names.timm(scope) for scope in scopes}
  expected = timm_names(counts, squeezes=name == "efficientnet_b0")
  assert [places.pop(module) for module in modules] == expected
  assert not places


@pytest.mark.parametrize(
  "scheme,scope,name",
  [
    (mobilenet_names.repdistiller, "fragment_2/block_5/pointwise_bn", "model.11.4"),
    (mobilenetv2_names.repdistiller, "fragment_2/stage_4_block_2/project", "blocks.4.2.conv.6"),
    (mobilenetv2_names.torchvision, "fragment_0/stage_0_block_0/project", "features.1.conv.1"),
    (mobilenetv2_names.torchvision, "fragment_3/stage_6_block_0/expand", "features.17.conv.0.0"),
    (mobilenetv2_names.timm, "fragment_0/stage_0_block_0/project", "blocks.0.0.conv_pw"),
    (
      efficientnet_names.torchvision,
      "fragment_1/stage_2_block_1/squeeze",
      "features.3.1.block.2.fc1",
    ),
    (efficientnet_names.timm, "head/bn", "bn2"),
    (efficientnet_names.lukemelas, "fragment_0/stage_0_block_0/project_bn", "_blocks.0._bn2"),
    (efficientnet_names.lukemelas, "fragment_3/stage_5_block_3/expand", "_blocks.14._expand_conv"),
    (efficientnet_names.lukemelas, "head/bn", "_bn1"),
  ],
)
def test_names_by_hand(scheme, scope, name):
  assert scheme(scope) == name
  assert scheme(f"{scope}_") is None


def test_initial_values_are_the_fields():
  """Ours and the re-statements': spreads of convolutions and of the dense layers."""
  norm = functools.partial(nn.BatchNorm, use_running_average=True)
  torch.manual_seed(0)

  def initial(module, channels):
    variables = quick(lambda key, x: module.init(key, x, norm))(
      jax.random.key(0), jnp.zeros((1, 1, 1, channels))
    )
    return jax.tree.map(np.asarray, variables["params"])

  def weight(module):
    return module.weight.detach().numpy()

  ours = initial(InvertedResidual(160, 1, 6, nn.relu), 80)
  theirs = MobileNetV2Half().blocks[6][0].conv
  for fan, values in (
    (480, (ours["expand"]["kernel"], weight(theirs[0]))),
    (9 * 480, (ours["depthwise"]["kernel"], weight(theirs[3]))),
  ):
    for value in values:
      assert abs(value.std() / (2 / fan) ** 0.5 - 1) < 0.05

  ours = initial(SeparableBlock(128, 1), 128)["pointwise"]["kernel"]
  for value in (ours, weight(MobileNetV1().model[3][3])):
    assert 0.99 * 128**-0.5 < np.abs(value).max() <= 128**-0.5
    assert abs(value.std() / (128**-0.5 / 3**0.5) - 1) < 0.05

  for name, dense, std in (
    ("mobilenetv2", MobileNetV2(50).classifier[1], 0.01),
    ("mobilenetv2_half", MobileNetV2Half(50).classifier[0], 0.01),
    ("efficientnet_b0", EfficientNet(50).classifier[1], (3 * 1280) ** -0.5),
  ):
    body = models.body(name)
    ours = initial(body.head(num_classes=50), body.width)["dense"]
    assert (ours["bias"] == 0).all() and (dense.bias == 0).all()
    for value in (ours["kernel"], weight(dense)):
      assert abs(value.std() / std - 1) < 0.02
