"""MobileNetV2 in PyTorch (Sandler et al. 2018, arXiv:1801.04381, table 2), without dropout.

`MobileNetV2` is ImageNet's at width 1 with torchvision's parameter names
(`features.4.conv.1.0.weight`); `MobileNetV2Half` is the student of Tian et al. 2020
(arXiv:1910.10699) with the names of its checkpoints (`blocks.2.0.conv.3.weight`).
"""

import torch.nn.functional as F
from torch import nn

from tests.reference.resnet import Output


class Residual(nn.Module):
  """A linear bottleneck, `layers` under the name `conv`; adds its input where the shape stays."""

  def __init__(self, layers, adds):
    super().__init__()
    self.conv = nn.Sequential(*layers)
    self.adds = adds

  def forward(self, x):
    return x + self.conv(x) if self.adds else self.conv(x)


class MobileNetV2(nn.Module):
  """ImageNet's, over images [batch, channels, height, width] of any size."""

  OUTPUTS = [16] + [24] * 2 + [32] * 3 + [64] * 4 + [96] * 3 + [160] * 3 + [320]
  STRIDED = (2, 4, 7, 14)  # blocks, counted from 1
  TAPS = (3, 6, 13, 17)

  def __init__(self, classes=1000, channels=3):
    super().__init__()
    self.features = nn.Sequential(_unit(channels, 32, 3, 2))
    inputs = 32
    for number, outputs in enumerate(self.OUTPUTS, 1):
      stride, middle = 2 if number in self.STRIDED else 1, inputs if number == 1 else 6 * inputs
      layers = [] if number == 1 else [_unit(inputs, middle, 1)]
      layers += [_unit(middle, middle, 3, stride, groups=middle)]
      layers += [nn.Conv2d(middle, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]
      self.features.append(Residual(layers, stride == 1 and inputs == outputs))
      inputs = outputs
    self.features.append(_unit(inputs, 1280, 1))
    self.classifier = nn.Sequential(nn.Identity(), nn.Linear(1280, classes))
    _initialise(self, self.classifier[1])

  def forward(self, images):
    preactivations = [self.features[0][:2](images)]
    x = F.relu6(preactivations[0])
    features = [x]
    for number, block in enumerate(self.features[1:-1], 1):
      x = block(x)
      if number in self.TAPS:
        features.append(x)
        preactivations.append(x)
    embedding = self.features[-1](x).mean(dim=(2, 3))
    return Output(self.classifier(embedding), features, preactivations, embedding)


class MobileNetV2Half(nn.Module):
  """The distillation literature's, over images [batch, channels, height, width] of any size."""

  STAGES = ((8, 1, 1), (12, 2, 1), (16, 3, 2), (32, 4, 2), (48, 3, 1), (80, 3, 2), (160, 1, 1))

  def __init__(self, classes=100, channels=3):
    super().__init__()
    self.conv1 = nn.Sequential(
      nn.Conv2d(channels, 16, 3, 2, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()
    )
    self.blocks = nn.ModuleList()
    inputs, factor = 16, 1
    for outputs, count, stride in self.STAGES:
      stage = nn.Sequential()
      for number in range(count):
        stage.append(_half(inputs, factor * inputs, outputs, stride if number == 0 else 1))
        inputs = outputs
      self.blocks.append(stage)
      factor = 6
    self.conv2 = nn.Sequential(nn.Conv2d(160, 1280, 1, bias=False), nn.BatchNorm2d(1280), nn.ReLU())
    self.classifier = nn.Sequential(nn.Linear(1280, classes))
    _initialise(self, self.classifier[0])

  def forward(self, images):
    stem = self.conv1[:2](images)
    x = self.conv1[2](stem)
    features, preactivations = [x], [stem]
    for group in (self.blocks[0:2], self.blocks[2:3], self.blocks[3:5], self.blocks[5:7]):
      for stage in group:
        x = stage(x)
      features.append(x)
      preactivations.append(x)
    embedding = self.conv2(x).mean(dim=(2, 3))
    return Output(self.classifier(embedding), features, preactivations, embedding)


def _unit(inputs, outputs, size, stride=1, groups=1):
  conv = nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)
  return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU6())


def _half(inputs, middle, outputs, stride):
  layers = (
    nn.Conv2d(inputs, middle, 1, bias=False),
    nn.BatchNorm2d(middle),
    nn.ReLU(),
    nn.Conv2d(middle, middle, 3, stride, padding=1, groups=middle, bias=False),
    nn.BatchNorm2d(middle),
    nn.ReLU(),
    nn.Conv2d(middle, outputs, 1, bias=False),
    nn.BatchNorm2d(outputs),
  )
  return Residual(layers, stride == 1 and inputs == outputs)


def _initialise(network, dense):
  for module in network.modules():
    if isinstance(module, nn.Conv2d):
      nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
  nn.init.normal_(dense.weight, std=0.01)
  nn.init.zeros_(dense.bias)
