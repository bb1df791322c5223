"""Steps in which images are mixed, or seen twice."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from edjax.data import sampler
from edjax.data.augment import pipeline, policies, strong
from tests import school
from tests.training.step_test import hard, kl, mean_loss


def apply(desk, *views):
  """The student's logits of views in a row, and the statistics that they leave."""
  network, variables, said = desk.spec.network.clone(axis_name=None), desk.variables, []
  for view in views:
    output, new = network.apply(variables, view, train=True, mutable=["batch_stats"])
    variables = variables | new
    said.append(np.asarray(output.logits))
  return said, variables["batch_stats"]


def answer(desk, name, view):
  return view.reshape(len(view), -1) @ desk.teachers[name]["params"]["dense"]["kernel"]


def test_partners_sit_on_the_same_device_and_have_the_same_subject():
  seating = sampler.seat([30, 20, 10], 12)
  assert seating.seats == (6, 4, 2)
  np.testing.assert_array_equal(
    sampler.partners(seating, 1), [1, 2, 3, 4, 5, 0, 7, 8, 9, 6, 11, 10]
  )
  # Over two devices the second subject is all on the other one.
  np.testing.assert_array_equal(
    sampler.partners(seating, 2), [1, 2, 3, 4, 5, 0, 7, 8, 9, 6, 11, 10]
  )
  # Over four, seats 6 to 8 and 9 are parted, and 9 has nobody.
  np.testing.assert_array_equal(
    sampler.partners(seating, 4), [1, 2, 0, 4, 5, 3, 7, 8, 6, 9, 11, 10]
  )


def test_images_are_mixed_and_so_are_labels():
  desk = school.grade(
    ("subject_1", "subject_2", "subject_3"),
    augment=dataclasses.replace(school.AUGMENT, mixup=1.0),
    partners=tuple(sampler.partners(school.grade().seating, 1).tolist()),
  )
  seats = desk.seating.seats
  partners = np.concatenate(
    [
      start + np.roll(np.arange(taken), -1)
      for start, taken in zip(np.cumsum((0, *seats)), seats, strict=False)
    ]
  )
  key = jax.random.fold_in(jax.random.fold_in(jax.random.key(7), 0), 4)
  share = float(pipeline.mixture(desk.spec.augment, key))
  assert 0.5 <= share < 0.99
  views, places = desk.views(), desk.places()
  mixed = np.float32(share * views + (1 - share) * views[partners])
  (student,), _ = apply(desk, mixed)
  labels = share * hard(student, places) + (1 - share) * hard(student, places[partners])
  soft = np.zeros(len(views))
  for name in desk.teachers:
    rows = np.flatnonzero(np.isin(places, school.ANSWERS[name]))
    columns = list(school.ANSWERS[name])
    soft[rows] = kl(answer(desk, name, mixed)[rows], student[rows][:, columns], 4.0)
  expected = np.mean(0.3 * labels + 0.7 * soft)
  np.testing.assert_allclose(mean_loss(desk.train()), expected, rtol=1e-5)


def test_shares_are_drawn_from_beta():
  how = dataclasses.replace(school.AUGMENT, mixup=1.0)
  draws = jax.vmap(lambda key: pipeline.mixture(how, key))(
    jax.random.split(jax.random.key(0), 2000)
  )
  low, middle, high = np.quantile(draws, [0.01, 0.5, 0.99])  # of the uniform on [1/2, 1]
  np.testing.assert_allclose([low, middle, high], [0.505, 0.75, 0.995], atol=0.02)


@dataclasses.dataclass(frozen=True)
class Difference:
  """What the student says of the second view less what the teacher says of it, squared."""

  needs_teacher: ClassVar[bool] = True

  def init(self, key, student_output, teacher_output):
    return {}

  def loss(self, variables, student_output, teacher_output, batch):
    student, teacher = batch.strong
    return jnp.sum((student.logits - teacher.logits) ** 2, axis=1), {}


def test_student_and_teachers_see_what_randaugment_makes_of_an_image():
  """Of operations there is one here, which inverts every pixel."""
  inverts = (policies.Operation("solarize", 0, 0),)
  how = strong.Strong(layers=1, magnitude=(9, 9), operations=inverts, cutout=(0, 0))
  desk = school.grade(("subject_2",), augment=dataclasses.replace(school.AUGMENT, randaugment=how))
  pixels = 255 - desk.images[desk.order()[0]]
  mean, std = (np.float32(each)[None] for each in (school.AUGMENT.mean, school.AUGMENT.std))
  views, places = (pixels / np.float32(255) - mean) / std, desk.places()
  (student,), _ = apply(desk, views)
  columns = list(school.ANSWERS["subject_2"])
  rows = np.flatnonzero(np.isin(places, columns))
  soft = kl(answer(desk, "subject_2", views)[rows], student[rows][:, columns], 4.0)
  expected = 0.3 * hard(student, places).mean() + 0.7 * soft.sum() / len(places)
  np.testing.assert_allclose(mean_loss(desk.train()), expected, rtol=1e-5)


def test_every_image_is_seen_twice(monkeypatch):
  """The second view has its own crop and is changed; hard labels count by the mean of both."""
  monkeypatch.setattr(strong, "draw", lambda settings, key, count: jnp.arange(count))
  monkeypatch.setattr(strong, "view", lambda settings, images, draws: 255 - images)
  how = dataclasses.replace(school.AUGMENT, strong=strong.Strong())
  desk = school.grade(("subject_2",), augment=how)
  spec = dataclasses.replace(
    desk.spec, methods=(*desk.spec.methods[:1], ("difference", 0.5, Difference()))
  )
  desk = dataclasses.replace(desk, spec=spec)
  views, places = desk.views(), desk.places()
  inverted = (1 - desk.images[desk.order()[0]] / np.float32(255) - np.float32(how.mean)[None]) / (
    np.float32(how.std)[None]
  )
  said, statistics = apply(desk, views, np.float32(inverted))
  columns = list(school.ANSWERS["subject_2"])
  rows = np.flatnonzero(np.isin(places, columns))
  gap = said[1][rows][:, columns] - answer(desk, "subject_2", inverted)[rows]
  expected = 0.3 * np.mean([hard(logits, places) for logits in said])
  expected += 0.5 * np.sum(gap**2) / len(places)
  state = desk.train()
  np.testing.assert_allclose(mean_loss(state), expected, rtol=1e-5)
  for ours, theirs in zip(
    *map(jax.tree.leaves, (state.variables["batch_stats"], statistics)), strict=True
  ):
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
