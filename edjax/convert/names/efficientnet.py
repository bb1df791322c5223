"""What torchvision and timm call the layers of `edjax.models.efficientnet`."""

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
