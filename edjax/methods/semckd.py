"""Semantic calibration of cross-layer distillation (Chen et al. 2021, arXiv:2012.03236).

  A = M Mᵀ for every map M [batch, channels·places]: how alike the images are
  q_s = unit(perceptron_s(row of A of the student's map s)), k_t of the teacher's map t alike
  α = softmax over t of q_s · k_t, for every image and every map of the student
  loss = 1/S · Σ over the student's S maps Σ over the teacher's α · mean((project_st(s) − t)²)

Every map of the student but the stem is compared with every map of the teacher but the stem, and
each image decides how much each pair counts. A projection is 1×1, 3×3 (both twice as wide as the
teacher's map, with normalisation and ReLU) and 1×1 convolution; of maps that differ in size the
larger is average-pooled first. A perceptron has one ReLU layer of width/2 and a linear one of
width/4. The published weights are 400 on CIFAR-100 and 50 on ImageNet, beside `ce` 1 and `kd` 1
(authors, SimKD's toolbox).

A row of A has as many entries as the batch has images, so in the authors' code a perceptron fits
one batch size, and batches that are not full are skipped. Here its width is an option, the authors'
batch size of 64 unless set: for a batch of that many images this is their definition, and the
columns of images that are not there (fewer images, padding, another teacher's seats) are zero, as
of an image whose map is zero. A larger batch is refused.

Where the student has fewer stages than the teacher or has not grown, it has fewer rows of α; stages
need not be paired, nor equally many. With `gather` the maps of all devices meet on every device:
4 bytes times the whole batch times channels times places of each map, of student and teacher.
"""

import dataclasses
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from edjax.errors import UserError
from edjax.methods.interface import constant, exact, gather
from edjax.methods.maps import same_size, unit
from edjax.methods.projectors import Norm
from edjax.models.layers import dense_init


@dataclasses.dataclass(frozen=True)
class SemCKD:
  """Attention over all pairs of maps, squared differences of the pairs, per example.

  Attributes:
    width: how many images a row of similarities may compare, at least the batch size.
    gather: compare with the images of all devices; else with those of the own device alone.
  """

  width: int = 64
  gather: bool = True
  needs_teacher: ClassVar[bool] = True

  def __post_init__(self):
    if not self.width >= 4:
      raise UserError(f"methods.semckd.width is {self.width}; it is the batch size, 4 or more")

  def init(self, key, student_output, teacher_output):
    ours, theirs = _maps(student_output), _maps(teacher_output)
    perceptron = _perceptron(self.width), jnp.zeros((1, self.width))
    modules = {f"query_{one}": perceptron for one in ours}
    modules |= {f"key_{other}": perceptron for other in theirs}
    for one, x in ours.items():
      for other, y in theirs.items():
        like = jnp.zeros((1, 1, 1, x.shape[-1]))
        modules[f"project_{one}_{other}"] = Project(y.shape[-1]), like
    keys = jax.random.split(key, len(modules))
    return {
      "params": {
        name: module.init(own, like)["params"]
        for own, (name, (module, like)) in zip(keys, modules.items(), strict=True)
      }
    }

  def loss(self, variables, student_output, teacher_output, batch):
    """Returns float32 [batch] and no memory.

    Raises:
      UserError: if the batch has more images than `width`.
    """
    ours, theirs = _maps(exact(student_output)), _maps(constant(teacher_output))
    if not ours:
      return jnp.zeros(batch.mask.shape, jnp.float32), {}

    def embed(role, maps):
      return jnp.stack(
        [self._embed(variables["params"][f"{role}_{s}"], x, batch) for s, x in maps.items()], 1
      )

    alike = jnp.einsum("bsd,btd->bst", embed("query", ours), embed("key", theirs))
    attention = jax.nn.softmax(alike, axis=-1)
    distances = []
    for one, x in ours.items():
      for other, y in theirs.items():
        source, target = same_size(x, y)
        params = variables["params"][f"project_{one}_{other}"]
        projected = Project(target.shape[-1]).apply({"params": params}, source, batch)
        distances.append(jnp.mean((projected - target) ** 2, axis=(1, 2, 3)))
    distances = jnp.stack(distances, 1).reshape(attention.shape)
    return jnp.sum(attention * distances, axis=(1, 2)) / len(ours), {}

  def _embed(self, params, maps, batch):
    """Query or key [batch, width/4] of maps, by how alike each image is to all."""
    rows, mask = maps.reshape(maps.shape[0], -1), batch.mask
    columns = rows
    if self.gather:
      columns, mask = gather(rows, batch), gather(mask, batch)
    missing = self.width - len(columns)
    if missing < 0:
      raise UserError(
        f"methods.semckd.width is {self.width}, but {len(columns)} images are compared; set it to "
        "the batch size"
      )
    alike = jnp.matmul(rows, columns.T, precision="highest") * mask[None]
    alike = jnp.pad(alike, ((0, 0), (0, missing)))
    return unit(_perceptron(self.width).apply({"params": params}, alike))


class Project(nn.Module):
  """Three convolutions of [batch, height, width, channels] to `channels`, the size stays."""

  channels: int

  @nn.compact
  def __call__(self, x, batch=None):
    for number, size in enumerate((1, 3)):
      x = _conv(2 * self.channels, size, f"conv_{number}")(x)
      x = nn.relu(Norm(name=f"norm_{number}")(x, batch))
    return _conv(self.channels, 1, "conv_2")(x)


def _conv(channels, size, name):
  return nn.Conv(channels, (size, size), use_bias=False, kernel_init=dense_init, name=name)


def _perceptron(width):
  wide, narrow = (nn.Dense(width // part, kernel_init=dense_init) for part in (2, 4))
  return nn.Sequential([wide, nn.relu, narrow])


def _maps(output):
  """{stage: map} of what is there, without the stem."""
  return {stage: maps for stage, maps in enumerate(output.features) if stage and maps is not None}
