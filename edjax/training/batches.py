"""The images that the steps of a grade show, laid out chunk by chunk while the devices learn."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int32

from edjax.curriculum import Grade
from edjax.data import sampler
from edjax.data.augment import pipeline
from edjax.data.augment.disturbed import Disturbed
from edjax.data.augment.strong import MULTI_LEVEL, Strong, randaugment
from edjax.data.prefetch import Stream
from edjax.study import Study
from edjax.training.evaluation import Loader
from edjax.types import RandomKey

_CHUNKS_PER_EPOCH = 20
_CHUNK_BYTES = 1 << 26  # of the images of a chunk, unless a single step has more

Rows = Int32[np.ndarray, "devices steps seats"]


class Batches:
  """Who sits in the batches of a grade, and what is laid out for its steps.

  Attributes:
    seating: how many steps an epoch has, and the seats of each subject.
    epochs: of the grade.
    chunk: after how many steps of an epoch the host looks at what came of them.
    ahead: {"images": uint8 [devices, chunk, batch / devices, …]} by (epoch, first step), to be
      closed. What the host has to lay out, it lays out while the devices work at the chunk before,
      be it of another epoch. At the end of an epoch the last step stands in for those that are
      missing, so that every chunk has one shape.
  """

  def __init__(
    self,
    loader: Loader,
    seating: sampler.Seating,
    members: Sequence[np.ndarray],
    seed: tuple[int, ...],
    epochs: float,
  ) -> None:
    """Takes the training images of each subject, and ints that name this period of training."""
    self._loader, self.seating, self.epochs = loader, seating, epochs
    most = _CHUNK_BYTES // (sum(seating.seats) * loader.image_bytes)
    self.chunk = max(1, min(seating.steps // _CHUNKS_PER_EPOCH, most))
    self.ahead: Stream[tuple[int, int], dict[str, Any]] = Stream(self._lay_out, self._following)

    @functools.lru_cache(maxsize=2)
    def rows(epoch: int) -> Rows:
      order = sampler.epoch_order(seating, members, seed, epoch)
      shaped = order.reshape(seating.steps, loader.fleet.size, -1)
      return np.ascontiguousarray(shaped.swapaxes(0, 1))

    self.rows = rows
    self.on_devices = functools.lru_cache(maxsize=2)(lambda epoch: loader.fleet.divide(rows(epoch)))

  def views(self, how: pipeline.Augment, key: RandomKey) -> Callable[[int], Rows]:
    """Returns epoch -> which views of `rows` the steps show, see `pipeline.number`."""
    steps, devices, batch = self.seating.steps, self._loader.fleet.size, sum(self.seating.seats)

    @jax.jit
    def shown(first: jax.Array) -> jax.Array:
      def one(step: jax.Array) -> jax.Array:  # as in the training step
        return pipeline.number(how, pipeline.draw(how, jax.random.fold_in(key, step), batch))

      return jax.lax.map(one, first + jnp.arange(steps))

    @functools.lru_cache(maxsize=2)
    def numbers(epoch: int) -> Rows:
      return np.asarray(shown(epoch * steps)).reshape(steps, devices, -1).swapaxes(0, 1)

    return numbers

  def _lay_out(self, place: tuple[int, int]) -> dict[str, Any]:
    epoch, start = place
    numbers = np.minimum(np.arange(start, start + self.chunk), self.seating.steps - 1)
    return {"images": self._loader.seen("train", self.rows(epoch)[:, numbers])}

  def _following(self, place: tuple[int, int]) -> tuple[int, int] | None:
    epoch, start = place
    if self._loader.residence != "streamed":
      return None
    if start + self.chunk < self.seating.steps:
      return epoch, start + self.chunk
    return (epoch + 1, 0) if epoch + 1 < self.epochs else None


def augment(study: Study, loader: Loader, grade: Grade) -> pipeline.Augment:
  """Returns how images enter in a grade of a study."""
  recipe = study.recipe
  return loader.augment(
    grade.image_size,
    pad=recipe.pad,
    flip=recipe.flip,
    resized=recipe.resized,
    crops=recipe.crops,
    mixup=recipe.mixup,
    randaugment=randaugment(recipe.randaugment, recipe.magnitude) if recipe.randaugment else None,
    strong=_strong(loader.image_shape) if recipe.views == "two" else None,
  ).by(study.figures)


def _strong(image_shape: tuple[int, ...]) -> Strong | Disturbed:
  """Multi-level logit distillation's, its square up to half as wide; or that of light curves."""
  if image_shape[0] == 1:
    return Disturbed()
  return dataclasses.replace(MULTI_LEVEL, cutout=(1, max(1, image_shape[1] // 2)))
