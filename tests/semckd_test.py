"""Semantic calibration in closed form, and what its width allows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from edjax import methods
from edjax.errors import UserError
from edjax.methods.semckd import SemCKD
from tests.methods_test import batch
from tests.outputs import pair


@pytest.mark.parametrize("stages", [3, 2])
def test_indifferent_keys_weigh_all_maps_of_the_teacher_alike(stages):
  """Projections that say nothing leave the mean square of the teacher's maps."""
  student, teacher = pair(theirs=((8, 8),) * 4)  # pooled to each of the student's sizes
  student = student.replace(features=student.features[: 1 + stages])
  known = SemCKD().init(jax.random.key(0), student, teacher)
  params = {
    name: tree if name.startswith("query") else jax.tree.map(jnp.zeros_like, tree)
    for name, tree in known["params"].items()
  }
  losses, _ = SemCKD().loss({"params": params}, student, teacher, batch(8))
  expected = 0
  for size in (8, 4, 2)[:stages]:
    for maps in teacher.features[1:]:
      cells = maps.reshape(8, size, 8 // size, size, 8 // size, -1).mean((2, 4))
      expected += (cells**2).mean((1, 2, 3)) / 3 / stages
  np.testing.assert_allclose(losses, expected, rtol=1e-5)


def test_attention_follows_the_key_that_agrees():
  student, teacher = pair()
  known = SemCKD().init(jax.random.key(0), student, teacher)
  params = jax.tree.map(jnp.zeros_like, known["params"])
  for name, tree in params.items():
    if name.startswith(("query", "key")):  # all agree with key 2 only
      sign = 1.0 if name in ("query_1", "query_2", "query_3", "key_2") else -1.0
      tree["layers_2"]["bias"] = tree["layers_2"]["bias"].at[0].set(sign * 3)
  losses, _ = SemCKD().loss({"params": params}, student, teacher, batch(8))
  shares = np.exp([-1, 1, -1]) / (2 * np.exp(-1) + np.exp(1))

  def square(maps, size):
    side = maps.shape[1]
    size = min(size, side)
    cells = maps.reshape(8, size, side // size, size, side // size, -1).mean((2, 4))
    return (cells**2).mean((1, 2, 3))

  expected = sum(
    share * square(maps, size) / 3
    for size in (8, 4, 2)
    for share, maps in zip(shares, teacher.features[1:], strict=True)
  )
  np.testing.assert_allclose(losses, expected, rtol=1e-5)


def test_a_batch_larger_than_the_width():
  student, teacher = pair()
  method = SemCKD(width=7)
  known = method.init(jax.random.key(0), student, teacher)
  with pytest.raises(UserError, match="methods.semckd.width is 7, but 8 images are compared"):
    method.loss(known, student, teacher, batch(8))
  with pytest.raises(UserError, match="methods.semckd.width is 0"):
    methods.build({"semckd": {"width": 0}})
