"""What the model families share: network output, assembly of fragments, heads, initialisers.

A network is a tuple of fragments and a head. A fragment is a linen module called as
`fragment(x, norm) -> (x, features, preactivations)`; a head as `head(x, norm) -> (embedding,
logits, preactivations)`. What they hand on is a map [batch, height, width, channels] or `Tokens`.
`norm(name=...)` makes a batch normalisation in the right mode. A family lists its fragments in a
`Body`; `Network` runs them and collects the taps, so a student that has grown only two of its three
fragments is the same code with a shorter tuple.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer
from jaxtyping import Float

from edjax.models.cpu import convolution, normalisation
from edjax.models.cut import LAST, Blocks, among_lowest
from edjax.models.pooling import average_grid
from edjax.types import Embedding, Logits, Map, RandomKey, Variables

HEAD = "head"  # the last part of a network; of a student that grows, its teaching reference
MOMENTUM = 0.9  # of running statistics: so much is kept of the old ones at a step

# What makes a normalisation in the right mode, and what a fragment and a head return.
Norm = Callable[..., nn.Module]
Answer = tuple[Embedding, Logits, tuple[Map, ...]]
Sides = int | tuple[int, int]  # of a kernel or a stride: alike, or down and right

conv_init = nn.initializers.variance_scaling(2.0, "fan_out", "normal")  # He et al. 2015
dense_init = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")  # LeCun et al. 1998


@flax.struct.dataclass
class Output:
  """What every network returns.

  Attributes:
    logits: a column per class.
    features: per stage, stem first, where the field taps it: after the activation, in
      pre-activation networks (WRN) the raw sum that leaves the stage. Methods are shown None for
      the stages that a student has not grown yet.
    preactivations: the same places before the last ReLU (WRN: after the normalisation that
      follows).
    embedding: pooled, what the classifier sees.
  """

  logits: Logits
  features: tuple[Map | None, ...]
  preactivations: tuple[Map | None, ...]
  embedding: Embedding


@flax.struct.dataclass
class Tokens:
  """What the fragments of transformers hand on.

  Attributes:
    sequence: [batch, 1 + rows · columns, width], the class token first.
    grid: (rows, columns) of the others, which no array could tell.
  """

  sequence: Float[jax.Array, "batch _ _"]
  grid: tuple[int, int] = flax.struct.field(pytree_node=False)


Passed = tuple[Map | Tokens, tuple[Map, ...], tuple[Map, ...]]


@dataclasses.dataclass(frozen=True)
class Body:
  """A network that can be cut: one maker of a linen module per fragment, and one per head.

  Attributes:
    fragments: makers, lowest first; each takes `name`.
    head: maker of the network's own classifier; takes `num_classes` and `name`.
    width: channels of a teaching reference: those of the embedding, or of the highest fragment's
      map where the head widens it.
    preactivated: fragments hand on sums that still need normalisation and ReLU (WRN).
    reuses: the head ends in a teacher's classifier, which is never trained, see `reused`.
    blocks: how it is cut by depth; None where that cannot be.
    epsilon: added to variances by its normalisations.
  """

  fragments: tuple[Callable[..., nn.Module], ...]
  head: Callable[..., nn.Module]
  width: int
  preactivated: bool = False
  reuses: bool = False
  blocks: Blocks | None = None
  epsilon: float = 1e-5


class Network(nn.Module):
  """Fragments in order, then a head, over images [batch, height, width, channels].

  Attributes:
    fragments: makers of the fragments that are present, lowest first.
    head: maker of the head; takes `name`.
    axis_name: the mapped axis over which batch statistics are averaged in training, or None.
    folded: normalisations are what `folding.fold` leaves of them; such a network only infers.
    epsilon: of the body.
  """

  fragments: tuple[Callable[..., nn.Module], ...]
  head: Callable[..., nn.Module]
  axis_name: str | None = None
  folded: bool = False
  epsilon: float = 1e-5

  @nn.compact
  def __call__(
    self, images: Map, train: bool = False, frozen: int = 0, blocks: Blocks | None = None
  ) -> Output:
    """Returns an `Output`; the lowest `frozen` fragments run in inference mode even in training.

    They are cut by depth where their `blocks` are given.
    """

    def infers(path: tuple[str, ...]) -> bool:
      return not train or among_lowest(path, frozen, blocks)

    norm: Norm = functools.partial(
      normalisation.BatchNorm,
      use_running_average=infers,
      momentum=MOMENTUM,
      epsilon=self.epsilon,
      axis_name=self.axis_name,
    )
    norm = Affine if self.folded else norm
    x, features, preactivations = images, (), ()
    for number, fragment in enumerate(self.fragments):
      x, new_features, new_preactivations = fragment(name=f"fragment_{number}")(x, norm)
      features += new_features
      preactivations += new_preactivations
    embedding, logits, last = self.head(name=HEAD)(x, norm)
    return Output(logits, features, preactivations + last, embedding)


@functools.lru_cache(maxsize=64)
def shapes(network: Network, image_shape: tuple[int, ...]) -> Variables:
  """Returns the variables of a network as `jax.ShapeDtypeStruct`s; image_shape is a tuple."""
  image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
  return jax.eval_shape(network.clone(axis_name=None).init, jax.random.key(0), image)


def parameters(network: Network, image_shape: tuple[int, ...]) -> int:
  """Returns how many numbers a network learns, for images of (height, width, channels)."""
  return sum(leaf.size for leaf in jax.tree.leaves(shapes(network, image_shape)["params"]))


class Affine(nn.Module):
  """What `folding.fold` leaves of a normalisation: a shift, and a factor where it is still there.

  Its epsilon is in the factor, and so ignored here.
  """

  epsilon: float | None = None

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    if self.has_variable("params", "scale"):
      x = x * self._channels("scale", x.ndim)
    return x + self._channels("bias", x.ndim)

  def _channels(self, name: str, axes: int) -> jax.Array:
    return self.get_variable("params", name).reshape(*(1,) * (axes - 1), -1)


class Classifier(nn.Module):
  """The usual head: global average pooling and one dense layer.

  Attributes:
    num_classes: columns of the logits.
    preactivated: first normalise and rectify, as pre-activation networks need.
    kernel_init, bias_init: of the dense layer, see `dense`.
  """

  num_classes: int
  preactivated: bool = False
  kernel_init: Initializer = dense_init
  bias_init: Initializer | None = None

  @nn.compact
  def __call__(self, x: Map, norm: Norm) -> Answer:
    x, preactivations = rectified(x, norm, self.preactivated)
    embedding = x.mean(axis=(1, 2))
    logits = dense(embedding, self.num_classes, self.kernel_init, self.bias_init)
    return embedding, logits, preactivations


def classifier(variables: Variables) -> Variables | None:
  """Returns the last layer of a network's variables, {"kernel": [width, classes], "bias": …}.

  None where it does not end in one.
  """
  return variables["params"].get(HEAD, {}).get(LAST)


class TeachingReference(nn.Module):
  """The head that a lower grade puts on its highest fragment (arXiv:2311.13811, section 3).

  1×1 convolution to `width` channels, batch normalisation, ReLU where `relu`, average pooling to a
  `grid`×`grid` map, flatten, dense. All shapes follow from the map it is given. With the network's
  own width and grid 1 its embedding is as wide as the graduate's.
  """

  num_classes: int
  width: int
  grid: int = 1
  relu: bool = True
  preactivated: bool = False

  @nn.compact
  def __call__(self, x: Map | Tokens, norm: Norm) -> Answer:
    y, preactivations = rectified(as_map(x), norm, self.preactivated)
    y = conv(self.width, 1, name="conv")(y)
    y = norm(name="bn")(y)
    y = nn.relu(y) if self.relu else y
    embedding = average_grid(y, (self.grid, self.grid)).reshape(y.shape[0], -1)
    return embedding, dense(embedding, self.num_classes), preactivations


def conv(
  channels: int,
  size: Sides,
  stride: Sides = 1,
  groups: int = 1,
  bias: bool = False,
  init: Initializer = conv_init,
  same: bool = False,
  name: str | None = None,
) -> nn.Conv:
  """A `size`×`size` convolution, padded by (size−1)/2 on every side as the field's networks are.

  Size and stride are a number, or one for rows and one for columns. `same` pads as TensorFlow does,
  less on the upper left when striding, which gives other numbers.
  """
  sizes, strides = ((each,) * 2 if isinstance(each, int) else each for each in (size, stride))
  return nn.Conv(
    channels,
    sizes,
    strides,
    padding="SAME" if same else tuple(((each - 1) // 2,) * 2 for each in sizes),
    feature_group_count=groups,
    use_bias=bias,
    kernel_init=init,
    conv_general_dilated=convolution.convolve,
    name=name,
  )


def as_map(x: Map | Tokens) -> Map:
  """`Tokens` without the class token, [batch, rows, columns, width]; maps unchanged."""
  if not isinstance(x, Tokens):
    return x
  batch, _, width = x.sequence.shape
  return x.sequence[:, 1:].reshape(batch, *x.grid, width)


def rectified(x: Map, norm: Norm, preactivated: bool) -> tuple[Map, tuple[Map, ...]]:
  """Returns (x as a head needs it, preactivations that this adds)."""
  if not preactivated:
    return x, ()
  x = norm(name="bn_in")(x)
  return nn.relu(x), (x,)


def dense(
  x: Embedding,
  num_classes: int,
  kernel_init: Initializer = dense_init,
  bias_init: Initializer | None = None,
) -> Logits:
  """The classifier's matrix, [batch, width] to [batch, num_classes].

  It starts as PyTorch's do, uniformly up to 1/sqrt(width), unless the field has another start.
  """
  bound = x.shape[-1] ** -0.5

  def uniform(key: RandomKey, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
    return jax.random.uniform(key, shape, dtype, -bound, bound)

  return nn.Dense(num_classes, kernel_init=kernel_init, bias_init=bias_init or uniform, name=LAST)(
    x
  )
