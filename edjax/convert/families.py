"""Which schemes of names each network has: a new family is a file of names and a row here.

`repdistiller` are the names of RepDistiller and mdistiller, which distil on CIFAR; timm's names of
a network are the same as torchvision's where it has only a row of the latter.
"""

from edjax.convert import resnet, wrn

SCHEMES = ("repdistiller", "torchvision", "timm")
_CIFAR_RESNETS = (
  *("resnet8", "resnet14", "resnet20", "resnet32", "resnet44", "resnet56", "resnet110"),
  *("resnet8x4", "resnet32x4", "resnet8_half"),
)
_FAMILIES = (
  (_CIFAR_RESNETS, {"repdistiller": resnet.repdistiller}),
  (("wrn_16_1", "wrn_16_2", "wrn_40_1", "wrn_40_2"), {"repdistiller": wrn.repdistiller}),
)
NAMES = {model: schemes for models, schemes in _FAMILIES for model in models}
