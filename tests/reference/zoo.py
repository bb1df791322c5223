"""The PyTorch re-statement of every row of `edjax.models.MODELS`: `TORCH[name](classes=…)`."""

import functools

from tests.reference.resnet import ResNet
from tests.reference.wrn import WideResNet

_X4 = (32, 64, 128, 256)
TORCH = {
  "resnet8": functools.partial(ResNet, 8),
  "resnet14": functools.partial(ResNet, 14),
  "resnet20": functools.partial(ResNet, 20),
  "resnet32": functools.partial(ResNet, 32),
  "resnet44": functools.partial(ResNet, 44),
  "resnet56": functools.partial(ResNet, 56),
  "resnet110": functools.partial(ResNet, 110),
  "resnet8x4": functools.partial(ResNet, 8, _X4),
  "resnet32x4": functools.partial(ResNet, 32, _X4),
  "resnet8_half": functools.partial(ResNet, 8, (8, 8, 16, 32)),
  "wrn_16_1": functools.partial(WideResNet, 16, 1),
  "wrn_16_2": functools.partial(WideResNet, 16, 2),
  "wrn_40_1": functools.partial(WideResNet, 40, 1),
  "wrn_40_2": functools.partial(WideResNet, 40, 2),
}
