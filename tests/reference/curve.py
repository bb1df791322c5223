"""edjax's networks for light curves in PyTorch, over images [batch, channels, 1, places].

Basic blocks of two 1×5 convolutions; every stage strides by two along the places; the classifier
sees the mean and the largest value of every channel. Parameters are called as in CIFAR ResNets.
"""

import torch
import torch.nn.functional as F
from torch import nn

from tests.reference.resnet import Output


def _conv(inputs, outputs, stride=1):
  return nn.Conv2d(inputs, outputs, (1, 5), (1, stride), padding=(0, 2), bias=False)


class Block(nn.Module):
  """Returns the sum before the last ReLU."""

  def __init__(self, inputs, outputs, stride):
    super().__init__()
    self.conv1, self.bn1 = _conv(inputs, outputs, stride), nn.BatchNorm2d(outputs)
    self.conv2, self.bn2 = _conv(outputs, outputs), nn.BatchNorm2d(outputs)
    self.downsample = nn.Sequential()
    if stride > 1:
      self.downsample.append(nn.Conv2d(inputs, outputs, 1, (1, stride), bias=False))
      self.downsample.append(nn.BatchNorm2d(outputs))

  def forward(self, x):
    y = F.relu(self.bn1(self.conv1(x)))
    return self.bn2(self.conv2(y)) + self.downsample(x)


class Curve(nn.Module):
  """A stem and three stages of so many blocks."""

  def __init__(self, widths, blocks=1, classes=3, channels=8):
    super().__init__()
    self.conv1, self.bn1 = _conv(channels, widths[0]), nn.BatchNorm2d(widths[0])
    for number, (inputs, outputs) in enumerate(zip(widths, widths[1:], strict=False), 1):
      rest = [Block(outputs, outputs, 1) for _ in range(blocks - 1)]
      setattr(self, f"layer{number}", nn.Sequential(Block(inputs, outputs, 2), *rest))
    self.fc = nn.Linear(2 * widths[-1], classes)

  def forward(self, curves):
    preactivations = [self.bn1(self.conv1(curves))]
    for stage in (self.layer1, self.layer2, self.layer3):
      x = F.relu(preactivations[-1])
      for block in stage:
        preactivation = block(x)
        x = F.relu(preactivation)
      preactivations.append(preactivation)
    features = [F.relu(each) for each in preactivations]
    embedding = torch.cat([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], dim=1)
    return Output(self.fc(embedding), features, preactivations, embedding)
