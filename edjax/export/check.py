"""Whether a file answers as edjax does, and how long it takes over an image."""

import numpy as np

from edjax import latency
from edjax.export.program import Ask, Program

BATCHES = (1, 3, 7)  # images that are shown at once
TOLERANCE = 1e-4
_LEAST = 1e-30  # of a probability; smaller ones are as good as none


def difference(program: Program, ask: Ask) -> float:
  """Returns how far a file's answers are from edjax's at most.

  Both are shown random pixels in every one of `BATCHES`. Logits are compared relative to the
  largest, from 1 up. So are the logarithms of probabilities, which random pixels make all but 0 and
  1 in a network that is sure of itself; and these themselves, as they are.
  """
  shape = sum(BATCHES), *program.graduate.image_shape
  images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
  ends, worst = np.cumsum(BATCHES)[:-1], 0.0
  for shown, wanted in zip(
    np.split(program.shown(images), ends), np.split(program.expected(images), ends), strict=True
  ):
    given = ask(shown)
    if given.shape != wanted.shape or not np.isfinite(given).all():
      return float("inf")
    worst = max(worst, _apart(given, wanted))
    if not program.raw:
      worst = max(worst, _apart(_logarithms(given), _logarithms(wanted)))
  return worst


def milliseconds(program: Program, ask: Ask) -> float:
  """Returns the median time over one image that is shown alone, of `latency.RUNS`."""
  image = program.shown(np.zeros((1, *program.graduate.image_shape), np.uint8))
  return latency.milliseconds(lambda: ask(image))[0]


def _logarithms(probabilities: np.ndarray) -> np.ndarray:
  return np.log(np.maximum(probabilities, _LEAST))


def _apart(given: np.ndarray, wanted: np.ndarray) -> float:
  return float(np.abs(given - wanted).max() / max(1.0, np.abs(wanted).max()))
