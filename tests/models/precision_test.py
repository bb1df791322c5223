"""Networks that compute in bfloat16: what is lowered, what is not, and how much it changes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from edjax import models
from edjax.devices.pmap import AXIS
from edjax.models import precision
from edjax.training.step import Constants, train_step
from tests import school

TEACHER = functools.partial(models.graduate, school.BODY)


def products(jaxpr):
  """(primitive, types of its two operands) of all convolutions and matrix products.

  But for products with square matrices: with the identity, on CPUs, see `models.fusion`.
  """
  found = []
  for equation in jaxpr.eqns:
    if equation.primitive.name in ("conv_general_dilated", "dot_general"):
      types = tuple(operand.aval.dtype.name for operand in equation.invars)
      rows, *columns = equation.invars[1].aval.shape
      if columns != [rows]:
        found.append((equation.primitive.name, types))
    for inner in jax.tree.leaves(
      list(equation.params.values()), is_leaf=lambda leaf: hasattr(leaf, "jaxpr")
    ):
      inner = getattr(inner, "jaxpr", inner)
      found += products(inner) if hasattr(inner, "eqns") else []
  return found


def desk(kind):
  made = school.grade(teacher_network=TEACHER, precision=kind)
  lowered = {
    name: tree | {"params": precision.lower(tree["params"], kind)}
    for name, tree in made.teachers.items()
  }
  made.teachers.update(lowered)
  return made


@pytest.mark.parametrize("kind", ["float32", "bfloat16"])
def test_convolutions_are_lowered_and_the_last_matrix_is_not(kind):
  made = desk(kind)
  seats = {role.name: jax.tree.map(lambda x: x[0], made.where(role)) for role in made.spec.roles}
  traced = jax.make_jaxpr(functools.partial(train_step, made.spec), axis_env=[(AXIS, 1)])(
    made.state(),
    Constants(jax.random.key(0), made.labels, made.teachers),
    jnp.asarray(made.order()[0]),
    seats,
    {"images": made.images[made.order()[0]]},
  )
  found = products(traced.jaxpr)
  convolutions = {types for name, types in found if name == "conv_general_dilated"}
  matrices = {types for name, types in found if name == "dot_general"}
  assert convolutions == {(kind, kind)}
  assert matrices == {("float32", "float32")}


def test_everything_that_is_kept_stays_float32_and_close():
  exact, rough = (desk(kind).train(3) for kind in ("float32", "bfloat16"))
  assert {leaf.dtype for leaf in jax.tree.leaves(rough.variables)} == {np.dtype("float32")}
  assert {leaf.dtype for leaf in jax.tree.leaves(rough.opt_state)} <= {
    np.dtype("float32"),
    np.dtype("int32"),
  }
  losses = [float(state.sums["loss"] / state.sums["images"]) for state in (exact, rough)]
  assert losses[0] != losses[1]
  np.testing.assert_allclose(losses[1], losses[0], rtol=0.03)
  start = desk("float32").variables["params"]
  moved = [
    np.concatenate(
      [
        np.ravel(a - b)
        for a, b in zip(*map(jax.tree.leaves, (s.variables["params"], start)), strict=True)
      ]
    )
    for s in (exact, rough)
  ]
  cosine = moved[0] @ moved[1] / np.linalg.norm(moved[0]) / np.linalg.norm(moved[1])
  assert cosine > 0.98


def test_float32_is_left_alone():
  tree = {"fragment_0": {"a": jnp.ones(2)}, "head": {"b": jnp.ones(2)}}
  assert precision.lower(tree, "float32")["fragment_0"]["a"].dtype == jnp.float32
  low = precision.lower(tree, "bfloat16")
  assert low["fragment_0"]["a"].dtype == jnp.bfloat16 and low["head"]["b"].dtype == jnp.float32
