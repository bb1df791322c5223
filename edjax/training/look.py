"""What is seen of a batch's images: views of them, by every network's own figures."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Int32, UInt8

from edjax.data.augment import views
from edjax.devices.pmap import AXIS
from edjax.models import precision
from edjax.training.spec import StepSpec
from edjax.types import RandomKey, Size

Show = Callable[[tuple, Size], list[jax.Array]]  # figures, size -> views


def look(
  spec: StepSpec,
  key: RandomKey,
  images: UInt8[jax.Array, "seats height width channels"],
  rows: Int32[jax.Array, " seats"],
  labels: Int32[jax.Array, " seats"],
) -> tuple[Show, dict[str, Any]]:
  """What is seen of this device's images.

  Returns:
    (`show(figures, size) -> views` as a network takes them that is shown images of a size by its
    own mean and deviation, or by the run's if it has none of its own; what mixup says of them to a
    `Batch`).
  """
  own = jax.lax.axis_index(AXIS) * len(labels)

  def mine(draws: Any) -> Any:
    return jax.tree.map(lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, own, len(labels)), draws)

  how, mixed = spec.augment, None
  seen = views.drawn(how, key, images, rows, spec.batch_size, mine)
  mixture: dict[str, Any] = {}
  if how.mixup:
    mixed = views.mixture(how, key), mine(jnp.asarray(spec.partners)) - own
    mixture = {"others": labels[mixed[1]], "share": mixed[0]}

  @functools.cache  # networks with the same figures and size share their views
  def show(figures: tuple, size: Size) -> list[jax.Array]:
    taken = views.shown(how.by(figures).at(size), seen, mixed)
    return [precision.enter(view, spec.precision) for view in taken]

  return show, mixture
