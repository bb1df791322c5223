"""Exams: what a network has said of the test split it is not asked again."""

import jax
import numpy as np
import pytest

from edjax.data.datasets import Dataset, Split
from edjax.training.evaluation import Loader
from tests import school

EVERYTHING = tuple(range(school.CLASSES))


@pytest.fixture
def loader():
  """Sixty images to be tested on, and as many others."""
  splits = [Split(*school.pictures(seed=seed)) for seed in (0, 1, 2)]
  dataset = Dataset("random", tuple("ABCDEF"), *splits, (0.5,) * 3, (0.25,) * 3)
  return Loader(dataset, school.fleet())


@pytest.fixture
def looked_up(loader, monkeypatch):
  """The splits from which a batch of an exam was looked up, one after the other."""
  seen, found = loader.seen, []
  monkeypatch.setattr(loader, "seen", lambda split, rows: found.append(split) or seen(split, rows))
  return found


def by_hand(loader, network, variables, labels):
  """The logits for the test images of these classes, and their labels."""
  test, data = loader.dataset.test, loader.dataset
  own = np.isin(test.labels, labels)
  views = (test.images[own] / np.float32(255) - np.float32(data.mean)) / np.float32(data.std)
  return np.asarray(network.apply(variables, views).logits), test.labels[own]


def test_what_was_said_of_the_test_split_is_not_asked_again(loader, looked_up):
  network, variables = school.pupil()
  said, truth = loader.examiner(network)(variables, "test", EVERYTHING)
  logits, labels = by_hand(loader, network, variables, EVERYTHING)
  np.testing.assert_allclose(said, logits, rtol=1e-4, atol=1e-4)
  np.testing.assert_array_equal(truth, labels)
  assert looked_up == ["test"]
  again = network.clone(axis_name="devices"), jax.tree.map(np.copy, variables)
  other, places = loader.examiner(again[0])(again[1], "test", EVERYTHING[::-1])
  np.testing.assert_array_equal(other, said)
  np.testing.assert_array_equal(places, school.CLASSES - 1 - labels)
  assert looked_up == ["test"]


def test_whatever_is_new_is_asked(loader, looked_up):
  network, variables = school.pupil()
  answer = loader.examiner(network)
  answer(variables, "test", EVERYTHING)
  for changed, labels in ((school.pupil(seed=1)[1], EVERYTHING), (variables, (1, 4))):
    said, places = answer(changed, "test", labels)
    logits, truth = by_hand(loader, network, changed, labels)
    np.testing.assert_allclose(said, logits, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(np.array(labels)[places], truth)
  answer(variables, "validation", EVERYTHING)
  assert len(answer(variables, "test", EVERYTHING, 7)[0]) == 7
  assert looked_up == ["test", "test", "test", "validation", "test"]
