"""The overhaul's margins and its partial distance, by hand."""

import jax
import numpy as np

from edjax import models
from edjax.methods.ofd import OFD
from tests.methods.methods_test import batch, made, variables
from tests.outputs import pair


def one_channel(values):
  """An output whose stage 1 is a row of places with one channel."""
  values = np.float32(values)
  maps = (np.zeros((len(values), 1, 1, 1), "f"), values[:, None, :, None])
  return models.Output(values, maps, maps, values)


def test_margins_are_means_of_all_negative_values_so_far():
  method = OFD()
  first, second = one_channel([[-1, -2, 3], [-9, 0, 4]]), one_channel([[-7, 1, 1], [5, 5, 5]])
  known = method.init(jax.random.key(0), first, first)
  mask = np.float32([1, 0])  # the second image of the first batch is padding
  _, memory = method.loss(known, first, first, batch(2, mask=mask))
  assert memory["map_1"]["margin"] == -1.5 and memory["map_1"]["count"] == 2
  _, memory = method.loss(known | {"memory": memory}, first, second, batch(2))
  np.testing.assert_allclose(memory["map_1"]["margin"], -10 / 3, rtol=1e-6)
  assert memory["map_1"]["count"] == 3


def test_distance_by_hand():
  # Normalised, (−1, 0, 1, −1, 1, 0) is ±√1.5 and 0; the teacher's margin is −1.
  student = one_channel([[-1, 0, 1], [-1, 1, 0]])
  teacher = one_channel([[-1.5, -0.5, 2], [1, -0.5, -1.5]])
  known = OFD().init(jax.random.key(0), student, teacher)
  known["params"]["map_1"]["conv"]["kernel"] = np.ones((1, 1, 1, 1), "f")
  losses, memory = OFD().loss(known, student, teacher, batch(2))
  assert memory["map_1"]["margin"] == -1
  # Below the margin: free. Above what may stay negative: to the target. A positive target: always.
  high = 1.5**0.5
  expected = [0 + 0.5**2 + (2 - high) ** 2, (1 + high) ** 2 + (high + 0.5) ** 2 + 1]
  np.testing.assert_allclose(losses, expected, rtol=1e-4)


def test_a_stage_keeps_its_weight_while_the_student_grows():
  student, teacher = pair()
  known = variables("ofd", 0, "random")
  parts = []
  for stage in (1, 2, 3):
    only = tuple(x if place == stage else None for place, x in enumerate(student.preactivations))
    young = student.replace(preactivations=only)
    parts.append(made("ofd").loss(known, young, teacher, batch(8))[0])
  whole = made("ofd").loss(known, student, teacher, batch(8))[0]
  np.testing.assert_allclose(sum(parts), whole, rtol=1e-5)
