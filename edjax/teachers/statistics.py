"""A frozen network's batch statistics, measured anew where it is shown images of another size.

Means and variances inside a network depend on the size of what it looks at, so that one that was
trained on whole images knows little of shrunk ones until they are measured again (Touvron et al.
2019, arXiv:1906.06423).
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int32, UInt8

from edjax.data.augment import pipeline
from edjax.data.splits import Split
from edjax.models.layers import MOMENTUM, Network
from edjax.teachers.faculty import Teacher
from edjax.types import Variables

_IMAGES, _BATCH = 1024, 256  # looked at in all, and at once; four times as many are no better


def anew(teacher: Teacher, train: Split, how: pipeline.Augment) -> Variables:
  """Returns a teacher's variables with the statistics of its layers on these views.

  Args:
    teacher: whose parameters stay as they are.
    train: the training images, of which those of its classes are looked at, evenly spread.
    how: they are shown to it.

  Returns:
    Statistics that are the mean of those of batches; the same ones in whatever processes and on
    however many devices. A network without any is returned as it is.
  """
  if "batch_stats" not in teacher.variables:
    return teacher.variables
  members = np.flatnonzero(np.isin(train.labels, teacher.classes)).astype(np.int32)
  # Neighbours may be of one class: every batch is drawn from all of them.
  members = np.random.default_rng(0).permutation(members)[:_IMAGES]
  size = min(_BATCH, len(members))
  measure = _measurer(teacher.network, how)
  measured = [
    measure(teacher.variables, train.images[rows], rows)
    for rows in members[: len(members) // size * size].reshape(-1, size)
  ]
  stats = jax.tree.map(lambda *leaves: np.mean(leaves, axis=0), *map(jax.device_get, measured))
  return teacher.variables | {"batch_stats": stats}


@functools.lru_cache(maxsize=8)
def _measurer(network: Network, how: pipeline.Augment) -> Callable[..., Variables]:
  """Teachers of one network, and grades of one size, share what is compiled."""
  return jax.jit(functools.partial(_of_batch, network, how))


def _of_batch(
  network: Network,
  how: pipeline.Augment,
  variables: Variables,
  images: UInt8[jax.Array, "n height width channels"],
  index: Int32[jax.Array, " n"],
) -> Variables:
  """The statistics of a batch, from what they make of older ones that are zero."""
  draws = pipeline.draw(how, jax.random.fold_in(jax.random.key(0), index[0]), len(images))
  seen = pipeline.view(how, images, pipeline.settle(how, draws, index))
  nothing = jax.tree.map(jnp.zeros_like, variables["batch_stats"])
  _, after = network.apply(
    variables | {"batch_stats": nothing},
    pipeline.normalise(how, seen),
    train=True,
    mutable=["batch_stats"],
  )
  stats: Any = after["batch_stats"]
  return jax.tree.map(lambda leaf: leaf / (1 - MOMENTUM), stats)
