"""What is exported: a graduate as a function of a batch of images, of any number."""

import dataclasses
import functools
import json
from collections.abc import Callable
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

import edjax
from edjax import models
from edjax.data.augment import pipeline
from edjax.export.plain import plain
from edjax.graduate import Graduate
from edjax.models.analysis import folding
from edjax.storage import trees

BATCH = "n"  # what the number of images is called
Ask = Callable[[np.ndarray], np.ndarray]  # of images, as a program takes them, to its answers


@dataclasses.dataclass(frozen=True)
class Program:
  """A graduate, and whether what surrounds the network is left to who runs it.

  Attributes:
    graduate: the network.
    raw: it takes float32 that is normalised already, and returns logits; otherwise it takes bytes
      (uint8) and returns probabilities.
  """

  graduate: Graduate
  raw: bool

  @property
  def takes(self) -> np.dtype:
    """The type of its images' numbers."""
    return np.dtype(np.float32 if self.raw else np.uint8)

  @property
  def returns(self) -> str:
    """What it returns, [n, classes]."""
    return "logits" if self.raw else "probabilities"

  def images(self, count: Any) -> jax.ShapeDtypeStruct:
    """Returns the shape and type of so many images; the number may be a symbol."""
    return jax.ShapeDtypeStruct((count, *self.graduate.image_shape), self.takes)

  @functools.cached_property
  def function(self) -> Callable[[jax.Array], jax.Array]:
    """Of images to what it returns, to be traced: normalisations folded, nothing for CPUs alone."""
    graduate = self.graduate
    network = models.graduate(models.body(graduate.model), len(graduate.class_names))
    network, variables = folding.fold(network, graduate.variables, graduate.image_shape)
    variables = jax.device_get(variables)

    def answer(images: jax.Array) -> jax.Array:
      # So that a file gives the same numbers on devices that would compute with fewer digits.
      with jax.default_matmul_precision("highest"):
        shown = images if self.raw else self._normalise(images)
        logits = cast(models.Output, network.apply(variables, shown)).logits
      return logits if self.raw else jax.nn.softmax(logits)

    return plain(answer)

  def shown(self, images: np.ndarray) -> np.ndarray:
    """Returns bytes (uint8) [n, height, width, channels] as the program takes them."""
    return np.asarray(self._normalise(jnp.asarray(images))) if self.raw else images

  def expected(self, images: np.ndarray) -> np.ndarray:
    """Returns what edjax itself answers to bytes (uint8) [n, height, width, channels]."""
    with jax.default_matmul_precision("highest"):
      return (self.graduate.logits if self.raw else self.graduate.predict)(images)

  @functools.cached_property
  def notes(self) -> dict[str, str]:
    """What a file says of itself, {key: text}: lists are JSON, as the class names in order."""
    graduate, about = self.graduate, self.graduate.about
    lists = ("classes", "image_shape", "mean", "std")
    said = {key: json.dumps(about[key], ensure_ascii=False) for key in lists}
    return said | {
      "model": graduate.model,
      "takes": f"{self.takes} [{BATCH}, height, width, channels]"
      + (", normalised by mean and std" if self.raw else ""),
      "returns": f"{self.returns} [{BATCH}, classes]",
      "sha256": trees.sha256(graduate.variables),
      "producer": f"edjax {edjax.__version__}",
    }

  def _normalise(self, images: jax.Array) -> jax.Array:
    return pipeline.normalise(pipeline.Augment(self.graduate.mean, self.graduate.std), images)
