"""MobileNetV1 in PyTorch (Howard et al. 2017, arXiv:1704.04861, table 1), width multiplier 1.

Parameters carry the names of mdistiller's checkpoints (`model.5.3.weight` is the 1×1 convolution of
the fifth block). Convolutions and the dense layer stay as PyTorch initialises them, as there.
"""

import torch.nn.functional as F
from torch import nn

from tests.reference.resnet import Output

PLAN = (  # outputs and stride of the thirteen blocks
  *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
  *((512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1)),
)
TAPS = (0, 3, 5, 11, 13)  # the stem, and the last block before each halving, and the last


class MobileNetV1(nn.Module):
  """MobileNetV1 over images [batch, channels, height, width] of any size."""

  def __init__(self, classes=1000, channels=3):
    super().__init__()
    self.model = nn.Sequential(
      nn.Sequential(
        nn.Conv2d(channels, 32, 3, 2, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU()
      )
    )
    inputs = 32
    for outputs, stride in PLAN:
      self.model.append(_separable(inputs, outputs, stride))
      inputs = outputs
    self.fc = nn.Linear(1024, classes)

  def forward(self, x):
    features, preactivations = [], []
    for number, block in enumerate(self.model):
      preactivation = block[:-1](x)
      x = F.relu(preactivation)
      if number in TAPS:
        preactivations.append(preactivation)
        features.append(x)
    embedding = x.mean(dim=(2, 3))
    return Output(self.fc(embedding), features, preactivations, embedding)


def _separable(inputs, outputs, stride):
  return nn.Sequential(
    nn.Conv2d(inputs, inputs, 3, stride, padding=1, groups=inputs, bias=False),
    nn.BatchNorm2d(inputs),
    nn.ReLU(),
    nn.Conv2d(inputs, outputs, 1, bias=False),
    nn.BatchNorm2d(outputs),
    nn.ReLU(),
  )
