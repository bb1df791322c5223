"""Relations of pairs and triplets by hand, and how few or how like images may be."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from edjax import methods, models
from edjax.errors import UserError
from edjax.methods import rkd
from edjax.methods.rkd import RKD
from tests.methods.methods_test import batch


def losses(method, student, teacher):
  said = (models.Output(x, (), (), x) for x in (student, teacher))
  return method.loss({}, *said, batch(len(student)))[0]


def test_three_images_by_hand():
  # Student: a right angle with legs 3 and 4; teacher: three points in a row, 1 apart.
  student, teacher = jnp.float32([[0, 0], [3, 0], [0, 4]]), jnp.float32([[0.0], [1.0], [2.0]])
  # Distances over their means 4 and 4/3: 3/4, 1, 5/4 against 3/4, 3/2, 3/4; each counts twice.
  by_hand = 2 * (0 + 0.5**2 / 2 + 0.5**2 / 2) / 9
  np.testing.assert_allclose(losses(RKD(1.0, 0.0), student, teacher).mean(), by_hand, rtol=1e-6)
  # Cosines at the corners: 0, 3/5, 4/5 against 1, −1, 1; each counts twice. |3/5 + 1| > 1.
  by_hand = 2 * (1 / 2 + (1.6 - 0.5) + 0.2**2 / 2) / 27
  np.testing.assert_allclose(losses(RKD(0.0, 1.0), student, teacher).mean(), by_hand, rtol=1e-6)


@pytest.mark.parametrize("count, alike", [(1, False), (2, False), (2, True), (4, True)])
def test_few_or_like_images_are_finite(count, alike):
  draw = np.random.default_rng(0)
  student = draw.normal(size=(count, 3)).astype(np.float32)
  student = np.repeat(student[:1], count, 0) if alike else student
  teacher = draw.normal(size=(count, 4)).astype(np.float32)
  value, gradient = jax.value_and_grad(lambda x: losses(RKD(), x, teacher).sum())(student)
  assert np.isfinite(value) and np.isfinite(gradient).all()
  # Two different images have one distance, and no angle but that of a side with itself.
  assert (value > 1e-3) == (alike or count > 2)


def test_pieces_do_not_matter(monkeypatch):
  draw = np.random.default_rng(0)
  student, teacher = (jnp.asarray(draw.normal(size=(7, 5)), jnp.float32) for _ in range(2))
  expected = losses(RKD(), student, teacher)
  monkeypatch.setattr(rkd, "_AT_ONCE", 3 * 7 * 7)  # three corners at a time, then one
  np.testing.assert_allclose(losses(RKD(), student, teacher), expected, rtol=1e-6)


@pytest.mark.parametrize("options", [{"distance": -1.0}, {"angle": float("nan")}])
def test_options(options):
  with pytest.raises(UserError, match=f"methods.rkd.{next(iter(options))}"):
    methods.build({"rkd": options})
