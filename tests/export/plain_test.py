"""Of what is computed otherwise on CPUs nothing is left; answers are those for any device."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from edjax import models
from edjax.export.plain import plain
from edjax.models.analysis.folding import fold


def primitives(jaxpr):
  """Names of all operations, within others too."""
  for equation in jaxpr.eqns:
    yield equation.primitive.name
    for inner in jax.tree.leaves(
      list(equation.params.values()), is_leaf=lambda leaf: hasattr(leaf, "eqns")
    ):
      inner = getattr(inner, "jaxpr", inner)
      yield from primitives(inner) if hasattr(inner, "eqns") else ()


def choosing(x):
  """Adds 1 on CPUs and 2 elsewhere."""
  return jax.lax.platform_dependent(x, cpu=lambda x: x + 1, default=lambda x: x + 2)


@jax.custom_vjp
def ruled(x):
  return 3 * choosing(x)


ruled.defvjp(lambda x: (ruled(x), x), lambda x, slope: (slope,))


@pytest.mark.parametrize(
  "function, wanted",
  [
    (choosing, 7.0),
    (ruled, 21.0),
    (jax.jit(choosing), 7.0),
    (jax.checkpoint(lambda x: jnp.sin(0 * x) + choosing(x)), 7.0),
    (lambda x: choosing(choosing(x)), 9.0),
    (lambda x: jax.nn.relu(choosing(x)), 7.0),
  ],
)
def test_what_is_for_all_devices_is_taken(function, wanted):
  assert function(jnp.float32(5)) < wanted
  assert plain(function)(jnp.float32(5)) == wanted


def test_a_choice_by_value_stays():
  def function(x):
    return jax.lax.cond(x.sum() > 0, choosing, jnp.negative, x)

  np.testing.assert_array_equal(plain(function)(jnp.asarray([-1.0, -2.0])), [1, 2])


def test_a_choice_without_a_branch_for_others_stays():
  def function(x):
    return jax.lax.platform_dependent(x, cpu=lambda x: x + 1, tpu=lambda x: x + 2)

  assert plain(function)(jnp.float32(5)) == 6


@pytest.mark.parametrize(
  "name",
  [
    "resnet8",
    pytest.param("resnet20_option_a", marks=pytest.mark.slow),
    pytest.param("mobilenetv2_half", marks=pytest.mark.slow),
    pytest.param("shufflenetv1", marks=pytest.mark.slow),
  ],
)
def test_networks_of_any_number_of_images(name):
  network = models.graduate(models.body(name), 5)
  network, variables = fold(
    network, jax.tree.map(lambda s: jnp.ones(s.shape), models.shapes(network, (8, 8, 3))), (8, 8, 3)
  )
  function = plain(lambda images: network.apply(variables, images).logits)
  (count,) = export.symbolic_shape("n")
  traced = jax.make_jaxpr(function)(jax.ShapeDtypeStruct((count, 8, 8, 3), jnp.float32))
  assert traced.out_avals[0].shape == (count, 5)
  found = set(primitives(traced.jaxpr))
  assert "conv_general_dilated" in found
  assert not found & {"cond", "platform_index", "custom_vjp_call", "custom_jvp_call", "scan", "jit"}
