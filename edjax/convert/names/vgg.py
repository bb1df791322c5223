"""What published PyTorch checkpoints call the layers of `edjax.models.vgg`."""

import re


def repdistiller(scope: str) -> str | None:
  """Returns the module's name in RepDistiller's and mdistiller's networks, or None.

  Their blocks are plain lists of convolution, normalisation and ReLU, numbered through.
  """
  if scope == "head/dense":
    return "classifier"
  match = re.fullmatch(r"fragment_\d/block_(\d)/(conv|bn)_(\d)", scope)
  if not match:
    return None
  block, kind, number = match.groups()
  return f"block{block}.{3 * int(number) + ('conv', 'bn').index(kind)}"
