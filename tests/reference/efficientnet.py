"""EfficientNet-B0 in PyTorch (Tan and Le 2019, arXiv:1905.11946, table 1), nothing dropped.

Squeeze-and-excitation (Hu et al. 2018, arXiv:1709.01507) narrows to a quarter of the block's input.
Parameters carry torchvision's names (`features.3.0.block.2.fc1.weight`).
"""

import torch
import torch.nn.functional as F
from torch import nn

from tests.reference.resnet import Output


class Gate(nn.Module):
  """Squeeze-and-excitation: scales every channel by what the pooled map says."""

  def __init__(self, channels, squeezed):
    super().__init__()
    self.fc1 = nn.Conv2d(channels, squeezed, 1)
    self.fc2 = nn.Conv2d(squeezed, channels, 1)

  def forward(self, x):
    pooled = F.adaptive_avg_pool2d(x, 1)
    return x * torch.sigmoid(self.fc2(F.silu(self.fc1(pooled))))


class Block(nn.Module):
  """A mobile inverted bottleneck; adds its input where the shape stays."""

  def __init__(self, inputs, outputs, size, stride, factor):
    super().__init__()
    middle = inputs * factor
    self.adds = stride == 1 and inputs == outputs
    self.block = nn.Sequential()
    if factor > 1:
      self.block.append(_unit(inputs, middle, 1))
    self.block.append(_unit(middle, middle, size, stride, groups=middle))
    self.block.append(Gate(middle, inputs // 4))
    self.block.append(_unit(middle, outputs, 1)[:2])

  def forward(self, x):
    return x + self.block(x) if self.adds else self.block(x)


class EfficientNet(nn.Module):
  """EfficientNet-B0 over images [batch, channels, height, width] of any size."""

  def __init__(self, classes=1000, channels=3):
    super().__init__()
    self.features = nn.Sequential(
      _unit(channels, 32, 3, 2),
      _stage(32, 16, 3, 1, 1, factor=1),
      _stage(16, 24, 3, 2, 2),
      _stage(24, 40, 5, 2, 2),
      _stage(40, 80, 3, 2, 3),
      _stage(80, 112, 5, 1, 3),
      _stage(112, 192, 5, 2, 4),
      _stage(192, 320, 3, 1, 1),
      _unit(320, 1280, 1),
    )
    self.classifier = nn.Sequential(nn.Identity(), nn.Linear(1280, classes))
    for module in self.modules():
      if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out")
        if module.bias is not None:
          nn.init.zeros_(module.bias)
    nn.init.uniform_(self.classifier[1].weight, -(classes**-0.5), classes**-0.5)
    nn.init.zeros_(self.classifier[1].bias)

  def forward(self, images):
    stem = self.features[0][:2](images)
    x = F.silu(stem)
    features, preactivations = [x], [stem]
    for first, last in ((1, 2), (3, 3), (4, 5), (6, 7)):
      x = self.features[first : last + 1](x)
      features.append(x)
      preactivations.append(x)
    embedding = self.features[8](x).mean(dim=(2, 3))
    return Output(self.classifier(embedding), features, preactivations, embedding)


def _unit(inputs, outputs, size, stride=1, groups=1):
  conv = nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)
  return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.SiLU())


def _stage(inputs, outputs, size, stride, count, factor=6):
  rest = (Block(outputs, outputs, size, 1, factor) for _ in range(count - 1))
  return nn.Sequential(Block(inputs, outputs, size, stride, factor), *rest)
