"""Teachers: what their columns mean to a student, and which folders hold one."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from configs import digits
from edjax import curriculum, models
from edjax.data.datasets import Dataset
from edjax.data.splits import Split
from edjax.errors import UserError
from edjax.settings import settle
from edjax.teachers import faculty, untrained
from edjax.training import growth
from tests import school
from tests.school import bits

NAMES = ("ant", "bee", "cat", "dog", "eel", "fox")
SHUFFLED = (4, 2, 0, 5, 1, 3)


def dataset(names=NAMES, shape=school.SHAPE):
  images, labels = school.pictures(12, shape)
  split = Split(images, labels)
  return Dataset("zoo", names, split, split, split, *dataclasses.astuple(school.AUGMENT)[:2])


def grade(seen=3, teachers=()):
  subjects = tuple(
    curriculum.Subject(f"subject_{n + 1}", own) for n, own in enumerate(school.SUBJECTS)
  )
  return curriculum.Grade("grade_1", 3, subjects[:seen], tuple(teachers), 1)


def teacher(name, classes):
  return faculty.Teacher(name, "resnet8", classes, {})


def role_of(order, name, classes, seen=3, weight=1.0):
  (role,) = faculty.roles(grade(seen, [name]), {name: teacher(name, classes)}, order, weight)
  return role


def test_roles_in_the_given_order():
  role = role_of(tuple(range(6)), "subject_2", (2, 3))
  assert (role.columns, role.places, role.weight) == ((0, 1), (2, 3), 1.0)


@pytest.mark.parametrize("seen", [1, 2, 3])
@pytest.mark.parametrize("order", [tuple(range(6)), SHUFFLED])
def test_columns_and_places_mean_the_same_labels(order, seen):
  classes = (3, 1, 5, 0, 2, 4)
  role = role_of(order, "generalist", classes, seen)
  assert [classes[column] for column in role.columns] == [order[place] for place in role.places]
  assert sorted(role.places) == list(range(2 * seen))  # all that the student knows
  assert faculty.answers_for(role, grade(seen)) == [True] * seen


def test_roles_in_a_shuffled_order():
  # Places 2 and 3 are labels 0 and 5; the teacher's columns are in label order.
  role = role_of(SHUFFLED, "subject_2", (0, 5))
  assert (role.columns, role.places) == ((0, 1), (2, 3))
  swapped = role_of(SHUFFLED, "subject_2", (5, 0))
  assert (swapped.columns, swapped.places) == ((0, 1), (3, 2))
  assert faculty.answers_for(role, grade()) == [False, True, False]


def test_weights_and_order_of_a_faculty():
  teachers = {
    "generalist": teacher("generalist", tuple(range(6))),
    "subject_1": teacher("subject_1", (0, 1)),
    "subject_2": teacher("subject_2", (2, 3)),
  }
  taught = grade(2, ("subject_1", "subject_2", "generalist"))
  made = faculty.roles(taught, teachers, tuple(range(6)), specialist_weight=0.5)
  assert [(role.name, role.weight) for role in made] == [
    ("subject_1", 0.5),
    ("subject_2", 0.5),
    ("generalist", 1.0),
  ]
  heads = [school.init(role.network)["params"]["head"]["dense"]["bias"].shape for role in made]
  assert heads == [(2,), (2,), (6,)]


def test_a_graduate_teaches_the_next_student(tmp_path):
  """Through `graduate`, a folder, another order of labels, and `roles`: the logits still match."""
  network, student = school.pupil(3, 6, body=models.body("resnet8_half"))
  graduate = growth.graduate(student, np.argsort(SHUFFLED))
  faculty.save(tmp_path / "graduate", "resnet8_half", range(6), dataset(), graduate, name="run")
  elsewhere = dataset(names=NAMES[::-1])
  loaded = faculty.load(tmp_path / "graduate", "generalist", range(6), elsewhere)
  assert loaded.classes == (5, 4, 3, 2, 1, 0)
  assert bits(loaded.variables) == bits(graduate)
  order = tuple(NAMES[::-1].index(NAMES[label]) for label in SHUFFLED)  # of the old student
  (role,) = faculty.roles(grade(3, ["generalist"]), {"generalist": loaded}, order, 1.0)
  images = np.random.default_rng(0).normal(size=(4, *school.SHAPE)).astype(np.float32)
  taught = np.asarray(jax.jit(role.network.apply)(loaded.variables, images).logits)
  learnt = np.asarray(jax.jit(network.apply)(student, images).logits)
  np.testing.assert_allclose(taught[:, role.columns], learnt[:, role.places], rtol=1e-5, atol=1e-5)
  assert role.places != role.columns


@pytest.fixture
def folder(tmp_path):
  """A teacher of bee and dog."""
  network = models.graduate(models.body("resnet8"), 2)
  variables = school.random_like(school.init(network))
  faculty.save(tmp_path / "network", "resnet8", (1, 3), dataset(), variables)
  return tmp_path / "network"


def test_a_folder_says_what_it_holds(folder):
  info = json.loads((folder / "info.json").read_text())
  assert info["classes"] == ["bee", "dog"] and info["model"] == "resnet8"
  assert info["dataset"] == "zoo" and info["image_shape"] == [8, 8, 3]
  assert (tuple(info["mean"]), tuple(info["std"])) == (dataset().mean, dataset().std)
  loaded = faculty.load(folder, "subject_2", (3, 1), dataset())
  assert (loaded.name, loaded.model, loaded.classes) == ("subject_2", "resnet8", (1, 3))


@pytest.mark.parametrize("classes", [(1, 2), (1,), (1, 3, 4)])
def test_classes_must_be_those_of_the_subject(folder, classes):
  with pytest.raises(UserError) as caught:
    faculty.load(folder, "subject_2", classes, dataset())
  said = str(caught.value)
  assert str(folder) in said and "2 classes (bee, dog)" in said and "subject_2" in said
  assert f"{len(classes)} classes ({', '.join(NAMES[label] for label in classes)})" in said


def test_images_must_be_those_of_the_subject(folder):
  with pytest.raises(UserError, match=r"\[8, 8, 3\].*zoo are \[8, 8, 1\]") as caught:
    faculty.load(folder, "subject_2", (1, 3), dataset(shape=(8, 8, 1)))
  assert str(folder) in str(caught.value)


def test_no_teacher_there(tmp_path):
  with pytest.raises(UserError, match="holds no network"):
    faculty.load(tmp_path / "nowhere", "subject_2", (1, 3), dataset())


def test_a_teacher_trained_before_there_was_a_setting_is_found_again(tmp_path):
  """What it is known by has no words for what nobody could set then."""
  chosen = settle(digits.get_config("kd"))

  def known_by(**changes):
    recipe = curriculum.Recipe(batch_size=8, **changes)
    kept = dataset(), chosen.data, chosen.checkpoint, tmp_path
    search = untrained.Search(chosen.faculty, recipe, *kept)
    study = untrained.study(search, untrained.Wanted("generalist", 0, (0, 1)))
    return untrained.known_by(search, study)["recipe"].keys()

  first = {
    "batch_size", "optimiser", "momentum", "nesterov", "weight_decay", "clip", "schedule",
    "milestones", "factor", "pad", "flip", "precision",
  }  # fmt: skip
  assert known_by() == known_by(magnitude=5) == first
  assert known_by(randaugment=2) == first | {"randaugment", "magnitude"}
  assert known_by(resized=0.5) == first | {"resized"}


def test_fingerprints_name_settings():
  settings = {"model": "resnet8", "epochs": 3, "recipe": {"pad": 2}}
  tag = faculty.fingerprint(settings)
  assert len(tag) == 12 and set(tag) <= set("0123456789abcdef")
  assert faculty.fingerprint(dict(reversed(settings.items()))) == tag
  for change in ({"epochs": 4}, {"recipe": {"pad": 3}}, {"more": 1}):
    assert faculty.fingerprint(settings | change) != tag


def test_agreement_by_hand():
  labels = np.array([0, 1, 2, 3])
  student = np.array(
    [
      [5, 1, 9, 0],  # among classes 0 and 1: 0; among all: 2
      [3, 2, 0, 9],  # 0; 3
      [0, 0, 1, 2],  # among 2 and 3: 3; among all: 3
      [9, 0, 2, 1],  # 2; 0
    ]
  )
  first, second = teacher("subject_1", (1, 0)), teacher("subject_2", (2, 3))
  answers = {  # columns as the teacher has them
    "subject_1": np.array([[0, 1], [1, 0]]),  # says 0, then 1
    "subject_2": np.array([[0, 1], [0, 1]]),  # says 3, then 3
    "generalist": np.eye(4)[[2, 3, 3, 1]],  # says 2, 3, 3, 1
  }
  assert faculty.agreement([first, second], answers, student, labels) == 2 / 4
  everyone = [first, second, teacher("generalist", (0, 1, 2, 3))]
  assert faculty.agreement(everyone, answers, student, labels) == 5 / 8
  assert faculty.agreement([], {}, student, labels) is None


def test_easiest_first_by_hand():
  columns = np.array([0, 0, 1, 1, 2, 2])
  said = np.array([0, 1, 1, 1, 0, 0])  # right: 1 of 2, 2 of 2, 0 of 2
  known = teacher("generalist", (7, 5, 6))
  assert faculty.easiest_first(known, (np.eye(3)[said], columns)) == (5, 7, 6)
  with pytest.raises(UserError, match="validation"):
    faculty.easiest_first(known, None)
