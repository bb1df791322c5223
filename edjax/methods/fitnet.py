"""FitNets: hints from a middle stage (Romero et al. 2015, arXiv:1412.6550, equation 3).

  loss = mean over places and channels of (r(student's map) − teacher's map)²

where r is a learnt `Regressor`, a convolution with batch normalisation and ReLU, from the shape of
the student's map to that of the teacher's. RepDistiller and mdistiller do the same at stage 2 with
weight 100. Equation 3 has ½ of the sum instead of the mean, height·width·channels/2 times as much,
and a regressor without normalisation.

This is one term beside others for the whole of training. The paper trains in two stages, first the
lower half of the student by the hint alone, then all of it by logits: a curriculum with two grades.
A student that has not grown to the stage yet hears nothing of it; pairs "1:1,2:2,3:3" hints at each
stage that is there. A specialist has a regressor of its own.
"""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp

from edjax.methods.base import Batch, applied, constant, exact, same_stages
from edjax.methods.projectors import Regressor
from edjax.models.layers import Output
from edjax.types import PerImage, RandomKey, Variables


@dataclasses.dataclass(frozen=True)
class FitNet:
  """Mean squared error of a regression from the student's map to the teacher's, per example.

  Attributes:
    pairs: the stage with the hint, "student's:teacher's" counted from the stem, 0; several are
      added up. See `base.same_stages`.
    relu: the regressor ends in a ReLU; for hints that can be negative (WRN's) better not.
  """

  pairs: str = "2:2"
  relu: bool = True
  needs_teacher: ClassVar[bool] = True

  def init(self, key: RandomKey, student_output: Output, teacher_output: Output) -> Variables:
    """Returns {"params": {"map_2": of a `Regressor`, …}}."""
    maps = same_stages("fitnet", student_output.features, teacher_output.features, self.pairs)
    params = {}
    for number, (name, (student, teacher)) in enumerate(maps.items()):
      regressor = Regressor(tuple(teacher.shape[1:]), self.relu)
      own = jax.random.fold_in(key, number)
      params[name] = regressor.init(own, jnp.zeros((1, *student.shape[1:])))["params"]
    return {"params": params}

  def loss(
    self, variables: Variables, student_output: Output, teacher_output: Output, batch: Batch
  ) -> tuple[PerImage, Variables]:
    """Returns float32 [batch], in squared units of the teacher's map."""
    maps = same_stages("fitnet", student_output.features, teacher_output.features, self.pairs)
    total = jnp.zeros(batch.mask.shape)
    for name, (student, teacher) in maps.items():
      regressor = Regressor(tuple(teacher.shape[1:]), self.relu)
      guess = applied(regressor, variables["params"][name], exact(student), batch)
      total += jnp.mean((guess - constant(teacher)) ** 2, (1, 2, 3))
    return total, {}
