"""What the first steps of each grade show of some training images, to be looked at."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, Int32, UInt8

from edjax.data import sampler
from edjax.data.augment import pipeline, views
from edjax.report.images import Sheet
from edjax.study import Study
from edjax.training import batches, grade
from edjax.training.evaluation import Loader
from edjax.types import RandomKey

IMAGES, STEPS = 4, 6
_PIXELS = (0.0,), (1 / 255,)  # a mean and deviation by which pixels stay what they are


def of(study: Study, loader: Loader) -> list[Sheet]:
  """Returns the sheets of a study, none of a grade that shows images as one before it does."""
  found: dict[pipeline.Augment, int] = {}
  for number, one in enumerate(study.curriculum.grades):
    found.setdefault(batches.augment(study, loader, one), number)
  changing = {how: number for how, number in found.items() if how.varies or how.size}
  return [_sheet(study, loader, number, how) for how, number in changing.items()]


def _sheet(study: Study, loader: Loader, number: int, how: pipeline.Augment) -> Sheet:
  """Takes some who sit in the first batch of a grade, evenly spread, through its first steps."""
  _, members, seating = grade.seat(study, loader, number)
  batch = sampler.epoch_order(seating, members, (study.seed, number), 0)[0]
  count = min(IMAGES, len(batch))
  seats = np.arange(count) * len(batch) // count
  seats = np.concatenate([seats, sampler.partners(seating, loader.fleet.size)[seats]])
  images = loader.splits["train"].images[batch[seats]]
  partners = np.roll(np.arange(2 * count), count)  # of those with a partner the one, and back

  @jax.jit
  def show(
    key: RandomKey,
    images: UInt8[jax.Array, "n height width channels"],
    index: Int32[jax.Array, " n"],
  ) -> Float32[jax.Array, "shown views rows columns channels"]:
    seen = views.drawn(
      how, key, images, index, len(batch), lambda drawn: jax.tree.map(lambda x: x[seats], drawn)
    )
    mixed = (views.mixture(how, key), jnp.asarray(partners)) if how.mixup else None
    return jnp.stack(views.shown(how.by(_PIXELS), seen, mixed), 1)[:count]

  key = jax.random.fold_in(jax.random.key(study.seed), number)
  steps = range(STEPS if how.varies else 1)
  shown = [show(jax.random.fold_in(key, step), images, batch[seats]) for step in steps]
  pixels = np.clip(np.round(np.concatenate(shown, axis=1)), 0, 255).astype(np.uint8)
  return Sheet(study.curriculum.grades[number].name, images[:count], pixels)
