"""What moves the parameters: the optimiser, against PyTorch, and the schedules, by formula."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

from edjax import curriculum, methods, optimisers, term
from edjax.classroom import Classroom
from edjax.data.datasets import Dataset, Split
from tests import school


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
  tx = optimisers.optimiser(recipe, lambda count: jnp.asarray(rates)[count])
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
  schedule = optimisers.learning_rate(grade(epochs=4, learning_rate=0.2), recipe, 5)
  steps = np.arange(20)
  expected = 0.1 * (1 + np.cos(np.pi * steps / 20))
  np.testing.assert_allclose(rates_of(schedule, steps), expected, atol=1e-7)


def test_cosine_with_warmup_and_an_end_above_zero():
  recipe = curriculum.Recipe(batch_size=8, schedule="cosine")
  schedule = optimisers.learning_rate(
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
    schedule = optimisers.learning_rate(part, recipe, per_epoch)
    rates += rates_of(schedule, range(0, epochs * per_epoch)).tolist()
  expected = np.repeat([0.05, 0.005, 0.0005, 0.00005], np.array([150, 30, 30, 30]) * per_epoch)
  np.testing.assert_allclose(rates, expected, rtol=1e-5)


def test_warmup_rises_to_what_the_milestones_leave():
  recipe = curriculum.Recipe(batch_size=8, schedule="steps", milestones=(150, 182))
  part = grade(epochs=4, start_epoch=180, learning_rate=0.05, warmup_epochs=1.0)
  got = rates_of(optimisers.learning_rate(part, recipe, 5), range(20))
  np.testing.assert_allclose(got[:5], 0.005 * np.arange(5) / 5, atol=1e-9)
  np.testing.assert_allclose(got[5:], [0.005] * 5 + [0.0005] * 10, rtol=1e-5)


def test_all_but_the_newest_subjects_are_rehearsed_until_the_end():
  """Also in a grade that adds none; 60 images, 20 of each subject."""
  images, labels = school.pictures()
  split = Split(images, labels)
  names = tuple(map(str, range(school.CLASSES)))
  dataset = Dataset("random", names, split, split, split, (0.5,) * 3, (0.25,) * 3)
  columns = dict(fragments=(3,), subjects=(1, 2, 2, 3, 3), teachers=("none",), epochs=(1,))
  columns |= dict(learning_rate=(0.1,), final_rate=(0.0,), warmup_epochs=(0.0,), frozen=(0,))
  columns |= dict(lower_rate=(1.0,), carry_momentum=(False,), rehearsal=(0.5, 0.5, 0.2, 0.1, 0.5))
  columns |= dict(methods=("",), reference_width=(0,), reference_grid=(1,), reference_relu=(True,))
  study = term.Study(
    label="student",
    model="resnet8_half",
    curriculum=curriculum.build(columns, (1, 1, 1), school.CLASSES, 3),
    order=tuple(range(school.CLASSES)),
    teachers={},
    recipe=curriculum.Recipe(batch_size=4),
    methods=methods.build({"ce": {"weight": 1.0}}),
    seed=0,
    directory=pathlib.Path(),
    every_seconds=0.0,
    keep=1,
  )
  room = Classroom(dataset, school.fleet())
  shown = [term.prepare(study, room, number, 0).seating.images for number in range(5)]
  assert shown == [(20,), (10, 20), (4, 20), (2, 2, 20), (10, 10, 20)]
