"""Every row of `edjax.models.MODELS` in PyTorch, with its published size."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from edjax import convert
from edjax.convert import tensors
from tests.reference.curve import Curve
from tests.reference.efficientnet import EfficientNet, EfficientNetLite
from tests.reference.imagenet_resnet import CifarResNet, ImageNetResNet
from tests.reference.mobilenet import MobileNetV1
from tests.reference.mobilenetv2 import MobileNetV2, MobileNetV2Half
from tests.reference.resnet import OptionA, ResNet
from tests.reference.shufflenet import ShuffleNetV1, ShuffleNetV2, ShuffleNetV2ImageNet
from tests.reference.vgg import Vgg
from tests.reference.vit import VisionTransformer
from tests.reference.wrn import WideResNet


class Row(NamedTuple):
  """What is known of a network.

  Attributes:
    make: `make(classes=…, channels=…)` makes the re-statement (a transformer's takes `size`, too).
    parameters: at `classes`.
    millions: of multiply-accumulates, at `classes` and such an image.
    classes, image: of the data set the network is published for; (height, width, channels).
  """

  make: Callable
  parameters: int
  millions: float
  classes: int = 100
  image: tuple[int, int, int] = (32, 32, 3)


def _large(make, parameters, millions):
  return Row(make, parameters, millions, 1000, (224, 224, 3))


def _curve(widths, blocks, parameters, millions):
  return Row(_of(Curve, widths, blocks), parameters, millions, 3, (1, 201, 8))


_of, _X4 = functools.partial, (32, 64, 128, 256)
# CIFAR ResNets and WRNs: Tian et al. 2020, arXiv:1910.10699, and their published code; the half by
# hand: 216+16 stem; 1152+32, 3584+96 and 14336+192 stages; 3300 dense.
#
# Option A: 0.27, 0.46, 0.66, 0.85 and 1.7 million with 10 classes, arXiv:1512.03385, table 6, and
# the README of akamaster/pytorch_resnet_cifar10; exactly the above less 576 and 2176 of the two
# shortcuts and 90·65 of the classifier. By hand: 0.44 stem, 2.36 for a layer, half at a stride.
#
# ImageNet ResNets: torchvision's documentation has the parameters, and 1.81, 3.66, 4.09, 7.80 and
# 11.51 billion. With CIFAR stems the literature's ResNet50 has 23,705,252 (with 10 classes
# 23,520,842, https://github.com/kuangliu/pytorch-cifar/issues/80). From the large networks follow
# all: 49−9 places less in 3·64 filters, 900 columns of 513 or 2049 less.
#
# VGG: the literature's vgg8 has 3,965,028 and vgg13 9,462,180. From torchvision's `vgg*_bn` follow
# 11 to 19: 132,868,840, 133,053,736, 138,365,992 and 143,678,248 less three dense layers of
# 123,642,856, and 51,300 more.
#
# MobileNetV1: 4.2 million and 569 million, arXiv:1704.04861, table 8; exactly: mdistiller's code.
# MobileNetV2: 3.4 million and 300 million, arXiv:1801.04381, table 4; exactly: torchvision and, for
# the half, RepDistiller's code. EfficientNet-B0: 5.3 million and 0.39 billion, arXiv:1905.11946,
# table 2; exactly: torchvision. Lite0 is B0 less 636,540 parameters of squeezing and 627,200
# multiplications; TensorFlow's page of the Lites says 4.7 and 407 million.
#
# ShuffleNets: see `test_sizes_of_shufflenets_by_hand`; ImageNet's: 0.14 billion, torchvision.
#
# Transformers: 5.72 and 22.05 million, 1.26 and 4.61 billion are in timm's results; exactly they
# follow by hand, for a width w, as 12·(12w² + 13w) of blocks, 768w + w patches, 198w tokens,
# 2w + 1000w + 1000 head. vit_tiny_patch4 is deit_tiny less 720w patches, 132w positions and
# 900·(w + 1) of the head.
#
# Networks for light curves by hand, 8 channels and 3 classes: 320 + 16 stem; 320 + 320 + 64 + 48,
# 640 + 1280 + 128 + 96 and 2560 + 5120 + 512 + 192 stages, at 101, 51 and 26 of 201 places; 195
# dense. The larger one alike, with 10w² + 4w for the second block of a stage of w channels.
ZOO = {
  "resnet8": Row(_of(ResNet, 8), 83_892, 12.51),
  "resnet14": Row(_of(ResNet, 14), 181_108, 26.66),
  "resnet20": Row(_of(ResNet, 20), 278_324, 40.82),
  "resnet32": Row(_of(ResNet, 32), 472_756, 69.13),
  "resnet44": Row(_of(ResNet, 44), 667_188, 97.44),
  "resnet56": Row(_of(ResNet, 56), 861_620, 125.75),
  "resnet110": Row(_of(ResNet, 110), 1_736_564, 253.16),
  "resnet8x4": Row(_of(ResNet, 8, _X4), 1_233_540, 177.07),
  "resnet32x4": Row(_of(ResNet, 32, _X4), 7_433_860, 1083.04),
  "resnet8_half": Row(_of(ResNet, 8, (8, 8, 16, 32)), 22_924, 3.24),
  "resnet20_option_a": Row(_of(OptionA, 20), 269_722, 40.55, 10),
  "resnet32_option_a": Row(_of(OptionA, 32), 464_154, 68.86, 10),
  "resnet44_option_a": Row(_of(OptionA, 44), 658_586, 97.17, 10),
  "resnet56_option_a": Row(_of(OptionA, 56), 853_018, 125.49, 10),
  "resnet110_option_a": Row(_of(OptionA, 110), 1_727_962, 252.89, 10),
  "wrn_16_1": Row(_of(WideResNet, 16, 1), 180_916, 26.66),
  "wrn_16_2": Row(_of(WideResNet, 16, 2), 703_284, 101.12),
  "wrn_40_1": Row(_of(WideResNet, 40, 1), 569_780, 83.29),
  "wrn_40_2": Row(_of(WideResNet, 40, 2), 2_255_156, 327.61),
  "resnet18": _large(_of(ImageNetResNet, 18), 11_689_512, 1814.07),
  "resnet34": _large(_of(ImageNetResNet, 34), 21_797_672, 3663.76),
  "resnet50": _large(_of(ImageNetResNet, 50), 25_557_032, 4089.18),
  "resnet101": _large(_of(ImageNetResNet, 101), 44_549_160, 7801.41),
  "resnet152": _large(_of(ImageNetResNet, 152), 60_192_808, 11513.63),
  "resnet18_cifar": Row(_of(CifarResNet, 18), 11_220_132, 555.47),
  "resnet34_cifar": Row(_of(CifarResNet, 34), 21_328_292, 1159.45),
  "resnet50_cifar": Row(_of(CifarResNet, 50), 23_705_252, 1298.01),
  "resnet101_cifar": Row(_of(CifarResNet, 101), 42_697_380, 2510.17),
  "resnet152_cifar": Row(_of(CifarResNet, 152), 58_341_028, 3722.32),
  "vgg8": Row(_of(Vgg, (1, 1, 1, 1, 1)), 3_965_028, 96.19),
  "vgg11": Row(_of(Vgg, (1, 1, 2, 2, 2)), 9_277_284, 209.44),
  "vgg13": Row(_of(Vgg, (2, 2, 2, 2, 2)), 9_462_180, 284.94),
  "vgg16": Row(_of(Vgg, (2, 2, 3, 3, 3)), 14_774_436, 398.18),
  "vgg19": Row(_of(Vgg, (2, 2, 4, 4, 4)), 20_086_692, 511.43),
  "mobilenetv1": _large(MobileNetV1, 4_231_976, 568.74),
  "mobilenetv2_half": Row(MobileNetV2Half, 812_836, 6.52),
  "mobilenetv2": _large(MobileNetV2, 3_504_872, 300.77),
  "shufflenetv1": Row(ShuffleNetV1, 949_258, 38.69),
  "shufflenetv2": Row(ShuffleNetV2, 1_355_528, 44.50),
  "shufflenetv2_imagenet": _large(ShuffleNetV2ImageNet, 2_278_604, 144.91),
  "efficientnet_b0": _large(EfficientNet, 5_288_548, 385.81),
  "efficientnet_lite0": _large(EfficientNetLite, 4_652_008, 385.19),
  "deit_tiny": _large(_of(VisionTransformer, 192, 3, 16), 5_717_416, 1253.68),
  "deit_small": _large(_of(VisionTransformer, 384, 6, 16), 22_050_664, 4598.88),
  "vit_tiny_patch4": Row(_of(VisionTransformer, 192, 3, 4), 5_380_132, 365.12),
  "curve_small": _curve((8, 8, 16, 32), 1, 11_811, 0.453),
  "curve": _curve((16, 16, 32, 64), 2, 99_715, 3.53),
}


def make(name, classes=7, shape=(32, 32, 3)):
  """Returns the re-statement of a network for images (height, width, channels)."""
  size = {"size": shape[:2]} if name.startswith(("deit", "vit")) else {}
  return ZOO[name].make(classes=classes, channels=shape[-1], **size)


def state(variables, name):
  """Returns {PyTorch name: tensor} of variables, or of a tree of that form such as gradients."""
  names = next(iter(convert.NAMES[name].values()))
  arrays = tensors.to_torch(variables, name, names)
  return {key: torch.from_numpy(np.array(array)) for key, array in arrays.items()}


def load(module, variables, name):
  """Copies variables into a re-statement, strictly one to one but for counters of batches."""
  given, expected = state(variables, name), module.state_dict()
  wanted = {key for key in expected if not key.endswith("num_batches_tracked")}
  if set(given) != wanted:
    raise ValueError(f"no place for {set(given) - wanted}, nothing for {wanted - set(given)}")
  for key, tensor in given.items():
    if tensor.shape != expected[key].shape:
      raise ValueError(f"{key} is {tuple(tensor.shape)}, not {tuple(expected[key].shape)}")
  module.load_state_dict(given, strict=False)
  return module
