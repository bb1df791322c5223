"""What published PyTorch checkpoints call the layers of `edjax.models.mobilenetv2`.

`repdistiller` (and mdistiller) name the half as wide network, `torchvision` and `timm` ImageNet's,
whose very first block has no expansion and so counts its layers otherwise. timm builds this network
and EfficientNet of the same parts.
"""

import re

from edjax.convert.names.efficientnet import timm
from edjax.convert.names.naming import by_rules

__all__ = ["repdistiller", "timm", "torchvision"]

_BLOCK = r"fragment_\d/stage_(\d)_block_(\d)"
_BEFORE = (1, 2, 4, 7, 11, 14, 17)  # modules in torchvision's `features` before each stage

repdistiller = by_rules(
  (r"fragment_0/conv", "conv1.0"),
  (r"fragment_0/bn", "conv1.1"),
  (rf"{_BLOCK}/expand", "blocks.{}.{}.conv.0"),
  (rf"{_BLOCK}/expand_bn", "blocks.{}.{}.conv.1"),
  (rf"{_BLOCK}/depthwise", "blocks.{}.{}.conv.3"),
  (rf"{_BLOCK}/depthwise_bn", "blocks.{}.{}.conv.4"),
  (rf"{_BLOCK}/project", "blocks.{}.{}.conv.6"),
  (rf"{_BLOCK}/project_bn", "blocks.{}.{}.conv.7"),
  (r"head/conv", "conv2.0"),
  (r"head/bn", "conv2.1"),
  (r"head/dense", "classifier.0"),
  first=0,
)
_around_blocks = by_rules(
  (r"fragment_0/conv", "features.0.0"),
  (r"fragment_0/bn", "features.0.1"),
  (r"head/conv", "features.18.0"),
  (r"head/bn", "features.18.1"),
  (r"head/dense", "classifier.1"),
)
_in_a_block = by_rules(
  (r"expand", "conv.0.0"),
  (r"expand_bn", "conv.0.1"),
  (r"depthwise", "conv.1.0"),
  (r"depthwise_bn", "conv.1.1"),
  (r"project", "conv.2"),
  (r"project_bn", "conv.3"),
)
_in_the_first_block = by_rules(
  (r"depthwise", "conv.0.0"),
  (r"depthwise_bn", "conv.0.1"),
  (r"project", "conv.1"),
  (r"project_bn", "conv.2"),
)


def torchvision(path: str) -> str | None:
  """Returns the module's name in torchvision's network, which numbers blocks through, or None."""
  match = re.fullmatch(rf"{_BLOCK}/(\w+)", path)
  if not match:
    return _around_blocks(path)
  stage, block, layer = match.groups()
  name = (_in_a_block if int(stage) else _in_the_first_block)(layer)
  return name and f"features.{_BEFORE[int(stage)] + int(block)}.{name}"
