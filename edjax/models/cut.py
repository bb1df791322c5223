"""How a student is cut in fragments: at its stages, as in the paper, or by depth.

By stages, fragment n is the part of the network of that number, and a lower grade ends in a
teaching reference. By depth, fragment n is block n of every stage, fragment 0 the stem as well: the
network's own head is there from the start, and a graft inserts blocks which change nothing yet.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from edjax.errors import UserError

CUTS = ("stages", "depth")
_PART = "fragment_"  # with its number, a part of a network
LAST = "dense"  # the layer of a head whose columns stand for the classes
BODY = 1 << 16  # as a number of fragments: all of them, and what a head has before its last layer


@dataclasses.dataclass(frozen=True)
class Blocks:
  """How a network is cut by depth.

  A block is a module within a part of the network, and its name ends in its number in its stage:
  "block_0", "stage_2_block_1". All but the first of a stage add what a branch makes of their input
  to that input.

  Attributes:
    counts: how many blocks each stage has.
    shallow: returns the makers of the network's parts with at most so many blocks in each stage.
    ends: names of the layers with which the branches of a block end; where they are zero, the block
      hands on its input.
    name: of blocks, before their number.
  """

  counts: tuple[int, ...]
  shallow: Callable[[int], tuple[Callable[..., nn.Module], ...]]
  ends: tuple[str, ...]
  name: str = "block"

  def number(self, module: str) -> int | None:
    """Returns the number of a block by its name; None for what is no block, such as a stem."""
    before, _, number = module.rpartition("_")
    return int(number) if before.endswith(self.name) and number.isdigit() else None

  def identity(self, block: dict[str, Any]) -> dict[str, Any]:
    """Returns a block's parameters, changed so that it hands on its input bit by bit.

    Raises:
      UserError: if it has no layer of a name in `ends`.
    """
    lacking = [name for name in self.ends if name not in block]
    if lacking:
      raise UserError(
        f"a block has no layer {lacking[0]!r} that could make it hand on its input "
        f"(Blocks.ends); it has {', '.join(block)}"
      )
    return {
      name: jax.tree.map(jnp.zeros_like, tree) if name in self.ends else tree
      for name, tree in block.items()
    }


def among_lowest(path: tuple[str, ...], count: int, blocks: Blocks | None) -> bool:
  """Says whether a module belongs to the lowest `count` fragments; the head to none but `BODY`.

  Args:
    path: of the module, its part of the network first, then the module within that.
    count: of fragments.
    blocks: of a student that is cut by depth; None: by stages.
  """
  if not path[0].startswith(_PART):
    return count >= BODY and path[1] != LAST
  if blocks is None:
    return int(path[0].removeprefix(_PART)) < count
  number = blocks.number(path[1]) if len(path) > 1 else None
  return (number or 0) < count
