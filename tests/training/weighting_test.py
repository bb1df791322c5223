"""Several teachers of one image: against the papers' formulas and against brute force."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from edjax.errors import UserError
from edjax.training import weighting
from tests import school
from tests.reference import consensus as reference
from tests.reference import distillation

FORMS = ("average", "entropy", "confidence", "gradient")


def normalised(weights):
  weights = np.asarray(weights)
  return weights / weights.sum(0)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_entropies_and_confidences_are_the_papers(count):
  draw = np.random.default_rng(count)
  logits, labels = 3 * draw.normal(size=(count, 7, 4)).astype("f"), np.arange(7) % 4
  logs = np.asarray(jax.nn.log_softmax(logits))
  present = np.ones((count, 7), np.float32)
  shares = weighting.by_entropy(-(np.exp(logs) * logs).sum(-1), present)
  np.testing.assert_allclose(normalised(shares), reference.entropy_shares(logits), rtol=1e-5)
  shares = weighting.by_confidence(-logs[:, np.arange(7), labels], present)
  expected = reference.confidence_shares(logits, labels)
  np.testing.assert_allclose(normalised(shares), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("form", [weighting.by_entropy, weighting.by_confidence])
def test_who_is_not_there_has_no_say_in_the_shares(form):
  values = np.float32([[0.3, 0.2, 0.0], [0.1, 0.9, 0.0], [5.0, 5.0, 0.0]])
  present = np.float32([[1, 1, 1], [1, 0, 1], [0, 0, 1]])
  shares = np.asarray(form(values, present)) * present
  two = np.asarray(form(values[:2, :1], np.ones((2, 1), "f")))
  np.testing.assert_allclose(shares[:2, :1], two, rtol=1e-6)
  assert shares[0, 1] == 1  # alone
  assert np.isfinite(shares).all() and np.ptp(shares[:, 2]) < 1e-6 and shares[0, 2] > 0


@pytest.mark.parametrize("seed", range(6))
def test_gradients_are_weighed_to_the_smallest_mean(seed):
  draw = np.random.default_rng(seed)
  count = 2 + seed % 2
  gradients = draw.normal(size=(count, 4)).astype(np.float32) * draw.uniform(0.2, 4, (count, 1))
  weights = np.asarray(weighting.by_gradient(jnp.asarray(gradients, jnp.float32)))
  _, least = reference.smallest_mean(gradients, 0.6)
  assert abs(weights.sum() - 1) < 1e-5 and weights.min() >= 0 and weights.max() <= 0.6 + 1e-6
  length = np.linalg.norm(weights @ gradients)
  assert length <= least * (1 + 1e-3) + 1e-3  # no grid point is better
  assert length >= least - 0.1 * np.abs(gradients).max()  # and the grid is near


def test_gradients_by_hand():
  opposed = np.float32([[1, 0], [-1, 0]])
  np.testing.assert_allclose(weighting.by_gradient(opposed), [0.5, 0.5], atol=1e-4)
  long = np.float32([[10, 0], [0, 1]])  # without bounds (1, 100)/101
  np.testing.assert_allclose(weighting.by_gradient(long), [0.4, 0.6], atol=1e-4)
  for like in (np.zeros((3, 2), "f"), np.ones((3, 2), "f")):
    np.testing.assert_allclose(weighting.by_gradient(like), [1 / 3] * 3, atol=1e-3)
  np.testing.assert_allclose(weighting.by_gradient(np.ones((1, 2), "f")), [1], atol=1e-6)
  with pytest.raises(UserError, match="at most 6 teachers"):
    weighting.by_gradient(np.ones((7, 2), "f"))


def kl(teacher, student):
  return distillation.kd(torch.tensor(student), torch.tensor(teacher), 4.0).numpy()


@pytest.mark.parametrize("form", FORMS)
def test_a_step_shares_images_as_its_consensus_says(form):
  """A specialist and a generalist: both on the specialist's seats, one alone on the others."""
  names = ("subject_1", "generalist")
  desk = school.grade(names, consensus=form, methods={"kd": {}})
  views = desk.views()
  student = np.asarray(
    desk.spec.network.clone(axis_name=None)
    .apply(desk.variables, views, train=True, mutable=["batch_stats"])[0]
    .logits
  )
  said = {
    name: np.asarray(
      school.Linear(len(school.ANSWERS[name])).apply(desk.teachers[name], views).logits
    )
    for name in names
  }
  own = [n for n, place in enumerate(desk.places()) if place in school.SUBJECTS[0]]
  assert 0 < len(own) < len(student)
  one, all_ = list(school.ANSWERS["subject_1"]), list(school.ANSWERS["generalist"])
  of_one, of_all = kl(said["subject_1"], student[:, one]), kl(said["generalist"], student[:, all_])
  shares = {
    "average": lambda: np.full((2, len(student)), 0.5),
    "entropy": lambda: np.stack(_entropy_pair(said)),
    "confidence": lambda: _confidence_pair(said, desk.places()),
    "gradient": lambda: np.repeat(
      np.asarray(weighting.by_gradient(jnp.asarray(_pulls(said, student, own), jnp.float32)))[
        :, None
      ],
      len(student),
      1,
    ),
  }[form]()
  expected = of_all.copy()
  expected[own] = (shares[0] * of_one + shares[1] * of_all)[own]
  state = desk.train()
  got = float(state.sums["loss"]) / float(state.sums["images"])
  np.testing.assert_allclose(got, expected.mean(), rtol=1e-4)
  if form != "average":
    plain = (0.5 * (of_one + of_all))[own].mean()
    assert abs(plain - expected[own].mean()) > 1e-3 * plain  # the form makes a difference here


def _entropy_pair(said):
  entropies = []
  for logits in said.values():
    p = reference.softmax(logits.astype(float))
    entropies.append(-(p * np.log(p)).sum(-1))
  first, second = entropies
  return second / (first + second), first / (first + second)


def _confidence_pair(said, places):
  errors = []
  for name, logits in said.items():
    column = {place: number for number, place in enumerate(school.ANSWERS[name])}
    p = reference.softmax(logits.astype(float))
    errors.append(-np.log(p[np.arange(len(places)), [column.get(p, 0) for p in places]]))
  return 1 - reference.softmax(np.stack(errors, -1)).T


def _pulls(said, student, own):
  """KD's gradient in the student's logits, T·(softmax − softmax), summed over who is answered."""
  pulls = []
  for name, rows in (("subject_1", own), ("generalist", list(range(len(student))))):
    columns = list(school.ANSWERS[name])
    guess, target = (
      reference.softmax(z.astype(float) / 4) for z in (student[rows][:, columns], said[name][rows])
    )
    pull = np.zeros(school.CLASSES)
    pull[columns] = 4 * (guess - target).sum(0)
    pulls.append(pull)
  return pulls
