"""Vision transformers (Dosovitskiy et al. 2021, arXiv:2010.11929) as DeiT has them (Touvron et al.
2021, arXiv:2012.12877), without stochastic depth, dropout and distillation token.

An image is cut in patches, each projected to a token; a class token goes first, learned positions
are added, twelve pre-norm blocks follow. A fragment is three blocks; fragment 0 has the embedding,
too. Fragments hand on `layers.Tokens`. The taps are maps [batch, rows, columns, width] without the
class token: the embedded patches with positions, and what every fragment hands on. These are raw
sums, which only the head normalises; nothing rectifies them, so preactivations are the same.

Images may have any size; pixels that fill no patch are left out. The positions are as many as the
image asks for, row by row, so a student keeps to one image size. Matrices and positions start
from N(0, 0.02²), the class token from N(0, 10⁻¹²), the projection of patches as PyTorch's
convolutions, biases of the others at zero.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from edjax.models import cut, layers
from edjax.types import Map, RandomKey

FRAGMENTS = 4
BLOCKS = 3  # per fragment

_init = nn.initializers.normal(0.02)
_dense = functools.partial(nn.Dense, kernel_init=_init)
_layer_norm = functools.partial(nn.LayerNorm, epsilon=1e-6)


class Block(nn.Module):
  """Attention, then a perceptron four times as wide; the input of each is normalised."""

  heads: int

  @nn.compact
  def __call__(self, x: Float[Array, "batch tokens width"]) -> Float[Array, "batch tokens width"]:
    batch, tokens, width = x.shape
    y = _dense(3 * width, name="qkv")(_layer_norm(name="norm1")(x))
    y = y.reshape(batch, tokens, 3, self.heads, width // self.heads)
    y = jax.nn.dot_product_attention(*jnp.unstack(y, axis=2))
    x = x + _dense(width, name="proj")(y.reshape(x.shape))
    y = _dense(4 * width, name="fc1")(_layer_norm(name="norm2")(x))
    return x + _dense(width, name="fc2")(nn.gelu(y, approximate=False))


class Blocks(nn.Module):
  """Blocks in a row, and before them the embedding of images where `patch` > 0.

  Attributes:
    width: of the tokens.
    heads: of the attention; they share the width.
    patch: side of a patch in pixels, 0 for a fragment that is given tokens.
    blocks: how many.

  Raises:
    ValueError: if the images are smaller than a patch.
  """

  width: int
  heads: int
  patch: int = 0
  blocks: int = BLOCKS

  @nn.compact
  def __call__(self, x: Map | layers.Tokens, norm: layers.Norm) -> layers.Passed:
    taps: tuple[Map, ...] = ()
    if self.patch:
      x = self._embedding(cast(Map, x))
      taps = (layers.as_map(x),)
    given = cast(layers.Tokens, x)
    sequence = given.sequence
    for number in range(self.blocks):
      sequence = Block(self.heads, name=f"block_{number}")(sequence)
    x = layers.Tokens(sequence, given.grid)
    taps += (layers.as_map(x),)
    return x, taps, taps

  def _embedding(self, images: Map) -> layers.Tokens:
    batch, height, width, channels = images.shape
    rows, columns = height // self.patch, width // self.patch
    if not rows * columns:
      raise ValueError(
        f"images of {height}×{width} pixels hold no patch of {self.patch}×{self.patch} pixels"
      )
    side, bound = (self.patch, self.patch), (self.patch**2 * channels) ** -0.5

    def uniform(key: RandomKey, shape: Sequence[int], dtype: Any) -> Array:
      return jax.random.uniform(key, shape, dtype, -bound, bound)

    patches = nn.Conv(
      self.width,
      side,
      side,
      padding="VALID",
      kernel_init=layers.dense_init,
      bias_init=uniform,
      name="patch_embed",
    )(images)
    token = self.param("cls_token", nn.initializers.normal(1e-6), (1, 1, self.width))
    positions = self.param("pos_embed", _init, (1, 1 + rows * columns, self.width))
    token = jnp.broadcast_to(token, (batch, 1, self.width))
    sequence = jnp.concatenate([token, patches.reshape(batch, -1, self.width)], axis=1)
    return layers.Tokens(sequence + positions, (rows, columns))


class Head(nn.Module):
  """Normalises the tokens and classifies by the class token, which is the embedding."""

  num_classes: int

  @nn.compact
  def __call__(self, x: layers.Tokens, norm: layers.Norm) -> layers.Answer:
    embedding = _layer_norm(name="norm")(
      jax.lax.index_in_dim(x.sequence, 0, axis=1, keepdims=False)
    )
    logits = layers.dense(embedding, self.num_classes, _init, nn.initializers.zeros_init())
    return embedding, logits, ()


def vit(width: int, heads: int, patch: int) -> layers.Body:
  """Returns the `Body` of a vision transformer of twelve blocks; arguments as in `Blocks`."""

  def shallow(most: int) -> tuple[Callable[..., nn.Module], ...]:
    fragment = functools.partial(Blocks, width, heads, blocks=min(BLOCKS, most))
    return (functools.partial(fragment, patch=patch), *(fragment,) * (FRAGMENTS - 1))

  return layers.Body(
    fragments=shallow(BLOCKS),
    head=Head,
    width=width,
    blocks=cut.Blocks((BLOCKS,) * FRAGMENTS, shallow, ends=("proj", "fc2")),
  )
