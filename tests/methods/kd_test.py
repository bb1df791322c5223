"""Distillation by hand, and what a config can say of methods."""

import dataclasses

import numpy as np
import pytest

from edjax import methods, models
from edjax.errors import UserError
from edjax.methods.kd import KD
from tests import outputs
from tests.methods.methods_test import batch


def logits():
  return tuple(np.array(output.logits) for output in outputs.pair())


def loss(method, student, teacher, labels):
  """Of logits alone."""
  asked = batch(len(student)).replace(labels=np.asarray(labels))
  said = (models.Output(logits, (), (), logits) for logits in (student, teacher))
  return method.loss({}, *said, asked)[0]


def test_kd_is_zero_only_where_they_agree():
  student, teacher = logits()
  teacher[::2] = student[::2] + 5.0  # a shift of all logits is no disagreement
  got = np.asarray(loss(KD(), student, teacher, np.zeros(8, int)))
  np.testing.assert_allclose(got[::2], 0, atol=1e-5)
  assert (got[1::2] > 1e-2).all()


def test_kd_ignores_shifts():
  student, teacher = logits()
  shifts = np.linspace(-20, 20, 8, dtype=np.float32)[:, None]
  moved = loss(KD(), student + shifts, teacher - shifts, np.zeros(8, int))
  np.testing.assert_allclose(moved, loss(KD(), student, teacher, np.zeros(8, int)), rtol=1e-4)


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


@dataclasses.dataclass(frozen=True)
class TwoPhases:
  """A method of which a grade can choose a phase."""

  phase: str = "last"


def test_a_grade_chooses_among_the_methods():
  built = methods.build({"ce": {"weight": 0.3}, "kd": {"temperature": 2.0}})
  built += (("two", 0.5, TwoPhases()),)
  assert methods.chosen(built, "") == built
  assert methods.chosen(built, "kd+ce") == built[:2]
  assert methods.chosen(built, "two:first") == (("two", 1.0, TwoPhases("first")),)
  for names, said in (("kdd", "unknown method of grades.methods 'kdd'"), ("kd:one", "no phases")):
    with pytest.raises(UserError, match=said):
      methods.chosen(built, names)
