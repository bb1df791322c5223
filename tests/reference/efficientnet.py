"""EfficientNets in PyTorch (Tan and Le 2019, arXiv:1905.11946, table 1), nothing dropped.

Squeeze-and-excitation (Hu et al. 2018, arXiv:1709.01507) narrows to a quarter of the block's input.
Parameters of B0 carry torchvision's names (`features.3.0.block.2.fc1.weight`). Lite0
(https://github.com/tensorflow/tpu, models/official/efficientnet/lite) is B0 without squeezing and
with ReLU6, padded and normalised as in TensorFlow; its parameters carry the names of the first port
(`_blocks.3._depthwise_conv.weight`).
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
    # A new nn.Linear, as those who fine-tune have it; ImageNet's recipe has 1/sqrt(classes).
    nn.init.uniform_(self.classifier[1].weight, -(1280**-0.5), 1280**-0.5)
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


class Same(nn.Conv2d):
  """A convolution with as many outputs as strides; what is odd of its padding is below, right."""

  def __init__(self, inputs, outputs, size, stride=1, groups=1):
    super().__init__(inputs, outputs, size, stride, groups=groups, bias=False)

  def forward(self, x):
    edges = []
    for side in (x.shape[3], x.shape[2]):
      stride = self.stride[0]
      all_of_it = max(0, (-(-side // stride) - 1) * stride + self.kernel_size[0] - side)
      edges += [all_of_it // 2, all_of_it - all_of_it // 2]
    return super().forward(F.pad(x, edges))


class LiteBlock(nn.Module):
  """A mobile inverted bottleneck without squeezing; adds its input where the shape stays."""

  def __init__(self, inputs, outputs, size, stride, factor):
    super().__init__()
    middle = inputs * factor
    self.adds = stride == 1 and inputs == outputs
    if factor > 1:
      self._expand_conv, self._bn0 = Same(inputs, middle, 1), _norm(middle)
    self._depthwise_conv = Same(middle, middle, size, stride, groups=middle)
    self._bn1 = _norm(middle)
    self._project_conv, self._bn2 = Same(middle, outputs, 1), _norm(outputs)

  def forward(self, x):
    y = F.relu6(self._bn0(self._expand_conv(x))) if hasattr(self, "_expand_conv") else x
    y = F.relu6(self._bn1(self._depthwise_conv(y)))
    y = self._bn2(self._project_conv(y))
    return x + y if self.adds else y


class EfficientNetLite(nn.Module):
  """EfficientNet-Lite0 over images [batch, channels, height, width] of any size."""

  STAGES = (  # channels, kernel, stride, blocks
    (16, 3, 1, 1), (24, 3, 2, 2), (40, 5, 2, 2), (80, 3, 2, 3), (112, 5, 1, 3), (192, 5, 2, 4),
    (320, 3, 1, 1),
  )  # fmt: skip
  TAPS = (2, 4, 10, 15)  # blocks, counted from 0

  def __init__(self, classes=1000, channels=3):
    super().__init__()
    self._conv_stem, self._bn0 = Same(channels, 32, 3, 2), _norm(32)
    self._blocks = nn.ModuleList()
    inputs = 32
    for outputs, size, stride, count in self.STAGES:
      for number in range(count):
        factor = 6 if len(self._blocks) else 1
        self._blocks.append(LiteBlock(inputs, outputs, size, 1 if number else stride, factor))
        inputs = outputs
    self._conv_head, self._bn1 = Same(320, 1280, 1), _norm(1280)
    self._fc = nn.Linear(1280, classes)

  def forward(self, images):
    preactivations = [self._bn0(self._conv_stem(images))]
    x = F.relu6(preactivations[0])
    features = [x]
    for number, block in enumerate(self._blocks):
      x = block(x)
      if number in self.TAPS:
        features.append(x)
        preactivations.append(x)
    embedding = F.relu6(self._bn1(self._conv_head(x))).mean(dim=(2, 3))
    return Output(self._fc(embedding), features, preactivations, embedding)


def _norm(channels):
  return nn.BatchNorm2d(channels, eps=1e-3)


def _unit(inputs, outputs, size, stride=1, groups=1):
  conv = nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)
  return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.SiLU())


def _stage(inputs, outputs, size, stride, count, factor=6):
  rest = (Block(outputs, outputs, size, 1, factor) for _ in range(count - 1))
  return nn.Sequential(Block(inputs, outputs, size, stride, factor), *rest)
