"""Which schemes of names each network has: a new family is a file of names and a row here.

`repdistiller` are the names of RepDistiller and mdistiller, who distil on CIFAR. The first scheme
of a network is the one it is written with unless another is asked for.
"""

from edjax.convert import (
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

SCHEMES = ("repdistiller", "torchvision", "timm")

_CIFAR_RESNETS = (
  *("resnet8", "resnet14", "resnet20", "resnet32", "resnet44", "resnet56", "resnet110"),
  *("resnet8x4", "resnet32x4", "resnet8_half"),
)
_DEPTHS = (18, 34, 50, 101, 152)
_FAMILIES = (
  (_CIFAR_RESNETS, {"repdistiller": resnet.repdistiller}),
  (("wrn_16_1", "wrn_16_2", "wrn_40_1", "wrn_40_2"), {"repdistiller": wrn.repdistiller}),
  (
    [f"resnet{depth}" for depth in _DEPTHS],
    {"torchvision": imagenet_resnet.torchvision, "timm": imagenet_resnet.timm},
  ),
  (
    [f"resnet{depth}_cifar" for depth in _DEPTHS],
    {"repdistiller": imagenet_resnet.repdistiller},
  ),
  (("vgg8", "vgg11", "vgg13", "vgg16", "vgg19"), {"repdistiller": vgg.repdistiller}),
  (("mobilenetv1",), {"repdistiller": mobilenet.repdistiller}),
  (("mobilenetv2_half",), {"repdistiller": mobilenetv2.repdistiller}),
  (
    ("mobilenetv2",),
    {"torchvision": mobilenetv2.torchvision, "timm": mobilenetv2.timm},
  ),
  (("shufflenetv1", "shufflenetv2"), {"repdistiller": shufflenet.repdistiller}),
  (("shufflenetv2_imagenet",), {"torchvision": shufflenet.torchvision}),
  (
    ("efficientnet_b0",),
    {"torchvision": efficientnet.torchvision, "timm": efficientnet.timm},
  ),
  (("deit_tiny", "deit_small", "vit_tiny_patch4"), {"timm": vit.timm}),
)
NAMES = {model: schemes for models, schemes in _FAMILIES for model in models}
