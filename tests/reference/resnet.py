"""CIFAR ResNets in PyTorch (He et al. 2016, arXiv:1512.03385, section 4.2; the widths of the `x4`
networks from Tian et al. 2020, arXiv:1910.10699).

The shortcut that changes shape is a 1×1 convolution with batch normalisation, or, in `OptionA`, has
no parameters. Parameters carry the
names that published checkpoints of these networks use (`layer2.0.downsample.1.weight`), so that a
`state_dict()` from here stands for such a checkpoint.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn


class Output(NamedTuple):
  """What both families return; maps are [batch, channels, height, width].

  Attributes:
    logits: [batch, classes].
    features: stem and three stages; here after the ReLU, in WRN the raw values.
    preactivations: the same places before the ReLU (WRN: after the normalisation in front of it).
    embedding: [batch, width], what the classifier sees.
  """

  logits: torch.Tensor
  features: list[torch.Tensor]
  preactivations: list[torch.Tensor]
  embedding: torch.Tensor


class Block(nn.Module):
  """Two 3×3 convolutions and a shortcut; returns the sum before the last ReLU."""

  def __init__(self, inputs, outputs, stride):
    super().__init__()
    self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
    self.bn1 = nn.BatchNorm2d(outputs)
    self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
    self.bn2 = nn.BatchNorm2d(outputs)
    self.downsample = nn.Sequential()
    if stride != 1 or inputs != outputs:
      self.downsample.append(nn.Conv2d(inputs, outputs, 1, stride, bias=False))
      self.downsample.append(nn.BatchNorm2d(outputs))

  def forward(self, x):
    y = F.relu(self.bn1(self.conv1(x)))
    return self.bn2(self.conv2(y)) + self.shortcut(x)

  def shortcut(self, x):
    return self.downsample(x)


class ResNet(nn.Module):
  """ResNet of depth 6n+2 over images [batch, channels, height, width] of any size.

  Args:
    depth: 6n+2.
    widths: channels of the stem and of the three stages.
    classes: columns of the logits.
    channels: of the images.
  """

  def __init__(self, depth, widths=(16, 16, 32, 64), classes=100, channels=3):
    super().__init__()
    self.conv1 = nn.Conv2d(channels, widths[0], 3, padding=1, bias=False)
    self.bn1 = nn.BatchNorm2d(widths[0])
    blocks = (depth - 2) // 6
    self.layer1 = _stage(widths[0], widths[1], 1, blocks)
    self.layer2 = _stage(widths[1], widths[2], 2, blocks)
    self.layer3 = _stage(widths[2], widths[3], 2, blocks)
    self.fc = nn.Linear(widths[3], classes)
    for module in self.modules():
      if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

  def forward(self, images):
    preactivations = [self.bn1(self.conv1(images))]
    features = [F.relu(preactivations[0])]
    for stage in (self.layer1, self.layer2, self.layer3):
      x = features[-1]
      for block in stage:
        preactivation = block(x)
        x = F.relu(preactivation)
      preactivations.append(preactivation)
      features.append(x)
    embedding = features[-1].mean(dim=(2, 3))
    return Output(self.classify(embedding), features, preactivations, embedding)

  def classify(self, embedding):
    return self.fc(embedding)


def _stage(inputs, outputs, stride, blocks, block=Block):
  rest = (block(outputs, outputs, 1) for _ in range(blocks - 1))
  return nn.ModuleList([block(inputs, outputs, stride), *rest])


class OptionABlock(Block):
  """Its shortcut is every second pixel of every second row, between channels of zeros."""

  def __init__(self, inputs, outputs, stride):
    super().__init__(inputs, outputs, stride)
    del self.downsample
    self.stride, self.more = stride, (outputs - inputs) // 2

  def shortcut(self, x):
    if self.stride == 1:
      return x
    kept = F.max_pool2d(x, 1, self.stride)
    zeros = kept.new_zeros(len(x), self.more, *kept.shape[2:])
    return torch.cat([zeros, kept, zeros], 1)


class OptionA(ResNet):
  """The paper's own ResNets for CIFAR; the last layer is called as in published checkpoints."""

  def __init__(self, depth, classes=10, channels=3):
    super().__init__(depth, classes=classes, channels=channels)
    blocks = (depth - 2) // 6
    self.layer1 = _stage(16, 16, 1, blocks, OptionABlock)
    self.layer2 = _stage(16, 32, 2, blocks, OptionABlock)
    self.layer3 = _stage(32, 64, 2, blocks, OptionABlock)
    self.linear = self.fc
    del self.fc

  def classify(self, embedding):
    return self.linear(embedding)
