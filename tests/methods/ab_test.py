"""Activation boundaries by hand."""

import jax
import numpy as np
import pytest

from edjax import methods
from edjax.errors import UserError
from edjax.methods.ab import AB
from tests.methods.methods_test import batch
from tests.outputs import pair


def test_only_the_wrong_side_of_the_margin_costs():
  _, teacher = pair()
  maps = [np.full_like(x, -9) for x in teacher.preactivations]
  signs = [np.full_like(x, -9) for x in teacher.preactivations]
  # Stage 2 of three: half the weight. Far inside, at the margin, short of it, on the wrong side,
  # and a teacher's zero, which is not active.
  maps[2][0, 0, 0, :5] = [-3, 1, 0.25, -1, 0.5]
  signs[2][0, 0, 0, :5] = [-0.01, 7, 0.01, 3, 0]
  student = teacher.replace(preactivations=tuple(maps))
  teacher = teacher.replace(preactivations=tuple(signs))
  known = AB().init(jax.random.key(0), student, teacher)
  assert known == {}  # equal shapes need no connector
  losses, _ = AB().loss({"params": {}}, student, teacher, batch(8))
  wrong = 0.75**2 + 2**2 + 1.5**2
  np.testing.assert_allclose(losses, [0.003 * wrong / 2] + 7 * [0], rtol=1e-6)


def test_values_of_the_teacher_do_not_matter():
  student, teacher = pair()
  known = AB().init(jax.random.key(0), student, teacher)
  signs = teacher.replace(preactivations=tuple(np.sign(x) for x in teacher.preactivations))
  losses = [AB().loss(known, student, said, batch(8))[0] for said in (teacher, signs)]
  np.testing.assert_array_equal(*losses)


def test_margins_are_positive():
  with pytest.raises(UserError, match="methods.ab.margin is 0"):
    methods.build({"ab": {"margin": 0}})
