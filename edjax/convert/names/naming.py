"""How tables of names are written: patterns of edjax's module paths, and PyTorch's names."""

import re


def by_rules(*rules, first=1):
  """Returns a function from a module's path to its PyTorch name, or None if no rule fits.

  Args:
    *rules: (pattern, name) pairs, the first that matches the whole path counts; `{}` in the name
      are the pattern's groups in order, so a path is such as "fragment_1/block_0/conv1".
    first: number that PyTorch gives to stage 0; added to a leading group of digits.
  """

  def name(path):
    for pattern, name in rules:
      match = re.fullmatch(pattern, path)
      if match:
        groups = list(match.groups())
        if groups and groups[0].isdigit():
          groups[0] = int(groups[0]) + first
        return name.format(*groups)
    return None

  return name
