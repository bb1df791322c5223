"""What cannot be trained is said before anything is: one line, and no teacher has begun."""

import dataclasses
import functools
import gc

import flax.linen as nn
import jax
import numpy as np
import pytest

from configs import digits
from edjax import data, models
from edjax.data import splits
from edjax.errors import UserError
from edjax.models import layers
from edjax.settings import settle
from edjax.training import loop, preflight
from tests import small


class Headless(nn.Module):
  """A classifier under a name of its own, as a user may give it."""

  num_classes: int
  name_of_dense: str = "classes"

  @nn.compact
  def __call__(self, x, norm):
    embedding = x.mean(axis=(1, 2))
    return embedding, nn.Dense(self.num_classes, name=self.name_of_dense)(embedding), ()


class Narrow(nn.Module):
  """A head that answers for one class less than it is asked for."""

  num_classes: int

  @nn.compact
  def __call__(self, x, norm):
    embedding = x.mean(axis=(1, 2))
    return embedding, layers.dense(embedding, self.num_classes - 1), ()


class Wide(nn.Module):
  """A fragment for images of at least 16×16 pixels."""

  @nn.compact
  def __call__(self, x, norm):
    x = x.reshape(x.shape[0], 16, -1, 3)
    return nn.relu(x), (nn.relu(x),), (x,)


def body(**changed):
  return dataclasses.replace(small.SMALL, **changed)


OWN = {
  "headless": body(head=Headless),
  "narrow": body(head=Narrow),
  "wide": body(fragments=(Wide, *small.SMALL.fragments[1:])),
  "shorter": body(fragments=small.SMALL.fragments[1:]),
  "other": body(
    fragments=tuple(
      functools.partial(small.Layer, channels, stride)
      for channels, stride in ((5, 2), (7, 1), (8, 2))
    )
  ),
}


@pytest.fixture
def begun(monkeypatch):
  """Trains nothing; returns the labels of those who would have been."""
  labels = []

  def train(study, *others):
    labels.append(study.label)
    raise AssertionError(f"{study.label} began")

  monkeypatch.setattr(loop, "train", train)
  return labels


@pytest.fixture
def config(small, monkeypatch):
  for name, own in OWN.items():
    monkeypatch.setitem(models.MODELS, name, own)

  def make(variant="", student="small", teacher="small", **methods):
    made = digits.get_config(variant)
    made.data.train_limit, made.devices, made.student.model = 300, 1, student
    for part in (made.faculty.specialist, made.faculty.generalist):
      part.model = teacher
    with made.unlocked():
      made.methods.update(methods)
    return made

  return make


def refused(made, workdir, *said):
  with pytest.raises(UserError) as error:
    loop.run(settle(made), workdir)
  text = str(error.value)
  assert "\n" not in text and len(text) < 700
  for part in said:
    assert part in text, text
  assert not list(workdir.rglob("checkpoints"))


@pytest.mark.parametrize(
  "variant, student, teacher, methods, said",
  [
    ("kd", "small", "shorter", {"at": {"weight": 1.0}}, ["student", "methods.at.pairs="]),
    ("kd", "small", "other", {"fsp": {"weight": 1.0}}, ["methods.fsp", "channels"]),
    ("kd", "small", "other", {"kdsvd": {"weight": 1.0}}, ["kdsvd.vectors to 'columns'"]),
    ("kd", "small", "small", {"semckd": {"images": 8}}, ["set methods.semckd.images to 40"]),
    ("", "small", "headless", {"srrl": {"weight": 1.0}}, ["grade_1", "methods.srrl", "'dense'"]),
    ("", "small", "narrow", {}, ["teacher", "'narrow'", "logits"]),
    ("ce", "narrow", "small", {}, ["student", "'narrow'", "logits"]),
    ("", "wide", "small", {}, ["student", "grade_1", "'wide'", "reshape"]),
    ("kd", "small", "wide", {}, ["teacher generalist", "'wide'", "reshape"]),
  ],
)
def test_refused_at_once(variant, student, teacher, methods, said, config, begun, tmp_path):
  refused(config(variant, student, teacher, **methods), tmp_path / "run", *said)
  assert not begun


def test_a_head_of_another_name_is_refused_where_its_columns_must_move(config, begun, tmp_path):
  made = config("ce", "headless")
  made.class_order = "shuffled"
  refused(made, tmp_path / "run", "student", "'headless'", "'dense'", "class_order")
  assert not begun
  made.class_order = "given"
  with pytest.raises(AssertionError, match="student began"):
    loop.run(settle(made), tmp_path / "other")


@pytest.mark.parametrize(
  "variant, unseen, said",
  [
    ("", range(3), "teacher subject_1: the test images have none of 0, 1, 2, all"),
    # Its network is that of the first, so it is not traced again.
    ("", range(6, 10), "teacher subject_3: the test images have none of 6, 7, 8, 9, all"),
    ("ce", range(10), "student: the test images have none of 0, 1, 2, 3, 4 …, all"),
    ("ce", range(9), "student began"),
  ],
)
def test_an_exam_needs_an_image(variant, unseen, said, config, begun, tmp_path):
  made = config(variant)
  made.class_order = "given"
  dataset = data.load("digits", train_limit=300)
  test = splits.take(dataset.test, ~np.isin(dataset.test.labels, unseen))
  with pytest.raises((UserError, AssertionError)) as error:
    loop.run(settle(made), tmp_path / "run", dataset=dataclasses.replace(dataset, test=test))
  assert str(error.value).startswith(said)
  assert begun == (["student"] if said == "student began" else [])


@pytest.mark.parametrize("searches", [True, False])
def test_garbage_is_searched_for_afterwards_as_before(
  searches, config, begun, tmp_path, monkeypatch
):
  during, step = [], preflight.train_step

  def watched(*arguments):
    during.append(gc.isenabled())
    return step(*arguments)

  monkeypatch.setattr(preflight, "train_step", watched)
  was = gc.isenabled()
  try:
    (gc.enable if searches else gc.disable)()
    with pytest.raises(AssertionError, match="began"):  # once all was gone through
      loop.run(settle(config("ce")), tmp_path / "run")
    after = [gc.isenabled()]
    refused(config("ce", "narrow"), tmp_path / "refused", "'narrow'")
    after.append(gc.isenabled())
  finally:
    (gc.enable if was else gc.disable)()
  assert during and not any(during)
  assert after == [searches] * 2


class Broken:
  """A method with a mistake of its author's."""

  needs_teacher = True

  def init(self, key, student_output, teacher_output):
    return {}

  def loss(self, variables, student_output, teacher_output, batch):
    return student_output.logits @ teacher_output.logits, {}


def test_a_mistake_in_a_method_is_named(config, begun, tmp_path, monkeypatch):
  built = loop.methods_table.build
  monkeypatch.setattr(
    loop.methods_table, "build", lambda options: (*built(options), ("broken", 1.0, Broken()))
  )
  refused(config(), tmp_path / "run", "grade_1", "methods.broken", "TypeError")
  assert not begun


def test_every_checkpoint_is_read_before_a_generalist_is_trained_to_order_classes(
  config, begun, tmp_path
):
  made = config()
  made.class_order = "easiest"
  made.faculty.specialist.checkpoint = tuple(str(tmp_path / name) for name in "abc")
  refused(made, tmp_path / "run", str(tmp_path / "a"))
  assert not begun


def test_a_cache_that_cannot_be_written(config, begun, tmp_path):
  (tmp_path / "file").write_text("")
  made = config()
  made.faculty.cache = str(tmp_path / "file" / "cache")
  refused(made, tmp_path / "run", "faculty.cache", str(tmp_path / "file"))
  assert not begun


@pytest.mark.parametrize("devices", [1, 4])
def test_nothing_is_computed(devices, config, begun, tmp_path, monkeypatch):
  """Every array of the preflight is abstract, whatever a method begins with."""
  seen = []
  inner = preflight._step
  monkeypatch.setattr(preflight, "_step", lambda *args: seen.append(inner(*args)) or seen[-1])
  made = config(crd={"weight": 1.0}, vid={"weight": 1.0}, ofd={"weight": 1.0})
  made.devices = devices
  with pytest.raises(AssertionError, match="teacher subject_1 began"):
    loop.run(settle(made), tmp_path / "run")
  assert begun == ["teacher subject_1"] and len(seen) == 1 + 3  # a kind of teacher, three grades
  leaves = jax.tree.leaves(seen)
  assert leaves and all(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in leaves)
