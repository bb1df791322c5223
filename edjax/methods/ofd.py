"""Overhaul of feature distillation (Heo et al. 2019, arXiv:1904.01866, section 3).

  Σ over stages i of 2^(i−n) Σ over places and channels of d(max(t, m), r(s)),
  d(target, x) = 0 where x ≤ target ≤ 0, else (target − x)²

compares the values before the last ReLU of every stage but the stem: t the teacher's, r(s) the
student's after a learned 1×1 convolution and normalisation. It is a sum, so its published weight is
small: 1e-3 on CIFAR-100 (authors, mdistiller), 1e-4 on ImageNet (mdistiller). What the teacher
would rectify need not be met exactly, only stayed below.

m < 0, one number per channel, is the mean of the teacher's negative values over all training
images. The paper has it either counted directly or, supposing normal values, from the scale and
shift of the normalisation just before; the authors' code does the latter. Here it is counted: a
mean over all images seen so far, of all devices, kept in memory. That needs nothing of the teacher
but its output, and in residual networks, whose value before the ReLU is a sum of two branches, it
is the mean of what is compared.

The teacher infers, with its running statistics, as everywhere in edjax. The authors' training and
mdistiller's put the teacher in training mode, so that it normalises by each batch.

While the student grows, stages that it lacks are left out and the others keep their weight. Each
teacher's margins are of the images on its own seats.
"""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp

from edjax.methods.base import Batch, applied, constant, depth_weights, exact, same_stages
from edjax.methods.maps import same_size
from edjax.methods.projectors import Connector
from edjax.models.layers import Output
from edjax.types import Map, PerImage, RandomKey, ShapedMap, Variables


@dataclasses.dataclass(frozen=True)
class OFD:
  """Margin ReLU on the teacher's preactivations, partial squared distance to the student's.

  Attributes:
    pairs: which stages are compared, see `base.same_stages`.
  """

  pairs: str = ""
  needs_teacher: ClassVar[bool] = True

  def init(self, key: RandomKey, student_output: Output, teacher_output: Output) -> Variables:
    params, memory = {}, {}
    for number, (name, (ours, theirs)) in enumerate(
      self._pairs(student_output, teacher_output).items()
    ):
      channels = theirs.shape[-1]
      module, x = Connector(channels), jnp.zeros((1, 1, 1, ours.shape[-1]))
      params[name] = module.init(jax.random.fold_in(key, number), x)["params"]
      memory[name] = {"margin": jnp.zeros(channels), "count": jnp.zeros(channels)}
    return {"params": params, "memory": memory} if params else {}

  def loss(
    self, variables: Variables, student_output: Output, teacher_output: Output, batch: Batch
  ) -> tuple[PerImage, Variables]:
    """Returns float32 [batch] and the margins so far, with how many values they are of."""
    losses, memory = jnp.zeros(batch.mask.shape, jnp.float32), {}
    weights = depth_weights(
      "ofd", student_output.preactivations, teacher_output.preactivations, self.pairs
    )
    for name, (ours, theirs) in self._pairs(student_output, teacher_output).items():
      ours, theirs = exact(ours), constant(theirs)
      memory[name] = _margins(constant(variables["memory"][name]), theirs, batch)
      ours, theirs = same_size(ours, theirs)
      connector = Connector(theirs.shape[-1])
      connected = applied(connector, variables["params"][name], ours, batch)
      target = jnp.maximum(theirs, memory[name]["margin"][None, None, None])
      counts = (connected > target) | (theirs > 0)
      distance = jnp.where(counts, (connected - target) ** 2, 0)
      losses += weights[name] * distance.sum(axis=(1, 2, 3))
    return losses, memory

  def _pairs(
    self, student_output: Output, teacher_output: Output
  ) -> dict[str, tuple[ShapedMap, ShapedMap]]:
    return same_stages(
      "ofd", student_output.preactivations, teacher_output.preactivations, self.pairs
    )


def _margins(memory: Variables, maps: Map, batch: Batch) -> Variables:
  """Takes the negative values of [batch, height, width, channels] into the means so far."""
  negative = jnp.where(maps < 0, batch.mask[:, None, None, None], 0)
  total, count = jnp.sum(negative * maps, (0, 1, 2)), jnp.sum(negative, (0, 1, 2))
  if batch.axis is not None:
    total, count = jax.lax.psum((total, count), batch.axis)
  known = memory["count"] + count
  step = (total - count * memory["margin"]) / jnp.maximum(known, 1)
  return {"margin": memory["margin"] + step, "count": known}
