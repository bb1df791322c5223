"""Who is taken for a teacher: chance, small samples, rare classes, and columns in another order."""

import jax.numpy as jnp
import numpy as np
import pytest

from edjax import models
from edjax.data.datasets import Dataset
from edjax.data.splits import Split
from edjax.devices import pmap
from edjax.errors import UserError
from edjax.teachers import examination, faculty
from edjax.training import evaluation
from tests import school

DRAW = np.random.default_rng(3)


def answers(truth, classes, top1, seed=0):
  """Answers that are right with probability `top1`, and else of any other class."""
  draw = np.random.default_rng(seed)
  other = (truth + draw.integers(1, classes, len(truth))) % classes
  return np.where(draw.random(len(truth)) < top1, truth, other)


def truth_of(classes, count):
  return np.arange(count) % classes


@pytest.mark.parametrize("classes", [2, 3, 10, 100])
@pytest.mark.parametrize("count", [60, 400, 2000])
def test_answers_without_sense_are_chance(classes, count):
  truth = truth_of(classes, count)
  guesses = [np.random.default_rng(seed).integers(0, classes, count) for seed in range(40)]
  assert np.mean([examination.near_chance(each, truth) for each in guesses]) > 0.85
  assert examination.near_chance(np.zeros_like(truth), truth)  # one answer for all
  assert examination.near_chance((truth + 1) % classes, truth)  # never right


@pytest.mark.parametrize(
  ("classes", "count", "top1"),
  [(2, 60, 0.85), (2, 2000, 0.62), (3, 60, 0.7), (10, 60, 0.5), (10, 2000, 0.2),
   (100, 400, 0.3), (100, 2000, 0.1), (100, 2000, 0.74), (2, 6, 1.0)],
)  # fmt: skip
def test_who_knows_something_is_not(classes, count, top1):
  truth = truth_of(classes, count)
  told = [answers(truth, classes, top1, seed) for seed in range(20)]
  assert not any(examination.fault(each, truth, range(classes)) for each in told)


def test_the_commonest_class_alone_is_no_knowledge():
  truth = np.repeat([0, 1], [180, 20])
  assert examination.near_chance(np.zeros(200, int), truth)  # right of 90 %
  rare = truth.copy()
  rare[:30] = 1  # all that are rare found, for 30 false alarms: 85 % right
  assert not examination.near_chance(rare, truth)


def test_a_few_images_accuse_nobody():
  assert not examination.near_chance(np.array([0, 1, 1]), np.array([0, 1, 0]))
  assert not examination.near_chance(np.array([0]), np.array([1]))
  assert not examination.near_chance(np.array([0, 0, 0]), np.array([0, 0, 0]))


@pytest.mark.parametrize("classes", [10, 12, 100])
@pytest.mark.parametrize("top1", [0.65, 0.9, 1.0])
def test_columns_in_the_order_of_numbers(classes, top1):
  """Files sorted 1, 2, 10 where edjax sorts 1, 10, 2."""
  as_text = sorted(map(str, range(1, classes + 1)))
  column = np.array([int(name) - 1 for name in as_text])  # of each label
  truth = truth_of(classes, 2000)
  said = column[answers(truth, classes, top1)]
  found = examination.moved(said, truth, classes)
  wanted = {int(c): label for label, c in enumerate(column) if c != label}
  assert found == wanted
  assert "another order" in examination.fault(said, truth, as_text)


def test_two_columns_of_many_are_swapped():
  truth = truth_of(20, 2000)
  swap = np.arange(20)
  swap[[4, 7]] = 7, 4
  assert examination.moved(swap[answers(truth, 20, 0.9)], truth, 20) == {4: 7, 7: 4}


@pytest.mark.parametrize(("classes", "count"), [(2, 20), (3, 60), (10, 400), (100, 2000)])
@pytest.mark.parametrize("top1", [0.05, 0.3, 0.7, 1.0])
def test_bad_but_ordered_columns_are_not_taken_for_moved(classes, count, top1):
  if top1 * classes < 1.4:
    top1 = 1 / classes  # no relabelling is right of those who know nothing
  truth = truth_of(classes, count)
  for seed in range(10):
    assert not examination.moved(answers(truth, classes, top1, seed), truth, classes)


def test_a_class_that_is_mostly_taken_for_another_is_not_moved():
  """Two alike, of which one answer is given: no other order of the columns is right of more."""
  truth = truth_of(4, 400)
  said = np.where(truth == 3, 2, truth)
  assert not examination.moved(said, truth, 4)


class Lines:
  """Keeps what is said."""

  def __init__(self):
    self.said = []

  def line(self, text):
    self.said.append(text)


@pytest.fixture
def loader():
  """Six classes, told by how bright an image is."""
  labels = np.arange(120) % 6
  images = np.broadcast_to((20 + 40 * labels)[:, None, None, None], (120, 8, 8, 3))
  train, few = Split(images.astype(np.uint8), labels.astype(np.int32)), slice(0, 12)
  part = Split(train.images[few], train.labels[few])
  names = tuple("ABCDEF")
  data = Dataset("zoo", names, train, part, part, (0.5,) * 3, (0.25,) * 3)
  return evaluation.Loader(data, pmap.fleet(1, 6))


class Bright(school.Linear):
  """Knows the six: each class has its own best brightness, by its own mean and deviation."""

  shift: float = 0.0
  order: tuple = (0, 1, 2, 3, 4, 5)

  @school.nn.compact
  def __call__(self, images):
    bright = (images.mean((1, 2, 3)) * 0.25 + 0.5) * 255 - self.shift
    centres = jnp.asarray([20.0 + 40 * c for c in self.order])
    logits = -((bright[:, None] - centres[None]) ** 2)
    return models.Output(logits, (), (), images)


def asked(loader, monkeypatch, network, check=True, **of):
  monkeypatch.setattr(faculty.Teacher, "network", network)
  teacher = faculty.Teacher("generalist", "resnet8", tuple(range(6)), {}, **of)
  answer = loader.examiner(teacher.network, teacher.figures)
  ask = lambda split, most: answer(teacher.variables, split, teacher.classes, most)  # noqa: E731
  return [examination.examine(teacher, "net.pth", loader.dataset.class_names, ask, check)]


def test_a_given_teacher_is_examined_and_said(loader, monkeypatch):
  (line,) = asked(loader, monkeypatch, Bright(6), unsure=True)
  assert "generalist (resnet8 from net.pth): 100.0 % of 132 images" in line
  assert "12 validation and 120 training" in line and "faculty.generalist.mean" in line
  (line,) = asked(loader, monkeypatch, Bright(6))
  assert "the run's" in line


def test_a_wrong_teacher_is_refused_unless_it_is_meant(loader, monkeypatch):
  nothing = Bright(6, shift=1e6)  # says one class of all
  with pytest.raises(UserError, match="net.pth.*near chance.*faculty.check"):
    asked(loader, monkeypatch, nothing)
  (line,) = asked(loader, monkeypatch, nothing, check=False)
  assert "16.7 % of 132 images" in line and "near chance" in line and "all the same" in line
  with pytest.raises(UserError, match="another order.*column 1 .A. is mostly B"):
    asked(loader, monkeypatch, Bright(6, order=(1, 2, 3, 4, 5, 0)))


def test_the_interview_shows_images_by_the_teachers_own_figures(loader, monkeypatch):
  # Shown by mean 0.9 it takes all images for darker ones by 0.4 · 255 / 4 …
  own = (0.9,) * 3, (0.25,) * 3
  shifted = Bright(6, shift=-0.4 * 255)
  (line,) = asked(loader, monkeypatch, shifted, figures=own)
  assert ": 100" in line and "its own mean 0.9 0.9 0.9" in line
