"""What XLA computes again for every reader, on CPUs, and how to keep it from doing so.

There XLA fuses whatever is elementwise into each of its readers. In a residual network every sum is
elementwise in the sum before, so that each block computes all sums of its stage once more and reads
what they were made of from memory: the last of resnet110's blocks 38 arrays instead of three. A
matrix product is never fused, so what is multiplied by the identity stands in memory, and every
finite number comes out as it is; `lax.optimization_barrier` is removed before fusion and does not
help (jax 0.10.2). Branches and loops, which also end a fusion, run convolutions ten times slower
(jax issue 12868).
"""

import math

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Shaped


def stored(x: Shaped[Array, "*shape"]) -> Shaped[Array, "*shape"]:
  """`x`, of any shape, to be computed once for all its readers."""
  return jax.lax.platform_dependent(x, cpu=_product, default=lambda x: x)


def _product(x: Shaped[Array, "*shape"]) -> Shaped[Array, "*shape"]:
  # Its cost; narrower matrices are no quicker. How many images there are need not be known.
  width = math.gcd(math.prod(x.shape[1:]), 16)
  identity = jax.lax.optimization_barrier(jnp.eye(width, dtype=x.dtype))
  rows = x.reshape(-1, width)
  return jnp.matmul(rows, identity, precision=jax.lax.Precision.HIGHEST).reshape(x.shape)
