"""What torchvision, timm and EfficientNet's first port to PyTorch call the layers of
`edjax.models.efficientnet`.

`lukemelas`, https://github.com/lukemelas/EfficientNet-PyTorch, numbers blocks through.
"""

import re

from edjax.convert.names.naming import by_rules

_BLOCK = r"fragment_\d/stage_(\d)_block_(\d)"
_FIRST = r"fragment_0/stage_(0)_block_(0)"  # the one block without an expansion

torchvision = by_rules(  # whose stages count from 1, after the stem
  (r"fragment_0/conv", "features.0.0"),
  (r"fragment_0/bn", "features.0.1"),
  (rf"{_FIRST}/depthwise", "features.{}.{}.block.0.0"),
  (rf"{_FIRST}/depthwise_bn", "features.{}.{}.block.0.1"),
  (rf"{_FIRST}/squeeze", "features.{}.{}.block.1.fc1"),
  (rf"{_FIRST}/excite", "features.{}.{}.block.1.fc2"),
  (rf"{_FIRST}/project", "features.{}.{}.block.2.0"),
  (rf"{_FIRST}/project_bn", "features.{}.{}.block.2.1"),
  (rf"{_BLOCK}/expand", "features.{}.{}.block.0.0"),
  (rf"{_BLOCK}/expand_bn", "features.{}.{}.block.0.1"),
  (rf"{_BLOCK}/depthwise", "features.{}.{}.block.1.0"),
  (rf"{_BLOCK}/depthwise_bn", "features.{}.{}.block.1.1"),
  (rf"{_BLOCK}/squeeze", "features.{}.{}.block.2.fc1"),
  (rf"{_BLOCK}/excite", "features.{}.{}.block.2.fc2"),
  (rf"{_BLOCK}/project", "features.{}.{}.block.3.0"),
  (rf"{_BLOCK}/project_bn", "features.{}.{}.block.3.1"),
  (r"head/conv", "features.8.0"),
  (r"head/bn", "features.8.1"),
  (r"head/dense", "classifier.1"),
  first=1,
)
timm = by_rules(
  (r"fragment_0/conv", "conv_stem"),
  (r"fragment_0/bn", "bn1"),
  (rf"{_FIRST}/depthwise", "blocks.{}.{}.conv_dw"),
  (rf"{_FIRST}/depthwise_bn", "blocks.{}.{}.bn1"),
  (rf"{_FIRST}/project", "blocks.{}.{}.conv_pw"),
  (rf"{_FIRST}/project_bn", "blocks.{}.{}.bn2"),
  (rf"{_BLOCK}/expand", "blocks.{}.{}.conv_pw"),
  (rf"{_BLOCK}/expand_bn", "blocks.{}.{}.bn1"),
  (rf"{_BLOCK}/depthwise", "blocks.{}.{}.conv_dw"),
  (rf"{_BLOCK}/depthwise_bn", "blocks.{}.{}.bn2"),
  (rf"{_BLOCK}/squeeze", "blocks.{}.{}.se.conv_reduce"),
  (rf"{_BLOCK}/excite", "blocks.{}.{}.se.conv_expand"),
  (rf"{_BLOCK}/project", "blocks.{}.{}.conv_pwl"),
  (rf"{_BLOCK}/project_bn", "blocks.{}.{}.bn3"),
  (r"head/conv", "conv_head"),
  (r"head/bn", "bn2"),
  (r"head/dense", "classifier"),
  first=0,
)
_COUNTS = (1, 2, 2, 3, 3, 4, 1)  # blocks of each stage
_PORTED = {
  "expand": "_expand_conv",
  "expand_bn": "_bn0",
  "depthwise": "_depthwise_conv",
  "depthwise_bn": "_bn1",
  "project": "_project_conv",
  "project_bn": "_bn2",
}
_around_blocks = by_rules(
  (r"fragment_0/conv", "_conv_stem"),
  (r"fragment_0/bn", "_bn0"),
  (r"head/conv", "_conv_head"),
  (r"head/bn", "_bn1"),
  (r"head/dense", "_fc"),
)


def lukemelas(path: str) -> str | None:
  """Returns the module's name in the first port of a network without squeezing, or None."""
  match = re.fullmatch(rf"{_BLOCK}/(\w+)", path)
  if not match:
    return _around_blocks(path)
  stage, block, layer = match.groups()
  number = sum(_COUNTS[: int(stage)]) + int(block)
  return f"_blocks.{number}.{_PORTED[layer]}" if layer in _PORTED else None
