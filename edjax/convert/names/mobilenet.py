"""What mdistiller calls the layers of `edjax.models.mobilenet`."""

import re

from edjax.convert.names.naming import by_rules

_BEFORE = (1, 4, 6, 12)  # modules in `model` before each fragment's blocks
_around_blocks = by_rules(
  (r"fragment_0/conv", "model.0.0"),
  (r"fragment_0/bn", "model.0.1"),
  (r"head/dense", "fc"),
)
_in_a_block = by_rules(
  (r"depthwise", "0"),
  (r"depthwise_bn", "1"),
  (r"pointwise", "3"),
  (r"pointwise_bn", "4"),
)


def repdistiller(path: str) -> str | None:
  """Returns the module's name in mdistiller's network, which numbers blocks through, or None."""
  match = re.fullmatch(r"fragment_(\d)/block_(\d)/(\w+)", path)
  if not match:
    return _around_blocks(path)
  fragment, block, layer = match.groups()
  name = _in_a_block(layer)
  return name and f"model.{_BEFORE[int(fragment)] + int(block)}.{name}"
