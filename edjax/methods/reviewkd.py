"""Knowledge review (Chen et al. 2021, arXiv:2104.09044, sections 3.2 to 3.4).

From the top, the student's embedding and then map by map, each is fused with the review of all that
lie above it, and compared with the teacher's:

  x = norm(conv1×1(map)), y = the review above, enlarged to this size
  review = x·a + y·b, where (a, b) = sigmoid(conv1×1([x, y])), two numbers per place
  loss = min(epoch/warmup, 1) · Σ over levels HCL(norm(conv3×3(review)), teacher's map)
  HCL = (mean d² + Σ over grids g = 4, 2, 1 below the map's size of 2^−k mean pool_g(d)²)
        / (1 + Σ 2^−k)

with d the difference, 2^−k = 1/2, 1/4, 1/8 for as many grids as there are, and the review brought
to the teacher's size by repeating or leaving out rows and columns ("nearest"). All channels and
sizes follow from the maps; the width of the reviews is that of the student's embedding, at most
512.

Compared are the student's features with the teacher's preactivations, as the authors do, of every
stage but the stem, and embedding with embedding. The authors' weights on CIFAR-100 are 5.0 (WRN,
ResNet-32×4 to 8×4 or ShuffleNetV1), 8.0 (to ShuffleNetV2), 1.0 (ResNet-110 to 32) and 0.6
(ResNet-56 to 20), mdistiller's for ResNet-32×4 to 8×4 5.0; on ImageNet 1.0, and 8.0 for MobileNet.
The authors count whole epochs of the warm-up from 0, mdistiller from 1; here the epoch is a
fraction, so that the weight rises step by step.

While the student grows, the review begins at its embedding and goes down from the highest map it
has. The warm-up starts anew in every grade, as modules do whose shapes change: a grade of fewer
epochs than `warmup` never reaches the full weight.
"""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar, cast

import flax.linen as nn
import jax
import jax.numpy as jnp

from edjax.errors import UserError
from edjax.methods.base import Batch, applied, constant, exact, same_stages
from edjax.methods.projectors import Norm
from edjax.models.layers import Output, dense_init
from edjax.models.pooling import average_grid
from edjax.types import Map, PerImage, RandomKey, ShapedEmbedding, ShapedMap, Variables

_uniform = nn.initializers.variance_scaling(1.0, "fan_in", "uniform")


@dataclasses.dataclass(frozen=True)
class ReviewKD:
  """Hierarchical context loss between the student's reviews and the teacher's maps, per example.

  Attributes:
    warmup: epochs over which the loss rises to its full weight, 0 for none.
    pairs: which stages are compared, see `base.same_stages`.
  """

  warmup: float = 20.0
  pairs: str = ""
  needs_teacher: ClassVar[bool] = True

  def __post_init__(self) -> None:
    if not self.warmup >= 0:
      raise UserError(f"methods.reviewkd.warmup is {self.warmup}; it is not negative")

  def init(self, key: RandomKey, student_output: Output, teacher_output: Output) -> Variables:
    ours, theirs = self._levels(student_output, teacher_output)
    maps = {name: jnp.zeros((1, *x.shape[1:])) for name, x in ours.items()}
    return {"params": _review(theirs).init(key, maps)["params"]}

  def loss(
    self, variables: Variables, student_output: Output, teacher_output: Output, batch: Batch
  ) -> tuple[PerImage, Variables]:
    """Returns float32 [batch] and no memory."""
    ours, theirs = self._levels(exact(student_output), constant(teacher_output))
    reviews = applied(_review(theirs), variables["params"], ours, batch)
    none = jnp.zeros(batch.mask.shape)
    total = sum((_context(reviews[name], theirs[name]) for name in theirs), none)
    rise = jnp.minimum(batch.epoch / self.warmup, 1) if self.warmup else 1.0
    return rise * total, {}

  def _levels(
    self, student_output: Output, teacher_output: Output
  ) -> tuple[dict[str, ShapedMap], dict[str, ShapedMap]]:
    """The student's and the teacher's {name: map}, lowest first, the embedding at last."""
    pairs = same_stages(
      "reviewkd", student_output.features, teacher_output.preactivations, self.pairs
    )
    pairs["embedding"] = _as_map(student_output.embedding), _as_map(teacher_output.embedding)
    ours, theirs = ({name: pair[side] for name, pair in pairs.items()} for side in (0, 1))
    return ours, theirs


class Review(nn.Module):
  """Attention-based fusion of {name: [batch, height, width, channels]}, lowest first.

  Attributes:
    shapes: (name, (height, width, channels)) of the teacher's maps, in the same order.
  """

  shapes: tuple[tuple[str, tuple[int, ...]], ...]

  @nn.compact
  def __call__(self, maps: dict[str, Map], batch: Batch | None = None) -> dict[str, Map]:
    """Returns {name: [batch, *shape]}."""
    top = self.shapes[-1][0]
    middle, review, reviews = min(512, maps[top].shape[-1]), None, {}
    for name, (*size, channels) in reversed(self.shapes):
      x = _conv(middle, 1, f"{name}_in")(maps[name])
      x = Norm(name=f"{name}_in_norm")(x, batch)
      if review is not None:
        above = _nearest(review, x.shape[1:3])
        weigh = nn.Conv(2, (1, 1), kernel_init=dense_init, name=f"{name}_gates")
        gates = nn.sigmoid(weigh(jnp.concatenate([x, above], -1)))
        x = x * gates[..., :1] + above * gates[..., 1:]
      review = _nearest(x, size)
      reviews[name] = Norm(name=f"{name}_out_norm")(
        _conv(channels, 3, f"{name}_out")(review), batch
      )
    return reviews


def _review(theirs: dict[str, ShapedMap]) -> Review:
  return Review(tuple((name, tuple(x.shape[1:])) for name, x in theirs.items()))


def _conv(channels: int, size: int, name: str) -> nn.Conv:
  return nn.Conv(channels, (size, size), use_bias=False, kernel_init=_uniform, name=name)


def _as_map(embedding: ShapedEmbedding) -> ShapedMap:
  if isinstance(embedding, jax.ShapeDtypeStruct):
    batch, width = embedding.shape
    return cast(ShapedMap, jax.ShapeDtypeStruct((batch, 1, 1, width), embedding.dtype))
  return embedding[:, None, None]


def _nearest(x: Map, size: Sequence[int]) -> Map:
  """Row i of n of [batch, height, width, channels] is row floor(i·height/n), columns alike."""
  for axis, (here, there) in enumerate(zip(x.shape[1:3], size, strict=True), start=1):
    if here != there:
      x = jnp.take(x, jnp.arange(there) * here // there, axis)
  return x


def _context(ours: Map, theirs: Map) -> PerImage:
  """HCL of [batch, height, width, channels] per image."""
  weight, weights = 1.0, 1.0
  total = _mean_square(ours, theirs)
  for grid in (4, 2, 1):
    if grid < min(ours.shape[1:3]):
      weight /= 2
      weights += weight
      cells = (grid, grid)
      total += weight * _mean_square(average_grid(ours, cells), average_grid(theirs, cells))
  return total / weights


def _mean_square(ours: Map, theirs: Map) -> PerImage:
  return jnp.mean((ours - theirs) ** 2, axis=(1, 2, 3))
