"""The life of a contrastive memory, and whom it draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from edjax import methods
from edjax.errors import UserError
from edjax.methods.base import begin
from edjax.methods.crd import CRD, draw
from tests import outputs, school
from tests.methods.methods_test import batch, in_torch
from tests.reference.methods import crd as oracle

STUDENT, TEACHER = outputs.pair()
METHOD = CRD(negatives=12, width=6)


def fresh():
  return begin(METHOD, jax.random.key(0), STUDENT, TEACHER, 40)


def rows_of(memory, who):
  return np.asarray(memory[who]["bank"])


def embedded(known, who):
  output, dense = {"student": STUDENT, "teacher": TEACHER}[who], known["params"][who]["dense"]
  x = output.embedding @ np.asarray(dense["kernel"]) + np.asarray(dense["bias"])
  return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_memories_move_half_way_and_keep_length_1():
  known, mask = fresh(), np.float32([1, 1, 1, 0, 1, 1, 0, 1])
  asked = batch(8, mask=mask)
  asked = asked.replace(index=jnp.array([3, 5, 0, 39, 39, 17, 3, 8]))  # padding names any image
  _, memory = METHOD.loss(known, STUDENT, TEACHER, asked)
  for who in ("student", "teacher"):
    expected = rows_of(known["memory"], who).copy()
    for image, vector, real in zip(asked.index, embedded(known, who), mask, strict=True):
      if real:
        half = 0.5 * expected[image] + 0.5 * vector
        expected[image] = half / np.linalg.norm(half)
    np.testing.assert_allclose(rows_of(memory, who), expected, atol=1e-6)
    seen = np.asarray(asked.index)[mask > 0]
    np.testing.assert_allclose(np.linalg.norm(rows_of(memory, who)[seen], axis=1), 1, rtol=1e-6)
    assert (rows_of(memory, who) != rows_of(known["memory"], who)).any(1).sum() == 6


def test_averages_are_set_once():
  known = fresh()
  _, first = METHOD.loss(known, STUDENT, TEACHER, batch(8))
  later = batch(8).replace(key=jax.random.key(4))
  losses, second = METHOD.loss(known | {"memory": first}, STUDENT, TEACHER, later)
  for who in ("student", "teacher"):
    assert known["memory"][who]["average"] == 0 < first[who]["average"]
    assert second[who]["average"] == first[who]["average"]
    assert not np.array_equal(rows_of(second, who), rows_of(first, who))
  numbers = in_torch(known | {"memory": first})
  expected = oracle.loss(
    outputs.in_torch(STUDENT), outputs.in_torch(TEACHER), later, numbers, **vars(METHOD)
  )
  np.testing.assert_allclose(losses, expected.detach(), rtol=1e-5)


def test_an_empty_batch_sets_no_average():
  known = fresh()
  _, memory = METHOD.loss(known, STUDENT, TEACHER, batch(8, mask=np.zeros(8)))
  jax.tree.map(np.testing.assert_array_equal, memory, known["memory"])


def test_others_are_of_other_classes_and_alike_likely():
  everyone = np.random.default_rng(0).permutation([-1] * 7 + [0] * 10 + [1] * 3 + [3] * 12)
  labels = jnp.array([0, 1, 3, 2])  # nobody is of class 2
  chosen, some = draw(jax.random.key(0), jnp.arange(4), labels, jnp.asarray(everyone), 20000)
  assert chosen.shape == (4, 20000) and some.all()
  for label, row in zip(labels, np.asarray(chosen), strict=True):
    allowed = (everyone >= 0) & (everyone != label)
    counts = np.bincount(row, minlength=len(everyone))
    assert not counts[~allowed].any()
    likely = 20000 / allowed.sum()
    squares = np.sum((counts[allowed] - likely) ** 2 / likely)
    freedom = allowed.sum() - 1
    assert squares < freedom + 5 * np.sqrt(2 * freedom)  # χ² by five of its deviations


def test_draws_depend_on_key_and_image_only():
  everyone, labels = jnp.arange(60) % 4, jnp.array([1, 1, 2])
  first, _ = draw(jax.random.key(0), jnp.array([1, 5, 2]), labels, everyone, 30)
  again, _ = draw(jax.random.key(0), jnp.array([5, 2]), labels[1:], everyone, 30)
  np.testing.assert_array_equal(first[1:], again)
  other, _ = draw(jax.random.key(1), jnp.array([1, 5, 2]), labels, everyone, 30)
  assert (first != other).mean() > 0.5 and (first[0] != first[1]).mean() > 0.5


@pytest.mark.parametrize("everyone", [np.zeros(40), np.full(40, -1)])
def test_without_other_classes_only_the_own_is_left(everyone):
  known, asked = fresh(), batch(8)
  asked = asked.replace(labels=0 * asked.labels, everyone=jnp.asarray(everyone, jnp.int32))

  def total(params):
    losses, memory = METHOD.loss(known | {"params": params}, STUDENT, TEACHER, asked)
    return losses.sum(), (losses, memory)

  gradients, (losses, memory) = jax.grad(total, has_aux=True)(known["params"])
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((gradients, losses, memory)))
  expected = 0
  for who, other in (("student", "teacher"), ("teacher", "student")):
    bank = rows_of(known["memory"], other)[np.asarray(asked.index)]
    likely = np.exp(np.sum(embedded(known, who) * bank, axis=1) / 0.07)
    expected += np.log1p(12 * likely.mean() / likely)
  np.testing.assert_allclose(losses, expected, rtol=1e-4)


@pytest.mark.slow
def test_two_devices_remember_what_one_does():
  """Specialists remember the images of their own seats, and nobody else's."""
  table = {"ce": {"weight": 1.0}, "crd": {"weight": 0.8, "negatives": 9, "width": 4}}
  desk = school.grade(methods=table)
  alone, before = desk.train(2), jax.device_get(desk.state())
  assert int(alone.broken) == -1
  shown = desk.order()[:2].flatten()
  for name, memory in alone.methods.items():
    if name:
      start = before.methods[name]["crd"]["memory"]
      own = np.isin(desk.labels[shown], school.ANSWERS[name])
      for who in ("student", "teacher"):
        changed = rows_of(memory["crd"]["memory"], who) != rows_of(start, who)
        assert set(np.flatnonzero(changed.any(1))) == set(shown[own])
  together = desk.train(2, devices=2)
  jax.tree.map(
    lambda one, two: np.testing.assert_allclose(two, one, rtol=1e-4, atol=1e-5),
    alone.methods,
    together.methods,
  )


@pytest.mark.parametrize(
  "options", [{"negatives": 0}, {"width": 0}, {"temperature": 0.0}, {"momentum": 1.0}]
)
def test_options(options):
  with pytest.raises(UserError, match=f"methods.crd.{next(iter(options))}"):
    methods.build({"crd": options})
