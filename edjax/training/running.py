"""What a graduate costs whoever runs it: the time that it takes here."""

import functools
from typing import Any

import jax
import numpy as np

from edjax import latency, models
from edjax.study import Study
from edjax.training.evaluation import Loader
from edjax.training.step import exam_step
from edjax.types import Variables

AT_ONCE = (1, 32)  # images
_SECONDS = 0.5  # of timing, each
_LONGEST = 1.0  # seconds that one call may take


def times(study: Study, loader: Loader, graduate: Variables) -> list[dict[str, Any]]:
  """Times a graduate on test images in the host's memory, bytes in and logits out.

  It is one device that works, without an axis of devices, as `edjax predict` does.

  Args:
    study: the student's.
    loader: of the run.
    graduate: its variables, on the host.

  Returns:
    A row for each of `AT_ONCE`: how many `images` at once, the median of `milliseconds` an image
    takes, of how many `runs`, on what `device`. More images than would take a second have none.
  """
  network = models.graduate(models.body(study.model), len(loader.dataset.class_names))
  ask = jax.jit(functools.partial(exam_step, network, loader.augment().by(study.figures)))
  variables, images = jax.device_put(graduate), loader.splits["test"].images
  device = f"{jax.local_devices()[0].device_kind}, {latency.machine()}"

  def answer(shown: np.ndarray) -> np.ndarray:
    return np.asarray(ask(variables, shown))

  rows: list[dict[str, Any]] = []
  for count in AT_ONCE:
    if rows and count * rows[0]["milliseconds"] > 1000 * _LONGEST:
      break
    shown = images[np.arange(count) % len(images)]
    spent, runs = latency.milliseconds(functools.partial(answer, shown), _SECONDS)
    rows.append({"images": count, "milliseconds": spent / count, "runs": runs, "device": device})
  return rows
