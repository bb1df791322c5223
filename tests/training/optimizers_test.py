"""What moves the parameters: optimisers, against PyTorch and by formula, and the schedules."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

from edjax import curriculum
from edjax.errors import UserError
from edjax.training import optimizers


@pytest.mark.parametrize("nesterov", [False, True])
def test_the_optimiser_is_pytorch_sgd(nesterov):
  draw = np.random.default_rng(0)
  start = {"a": draw.normal(size=(3, 4)), "b": draw.normal(size=5)}
  start = jax.tree.map(np.float32, start)
  gradients = [
    jax.tree.map(lambda leaf: draw.normal(size=leaf.shape).astype("f"), start) for _ in "123"
  ]
  rates = [0.1, 0.05, 0.2]
  recipe = curriculum.Recipe(batch_size=8, momentum=0.9, nesterov=nesterov, weight_decay=0.03)
  tx = optimizers.optimiser(recipe, lambda count: jnp.asarray(rates)[count])
  params, state = start, tx.init(start)
  theirs = {name: torch.tensor(leaf, requires_grad=True) for name, leaf in start.items()}
  sgd = torch.optim.SGD(theirs.values(), momentum=0.9, nesterov=nesterov, weight_decay=0.03)
  for rate, gradient in zip(rates, gradients, strict=True):
    updates, state = tx.update(gradient, state, params)
    params = optax.apply_updates(params, updates)
    sgd.param_groups[0]["lr"] = rate
    for name, leaf in theirs.items():
      leaf.grad = torch.tensor(gradient[name])
    sgd.step()
    for name, leaf in theirs.items():
      np.testing.assert_allclose(params[name], leaf.detach(), rtol=1e-5, atol=1e-6)


def grade(**fields):
  return curriculum.Grade("grade_1", 3, (), (), **fields)


def rates_of(schedule, steps):
  return np.array([float(schedule(count)) for count in steps])


def test_cosine_by_its_formula():
  recipe = curriculum.Recipe(batch_size=8, schedule="cosine")
  schedule = optimizers.learning_rate(grade(epochs=4, learning_rate=0.2), recipe, 5)
  steps = np.arange(20)
  expected = 0.1 * (1 + np.cos(np.pi * steps / 20))
  np.testing.assert_allclose(rates_of(schedule, steps), expected, atol=1e-7)


def test_cosine_with_warmup_and_an_end_above_zero():
  recipe = curriculum.Recipe(batch_size=8, schedule="cosine")
  schedule = optimizers.learning_rate(
    grade(epochs=4, learning_rate=0.2, warmup_epochs=1.0, final_rate=0.1), recipe, 5
  )
  got = rates_of(schedule, range(21))
  np.testing.assert_allclose(got[:6], [0, 0.04, 0.08, 0.12, 0.16, 0.2], atol=1e-7)
  after = 0.02 + 0.18 * (1 + np.cos(np.pi * np.arange(16) / 15)) / 2
  np.testing.assert_allclose(got[5:], after, atol=1e-7)
  np.testing.assert_allclose(got[20], 0.02, atol=1e-7)


def test_milestones_count_over_the_whole_school():
  """The paper's 150, 30 and 60 epochs, with drops after 150, 180 and 210."""
  recipe = curriculum.Recipe(batch_size=8, schedule="steps", milestones=(150, 180, 210))
  per_epoch, rates = 7, []
  for start, epochs in ((0, 150), (150, 30), (180, 60)):
    part = grade(epochs=epochs, start_epoch=start, learning_rate=0.05)
    schedule = optimizers.learning_rate(part, recipe, per_epoch)
    rates += rates_of(schedule, range(0, epochs * per_epoch)).tolist()
  expected = np.repeat([0.05, 0.005, 0.0005, 0.00005], np.array([150, 30, 30, 30]) * per_epoch)
  np.testing.assert_allclose(rates, expected, rtol=1e-5)


def test_warmup_rises_to_what_the_milestones_leave():
  recipe = curriculum.Recipe(batch_size=8, schedule="steps", milestones=(150, 182))
  part = grade(epochs=4, start_epoch=180, learning_rate=0.05, warmup_epochs=1.0)
  got = rates_of(optimizers.learning_rate(part, recipe, 5), range(20))
  np.testing.assert_allclose(got[:5], 0.005 * np.arange(5) / 5, atol=1e-9)
  np.testing.assert_allclose(got[5:], [0.005] * 5 + [0.0005] * 10, rtol=1e-5)


def tree(draw):
  """A student and what a method learns."""
  leaf = lambda *shape: draw.normal(size=shape).astype(np.float32)  # noqa: E731
  return {"student": {"a": leaf(3, 4), "b": leaf(5)}, "methods": {"p": leaf(2)}}


def test_dot_by_its_two_recursions():
  """v ← (μ − Δ)·v + g + λ·p and w ← (μ + Δ)·w + h; p ← p − rate·(v + w)."""
  draw, rates = np.random.default_rng(0), [0.1, 0.05, 0.2]
  recipe = curriculum.Recipe(batch_size=8, optimiser="dot", weight_decay=0.03, dot_delta=0.075)
  tx = optimizers.optimiser(recipe, lambda count: jnp.asarray(rates)[count])
  assert optimizers.apart(recipe) and not optimizers.apart(curriculum.Recipe(batch_size=8))
  params = tree(draw)
  state, expected = tx.init(params), jax.tree.map(np.array, params)
  momenta = {kind: jax.tree.map(np.zeros_like, params) for kind in ("hard", "teachers")}
  for rate in rates:
    gradients = {"hard": tree(draw), "teachers": tree(draw)}
    updates, state = tx.update(gradients, state, params)
    params = optax.apply_updates(params, updates)
    for part, leaves in expected.items():
      delta = 0.075 if part == "student" else 0.0
      for name, p in leaves.items():
        v, w = momenta["hard"][part], momenta["teachers"][part]
        v[name] = (0.9 - delta) * v[name] + gradients["hard"][part][name] + 0.03 * p
        w[name] = (0.9 + delta) * w[name] + gradients["teachers"][part][name]
        leaves[name] = p - rate * (v[name] + w[name])
        np.testing.assert_allclose(params[part][name], leaves[name], rtol=1e-5, atol=1e-6)


def test_adam_is_pytorchs_adamw_and_clips_like_it():
  draw, recipe = (
    np.random.default_rng(1),
    curriculum.Recipe(batch_size=8, optimiser="adamw", weight_decay=0.02, clip=1.5),
  )
  tx = optimizers.optimiser(recipe, lambda count: 0.01)
  params = tree(draw)
  state, leaves = tx.init(params), []
  theirs = jax.tree.map(lambda leaf: torch.tensor(leaf, requires_grad=True), params)
  leaves = jax.tree.leaves(theirs)
  adam = torch.optim.AdamW(leaves, lr=0.01, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.02)
  for _ in range(3):
    gradients = tree(draw)
    updates, state = tx.update(gradients, state, params)
    params = optax.apply_updates(params, updates)
    for leaf, gradient in zip(leaves, jax.tree.leaves(gradients), strict=True):
      leaf.grad = torch.tensor(gradient)
    assert torch.nn.utils.clip_grad_norm_(leaves, 1.5) > 1.5  # it did clip
    adam.step()
    for ours, leaf in zip(jax.tree.leaves(params), leaves, strict=True):
      np.testing.assert_allclose(ours, leaf.detach(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
  "options, said",
  [
    ({"optimiser": "sdg"}, "recipe.optimiser is 'sdg'"),
    ({"optimiser": "dot", "dot_delta": 0.2}, "recipe.dot_delta is 0.2"),
    ({"clip": -1.0}, "recipe.clip is -1"),
    ({"views": "three"}, "recipe.views is 'three'"),
    ({"mixup": -0.5}, "recipe.mixup is -0.5"),
    ({"randaugment": -1}, "recipe.randaugment is -1; it must be at least 0"),
    ({"magnitude": 31}, "recipe.magnitude is 31; it must be at least 0 and at most 30"),
    ({"consensus": "vote"}, "recipe.consensus is 'vote'.*average, entropy, confidence, gradient"),
  ],
)
def test_recipes_that_cannot_be(options, said):
  with pytest.raises(UserError, match=said):
    curriculum.Recipe(batch_size=8, **options)
