"""What the gradient of a method takes beside its inputs, as the compiler states it."""

import jax
import jax.numpy as jnp
import pytest

from edjax import methods, models
from edjax.methods.base import begin

BATCH, IMAGES, CLASSES = 1024, 5000, 100
SIZES, WIDTHS = ((8, 8), (8, 8), (4, 4), (2, 2)), (16, 32, 64, 128)
FLOAT = 4


def said(batch, projected=0):
  """Shapes of an output; `projected` is the width of the map that a head like SimKD's adds."""

  def floats(*shape):
    return jax.ShapeDtypeStruct((batch, *shape), jnp.float32)

  maps = tuple(floats(*size, width) for size, width in zip(SIZES, WIDTHS, strict=True))
  more = (floats(*SIZES[-1], projected),) if projected else ()
  return models.Output(floats(CLASSES), maps, maps + more, floats(WIDTHS[-1]))


def handed(batch, strong):
  def integers(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.int32)

  def floats(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)

  return methods.Batch(
    labels=integers(batch),
    index=integers(batch),
    mask=floats(batch),
    key=jax.eval_shape(lambda: jax.random.key(0)),
    epoch=floats(),
    everyone=integers(IMAGES),
    classifier={"kernel": floats(WIDTHS[-1], CLASSES), "bias": floats(CLASSES)},
    strong=strong,
  )


def size_of(*trees):
  return sum(leaf.size * FLOAT for leaf in jax.tree.leaves(trees))


@pytest.mark.slow
@pytest.mark.parametrize("name", methods.METHODS)
def test_a_gradient_takes_a_few_times_its_inputs_or_all_pairs(name):
  """Naively RKD's angles would take batch³ (4 GiB here), and NST's products every pixel twice."""
  method = methods.METHODS[name](**({"images": BATCH} if name == "semckd" else {}))
  student = said(BATCH, projected=WIDTHS[-1] if name == "simkd" else 0)
  teacher = said(BATCH)
  taught = teacher if method.needs_teacher else None
  batch = handed(BATCH, strong=(student, teacher) if name == "mlld" else None)
  known = jax.eval_shape(
    lambda key, student, teacher: begin(method, key, student, teacher, IMAGES),
    jax.eval_shape(lambda: jax.random.key(0)),
    student,
    taught,
  )

  def gradient(student, known, teacher, batch):
    def loss(student, params):
      return method.loss(known | {"params": params}, student, teacher, batch)[0].sum()

    return jax.grad(loss, argnums=(0, 1))(student, known.get("params", {}))

  compiled = jax.jit(gradient).lower(student, known, taught, batch).compile()
  taken = compiled.memory_analysis().temp_size_in_bytes
  assert taken < 8 * size_of(student, teacher) + 16 * FLOAT * BATCH**2, taken / 2**20
