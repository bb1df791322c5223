"""Names for what many functions take and return: arrays with their axes, and trees of them.

An axis that has a name is as long wherever the name stands in one signature; of `_` nothing is
said but that it is there. These are read by a type checker, and by the tests; a run checks none.
"""

from typing import TYPE_CHECKING, Any, NewType

import jax
import numpy as np
from jaxtyping import Float, Float32, Int32, Key

# Nested dicts of arrays by name: flax's variables, parameters or what a method remembers.
Variables = dict[str, Any]
# (height, width) to which images are shrunk; () for whole ones.
Size = tuple[int, int] | tuple[()]
RandomKey = Key[jax.Array, ""]

# A class has three numbers, which a type checker keeps apart.
Label = NewType("Label", int)  # in the data set: of `class_names`
Place = NewType("Place", int)  # in the class order of a run: a column of the student's logits
Column = NewType("Column", int)  # of a teacher's logits

Logits = Float[jax.Array, "batch classes"]
Embedding = Float[jax.Array, "batch width"]
Map = Float[jax.Array, "batch _ _ _"]  # height, width and channels, which differ by stage
if TYPE_CHECKING:  # jax.eval_shape, too, calls arrays what it returns
  ShapedMap = Map
  ShapedEmbedding = Embedding
else:  # an array, or only its shape and type, of which `init` is told
  _Shaped = jax.Array | np.ndarray | jax.ShapeDtypeStruct
  ShapedMap = Float[_Shaped, "batch _ _ _"]
  ShapedEmbedding = Float[_Shaped, "batch width"]

PerImage = Float32[jax.Array, " batch"]
Labels = Int32[jax.Array, " batch"]
