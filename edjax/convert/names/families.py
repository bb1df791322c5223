"""Which schemes of names each network has, and how many tensors.

A new family is a file of names and a row here. `repdistiller` are the names of RepDistiller and
mdistiller, who distil on CIFAR; `akamaster` are those of akamaster/pytorch_resnet_cifar10, and
`lukemelas` those of lukemelas/EfficientNet-PyTorch and its offspring. The first scheme of a network
is the one it is written with unless another is asked for. Counters of batches are not counted; by
the number of its tensors a network is soon found.
"""

from edjax.convert.names import (
  efficientnet,
  imagenet_resnet,
  mobilenet,
  mobilenetv2,
  resnet,
  shufflenet,
  vgg,
  vit,
  wrn,
)
from edjax.convert.names.naming import Names

SCHEMES = ("repdistiller", "torchvision", "timm", "akamaster", "lukemelas")

_FAMILIES: tuple[tuple[dict[str, int], dict[str, Names]], ...] = (
  (
    {
      **{"resnet8": 47, "resnet14": 77, "resnet20": 107, "resnet32": 167, "resnet44": 227},
      **{"resnet56": 287, "resnet110": 557, "resnet8x4": 52, "resnet32x4": 172},
      **{"resnet8_half": 47, "curve_small": 52, "curve": 82},
    },
    {"repdistiller": resnet.repdistiller},
  ),
  (
    {
      **{"resnet20_option_a": 97, "resnet32_option_a": 157, "resnet44_option_a": 217},
      **{"resnet56_option_a": 277, "resnet110_option_a": 547},
    },
    {"akamaster": resnet.akamaster},
  ),
  (
    {"wrn_16_1": 69, "wrn_16_2": 70, "wrn_40_1": 189, "wrn_40_2": 190},
    {"repdistiller": wrn.repdistiller},
  ),
  (
    {"resnet18": 102, "resnet34": 182, "resnet50": 267, "resnet101": 522, "resnet152": 777},
    {"torchvision": imagenet_resnet.torchvision, "timm": imagenet_resnet.timm},
  ),
  (
    {
      **{"resnet18_cifar": 102, "resnet34_cifar": 182, "resnet50_cifar": 267},
      **{"resnet101_cifar": 522, "resnet152_cifar": 777},
    },
    {"repdistiller": imagenet_resnet.repdistiller},
  ),
  (
    {"vgg8": 32, "vgg11": 50, "vgg13": 62, "vgg16": 80, "vgg19": 98},
    {"repdistiller": vgg.repdistiller},
  ),
  ({"mobilenetv1": 137}, {"repdistiller": mobilenet.repdistiller}),
  ({"mobilenetv2_half": 267}, {"repdistiller": mobilenetv2.repdistiller}),
  ({"mobilenetv2": 262}, {"torchvision": mobilenetv2.torchvision, "timm": mobilenetv2.timm}),
  ({"shufflenetv1": 247, "shufflenetv2": 282}, {"repdistiller": shufflenet.repdistiller}),
  ({"shufflenetv2_imagenet": 282}, {"torchvision": shufflenet.torchvision}),
  (
    {"efficientnet_b0": 311},
    {"torchvision": efficientnet.torchvision, "timm": efficientnet.timm},
  ),
  ({"efficientnet_lite0": 247}, {"lukemelas": efficientnet.lukemelas}),
  ({"deit_tiny": 152, "deit_small": 152, "vit_tiny_patch4": 152}, {"timm": vit.timm}),
)
NAMES = {model: schemes for models, schemes in _FAMILIES for model in models}
TENSORS = {model: count for models, _ in _FAMILIES for model, count in models.items()}
