"""Vision transformers in PyTorch (Dosovitskiy et al. 2021, arXiv:2010.11929; DeiT: Touvron et al.
2021, arXiv:2012.12877), no dropout, no stochastic depth, no distillation token.

Parameters carry the names of timm's and DeiT's checkpoints (`blocks.4.attn.qkv.weight`).
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from tests.reference.resnet import Output


class Attention(nn.Module):
  """Softmax attention of `heads` heads, written out; queries, keys and values by one matrix."""

  def __init__(self, width, heads):
    super().__init__()
    self.heads = heads
    self.qkv = nn.Linear(width, 3 * width)
    self.proj = nn.Linear(width, width)

  def forward(self, x):
    depth = x.shape[2] // self.heads
    mixed = []
    # Columns of the matrix: all heads' queries, then all their keys, then all their values.
    for query, key, value in zip(
      *(part.split(depth, dim=2) for part in self.qkv(x).chunk(3, dim=2)), strict=True
    ):
      weights = torch.softmax(query @ key.mT / math.sqrt(depth), dim=2)
      mixed.append(weights @ value)
    return self.proj(torch.cat(mixed, dim=2))


class Mlp(nn.Module):
  """Two matrices and between them the exact Gaussian error linear unit."""

  def __init__(self, width):
    super().__init__()
    self.fc1 = nn.Linear(width, 4 * width)
    self.fc2 = nn.Linear(4 * width, width)

  def forward(self, x):
    x = self.fc1(x)
    return self.fc2(x * (1 + torch.erf(x / math.sqrt(2))) / 2)


class Block(nn.Module):
  """Attention and perceptron, normalised before."""

  def __init__(self, width, heads):
    super().__init__()
    self.norm1 = nn.LayerNorm(width, eps=1e-6)
    self.attn = Attention(width, heads)
    self.norm2 = nn.LayerNorm(width, eps=1e-6)
    self.mlp = Mlp(width)

  def forward(self, x):
    x = x + self.attn(self.norm1(x))
    return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
  """The projection of patches; what is left over at the right and below is dropped."""

  def __init__(self, width, patch, channels):
    super().__init__()
    self.proj = nn.Conv2d(channels, width, patch, stride=patch)

  def forward(self, images):
    return self.proj(images)


class VisionTransformer(nn.Module):
  """Twelve blocks over images [batch, channels, *size]; taps before and after every third block.

  Args:
    width: of the tokens.
    heads: of the attention.
    patch: side of a patch.
    size: (height, width) of the images; unlike in edjax, the grid need not be square.
    classes: columns of the logits.
    channels: of the images.
  """

  def __init__(self, width, heads, patch, size=(224, 224), classes=1000, channels=3):
    super().__init__()
    self.grid = tuple(side // patch for side in size)
    self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
    self.pos_embed = nn.Parameter(torch.zeros(1, 1 + math.prod(self.grid), width))
    self.patch_embed = PatchEmbed(width, patch, channels)
    self.blocks = nn.ModuleList(Block(width, heads) for _ in range(12))
    self.norm = nn.LayerNorm(width, eps=1e-6)
    self.head = nn.Linear(width, classes)
    for parameter in (self.cls_token, self.pos_embed):
      nn.init.normal_(parameter, std=1e-6 if parameter is self.cls_token else 0.02)
    for module in self.modules():
      if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)

  def forward(self, images):
    patches = self.patch_embed(images).flatten(2).mT
    x = torch.cat([self.cls_token.expand(len(images), -1, -1), patches], dim=1) + self.pos_embed
    taps = [self._map(x)]
    for number, block in enumerate(self.blocks, 1):
      x = block(x)
      if number % 3 == 0:
        taps.append(self._map(x))
    embedding = self.norm(x)[:, 0]
    return Output(self.head(embedding), taps, taps, embedding)

  def _map(self, tokens):
    return F.fold(tokens[:, 1:].mT, self.grid, kernel_size=1)
