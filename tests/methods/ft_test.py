"""Factor transfer's two phases, and the growing student between them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from edjax import methods
from edjax.errors import UserError
from edjax.methods.ft import FT
from edjax.training import growth
from tests.methods.methods_test import batch
from tests.outputs import pair


def grown(output, stages):
  """An output of a student that has the stem and so many stages."""
  missing = (None,) * (len(output.features) - 1 - stages)
  return output.replace(features=output.features[: 1 + stages] + missing)


def test_paraphraser_goes_from_grade_to_grade():
  student, teacher = pair()
  first, second = FT(phase="paraphrase"), FT()
  learned = first.init(jax.random.key(0), grown(student, 1), teacher)
  learned = jax.tree.map(lambda leaf: leaf + 1, learned)
  encoder = learned["params"]["paraphraser"]["encoder"]
  state = {"miss": {"ft": learned}}
  for stages in (1, 2, 3):
    young = grown(student, stages)
    fresh = {"miss": {"ft": second.init(jax.random.key(stages), young, teacher)}}
    state = growth.remember(fresh, state)
    known = state["miss"]["ft"]
    jax.tree.map(np.testing.assert_array_equal, known["memory"]["paraphraser"]["encoder"], encoder)
    assert set(known["params"]) == {"translator"}
    losses, memory = second.loss(known, young, teacher, batch(8))
    assert losses.min() > 0
    jax.tree.map(np.testing.assert_array_equal, memory, known["memory"])


def test_paraphraser_learns_to_reconstruct_whatever_the_student_does():
  student, teacher = pair()
  method = FT(phase="paraphrase", rate=1.0)
  known = method.init(jax.random.key(0), student, teacher)

  @jax.jit
  def step(params):
    def objective(params):
      return method.loss({"params": params}, student, teacher, batch(8))[0].mean()

    value, gradient = jax.value_and_grad(objective)(params)
    return jax.tree.map(lambda leaf, slope: leaf - 0.5 * slope, params, gradient), value

  params, values = known["params"], []
  for _ in range(60):
    params, value = step(params)
    values.append(float(value))
  assert values[-1] < 0.7 * values[0]
  other = jax.tree.map(jnp.zeros_like, student)
  losses = [method.loss(known, said, teacher, batch(8))[0] for said in (student, other)]
  np.testing.assert_array_equal(*losses)


def test_scale_of_a_factor_does_not_matter():
  student, teacher = pair()
  known = FT().init(jax.random.key(0), student, teacher)  # without biases LeakyReLU is homogeneous
  louder = student.replace(features=tuple(7 * x for x in student.features))
  losses = [FT().loss(known, said, teacher, batch(8))[0] for said in (student, louder)]
  np.testing.assert_allclose(*losses, rtol=1e-5)


def test_a_student_without_any_stage_loses_nothing():
  student, teacher = pair()
  young = grown(student, 0)
  known = {"params": {}} | FT().init(jax.random.key(0), young, teacher)
  np.testing.assert_array_equal(FT().loss(known, young, teacher, batch(8))[0], np.zeros(8))


@pytest.mark.parametrize(
  "options, said",
  [
    ({"phase": "transfr"}, "methods.ft.phase is 'transfr'.*did you mean 'transfer'"),
    ({"form": "flat"}, "methods.ft.form 'flat'"),
    ({"rate": 0}, "methods.ft.rate is 0"),
  ],
)
def test_options_that_are_none(options, said):
  with pytest.raises(UserError, match=said):
    methods.build({"ft": options})
