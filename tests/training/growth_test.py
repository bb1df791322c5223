"""Surgery on students: what a graft keeps, what it renews, and what the graduate is."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from edjax import curriculum, models
from edjax.models.wrn import wrn
from edjax.training import growth, optimizers
from tests import school
from tests.school import bits

# A head with batch statistics (a reference, the WRN's classifier) and one without (the ResNet's).
STUDENTS = {
  "reference": lambda: school.pupil(2, 4),
  "resnet": lambda: school.pupil(3, 6),
  "wrn": lambda: school.pupil(3, 6, body=wrn(10, 1)),
}


@pytest.mark.parametrize("student", STUDENTS)
def test_split_and_merge_are_inverse(student):
  _, variables = STUDENTS[student]()
  parts = growth.split(variables)
  count = len(variables["params"])
  assert list(parts) == [f"fragment_{n}" for n in range(count - 1)] + ["head"]
  assert ("batch_stats" in parts["head"]) == (student != "resnet")
  merged = growth.merge(parts)
  assert jax.tree.structure(merged) == jax.tree.structure(variables)
  assert bits(merged) == bits(variables)
  again = growth.split(merged)
  assert jax.tree.structure(again) == jax.tree.structure(parts) and bits(again) == bits(parts)


def test_eleven_fragments_stay_in_order():
  params = {f"fragment_{n}": {"w": np.float32(n)} for n in range(11)} | {"head": {"w": np.ones(1)}}
  order = [f"fragment_{n}" for n in range(11)] + ["head"]
  assert list(growth.split({"params": params})) == order


@pytest.mark.parametrize("body", [school.BODY, wrn(10, 1)], ids=["resnet", "wrn"])
@pytest.mark.parametrize("before, after", [((1, 2), (2, 4)), ((2, 4), (3, 6)), ((1, 6), (3, 6))])
def test_growing_keeps_the_lower_parts_and_takes_a_fresh_head(body, before, after):
  _, old = school.pupil(*before, seed=1, body=body)
  _, fresh = school.pupil(*after, seed=2, body=body)
  grown = growth.graft(old, fresh)
  assert jax.tree.structure(grown) == jax.tree.structure(fresh)
  for collection in ("params", "batch_stats"):
    for part, tree in grown[collection].items():
      kept = part in [f"fragment_{n}" for n in range(before[0])]
      assert bits(tree) == bits((old if kept else fresh)[collection][part]), part


@pytest.mark.parametrize("on_device", [False, True])
def test_learning_more_classes_keeps_the_columns_of_the_old(on_device):
  _, old = school.pupil(2, 2, seed=1)
  _, fresh = school.pupil(2, 6, seed=2)
  before = bits(fresh)
  grown = growth.graft(*jax.tree.map(jnp.asarray, (old, fresh)) if on_device else (old, fresh))
  dense, was, new = (tree["params"]["head"]["dense"] for tree in (grown, old, fresh))
  assert jax.tree.structure(grown) == jax.tree.structure(fresh)
  np.testing.assert_array_equal(dense["kernel"][:, :2], was["kernel"])
  np.testing.assert_array_equal(dense["kernel"][:, 2:], new["kernel"][:, 2:])
  np.testing.assert_array_equal(dense["bias"][:2], was["bias"])
  np.testing.assert_array_equal(dense["bias"][2:], new["bias"][2:])
  for part in ("fragment_0", "fragment_1"):
    assert bits(grown["params"][part]) == bits(old["params"][part])
  for name in ("conv", "bn"):
    assert bits(grown["params"]["head"][name]) == bits(old["params"]["head"][name])
  assert bits(grown["batch_stats"]) == bits(old["batch_stats"])
  assert bits(fresh) == before  # pure


def test_the_old_classes_are_answered_as_before():
  network, old = school.pupil(2, 2, seed=1)
  wider, fresh = school.pupil(2, 6, seed=2)
  images = np.random.default_rng(0).normal(size=(5, *school.SHAPE)).astype(np.float32)
  grown = wider.apply(growth.graft(old, fresh), images).logits
  np.testing.assert_allclose(grown[:, :2], network.apply(old, images).logits, rtol=1e-5, atol=1e-5)


def test_a_graft_without_change_is_the_identity():
  _, old = school.pupil(3, 6, seed=1)
  _, fresh = school.pupil(3, 6, seed=2)
  assert bits(growth.graft(old, fresh)) == bits(old)


def test_misfits_are_named():
  _, old = school.pupil(2, 4)
  _, other = school.pupil(3, 6, body=models.body("resnet8_half"))
  with pytest.raises(ValueError, match="fragment_0"):
    growth.graft(old, other)
  _, smaller = school.pupil(1, 4)
  with pytest.raises(ValueError, match="fragment_1"):
    growth.graft(old, smaller)


@pytest.mark.parametrize("body", [school.BODY, wrn(10, 1)], ids=["resnet", "wrn"])
def test_the_graduate_is_the_ordinary_network(body):
  order = (4, 2, 0, 5, 1, 3)  # the label at each place
  network, student = school.pupil(3, 6, body=body)
  graduate = growth.graduate(student, np.argsort(order))
  whole = models.graduate(body, 6)
  expected, got = (jax.tree.map(jnp.shape, tree) for tree in (school.init(whole), graduate))
  assert got == expected
  images = np.random.default_rng(0).normal(size=(5, *school.SHAPE)).astype(np.float32)
  by_place = np.asarray(network.apply(student, images).logits)
  by_label = np.asarray(whole.apply(graduate, images).logits)
  for place, label in enumerate(order):
    np.testing.assert_allclose(by_label[:, label], by_place[:, place], rtol=1e-5, atol=1e-5)
  kept = growth.split(graduate)
  for part, tree in growth.split(student).items():
    if part != "head":
      assert bits(kept[part]) == bits(tree)


def test_partition():
  parts = ("fragment_0", "fragment_1", "fragment_2", "head")
  params = {part: {"a": number, "b": {}} for number, part in enumerate(parts)}
  assert growth.partition(params, 0) == (params, {})
  assert growth.partition(params, -1) == ({}, params)
  assert growth.partition(params, 2) == (
    {part: params[part] for part in parts[2:]},
    {part: params[part] for part in parts[:2]},
  )


def test_slow():
  updates = {
    "fragment_0": {"w": jnp.ones(2)},
    "fragment_1": {"w": jnp.ones(2)},
    "head": {"w": jnp.ones(2)},
  }
  slowed = growth.slow(updates, 1, 0.25)
  assert slowed["fragment_0"]["w"].tolist() == [0.25, 0.25]
  assert bits({k: slowed[k] for k in ("fragment_1", "head")}) == bits(
    {k: updates[k] for k in ("fragment_1", "head")}
  )


def states(before, after):
  """Optimiser states of two grades: the old one with momentum n+1 in leaf n, and its count at 7."""
  tx = optimizers.optimiser(curriculum.Recipe(batch_size=8), optax.constant_schedule(0.1))
  made = []
  for grown, classes in (before, after):
    _, variables = school.pupil(grown, classes)
    made.append(tx.init({"student": variables["params"], "methods": {"": {"ce": {}}}}))
  leaves, structure = jax.tree.flatten(made[0])
  filled = [
    jnp.full_like(leaf, 7 if jnp.issubdtype(leaf.dtype, jnp.integer) else number + 1)
    for number, leaf in enumerate(leaves)
  ]
  return jax.tree.unflatten(structure, filled), made[1]


def momentum(opt_state):
  (trace,) = [part for part in opt_state if isinstance(part, optax.TraceState)]
  return trace.trace["student"]


def counts(opt_state):
  leaves = jax.tree.leaves(opt_state)
  return [int(leaf) for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.integer)]


def test_carry_keeps_the_momentum_of_what_was_there():
  old, fresh = states((1, 2), (2, 4))
  carried = growth.carry(fresh, old, grown=True)
  assert jax.tree.structure(carried) == jax.tree.structure(fresh)
  was, now = momentum(old), momentum(carried)
  assert bits(now["fragment_0"]) == bits(was["fragment_0"])
  for part in ("fragment_1", "head"):  # the head is another one, whatever its shapes
    assert not any(np.asarray(leaf).any() for leaf in jax.tree.leaves(now[part]))
  assert counts(old) == [7] and counts(carried) == [0]


def test_carry_keeps_the_momentum_of_a_head_that_stays():
  old, fresh = states((2, 2), (2, 6))
  was, now = momentum(old), momentum(growth.carry(fresh, old, grown=False))
  for part in ("fragment_0", "fragment_1"):
    assert bits(now[part]) == bits(was[part])
  for name in ("conv", "bn"):
    assert bits(now["head"][name]) == bits(was["head"][name])
  kernel = np.asarray(now["head"]["dense"]["kernel"])
  np.testing.assert_array_equal(kernel[:, :2], was["head"]["dense"]["kernel"])
  assert not kernel[:, 2:].any()


def test_carry_leaves_the_methods_to_begin_anew():
  tx = optax.trace(0.9)
  old = tx.init({"student": {"head": jnp.ones(2)}, "methods": {"": {"crd": jnp.ones(3)}}})
  old = jax.tree.map(lambda leaf: leaf + 5, old)
  fresh = jax.tree.map(jnp.zeros_like, old)
  carried = growth.carry(fresh, old, grown=False).trace
  assert carried["student"]["head"].tolist() == [5, 5]
  assert carried["methods"][""]["crd"].tolist() == [0, 0, 0]


def test_carry_knows_a_methods_student_from_the_student():
  """CRD has an embedding of that name, whose width follows the head's."""

  def state(width):
    return {
      "methods": {"crd": {"student": np.full((width, 2), width)}},
      "student": {"a": np.ones(3)},
    }

  kept = growth.carry(state(4), state(6), grown=True)
  assert kept["methods"]["crd"]["student"].shape == (4, 2)


def test_what_methods_learned_is_remembered():
  def leaf(value, *shape):
    return np.full(shape, value, np.float32)

  old = {
    "generalist": {
      "vid": {"params": {"map_1": {"kernel": leaf(1, 2)}, "map_2": {"kernel": leaf(2, 3)}}},
      "ft": {"params": {"paraphraser": leaf(3, 4)}, "memory": {"bank": leaf(4, 5)}},
    },
    "subject_1": {"vid": {"params": {"map_1": {"kernel": leaf(5, 2)}}}},
    "": {"ce": {}},
  }
  fresh = {
    "generalist": {
      "vid": {
        "params": {
          "map_1": {"kernel": leaf(0, 2)},
          "map_2": {"kernel": leaf(0, 7)},  # another shape
          "map_3": {"kernel": leaf(0, 2)},  # a stage that has just grown
        }
      },
      "ft": {"params": {"translator": leaf(0, 4)}, "memory": {"paraphraser": leaf(0, 4)}},
    },
    "subject_2": {"vid": {"params": {"map_1": {"kernel": leaf(0, 2)}}}},  # another teacher
    "": {"ce": {}},
  }
  kept = growth.remember(fresh, old)
  assert jax.tree.structure(kept) == jax.tree.structure(fresh)
  vid, ft = kept["generalist"]["vid"]["params"], kept["generalist"]["ft"]
  assert [vid[name]["kernel"][0] for name in ("map_1", "map_2", "map_3")] == [1, 0, 0]
  assert ft["memory"]["paraphraser"].tolist() == [3] * 4 and not ft["params"]["translator"].any()
  assert not kept["subject_2"]["vid"]["params"]["map_1"]["kernel"].any()
