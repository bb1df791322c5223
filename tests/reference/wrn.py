"""Wide residual networks in PyTorch (Zagoruyko and Komodakis 2016, arXiv:1605.07146), no dropout.

Where a block changes the number of channels, its shortcut is a 1×1 convolution of the normalised
and rectified input; elsewhere it is the raw input. Parameters carry the names that published
checkpoints of the distillation literature use (`block2.layer.0.convShortcut.weight`).
"""

import torch.nn.functional as F
from torch import nn

from tests.reference.resnet import Output


class Block(nn.Module):
  """BN, ReLU, 3×3 convolution, twice, and a shortcut; the raw sum and the first BN's values."""

  def __init__(self, inputs, outputs, stride):
    super().__init__()
    self.bn1 = nn.BatchNorm2d(inputs)
    self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
    self.bn2 = nn.BatchNorm2d(outputs)
    self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
    self.convShortcut = None
    if inputs != outputs:
      self.convShortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

  def forward(self, x):
    normalised = self.bn1(x)
    activated = F.relu(normalised)
    y = self.conv2(F.relu(self.bn2(self.conv1(activated))))
    shortcut = x if self.convShortcut is None else self.convShortcut(activated)
    return y + shortcut, normalised


class Group(nn.Module):
  """Blocks in a row, the first with `stride`; returns the raw sum and the first BN's values."""

  def __init__(self, inputs, outputs, stride, blocks):
    super().__init__()
    rest = (Block(outputs, outputs, 1) for _ in range(blocks - 1))
    self.layer = nn.ModuleList([Block(inputs, outputs, stride), *rest])

  def forward(self, x):
    x, normalised = self.layer[0](x)
    for block in self.layer[1:]:
      x, _ = block(x)
    return x, normalised


class WideResNet(nn.Module):
  """WRN-`depth`-`factor`, depth 6n+4, over images [batch, channels, height, width] of any size."""

  def __init__(self, depth, factor, classes=100, channels=3):
    super().__init__()
    blocks, widths = (depth - 4) // 6, [16 * factor, 32 * factor, 64 * factor]
    self.conv1 = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
    self.block1 = Group(16, widths[0], 1, blocks)
    self.block2 = Group(widths[0], widths[1], 2, blocks)
    self.block3 = Group(widths[1], widths[2], 2, blocks)
    self.bn1 = nn.BatchNorm2d(widths[2])
    self.fc = nn.Linear(widths[2], classes)
    nn.init.zeros_(self.fc.bias)
    for module in self.modules():
      if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

  def forward(self, images):
    features, preactivations = [self.conv1(images)], []
    for group in (self.block1, self.block2, self.block3):
      x, normalised = group(features[-1])
      features.append(x)
      preactivations.append(normalised)
    preactivations.append(self.bn1(features[-1]))
    embedding = F.relu(preactivations[-1]).mean(dim=(2, 3))
    return Output(self.fc(embedding), features, preactivations, embedding)
