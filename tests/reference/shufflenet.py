"""ShuffleNets in PyTorch: V1 (Zhang et al. 2018, arXiv:1707.01083), V2 (Ma et al. 2018,
arXiv:1807.11164).

`ShuffleNetV1` and `ShuffleNetV2` are the small-image networks of the distillation literature and
carry the names of its checkpoints (`layer2.0.conv3.weight`), `ShuffleNetV2ImageNet` is ×1.0 for
ImageNet and carries torchvision's (`stage3.0.branch2.0.weight`). Convolutions keep PyTorch's
initial values.
"""

import torch
import torch.nn.functional as F
from torch import nn

from tests.reference.resnet import Output


class GroupedUnit(nn.Module):
  """V1: 1×1 to a quarter, shuffle, depthwise 3×3, 1×1; added to the input, or, where the unit
  halves the map, put in front of its 3×3 average, of which the padding is a part.

  Only 24 channels, those of the stem, are neither grouped nor shuffled. Returns before the ReLU.
  """

  def __init__(self, inputs, outputs, halves, groups):
    super().__init__()
    self.halves = halves
    self.shuffle = nn.Identity() if inputs == 24 else nn.ChannelShuffle(groups)
    made = outputs - inputs if halves else outputs
    narrow, stride = made // 4, 2 if halves else 1
    first_groups = 1 if inputs == 24 else groups
    self.conv1 = nn.Conv2d(inputs, narrow, 1, groups=first_groups, bias=False)
    self.bn1 = nn.BatchNorm2d(narrow)
    self.conv2 = nn.Conv2d(narrow, narrow, 3, stride, padding=1, groups=narrow, bias=False)
    self.bn2 = nn.BatchNorm2d(narrow)
    self.conv3 = nn.Conv2d(narrow, made, 1, groups=groups, bias=False)
    self.bn3 = nn.BatchNorm2d(made)

  def forward(self, x):
    y = self.shuffle(F.relu(self.bn1(self.conv1(x))))
    y = self.bn3(self.conv3(F.relu(self.bn2(self.conv2(y)))))
    if self.halves:
      return torch.cat([y, F.avg_pool2d(x, 3, 2, padding=1, count_include_pad=True)], dim=1)
    return y + x


class ShuffleNetV1(nn.Module):
  """ShuffleNet V1 over images [batch, channels, height, width] of any size."""

  def __init__(self, groups=3, widths=(240, 480, 960), classes=100, channels=3):
    super().__init__()
    self.conv1 = nn.Conv2d(channels, 24, 1, bias=False)
    self.bn1 = nn.BatchNorm2d(24)
    self.layer1 = self._stage(24, widths[0], 4, groups)
    self.layer2 = self._stage(widths[0], widths[1], 8, groups)
    self.layer3 = self._stage(widths[1], widths[2], 4, groups)
    self.linear = nn.Linear(widths[2], classes)

  def forward(self, images):
    preactivations = [self.bn1(self.conv1(images))]
    for stage in (self.layer1, self.layer2, self.layer3):
      x = preactivations[-1]
      for unit in stage:
        x = unit(F.relu(x))
      preactivations.append(x)
    features = [F.relu(tap) for tap in preactivations]
    embedding = features[-1].mean(dim=(2, 3))
    return Output(self.linear(embedding), features, preactivations, embedding)

  @staticmethod
  def _stage(inputs, outputs, units, groups):
    plain = (GroupedUnit(outputs, outputs, False, groups) for _ in range(units - 1))
    return nn.ModuleList([GroupedUnit(inputs, outputs, True, groups), *plain])


class PlainUnit(nn.Module):
  """V2, RepDistiller's names: the upper half of the channels is transformed, the lower kept."""

  def __init__(self, channels):
    super().__init__()
    half = channels // 2
    self.conv1 = nn.Conv2d(half, half, 1, bias=False)
    self.bn1 = nn.BatchNorm2d(half)
    self.conv2 = nn.Conv2d(half, half, 3, padding=1, groups=half, bias=False)
    self.bn2 = nn.BatchNorm2d(half)
    self.conv3 = nn.Conv2d(half, half, 1, bias=False)
    self.bn3 = nn.BatchNorm2d(half)

  def forward(self, x):
    kept, changed = x.chunk(2, dim=1)
    changed = F.relu(self.bn1(self.conv1(changed)))
    changed = self.bn3(self.conv3(self.bn2(self.conv2(changed))))
    return _interleaved(kept, F.relu(changed)), torch.cat([kept, changed], dim=1)


class HalvingUnit(nn.Module):
  """V2, RepDistiller's names: two ways from the input to half the map; one half of the output each.

  The first way is conv1 and conv2, the second conv3, conv4 and conv5.
  """

  def __init__(self, inputs, outputs):
    super().__init__()
    half = outputs // 2
    self.conv1 = nn.Conv2d(inputs, inputs, 3, 2, padding=1, groups=inputs, bias=False)
    self.bn1 = nn.BatchNorm2d(inputs)
    self.conv2 = nn.Conv2d(inputs, half, 1, bias=False)
    self.bn2 = nn.BatchNorm2d(half)
    self.conv3 = nn.Conv2d(inputs, half, 1, bias=False)
    self.bn3 = nn.BatchNorm2d(half)
    self.conv4 = nn.Conv2d(half, half, 3, 2, padding=1, groups=half, bias=False)
    self.bn4 = nn.BatchNorm2d(half)
    self.conv5 = nn.Conv2d(half, half, 1, bias=False)
    self.bn5 = nn.BatchNorm2d(half)

  def forward(self, x):
    first = F.relu(self.bn2(self.conv2(self.bn1(self.conv1(x)))))
    second = F.relu(self.bn3(self.conv3(x)))
    second = F.relu(self.bn5(self.conv5(self.bn4(self.conv4(second)))))
    return _interleaved(first, second), None


class ShuffleNetV2(nn.Module):
  """ShuffleNet V2 over small images [batch, channels, height, width] of any size."""

  def __init__(self, widths=(116, 232, 464), classes=100, channels=3):
    super().__init__()
    self.conv1 = nn.Conv2d(channels, 24, 1, bias=False)
    self.bn1 = nn.BatchNorm2d(24)
    self.layer1 = self._stage(24, widths[0], 3)
    self.layer2 = self._stage(widths[0], widths[1], 7)
    self.layer3 = self._stage(widths[1], widths[2], 3)
    self.conv2 = nn.Conv2d(widths[2], 1024, 1, bias=False)
    self.bn2 = nn.BatchNorm2d(1024)
    self.linear = nn.Linear(1024, classes)

  def forward(self, images):
    preactivations = [self.bn1(self.conv1(images))]
    features = [F.relu(preactivations[0])]
    for stage in (self.layer1, self.layer2, self.layer3):
      x = features[-1]
      for unit in stage:
        x, preactivation = unit(x)
      features.append(x)
      preactivations.append(preactivation)
    embedding = F.relu(self.bn2(self.conv2(features[-1]))).mean(dim=(2, 3))
    return Output(self.linear(embedding), features, preactivations, embedding)

  @staticmethod
  def _stage(inputs, outputs, plain):
    units = (PlainUnit(outputs) for _ in range(plain))
    return nn.ModuleList([HalvingUnit(inputs, outputs), *units])


class BranchedUnit(nn.Module):
  """V2, torchvision's names: one branch or, where the unit halves the map, two."""

  def __init__(self, inputs, outputs, stride):
    super().__init__()
    half = outputs // 2
    self.branch1 = nn.Sequential()
    if stride == 2:
      self.branch1 = nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, 2, padding=1, groups=inputs, bias=False),
        nn.BatchNorm2d(inputs),
        nn.Conv2d(inputs, half, 1, bias=False),
        nn.BatchNorm2d(half),
        nn.ReLU(),
      )
    self.branch2 = nn.Sequential(
      nn.Conv2d(inputs if stride == 2 else half, half, 1, bias=False),
      nn.BatchNorm2d(half),
      nn.ReLU(),
      nn.Conv2d(half, half, 3, stride, padding=1, groups=half, bias=False),
      nn.BatchNorm2d(half),
      nn.Conv2d(half, half, 1, bias=False),
      nn.BatchNorm2d(half),
      nn.ReLU(),
    )

  def forward(self, x):
    one, two = (self.branch1(x), x) if len(self.branch1) else x.chunk(2, dim=1)
    two = self.branch2[:-1](two)
    return _interleaved(one, self.branch2[-1](two)), torch.cat([one, two], dim=1)


class ShuffleNetV2ImageNet(nn.Module):
  """ShuffleNet V2 ×1.0 over images [batch, channels, height, width] of any size.

  The stem's tap is before the max pooling.
  """

  def __init__(self, classes=1000, channels=3):
    super().__init__()
    self.conv1 = nn.Sequential(
      nn.Conv2d(channels, 24, 3, 2, padding=1, bias=False), nn.BatchNorm2d(24), nn.ReLU()
    )
    self.maxpool = nn.MaxPool2d(3, 2, padding=1)
    inputs = 24
    for name, units, outputs in (("stage2", 4, 116), ("stage3", 8, 232), ("stage4", 4, 464)):
      plain = (BranchedUnit(outputs, outputs, 1) for _ in range(units - 1))
      setattr(self, name, nn.ModuleList([BranchedUnit(inputs, outputs, 2), *plain]))
      inputs = outputs
    self.conv5 = nn.Sequential(nn.Conv2d(464, 1024, 1, bias=False), nn.BatchNorm2d(1024), nn.ReLU())
    self.fc = nn.Linear(1024, classes)

  def forward(self, images):
    preactivations = [self.conv1[:2](images)]
    features = [F.relu(preactivations[0])]
    x = self.maxpool(features[0])
    for stage in (self.stage2, self.stage3, self.stage4):
      for unit in stage:
        x, preactivation = unit(x)
      features.append(x)
      preactivations.append(preactivation)
    embedding = self.conv5(x).mean(dim=(2, 3))
    return Output(self.fc(embedding), features, preactivations, embedding)


def _interleaved(first, second):
  """[first 0, second 0, first 1, second 1, ...], which is a shuffle of two groups."""
  return torch.stack([first, second], dim=2).flatten(1, 2)
