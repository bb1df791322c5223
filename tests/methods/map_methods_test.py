"""Methods that compare maps, on cases small enough for a hand."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from edjax import methods, models
from edjax.errors import UserError
from edjax.methods.at import AT
from edjax.methods.fitnet import FitNet
from edjax.methods.fsp import FSP
from edjax.methods.kdsvd import KDSVD, _right_vectors
from edjax.methods.nst import NST
from edjax.methods.semckd import SemCKD
from edjax.methods.sp import SP
from edjax.methods.vid import VID
from edjax.storage import checkpoint, trees
from tests import school
from tests.methods.methods_test import batch, close


def output(*maps):
  """An `Output` of which only these maps [batch, height, width, channels] are asked."""
  maps = tuple(jnp.asarray(x, jnp.float32) for x in maps)
  return models.Output(None, maps, maps, None)


@pytest.mark.parametrize(
  "options, said",
  [
    ({"at": {"power": 0}}, "methods.at.power is 0"),
    ({"at": {"form": "l1"}}, "unknown methods.at.form 'l1'.*mean, norm"),
    ({"fsp": {"form": "max"}}, "unknown methods.fsp.form 'max'.*sum, mean"),
    ({"nst": {"kernel": "poly"}}, "unknown methods.nst.kernel 'poly'.*polynomial"),
    ({"kdsvd": {"k": 0}}, "methods.kdsvd.k is 0"),
    ({"kdsvd": {"spare": -1}}, "methods.kdsvd.spare is -1"),
    ({"kdsvd": {"vectors": "rows"}}, "unknown methods.kdsvd.vectors 'rows'.*channels, columns"),
    ({"semckd": {"images": 0}}, "methods.semckd.images is 0"),
    ({"vid": {"variance": 0.0}}, "methods.vid.variance is 0.0"),
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


def test_belief_learns_its_variance_and_keeps_it(tmp_path):
  """Everything that VID learns changes in a step, and comes back from a checkpoint to the bit."""
  network = functools.partial(models.graduate, school.BODY)
  desk = school.grade(("generalist",), teacher_network=network, methods={"ce": {}, "vid": {}})
  begun, state = jax.device_get(desk.state().methods), desk.train()
  moved = jax.tree.map(lambda before, now: (before != now).all(), begun, state.methods)
  stages = moved["generalist"]["vid"]["params"]
  assert all(stages[f"map_{stage}"]["spread"] for stage in (1, 2, 3))
  with checkpoint.Store(tmp_path / "checkpoints") as store:
    store.save(1, state, {})
    store.wait()
    _, arrays, _ = store.newest()
  after = trees.unflatten(jax.eval_shape(lambda: state), arrays)
  assert school.bits(after) == school.bits(state)


@pytest.mark.parametrize("variance", [0.3, 5.0, 40.0])
def test_the_best_variance_is_the_mean_squared_error(variance):
  """½(e/σ² + log σ²) is least at σ² = e, where it is ½(1 + log e); all begin at `variance`."""
  draw = np.random.default_rng(0)
  student, teacher = (output(*draw.normal(size=(2, 4, 3, 3, 2))) for _ in range(2))
  known = VID(variance).init(jax.random.key(0), student, teacher)
  params = known["params"]["map_1"]
  hidden = np.asarray(student.features[1])
  for name in ("conv_0", "conv_1"):
    hidden = np.maximum(hidden @ np.asarray(params[name]["kernel"]), 0)
  error = (np.asarray(teacher.features[1]) - hidden @ np.asarray(params["conv_2"]["kernel"])) ** 2

  def loss(method, spread):
    tree = {"params": {"map_1": params | {"spread": spread}}}
    return method.loss(tree, student, teacher, batch(4))[0].mean()

  begun = 0.5 * np.mean(error / variance + np.log(variance))
  np.testing.assert_allclose(loss(VID(variance), params["spread"]), begun, rtol=1e-4)
  best = error.mean((0, 1, 2))
  spread = jnp.log(jnp.expm1(best - 1e-5))
  value, slope = jax.value_and_grad(functools.partial(loss, VID(variance)))(spread)
  np.testing.assert_allclose(value, 0.5 * np.mean(1 + np.log(best)), rtol=1e-4)
  np.testing.assert_allclose(slope, 0, atol=1e-5)


@pytest.mark.parametrize(
  "kernel, expected",
  [
    ("polynomial", 1 + (1 + 0 + 0 + 1) / 4 - 2 * (0.36 + 0.64) / 2),
    ("linear", 1 + 2 / 4 - 2 * (0.6 + 0.8) / 2),
    # ‖s − t‖² is 0.8 and 0.4, so σ² = 0.6; that of the student's two channels is 2.
    (
      "gaussian",
      1 + (1 + np.exp(-2 / 1.2)) / 2 - (np.exp(-0.8 / 1.2) + np.exp(-0.4 / 1.2)),
    ),
  ],
)
def test_selectivity_of_two_channels_by_hand(kernel, expected):
  """The student's channels select a place each, (1, 0) and (0, 1), the teacher's one (0.6, 0.8)."""
  stem = np.zeros((1, 1, 2, 1))
  student = output(stem, np.reshape([2, 0, 0, 5], (1, 1, 2, 2)))
  teacher = output(stem, np.reshape([3, 4], (1, 1, 2, 1)))
  got, _ = NST(kernel).loss({}, student, teacher, batch(1))
  np.testing.assert_allclose(got, [expected], rtol=1e-5)


def test_flow_by_hand():
  # Averaged to one place the stem is 2 and 1; G = 2·(1, 3) and 1·(1, 1), apart by (1, 5).
  student = output(np.reshape([1, 3], (1, 1, 2, 1)), np.reshape([1, 3], (1, 1, 1, 2)))
  teacher = output(np.reshape([0, 2], (1, 1, 2, 1)), np.reshape([1, 1], (1, 1, 1, 2)))
  for form, expected in {"sum": 26, "mean": 13}.items():
    np.testing.assert_allclose(FSP(form).loss({}, student, teacher, batch(1))[0], [expected])


@pytest.mark.parametrize("rows, columns", [(9, 4), (4, 9), (5, 5)])
def test_singular_vectors_turn_as_pytorch_says(rows, columns):
  """By the projections v vᵀ, which have no sign."""
  draw = np.random.default_rng(rows)
  matrix = draw.normal(size=(3, rows, columns)).astype(np.float32)
  weights = draw.normal(size=(3, columns, columns, 2)).astype(np.float32)

  def projected(matrix):
    first = _right_vectors(matrix, 2)
    projections = first[:, :, None] * first[:, None]
    return jnp.sum(weights * projections), projections

  gradient, projections = jax.grad(projected, has_aux=True)(jnp.asarray(matrix))
  theirs = torch.tensor(matrix).double().requires_grad_()
  first = torch.linalg.svd(theirs, full_matrices=False).Vh[:, :2].mT
  expected = first[:, :, None] * first[:, None]
  (torch.tensor(weights) * expected).sum().backward()
  close(projections, expected.detach().numpy())  # entry by entry: their sum cancels
  close(gradient, theirs.grad.numpy(), 1e-4)


def test_equal_singular_values_have_finite_gradients():
  """All are equal, or nearly so, or not above zero: no vector is sure of its direction."""
  near = np.eye(4) + 1e-6 * np.random.default_rng(0).normal(size=(4, 4))
  for matrix in (np.eye(4), near, np.zeros((4, 4)), np.ones((4, 4))):
    matrix = jnp.asarray(matrix, jnp.float32)[None]
    gradient = jax.grad(lambda x: _right_vectors(x, 4)[0, 0].sum())(matrix)
    assert np.isfinite(gradient).all() and np.abs(gradient).max() < 1


def test_singular_vectors_by_hand():
  # Rank one: the vectors are (1, 0), then (0.6, 0.8) and (0.8, 0.6), whatever the sizes and signs.
  place = np.reshape([2.0, -1.0], (1, 1, 2, 1))
  student = output(place, place * [1, 0], -place * [0.6, 0.8])
  teacher = output(place, place * [-3, 0], place * [0.8, 0.6])
  first, second, third = np.array([1, 0]), np.array([0.6, 0.8]), np.array([0.8, 0.6])

  def related(a, b):
    return np.exp(-((a[:, None] - b[None]) ** 2) / 8)

  expected = np.sum((related(second, first) - related(third, first)) ** 2)
  got, _ = KDSVD().loss({}, student, teacher, batch(1))
  np.testing.assert_allclose(got, [expected], rtol=1e-5)


def test_attention_over_stages_has_room_for_more_images():
  """Inputs of images that are not there count for nothing; too many images are refused."""
  draw = np.random.default_rng(0)
  student = output(*draw.normal(size=(2, 4, 2, 2, 3)))
  teacher = output(*draw.normal(size=(3, 4, 2, 2, 5)))
  wide = SemCKD(16).init(jax.random.key(0), student, teacher)
  expected = SemCKD(16).loss(wide, student, teacher, batch(4))[0]
  other = jax.tree.map(jnp.array, wide)
  for name in ("query_1", "key_1", "key_2"):
    kernel = other["params"][name]["dense_0"]["kernel"]
    other["params"][name]["dense_0"]["kernel"] = kernel.at[4:].set(9.0)
  np.testing.assert_array_equal(SemCKD(16).loss(other, student, teacher, batch(4))[0], expected)
  narrow = SemCKD(3).init(jax.random.key(0), student, teacher)
  with pytest.raises(UserError, match="methods.semckd.images is 3, .* about 4 images"):
    SemCKD(3).loss(narrow, student, teacher, batch(4))
