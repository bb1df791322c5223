"""Activation boundaries (Heo et al. 2019, arXiv:1811.03233, section 3).

  3/1000 · Σ over stages i of 2^(i−n) Σ over places and channels of
    max(0, margin − r(s))² where t > 0, max(0, margin + r(s))² elsewhere

compares the values before the last ReLU of every stage but the stem: t the teacher's, of which only
the sign counts, and r(s) the student's, which must lie beyond the margin on the same side. r is the
identity where the maps are equally large and wide, else a convolution and a normalisation without
ReLU: 1×1 for equal sizes, as the authors have it, otherwise the one of `projectors.Regressor`, as
RepDistiller has it, so that every neuron of the teacher keeps its boundary.

The constants 2^(i−n) and 3/1000 are in the authors' CIFAR code and in RepDistiller's loss (the
authors' code for ImageNet teachers has 1/1000), so the published weight is 1.

This is how a student begins, not how it is trained: the authors and RepDistiller (for 30 epochs)
minimise it alone and then train without it, by labels or by `kd`. Here these are two grades: a
first with methods {"ab": …} alone, another without it. While the student grows, stages that it
lacks are left out and the others keep their weight.
"""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp

from edjax.errors import UserError
from edjax.methods.base import Batch, applied, constant, depth_weights, exact, same_stages
from edjax.methods.projectors import Regressor
from edjax.models.layers import Output
from edjax.types import PerImage, RandomKey, ShapedMap, Variables

SCALE = 3 / 1000


@dataclasses.dataclass(frozen=True)
class AB:
  """Squared hinge between the student's preactivations and the signs of the teacher's.

  Attributes:
    margin: how far beyond zero the student must be, positive.
    pairs: which stages are compared, see `base.same_stages`.
  """

  margin: float = 1.0
  pairs: str = ""
  needs_teacher: ClassVar[bool] = True

  def __post_init__(self) -> None:
    if not self.margin > 0:
      raise UserError(f"methods.ab.margin is {self.margin}; it must be positive")

  def init(self, key: RandomKey, student_output: Output, teacher_output: Output) -> Variables:
    params = {}
    for number, (name, (ours, theirs)) in enumerate(
      self._pairs(student_output, teacher_output).items()
    ):
      if ours.shape[1:] != theirs.shape[1:]:
        x = jnp.zeros((1, *ours.shape[1:]))
        module = Regressor(tuple(theirs.shape[1:]), relu=False)
        params[name] = module.init(jax.random.fold_in(key, number), x)["params"]
    return {"params": params} if params else {}

  def loss(
    self, variables: Variables, student_output: Output, teacher_output: Output, batch: Batch
  ) -> tuple[PerImage, Variables]:
    """Returns float32 [batch] and no memory."""
    losses = jnp.zeros(batch.mask.shape, jnp.float32)
    weights = depth_weights(
      "ab", student_output.preactivations, teacher_output.preactivations, self.pairs
    )
    for name, (ours, theirs) in self._pairs(student_output, teacher_output).items():
      ours, theirs = exact(ours), constant(theirs)
      if name in variables["params"]:
        module = Regressor(theirs.shape[1:], relu=False)
        ours = applied(module, variables["params"][name], ours, batch)
      short = jax.nn.relu(self.margin - jnp.where(theirs > 0, ours, -ours))
      losses += SCALE * weights[name] * jnp.sum(short**2, axis=(1, 2, 3))
    return losses, {}

  def _pairs(
    self, student_output: Output, teacher_output: Output
  ) -> dict[str, tuple[ShapedMap, ShapedMap]]:
    return same_stages(
      "ab", student_output.preactivations, teacher_output.preactivations, self.pairs
    )
