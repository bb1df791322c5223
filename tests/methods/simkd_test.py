"""A student that ends in its teacher's classifier: head, grades and graduate."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import digits
from edjax import models
from edjax.data import datasets
from edjax.errors import UserError
from edjax.methods.simkd import SimKD
from edjax.recipes import common
from edjax.settings import settle
from edjax.storage import checkpoint
from edjax.teachers import faculty
from edjax.training import growth, loop
from tests.school import bits, random_like


def test_the_head_by_its_parts():
  """Projector by hand in NumPy; the embedding is the pooled map, and the last preactivation it."""
  body = models.body("resnet8+simkd6")
  assert body.reuses and models.body("resnet8").fragments == body.fragments
  network = models.graduate(body, 3)
  images = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)
  variables = random_like(jax.eval_shape(network.init, jax.random.key(0), images))
  said = network.apply(variables, images)
  head, statistics = variables["params"]["head"], variables["batch_stats"]["head"]
  assert head["conv1"]["kernel"].shape == (1, 1, 64, 3)
  assert head["conv2"]["kernel"].shape == (3, 3, 3, 3)
  assert head["conv3"]["kernel"].shape == (1, 1, 3, 6)

  def normal(x, name):
    scale, bias = head[name]["scale"], head[name]["bias"]
    mean, var = statistics[name]["mean"], statistics[name]["var"]
    return np.maximum((x - mean) / np.sqrt(var + 1e-5) * scale + bias, 0)

  x = normal(np.asarray(said.features[-1]) @ head["conv1"]["kernel"][0, 0], "bn1")
  wide = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
  x = sum(
    wide[:, i : i + 2, j : j + 2] @ head["conv2"]["kernel"][i, j]
    for i in range(3)
    for j in range(3)
  )
  x = normal(normal(x, "bn2") @ head["conv3"]["kernel"][0, 0], "bn3")
  np.testing.assert_allclose(said.preactivations[-1], x, rtol=1e-4, atol=1e-5)
  embedding = x.mean((1, 2))
  np.testing.assert_allclose(said.embedding, embedding, rtol=1e-4, atol=1e-5)
  logits = embedding @ head["dense"]["kernel"] + head["dense"]["bias"]
  np.testing.assert_allclose(said.logits, logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["resnet8+simkd", "resnet8+simkd1", "resnet8+simkdx"])
def test_widths_that_cannot_be(name):
  with pytest.raises(UserError, match="width of a teacher's embedding"):
    models.body(name)


def test_a_student_must_end_in_this_teachers_classifier():
  image = jnp.zeros((2, 8, 8, 3))

  def output(name):
    network = models.graduate(models.body(name), 3)
    return jax.eval_shape(lambda: network.init_with_output(jax.random.key(0), image)[0])

  assert SimKD().init(None, output("resnet8+simkd128"), output("wrn_16_2")) == {}
  for student in ("resnet8", "resnet8+simkd64"):
    with pytest.raises(UserError, match=r"put \+simkd128 behind"):
      SimKD().init(None, output(student), output("wrn_16_2"))


def test_a_classifier_that_sees_more_than_the_last_map():
  """Of a network for light curves it sees mean and maximum, which the projector imitates."""
  student, teacher = (
    models.graduate(models.body(name), 3) for name in ("curve_small+simkd128", "curve")
  )
  curves = np.random.default_rng(0).normal(size=(2, 1, 40, 5)).astype(np.float32)
  ours, theirs = (
    network.apply(random_like(models.shapes(network, (1, 40, 5))), curves)
    for network in (student, teacher)
  )
  last = np.asarray(theirs.features[-1])
  seen = np.concatenate([last.mean((1, 2)), last.max((1, 2))], -1)
  assert SimKD().init(None, ours, theirs) == {}
  loss, _ = SimKD().loss({}, ours, theirs, None)
  projected = np.asarray(ours.preactivations[-1]).mean((1, 2))
  np.testing.assert_allclose(loss, ((projected - seen) ** 2).mean(1), rtol=1e-5)


def test_partition_leaves_the_classifier_alone():
  params = {"fragment_0": {"a": 1}, "fragment_1": {"b": 2}, "head": {"conv1": 3, "dense": 4}}
  learning, fixed = growth.partition(params, 1, reuses=True)
  assert learning == {"fragment_1": {"b": 2}, "head": {"conv1": 3}}
  assert fixed == {"fragment_0": {"a": 1}, "head": {"dense": 4}}
  assert growth.union(learning, fixed) == params
  for frozen, reuses in ((0, False), (2, False), (-1, True), (0, True)):
    assert growth.union(*growth.partition(params, frozen, reuses)) == params


@pytest.mark.slow
@pytest.mark.parametrize(
  "cut, student, first",
  [("stages", "resnet8_half+simkd32", "ce"), ("depth", "tests.small:DEEP+simkd32", "simkd")],
)
def test_a_school_ends_in_the_teachers_classifier(cut, student, first, compiled, tmp_path):
  """Two grades; the graduate holds the generalist's matrix to the bit, columns in label order."""
  config = digits.get_config("kd,smoke")
  config.student.update(model=student, cut=cut)
  config.class_order = "3,1,4,0,5,9,2,6,8,7"
  config.devices = 1
  with config.unlocked():
    config.methods = {"ce": {"weight": 1.0}, "simkd": {"weight": 1.0}}
  common.curriculum(
    config,
    common.grade(fragments=1, subjects=2, methods=first, teachers="generalist", learning_rate=0.05),
    common.grade(epochs=2, methods="simkd", teachers="generalist", learning_rate=0.05),
  )
  report = loop.run(settle(config), tmp_path / "run")
  data = datasets.load("digits", **config.data)
  labels = tuple(range(10))
  graduate = faculty.load(tmp_path / "run" / "graduate", "graduate", labels, data)
  place = tmp_path / "run" / "teachers" / "generalist" / "network"
  teacher, info = checkpoint.load_variables(place)
  assert info["classes"] == list(data.class_names)
  assert bits(graduate.variables["params"]["head"]["dense"]) == bits(
    teacher["params"]["head"]["dense"]
  )
  assert report["student"]["model"] == student
  assert report["student"]["exam_count"] == 451
  common.every(config, teachers="specialists")
  lacking = "grade_2" if cut == "stages" else "grade_1"
  with pytest.raises(UserError, match=f"{lacking}.*needs a teacher of all classes"):
    loop.run(settle(config), tmp_path / "other")
