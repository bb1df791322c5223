"""The methods, row by row, against PyTorch."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from edjax import methods, models
from edjax.errors import UserError
from edjax.methods.kd import KD
from tests.reference import distillation

# Each row of METHODS: its options, and its oracle (student, teacher, labels) -> [batch].
TABLE = {
  "ce": ({}, lambda student, teacher, labels: distillation.cross_entropy(student, labels)),
  "kd": (
    {"temperature": 3.0},
    lambda student, teacher, labels: distillation.kd(student, teacher, 3.0),
  ),
}


def output(logits):
  return models.Output(logits, (), (), logits)


def batch(labels):
  count = len(labels)
  return methods.Batch(
    jnp.asarray(labels, jnp.int32), jnp.arange(count), jnp.ones(count), jax.random.key(0)
  )


def loss(method, student, teacher, labels):
  got, memory = method.loss({}, output(student), output(teacher), batch(labels))
  assert memory == {}
  return got


def cases():
  draw = np.random.default_rng(0)

  def normal(*shape):
    return draw.normal(size=shape).astype(np.float32)

  same = normal(4, 7)
  signs = draw.choice([-1e4, 1e4], (5, 6)).astype(np.float32)
  return {
    "random": (3 * normal(16, 10), 3 * normal(16, 10)),
    "identical": (same, same),
    "huge": (signs, signs[::-1].copy()),
    "huge student": (1e4 * normal(5, 6), normal(5, 6)),
    "two of a hundred": (normal(2, 100), normal(2, 100)),
    "one class": (normal(3, 1), normal(3, 1)),
  }


def test_the_table_is_complete():
  assert set(TABLE) == set(methods.METHODS)


@pytest.mark.parametrize("case", cases())
@pytest.mark.parametrize("name", methods.METHODS)
def test_loss_and_gradient_equal_pytorch(name, case):
  options, oracle = TABLE[name]
  method = methods.METHODS[name](**options)
  student, teacher = cases()[case]
  labels = np.arange(len(student)) % student.shape[1]
  weights = np.linspace(0.5, 2, len(student), dtype=np.float32)  # tells the examples apart

  expected_in = torch.tensor(student, requires_grad=True)
  expected = oracle(expected_in, torch.tensor(teacher), torch.tensor(labels))
  (expected * torch.tensor(weights)).sum().backward()

  @jax.jit
  def ours(student):
    def weighted(student):
      losses = loss(method, student, teacher, labels)
      return jnp.sum(weights * losses), losses

    return jax.grad(weighted, has_aux=True)(student)

  gradient, got = ours(student)
  assert got.shape == (len(student),) and got.dtype == jnp.float32
  assert np.isfinite(got).all() and np.isfinite(gradient).all()
  scale = max(1.0, float(expected.detach().abs().max()))
  np.testing.assert_allclose(got, expected.detach(), rtol=1e-5, atol=3e-6 * scale)
  np.testing.assert_allclose(gradient, expected_in.grad, rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize("name", methods.METHODS)
def test_bfloat16_logits_give_finite_float32(name):
  method = methods.METHODS[name](**TABLE[name][0])
  student, teacher = (jnp.asarray(x, jnp.bfloat16) for x in cases()["huge"])
  labels = np.zeros(5, np.int32)
  got = loss(method, student, teacher, labels)
  gradient = jax.grad(lambda x: loss(method, x, teacher, labels).sum())(student)
  assert got.dtype == jnp.float32
  assert np.isfinite(got).all() and np.isfinite(gradient.astype(jnp.float32)).all()
  exact = loss(method, *(x.astype(jnp.float32) for x in (student, teacher)), labels)
  np.testing.assert_array_equal(got, exact)


@pytest.mark.parametrize("name", [n for n, m in methods.METHODS.items() if m.needs_teacher])
def test_teachers_are_constants(name):
  method = methods.METHODS[name](**TABLE[name][0])
  student, teacher = cases()["random"]
  labels = np.zeros(16, np.int32)
  to_teacher = jax.grad(lambda x: loss(method, student, x, labels).sum())(teacher)
  assert not np.asarray(to_teacher).any()
  changed = loss(method, student, teacher[::-1].copy(), labels)
  assert (np.asarray(changed) != np.asarray(loss(method, student, teacher, labels))).any()


def test_kd_is_zero_only_where_they_agree():
  student, teacher = cases()["random"]
  teacher[::2] = student[::2] + 5.0  # a shift of all logits is no disagreement
  got = np.asarray(loss(KD(), student, teacher, np.zeros(16)))
  np.testing.assert_allclose(got[::2], 0, atol=1e-5)
  assert (got[1::2] > 1e-2).all()


def test_kd_ignores_shifts():
  student, teacher = cases()["random"]
  shifts = np.linspace(-20, 20, 16, dtype=np.float32)[:, None]
  moved = loss(KD(), student + shifts, teacher - shifts, np.zeros(16))
  np.testing.assert_allclose(moved, loss(KD(), student, teacher, np.zeros(16)), rtol=1e-4)


def test_kd_of_two_classes_by_hand():
  # p = σ(2/T), q = σ(0) = 1/2; T² KL = T² (p ln 2p + (1−p) ln 2(1−p)).
  p = 1 / (1 + np.exp(-2 / 2.0))
  expected = 4 * (p * np.log(2 * p) + (1 - p) * np.log(2 * (1 - p)))
  got = loss(KD(2.0), np.float32([[0, 0]]), np.float32([[2, 0]]), [0])
  np.testing.assert_allclose(got, [expected], rtol=1e-5)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_temperatures_are_positive(temperature):
  with pytest.raises(UserError, match="methods.kd.temperature"):
    methods.build({"kd": {"temperature": temperature}})


def test_build():
  built = methods.build({"ce": {"weight": 0.3}, "kd": {"temperature": 2.0}})
  assert [(name, weight) for name, weight, _ in built] == [("ce", 0.3), ("kd", 1.0)]
  assert built[1][2] == KD(2.0)
  only = methods.build({"ce": {"weight": 1.0}, "kd": {"weight": 0.0}})
  assert [name for name, _, _ in only] == ["ce"]


@pytest.mark.parametrize(
  "options, said",
  [
    ({"kdd": {}}, "unknown method 'kdd'.*did you mean 'kd'.*" + ".*".join(methods.METHODS)),
    ({"kd": {"tau": 4.0}}, "methods.kd has no option 'tau'; it has weight, temperature"),
    ({"ce": {"weight": -0.5}}, "methods.ce.weight is -0.5"),
    ({"ce": {"weight": 0.0}}, "nothing to learn"),
    ({}, "nothing to learn"),
  ],
)
def test_build_names_what_is_wrong(options, said):
  with pytest.raises(UserError, match=said):
    methods.build(options)


@pytest.mark.parametrize("name", methods.METHODS)
def test_init_needs_shapes_only(name):
  method = methods.METHODS[name](**TABLE[name][0])
  shapes = output(jax.ShapeDtypeStruct((2, 5), jnp.float32))
  made = method.init(jax.random.key(0), shapes, shapes if method.needs_teacher else None)
  assert set(made) <= {"params", "memory"}
  assert hash(method) == hash(functools.partial(methods.METHODS[name], **TABLE[name][0])())
