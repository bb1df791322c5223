"""How tables of names are written: patterns of edjax's module paths, and PyTorch's names."""

import re
from collections.abc import Callable
from typing import Any

# Of a module's path its PyTorch name, or None.
Names = Callable[[str], str | None]


def by_rules(*rules: tuple[str, str], first: int = 1) -> Names:
  """Returns a function from a module's path to its PyTorch name, or None if no rule fits.

  Args:
    *rules: (pattern, name) pairs, the first that matches the whole path counts; `{}` in the name
      are the pattern's groups in order, so a path is such as "fragment_1/block_0/conv1".
    first: number that PyTorch gives to stage 0; added to a leading group of digits.
  """

  def name(path: str) -> str | None:
    for pattern, theirs in rules:
      match = re.fullmatch(pattern, path)
      if match:
        groups: list[Any] = list(match.groups())
        if groups and groups[0].isdigit():
          groups[0] = int(groups[0]) + first
        return theirs.format(*groups)
    return None

  return name
