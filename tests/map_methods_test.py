"""Methods that compare maps, on cases small enough for a hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from edjax import methods, models
from edjax.errors import UserError
from edjax.methods.at import AT
from edjax.methods.fitnet import FitNet
from edjax.methods.sp import SP
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


def test_attention_tells_near_maps_apart():
  turned = np.sqrt([np.cos(1 + 1e-4), np.sin(1 + 1e-4)])
  student = output([[[[0.0]]]], turned.reshape(1, 1, 2, 1))
  teacher = output([[[[0.0]]]], np.sqrt([np.cos(1), np.sin(1)]).reshape(1, 1, 2, 1))
  got, _ = AT(form="norm").loss({}, student, teacher, batch(1))
  np.testing.assert_allclose(got, [1e-4], rtol=1e-2)


def test_a_hint_comes_when_its_stage_has_grown():
  """Until then there is nothing to learn, and no parameter."""
  stem = np.ones((2, 4, 4, 1))
  teacher = output(stem, stem, stem)
  method = FitNet()
  young = models.Output(None, (*output(stem, stem).features, None), (), None)
  known = method.init(jax.random.key(0), young, teacher)
  assert not known["params"]
  assert not np.any(method.loss(known, young, teacher, batch(2))[0])
  known = method.init(jax.random.key(0), teacher, teacher)
  assert set(known["params"]) == {"map_2"}
  # The norm makes a constant map its bias, 0; the mean of (0 − 1)² is 1.
  np.testing.assert_allclose(method.loss(known, teacher, teacher, batch(2))[0], [1, 1], atol=1e-5)


def test_similarities_of_two_images_by_hand():
  # F = (1, 0), (3, 4): FFᵀ = (1, 3; 3, 25), and for orthogonal images (1, 0; 0, 1).
  student = output(np.zeros((2, 1, 1, 2)), np.reshape([1, 0, 3, 4], (2, 1, 1, 2)))
  teacher = output(np.zeros((2, 1, 1, 2)), np.reshape([1, 0, 0, 1], (2, 1, 1, 2)))
  rows = [[1 / 10**0.5 - 1, 3 / 10**0.5], [3 / 634**0.5, 25 / 634**0.5 - 1]]
  got, _ = SP().loss({}, student, teacher, batch(2))
  np.testing.assert_allclose(got, np.square(rows).sum(1) / 2, rtol=1e-5)
