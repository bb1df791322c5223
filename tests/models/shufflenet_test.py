"""ShuffleNets: sizes by hand, names, the shuffle, how they start."""

import jax.numpy as jnp

from edjax.convert.names import shufflenet as names
from edjax.models.shufflenet import shuffle
from tests.models.drawn import initial_values
from tests.reference.zoo import ZOO

WIDTHS = (116, 232, 464)


def test_sizes_of_shufflenets_by_hand():
  """From the papers' tables of layers, with a 1×1 stem: weights, 2 numbers per normalised map."""
  bodies = (24 * 5, 24 * 5)
  for inputs, outputs, plain in ((24, 240, 3), (240, 480, 7), (480, 960, 3)):
    for entering, made in ((inputs, outputs - inputs), *((outputs, outputs),) * plain):
      narrow, first = made // 4, 1 if entering == 24 else 3
      unit = entering * narrow // first + 9 * narrow + narrow * made // 3 + 2 * (2 * narrow + made)
      bodies = (bodies[0] + unit, bodies[1])
  for inputs, outputs, plain in zip((24, *WIDTHS[:2]), WIDTHS, (3, 7, 3), strict=True):
    half = outputs // 2
    left = 9 * inputs + inputs * half + 2 * (inputs + half)
    right = 9 * half + half * half + 4 * half + 2 * half
    bodies = (bodies[0], bodies[1] + left + (inputs + plain * half) * half + (1 + plain) * right)
  assert bodies[0] + 961 * 100 == ZOO["shufflenetv1"].parameters
  assert bodies[1] + (464 + 2) * 1024 + 1025 * 100 == ZOO["shufflenetv2"].parameters
  assert (
    bodies[1] + 24 * 3 * 8 + (464 + 2) * 1024 + 1025 * 1000
    == ZOO["shufflenetv2_imagenet"].parameters
  )


def test_a_shuffle_deals_the_groups_channels_out_in_turn():
  channels = jnp.arange(12).reshape(1, 1, 1, 12)
  assert shuffle(channels, 3).ravel().tolist() == [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]
  assert shuffle(channels, 2).ravel().tolist() == [0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11]
  assert (shuffle(channels, 1) == channels).all()


def test_published_names():
  """Of checkpoints as they are downloaded."""
  assert names.repdistiller("fragment_2/unit_3/bn2") == "layer3.3.bn2"
  assert names.repdistiller("fragment_0/unit_0/right_conv2") == "layer1.0.conv4"
  assert names.torchvision("fragment_0/unit_0/right_conv2") == "stage2.0.branch2.3"
  assert names.torchvision("fragment_2/unit_3/right_bn3") == "stage4.3.branch2.6"
  assert names.torchvision("fragment_1/unit_0/left_bn2") == "stage3.0.branch1.3"
  assert names.torchvision("fragment_1/unit_1/conv1") is None


def test_a_shufflenet_starts_as_pytorchs_convolutions_do():
  for values in initial_values("shufflenetv2"):
    for key, value in values.items():
      if value.ndim > 1 and value.numel() > 1000:
        bound = value[0].numel() ** -0.5
        assert 0.98 * bound < value.abs().max() <= bound, key
        assert abs(value.std() * 3**0.5 / bound - 1) < 0.05, key
      elif key.endswith("running_var") or (value.ndim == 1 and key.endswith("weight")):
        assert (value == 1).all(), key
      elif key.endswith(("running_mean", "bias")) and key != "linear.bias":
        assert (value == 0).all(), key
