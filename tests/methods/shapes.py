"""Traces every method with its annotations checked; a process of its own, for `types_test`.

Nothing is compiled or computed: the shapes and types of what a method is given and returns are
those of a run. A wrong one ends the process with the annotation that it breaks.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import jaxtyping

with jaxtyping.install_import_hook("edjax.methods", "beartype.beartype"):
  from edjax import methods
  from edjax.methods import base, maps

from tests import traced
from tests.methods import methods_test

AXIS = "devices"


def trace(method, student, teacher, axis):
  """As a step does, over two devices where there is an axis, of the same images on each."""
  teacher = teacher if method.needs_teacher else None
  images = len(student.logits)
  shown = jax.eval_shape(lambda: (student, teacher))
  begin = functools.partial(base.begin, method, images=5 * images)
  variables = {"params": {}} | jax.eval_shape(
    lambda key: begin(key, *shown), jax.eval_shape(lambda: jax.random.key(0))
  )
  batch = methods_test.batch(images, axis)
  batch = dataclasses.replace(
    batch, others=batch.labels, share=jnp.float32(0.5), strong=(student, teacher or student)
  )
  leaves, tree = jax.tree.flatten((student, teacher, batch))

  def losses(variables, *leaves):
    return method.loss(variables, *jax.tree.unflatten(tree, leaves))

  if axis:
    losses = jax.vmap(losses, (None, *(0 for _ in leaves)), axis_name=axis)
    leaves = [jnp.stack([leaf, leaf]) for leaf in leaves]
  per_image, _ = jax.eval_shape(losses, variables, *leaves)
  assert per_image.shape == ((2, images) if axis else (images,))


def half_grown(output):
  """A student that has two of its stages yet."""
  missing = (None,) * (len(output.features) - 2)
  return dataclasses.replace(
    output,
    features=output.features[:2] + missing,
    preactivations=output.preactivations[:2] + missing,
  )


def main():
  assert traced.refuses(lambda: maps.unit(jnp.ones((2, 3), int)))  # else nothing here is checked
  assert traced.refuses(lambda: maps.same_size(jnp.ones((2, 4, 4, 3)), jnp.ones((3, 4, 4, 3))))
  for name in methods.METHODS:
    student, teacher = methods_test.said(name)
    for trial, options in enumerate(methods_test.oracle(name).OPTIONS):
      if methods_test.usual(name) not in methods_test.refused(name, trial):
        trace(methods.METHODS[name](**options), student, teacher, AXIS)
    method = methods.METHODS[name](**methods_test.oracle(name).OPTIONS[0])
    trace(method, half_grown(student), teacher, None)
    if getattr(method, "on_logits", False):
      trace(methods.Standardised(method), student, teacher, None)
    print(name)


if __name__ == "__main__":
  main()
