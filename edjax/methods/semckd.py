"""Semantic calibration (Chen et al. 2021, "Cross-Layer Distillation with Semantic Calibration",
arXiv:2012.03236, section 3).

Every stage s of the student learns from all stages t of the teacher (no stem on either side), each
image to its own measure:

  α[s, t] = softmax over t of query_s(similarities of s) · key_t(similarities of t)
  loss = Σ over s and t of α · mean((projection_st(map of s) − map of t)²) / stages of the student

Similarities are the products of a flattened map with those of all images in the batch, one row per
image; query and key are two-layer networks with outputs of length 1; a projection is 1×1, 3×3 and
1×1 convolutions, the first two normalised and rectified. Maps meet at the smaller size. The
authors' code divides by the stages as here, with weight 400. Stages need not be equally many.

The first layer of a query has one input per image of a batch, so its parameters would change with
the batch, the devices and a specialist's seats. Here it always has `images` inputs, and those for
images that are not there are 0: the paper's where `images` is the batch, and otherwise defined for
smaller batches too. An input is a place in the batch and not an image, as in the paper. Memory:
[images here, images of all devices] per stage, and one projected map per pair of stages.
"""

import dataclasses
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float32

from edjax.errors import UserError
from edjax.methods.base import Batch, applied, constant, exact, gather
from edjax.methods.maps import same_size, unit
from edjax.methods.projectors import Norm
from edjax.models.layers import Output, conv_init, dense_init
from edjax.types import Map, PerImage, RandomKey, ShapedMap, Variables


@dataclasses.dataclass(frozen=True)
class SemCKD:
  """Squared error to all of the teacher's stages, by attention, per example.

  Attributes:
    images: that a teacher is asked about at once at most, over all devices: the batch size.
    gather: attend by the images of all devices, not only of the same.
  """

  images: int = 64
  gather: bool = True
  needs_teacher: ClassVar[bool] = True

  def __post_init__(self) -> None:
    if not self.images >= 1:
      raise UserError(f"methods.semckd.images is {self.images}; it must be 1 or more")

  def init(self, key: RandomKey, student_output: Output, teacher_output: Output) -> Variables:
    """Returns {"params": {"query_1", …, "key_1", …, "projection_1_1", …}}, by stages."""
    students, teachers = _stages(student_output), _stages(teacher_output)
    rows, embed = jnp.zeros((1, self.images)), self._embed()
    modules: dict[str, tuple[nn.Module, Array]] = {
      f"query_{stage}": (embed, rows) for stage in students
    }
    modules |= {f"key_{stage}": (embed, rows) for stage in teachers}
    for ours, student in students.items():
      for theirs, teacher in teachers.items():
        x = jnp.zeros((1, 1, 1, student.shape[-1]))
        modules[f"projection_{ours}_{theirs}"] = _Projection(teacher.shape[-1]), x
    keys = jax.random.split(key, len(modules))
    return {
      "params": {
        name: module.init(own, x)["params"]
        for own, (name, (module, x)) in zip(keys, modules.items(), strict=True)
      }
    }

  def loss(
    self, variables: Variables, student_output: Output, teacher_output: Output, batch: Batch
  ) -> tuple[PerImage, Variables]:
    """Returns float32 [batch], in squared units of the teacher's maps."""
    params = variables["params"]
    students = {stage: exact(x) for stage, x in _stages(student_output).items()}
    teachers = {stage: constant(x) for stage, x in _stages(teacher_output).items()}
    total = jnp.zeros(batch.mask.shape)
    if not students:
      return total, {}
    keys = jnp.stack(
      [self._attend(params[f"key_{stage}"], x, batch) for stage, x in teachers.items()], 1
    )
    for ours, student in students.items():
      query = self._attend(params[f"query_{ours}"], student, batch)
      energy = jnp.einsum("bd,btd->bt", query, keys, precision="highest")
      attention = jax.nn.softmax(energy)
      for place, (theirs, teacher) in enumerate(teachers.items()):
        x, target = same_size(student, teacher)
        projection = _Projection(teacher.shape[-1])
        guess = applied(projection, params[f"projection_{ours}_{theirs}"], x, batch)
        total += attention[:, place] * jnp.mean((guess - target) ** 2, (1, 2, 3))
    return total / len(students), {}

  def _embed(self) -> "_Embedding":
    return _Embedding(max(self.images // 4, 1))

  def _attend(self, params: Variables, maps: Map, batch: Batch) -> Float32[Array, "batch width"]:
    """Query or key [batch, width] of maps."""
    if not self.gather:
      batch = dataclasses.replace(batch, axis=None)
    flat = maps.reshape(maps.shape[0], -1)
    rows = jnp.matmul(flat, gather(flat, batch).T, precision="highest")
    rows *= gather(batch.mask, batch)[None]
    if rows.shape[1] > self.images:
      raise UserError(
        f"methods.semckd.images is {self.images}, but a teacher is asked about {rows.shape[1]} "
        f"images at once; set methods.semckd.images to {rows.shape[1]}"
      )
    rows = jnp.pad(rows, ((0, 0), (0, self.images - rows.shape[1])))
    return applied(self._embed(), params, rows)


def _stages(output: Output) -> dict[int, ShapedMap]:
  """{1: map, …} of the stages that have grown, without the stem."""
  return {stage: x for stage, x in enumerate(output.features) if stage and x is not None}


class _Embedding(nn.Module):
  """Two layers and length 1: [batch, any] to [batch, width]."""

  width: int

  @nn.compact
  def __call__(self, x: Float32[Array, "batch _"]) -> Float32[Array, "batch {self.width}"]:
    x = nn.relu(nn.Dense(2 * self.width, kernel_init=dense_init, name="dense_0")(x))
    return unit(nn.Dense(self.width, kernel_init=dense_init, name="dense_1")(x))


class _Projection(nn.Module):
  """A bottleneck turned round: twice as wide inside as the teacher's `channels`."""

  channels: int

  @nn.compact
  def __call__(self, x: Map, batch: Batch | None = None) -> Map:
    for number, (width, size) in enumerate(((2, 1), (2, 3), (1, 1))):
      if number:
        x = nn.relu(Norm(name=f"norm_{number - 1}")(x, batch))
      x = nn.Conv(
        width * self.channels,
        (size, size),
        use_bias=False,
        kernel_init=conv_init,
        name=f"conv_{number}",
      )(x)
    return x
