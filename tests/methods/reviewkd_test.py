"""The review's warm-up, its levels and its options."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from edjax import methods
from edjax.errors import UserError
from edjax.methods.reviewkd import ReviewKD
from tests.methods.methods_test import batch
from tests.outputs import pair


@pytest.mark.slow
def test_weight_rises_with_the_epochs():
  student, teacher = pair()
  known = ReviewKD().init(jax.random.key(0), student, teacher)

  def at(epoch, **options):
    asked = batch(8).replace(epoch=jnp.float32(epoch))
    return np.asarray(ReviewKD(**options).loss(known, student, teacher, asked)[0])

  full = at(0, warmup=0)
  assert full.min() > 0
  for epoch, share in [(0, 0), (2.5, 0.125), (20, 1), (400, 1)]:
    np.testing.assert_allclose(at(epoch), share * full, rtol=1e-5)


def test_width_of_reviews_is_that_of_the_embedding_at_most_512():
  student, teacher = pair()
  wide = student.replace(embedding=np.zeros((8, 1280), "f"))
  for output, width in [(student, 8), (wide, 512)]:
    fresh = jax.eval_shape(ReviewKD().init, jax.random.key(0), output, teacher)
    params = fresh["params"]
    assert params["map_1_in"]["kernel"].shape == (1, 1, 4, width)
    assert params["map_2_out"]["kernel"].shape == (3, 3, width, 7)
    assert "embedding_gates" not in params and "map_3_gates" in params


def test_equal_gates_and_equal_maps_lose_nothing():
  """A student whose convolutions say nothing says the bias, which is the teacher's map."""
  student, teacher = pair()
  flat = teacher.replace(
    preactivations=tuple(np.full_like(x, 0.25) for x in teacher.preactivations),
    embedding=np.full_like(teacher.embedding, 0.25),
  )
  known = ReviewKD(warmup=0).init(jax.random.key(0), student, flat)
  params = {
    name: jax.tree.map(jnp.zeros_like, tree) if name.endswith("_out") else tree
    for name, tree in known["params"].items()
  }
  for name in [name for name in params if name.endswith("_out_norm")]:
    params[name] = params[name] | {"bias": 0.25 * jnp.ones_like(params[name]["bias"])}
  losses, _ = ReviewKD(warmup=0).loss({"params": params}, student, flat, batch(8))
  np.testing.assert_allclose(losses, 0, atol=1e-12)


def test_warmup_is_not_negative():
  with pytest.raises(UserError, match="methods.reviewkd.warmup is -1"):
    methods.build({"reviewkd": {"warmup": -1}})
