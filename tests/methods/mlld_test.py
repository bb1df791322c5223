"""Multi-level logit distillation of two views, and standardised."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from edjax import methods
from edjax.errors import UserError
from edjax.methods.mlld import MLLD
from edjax.recipes import published
from tests import outputs
from tests.methods.methods_test import batch, close
from tests.reference.methods import mlld


@pytest.mark.parametrize("trial", range(len(mlld.OPTIONS)))
def test_two_views_equal_pytorch(trial):
  """Value and gradients to the student of both views."""
  options = mlld.OPTIONS[trial]
  weak, strong = outputs.pair(seed=1), outputs.pair(seed=2)
  ours = MLLD(**options)

  def objective(weak_student, strong_student):
    asked = batch(8).replace(strong=(strong_student, strong[1]))
    return ours.loss({}, weak_student, weak[1], asked)[0].mean()

  value, gradients = jax.value_and_grad(objective, argnums=(0, 1))(weak[0], strong[0])
  theirs = [[outputs.in_torch(output) for output in pair] for pair in (weak, strong)]
  expected = mlld.loss(
    *theirs[0], batch(8).replace(key=None, strong=tuple(theirs[1])), {}, **options
  )
  expected.backward()
  close(value, expected.detach().numpy())
  for gradient, (student, _) in zip(gradients, theirs, strict=True):
    close(gradient, outputs.gradients(student))


def test_both_views_are_standardised():
  """As if both had been standardised before."""
  ((_, _, ours),) = methods.build({"mlld": {"standardise": True}})
  pairs = outputs.pair(seed=1), outputs.pair(seed=2)
  told = [
    tuple(
      output.replace(
        logits=(output.logits - output.logits.mean(1, keepdims=True))
        / (1e-7 + output.logits.std(1, ddof=1, keepdims=True))
      )
      for output in pair
    )
    for pair in pairs
  ]
  got, _ = ours.loss({}, *pairs[0], batch(8).replace(strong=pairs[1]))
  expected, _ = MLLD().loss({}, *told[0], batch(8).replace(strong=told[1]))
  close(got, np.asarray(expected))
  assert (got != MLLD().loss({}, *pairs[0], batch(8).replace(strong=pairs[1]))[0]).all()


def test_unlike_batches_differ_by_hand():
  """Two images, two classes, T 1: certain student, undecided teacher."""
  student = outputs.pair(count=2)[0].replace(logits=jnp.float32([[40, 0], [0, 40]]))
  teacher = student.replace(logits=jnp.zeros((2, 2)))
  asked = batch(2)
  got, _ = MLLD(temperatures=(1.0,)).loss({}, student, teacher, asked)
  # KL(½,½ ‖ 1,0) = ln ½ + 20; rows of I less ½: ½; all entries of I less ½, over two classes: ½.
  np.testing.assert_allclose(got, [np.log(0.5) + 20 + 0.5 + 0.5] * 2, rtol=1e-5)


def test_the_published_batch_is_as_published():
  """To the last bit: 64 images of 100 classes; and of a tenth as many classes all is scaled."""
  option = published.METHODS["mlld"]["mlld"]["per_class"]
  for classes, alike in ((100, True), (10, False)):
    random = np.random.default_rng(0)
    student, teacher = (
      outputs.pair()[0].replace(logits=jnp.float32(random.normal(0, 3, (64, classes))))
      for _ in range(2)
    )
    plain, kept = (
      MLLD(per_class=each).loss({}, student, teacher, batch(64))[0] for each in (0.0, option)
    )
    assert (plain == kept).all() == alike and (plain >= kept).all()


@pytest.mark.parametrize(
  "options",
  [{"temperatures": ()}, {"temperatures": (1.0, 0.0)}, {"form": "?"}, {"per_class": -1.0}],
)
def test_settings_that_cannot_be(options):
  with pytest.raises(UserError, match="methods.mlld"):
    methods.build({"mlld": options})
