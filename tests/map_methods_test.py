"""Methods that compare maps, on cases small enough for a hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from edjax import methods, models
from edjax.errors import UserError
from edjax.methods.at import AT
from tests.methods_test import batch


def output(*maps):
  """An `Output` of which only these maps [batch, height, width, channels] are asked."""
  maps = tuple(jnp.asarray(x, jnp.float32) for x in maps)
  return models.Output(None, maps, maps, None)


@pytest.mark.parametrize(
  "options, said",
  [
    ({"at": {"power": 0}}, "methods.at.power is 0"),
    ({"at": {"form": "l1"}}, "unknown methods.at.form 'l1'.*mean, norm"),
  ],
)
def test_options_are_checked(options, said):
  with pytest.raises(UserError, match=said):
    methods.build(options)


@pytest.mark.parametrize(
  "options, expected",
  [
    ({}, 0.2),
    ({"form": "norm"}, 0.4**0.5),
    ({"power": 1}, 1 - 2 / ((1 + 2**0.5) ** 2 + 4) ** 0.5),
  ],
)
def test_attention_to_two_places(options, expected):
  # Squares sum up to 3 and 4, hence attention (0.6, 0.8), against (0, 1); with power 1 it is
  # a = (1 + √2, 2)/length, and the mean of squares of a − (0, 1) is (2 − 2·a₂)/2.
  student = output([[[[0.0]]]], [[[[1.0, -(2**0.5)], [2.0, 0.0]]]])
  teacher = output([[[[0.0]]]], [[[[0.0], [7.0]]]])
  got, _ = AT(**options).loss({}, student, teacher, batch(1))
  np.testing.assert_allclose(got, [expected], rtol=1e-6)
