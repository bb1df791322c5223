"""The teacher's classifier over the student's features."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from edjax import methods
from edjax.errors import UserError
from edjax.methods.srrl import SRRL
from tests.methods.methods_test import batch, variables
from tests.outputs import pair


def test_zero_where_the_connected_feature_is_the_teachers():
  """The connector says its bias here, which is the embedding of a teacher who says one thing."""
  student, teacher = pair()
  embedding = np.abs(teacher.embedding[0])
  asked = batch(8)
  logits = embedding @ asked.classifier["kernel"] + asked.classifier["bias"]
  alike = teacher.replace(
    embedding=np.tile(embedding, (8, 1)), logits=np.tile(np.asarray(logits), (8, 1))
  )
  known = SRRL().init(jax.random.key(0), student, alike)
  known["params"]["connector"]["norm"] = {"scale": jnp.zeros(9), "bias": jnp.asarray(embedding)}
  losses, _ = SRRL().loss(known, student, alike, asked)
  np.testing.assert_allclose(losses, 0, atol=1e-10)
  louder, _ = SRRL().loss(known, student, alike.replace(logits=alike.logits + 3), asked)
  np.testing.assert_allclose(louder, 9, rtol=1e-5)


def test_without_a_classifier():
  student, teacher = pair()
  with pytest.raises(UserError, match="methods.srrl needs a teacher whose head"):
    known = variables("srrl", 0, "random")
    SRRL().loss(known, student, teacher, batch(8).replace(classifier=None))


@pytest.mark.parametrize(
  "options, said",
  [
    ({"before": "maps"}, "methods.srrl.before 'maps'.*did you mean 'map'"),
    ({"regression": -1}, "methods.srrl.regression is -1"),
  ],
)
def test_options_that_are_none(options, said):
  with pytest.raises(UserError, match=said):
    methods.build({"srrl": options})
