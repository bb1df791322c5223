"""What published PyTorch checkpoints call the layers of `edjax.models.vit`."""

import re

from edjax.convert.names.naming import by_rules
from edjax.models.vit import BLOCKS

_elsewhere = by_rules(
  (r"fragment_0/(cls_token|pos_embed)", "{}"),
  (r"fragment_0/patch_embed", "patch_embed.proj"),
  (r"head/norm", "norm"),
  (r"head/dense", "head"),
)
_in_a_block = by_rules(
  (r"(norm[12])", "{}"),
  (r"(qkv|proj)", "attn.{}"),
  (r"(fc[12])", "mlp.{}"),
)


def timm(scope: str) -> str | None:
  """Returns the module's name in timm's and DeiT's networks, or None.

  Their blocks are numbered through. The class token and the positions have scopes of their own,
  `fragment_0/cls_token` and `fragment_0/pos_embed`.
  """
  match = re.fullmatch(r"fragment_(\d)/block_(\d)/(\w+)", scope)
  if not match:
    return _elsewhere(scope)
  fragment, block, layer = match.groups()
  name = _in_a_block(layer)
  return name and f"blocks.{BLOCKS * int(fragment) + int(block)}.{name}"
