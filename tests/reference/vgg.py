"""VGG networks for small images in PyTorch (Simonyan and Zisserman 2015, arXiv:1409.1556), with
batch normalisation and a single dense layer.

Parameters carry the names of RepDistiller's checkpoints (`block2.3.weight`). The max-pool before
the last block is for images of 64×64 pixels and more (RepDistiller: of exactly 64 rows).
"""

import torch.nn.functional as F
from torch import nn

from tests.reference.resnet import Output


class Vgg(nn.Module):
  """VGG with `convolutions` in each of five blocks; maps are [batch, channels, height, width]."""

  def __init__(self, convolutions, classes=100, channels=3):
    super().__init__()
    self.block0 = _block(channels, 64, convolutions[0])
    self.block1 = _block(64, 128, convolutions[1])
    self.block2 = _block(128, 256, convolutions[2])
    self.block3 = _block(256, 512, convolutions[3])
    self.block4 = _block(512, 512, convolutions[4])
    self.classifier = nn.Linear(512, classes)
    nn.init.normal_(self.classifier.weight, std=0.01)
    nn.init.zeros_(self.classifier.bias)
    for module in self.modules():
      if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(module.bias)

  def forward(self, images):
    preactivations = [self.block0(images)]
    for block in (self.block1, self.block2, self.block3):
      preactivations.append(block(F.max_pool2d(F.relu(preactivations[-1]), 2)))
    x = F.relu(preactivations[-1])
    if min(images.shape[2:]) >= 64:
      x = F.max_pool2d(x, 2)
    preactivations.append(self.block4(x))
    features = [F.relu(preactivation) for preactivation in preactivations]
    embedding = features[-1].mean(dim=(2, 3))
    return Output(self.classifier(embedding), features, preactivations, embedding)


def _block(inputs, outputs, convolutions):
  """Convolution, normalisation, ReLU, repeated, save the last ReLU."""
  block = nn.Sequential()
  for number in range(convolutions):
    if number > 0:
      block.append(nn.ReLU())
    block.append(nn.Conv2d(inputs if number == 0 else outputs, outputs, 3, padding=1))
    block.append(nn.BatchNorm2d(outputs))
  return block
