"""Traces networks of every family with their annotations checked; a process for `types_test`.

Nothing is compiled or computed: the shapes and types of what modules are given and return are those
of a run. A wrong one ends the process with the annotation that it breaks.
"""

import jax
import jax.numpy as jnp
import jaxtyping

with jaxtyping.install_import_hook("edjax.models", "beartype.beartype"):
  from edjax import models
  from edjax.models import layers, pooling, precision, shufflenet
  from edjax.models.analysis import folding, macs

from tests import traced
from tests.models import families_test

# JAX makes trees anew, of whatever it likes. What fills them is checked where it is returned.
layers.Output.__init__ = layers.Output.__init__.__wrapped__

IMAGE = (32, 32, 3)
IMAGES = jax.ShapeDtypeStruct((2, *IMAGE), jnp.float32)


def learn(network, numbers):
  """Forward and backward, as a step of training does, in either kind of numbers."""

  def loss(params, variables, images):
    output = forward(network, numbers, variables | {"params": params}, images)
    return output.logits.sum() + sum(tap.sum() for tap in output.preactivations)

  variables = models.shapes(network, IMAGE)
  slopes = jax.eval_shape(jax.grad(loss), variables["params"], variables, IMAGES)
  assert jax.tree.map(jnp.shape, slopes) == jax.tree.map(jnp.shape, variables["params"])


def forward(network, numbers, variables, images):
  variables = variables | {"params": precision.lower(variables["params"], numbers)}
  images = precision.enter(images, numbers)
  return network.apply(variables, images, train=True, mutable=["batch_stats"])[0]


def infer(network):
  """As a teacher does, whose normalisations are folded away."""
  quick, variables = folding.folded(network, IMAGE), models.shapes(network, IMAGE)
  folded = jax.eval_shape(lambda known: folding.fold(network, known, IMAGE)[1], variables)
  assert jax.eval_shape(quick.apply, folded, IMAGES).logits.shape == (2, 5)
  assert macs.training_macs(network, 1, IMAGE) > macs.network_macs(network, IMAGE)


def main():
  # Else nothing here is checked.
  assert traced.refuses(lambda: pooling.average_grid(jnp.ones((2, 4, 4), jnp.float32), (1, 1)))
  assert traced.refuses(lambda: shufflenet.shuffle(jnp.ones((2, 4, 4, 6), int), 2))
  assert traced.refuses(lambda: layers.as_map(jnp.ones((2, 4))))
  for name in families_test.FAMILIES:
    network = models.graduate(models.body(name), 5)
    jax.eval_shape(network.init, jax.random.key(0), IMAGES)
    print(name)
  for name in ("resnet8", "wrn_16_1", "shufflenetv1", "vit_tiny_patch4"):
    learn(models.pupil(models.body(name), 1, 5, grid=2), "bfloat16")
  learn(models.graduate(models.body("resnet8+simkd8"), 5), "float32")
  infer(models.graduate(models.body("resnet8"), 5))


if __name__ == "__main__":
  main()
