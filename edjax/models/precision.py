"""In which numbers networks compute: everything that is kept or compared stays float32.

With "bfloat16" the maps of student and teachers and the matrices they meet are bfloat16, which is
what accelerators are fast at. Float32 stay the parameters (cast for each step, so that small
updates are not lost), the batch statistics, the last matrix and so the logits, all losses, the
optimiser, and exams.
"""

import jax
import jax.numpy as jnp

from edjax.models.layers import HEAD
from edjax.types import Map, Variables

_TYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


def lower(params: Variables, precision: str) -> Variables:
  """Parameters {part: tree} as a network computes with them; the head's stay as they are."""
  dtype = _TYPES[precision]
  return {
    part: tree if part == HEAD else jax.tree.map(lambda leaf: leaf.astype(dtype), tree)
    for part, tree in params.items()
  }


def enter(images: Map, precision: str) -> Map:
  """Images as a network is given them."""
  return images.astype(_TYPES[precision])
