"""What is seen of a batch's images: views of them, by every network's own figures."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Int32, UInt8

from edjax.data.augment import pipeline, strong
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

  how, count = spec.augment, spec.batch_size

  def drawn(key: RandomKey) -> jax.Array:
    draws = pipeline.settle(how, mine(pipeline.draw(how, key, count)), rows)
    return pipeline.view(how, images, draws)

  def changed(settings: strong.Strong, view: jax.Array, key: RandomKey) -> jax.Array:
    draws = mine(strong.draw(settings, key, count))
    return strong.view(settings, jnp.round(view).astype(jnp.uint8), draws)

  seen = [drawn(key)]
  if how.randaugment is not None:
    seen = [changed(how.randaugment, seen[0], jax.random.fold_in(key, 5))]
  if how.strong is not None:
    other = drawn(jax.random.fold_in(key, 2))
    seen.append(changed(how.strong, other, jax.random.fold_in(key, 3)))
  mixture: dict[str, Any] = {}
  if how.mixup:
    share = pipeline.mixture(how, jax.random.fold_in(key, 4))
    partners = mine(jnp.asarray(spec.partners)) - own
    mixture = {"others": labels[partners], "share": share}

  @functools.cache  # networks with the same figures and size share their views
  def show(figures: tuple, size: Size) -> list[jax.Array]:
    views = [pipeline.normalise(how.by(figures).at(size), view) for view in seen]
    if mixture:
      views = [share * view + (1 - share) * view[partners] for view in views]
    return [precision.enter(view, spec.precision) for view in views]

  return show, mixture
