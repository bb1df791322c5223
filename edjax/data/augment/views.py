"""Views of images, as a training step draws them and as a network is shown them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float32, Int32, UInt8

from edjax.data.augment import disturbed, pipeline, strong
from edjax.data.augment.pipeline import Augment
from edjax.types import RandomKey

# Of some images of a batch: (the share of each in its mixture, whose image is mixed in).
Mixed = tuple[Float32[Array, ""], Int32[Array, " n"]]


def drawn(
  how: Augment,
  key: RandomKey,
  images: UInt8[Array, "n height width channels"],
  index: Int32[Array, " n"],
  count: int,
  mine: Callable[[Any], Any],
) -> list[Array]:
  """Returns the views of some images of a batch, as large as the images are.

  Args:
    how: images enter.
    key: of the step.
    images: uint8 [n, height, width, channels].
    index: which training images they are.
    count: of images in the whole batch.
    mine: takes what is drawn for a batch, arrays [count, …], to what is drawn for these, [n, …].

  Returns:
    Pixels [n, height, width, channels] from 0 to 255: one view of each image, or with `how.strong`
    two.
  """

  def ordinary(key: RandomKey) -> Array:
    draws = pipeline.settle(how, mine(pipeline.draw(how, key, count)), index)
    return pipeline.view(how, images, draws)

  def changed(
    settings: strong.Strong | disturbed.Disturbed, view: Array, key: RandomKey
  ) -> UInt8[Array, "n height width channels"]:
    pixels = jnp.round(view).astype(jnp.uint8)
    if isinstance(settings, disturbed.Disturbed):
      return disturbed.view(pixels, mine(disturbed.draw(settings, key, count, pixels.shape[-1])))
    return strong.view(settings, pixels, mine(strong.draw(settings, key, count)))

  views = [ordinary(key)]
  if how.randaugment is not None:
    views = [changed(how.randaugment, views[0], jax.random.fold_in(key, 5))]
  if how.strong is not None:
    other = ordinary(jax.random.fold_in(key, 2))
    views.append(changed(how.strong, other, jax.random.fold_in(key, 3)))
  return views


def mixture(how: Augment, key: RandomKey) -> Float32[Array, ""]:
  """Draws the share of an image in its mixture, in the step of this key."""
  return pipeline.mixture(how, jax.random.fold_in(key, 4))


def shown(how: Augment, views: list[Array], mixed: Mixed | None = None) -> list[Array]:
  """Returns views from `drawn` as a network takes them: shrunk, normalised, and mixed."""
  views = [pipeline.normalise(how, view) for view in views]
  if mixed:
    share, partners = mixed
    views = [share * view + (1 - share) * view[partners] for view in views]
  return views
