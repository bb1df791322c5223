"""ImageNet ResNets in PyTorch (He et al. 2016, arXiv:1512.03385, table 1), stride on the 3×3.

`ImageNetResNet` carries the parameter names of torchvision's and timm's checkpoints, and
`CifarResNet`, which keeps the resolution in its stem, those of RepDistiller's `ResNet50` and its
kin. Maps are [batch, channels, height, width].
"""

import torch.nn.functional as F
from torch import nn

from tests.reference.resnet import Output

BLOCKS = {
  18: (2, 2, 2, 2),
  34: (3, 4, 6, 3),
  50: (3, 4, 6, 3),
  101: (3, 4, 23, 3),
  152: (3, 8, 36, 3),
}


class Block(nn.Module):
  """Convolutions given as (size, inputs, outputs, stride), and a shortcut; the sum before ReLU."""

  def __init__(self, convolutions, shortcut):
    super().__init__()
    self.count, self.shortcut_name = len(convolutions), shortcut
    for number, (size, inputs, outputs, stride) in enumerate(convolutions, 1):
      conv = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)
      self.add_module(f"conv{number}", conv)
      self.add_module(f"bn{number}", nn.BatchNorm2d(outputs))
    inputs, outputs = convolutions[0][1], convolutions[-1][2]
    stride = max(convolution[3] for convolution in convolutions)
    projection = nn.Sequential()
    if inputs != outputs or stride > 1:
      projection.append(nn.Conv2d(inputs, outputs, 1, stride, bias=False))
      projection.append(nn.BatchNorm2d(outputs))
    self.add_module(shortcut, projection)

  def forward(self, x):
    y = x
    for number in range(1, self.count + 1):
      y = F.relu(y) if number > 1 else y
      y = self.get_submodule(f"bn{number}")(self.get_submodule(f"conv{number}")(y))
    return y + self.get_submodule(self.shortcut_name)(x)


class _ResNet(nn.Module):
  def __init__(self, depth, stem, shortcut, classifier, classes):
    super().__init__()
    self.conv1, self.bn1, self.classifier_name = stem, nn.BatchNorm2d(64), classifier
    inputs = 64
    for number, blocks in enumerate(BLOCKS[depth]):
      inner, stage = 64 * 2**number, nn.ModuleList()
      for place in range(blocks):
        stride = 2 if number > 0 and place == 0 else 1
        if depth < 50:
          outputs = inner
          convolutions = ((3, inputs, inner, stride), (3, inner, outputs, 1))
        else:
          outputs = 4 * inner
          convolutions = ((1, inputs, inner, 1), (3, inner, inner, stride), (1, inner, outputs, 1))
        stage.append(Block(convolutions, shortcut))
        inputs = outputs
      self.add_module(f"layer{number + 1}", stage)
    self.add_module(classifier, nn.Linear(inputs, classes))
    for module in self.modules():
      if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

  def pool(self, x):
    return x

  def forward(self, images):
    preactivations = [self.bn1(self.conv1(images))]
    features = [F.relu(preactivations[0])]
    x = self.pool(features[0])
    for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
      for block in stage:
        preactivation = block(x)
        x = F.relu(preactivation)
      preactivations.append(preactivation)
      features.append(x)
    embedding = x.mean(dim=(2, 3))
    logits = self.get_submodule(self.classifier_name)(embedding)
    return Output(logits, features, preactivations, embedding)


class ImageNetResNet(_ResNet):
  """ResNet-`depth` with a stem of stride 2 and a max-pool."""

  def __init__(self, depth, classes=1000, channels=3):
    stem = nn.Conv2d(channels, 64, 7, 2, padding=3, bias=False)
    super().__init__(depth, stem, "downsample", "fc", classes)

  def pool(self, x):
    return F.max_pool2d(x, 3, 2, padding=1)


class CifarResNet(_ResNet):
  """ResNet-`depth` with a 3×3 stem."""

  def __init__(self, depth, classes=100, channels=3):
    stem = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
    super().__init__(depth, stem, "shortcut", "linear", classes)
