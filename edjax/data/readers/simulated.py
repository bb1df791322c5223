"""Simulated events in the shape of real ones, as `edjax.data.simulation` wrote them.

`train`, `validation` and `test` are arrays in the views, scalars and classes of `tess`, so that a
network that learnt from them can sit the exam of real events.
"""

import json
import pathlib
from typing import Any

import numpy as np

from edjax.data.readers import tess
from edjax.data.splits import Parts, Split
from edjax.errors import UserError

FILE = "sky.json"
FILES = f"{FILE} and the arrays beside it, which `edjax simulate --data_dir=DIR` writes"
PARTS = ("train", "validation", "test")


def read(directory: pathlib.Path) -> Parts:
  """Reads the arrays; raises UserError if they are not all there."""
  said = stated(directory) or {}
  try:
    train, choices, exam = (_part(directory, part) for part in PARTS)
    objects, red = said["sky"]["mixture"], said["sky"]["red"]
  except (OSError, ValueError, KeyError) as error:
    raise UserError(f"{directory}: cannot be read ({error}); remove it, simulate again") from error
  learnt = Split(
    np.concatenate([train.images, choices.images]), np.concatenate([train.labels, choices.labels])
  )
  return Parts(
    train=learnt,
    test=exam,
    class_names=tess.CLASSES,
    notes=(f"simulated: {', '.join(objects)}; slow noise {red:g} of the white",),
    held_out=np.arange(len(learnt.labels)) >= len(train.labels),
  )


def stated(directory: pathlib.Path) -> dict[str, Any] | None:
  """What `FILE` says, which is written last; None where it is not there."""
  path = directory / FILE
  try:
    return json.loads(path.read_text()) if path.is_file() else None
  except ValueError as error:
    raise UserError(f"{path} is damaged ({error}); remove the folder, simulate again") from error


def _part(directory: pathlib.Path, part: str) -> Split:
  images, labels = (np.load(directory / f"{part}{end}.npy") for end in ("", "_labels"))
  if images.dtype != np.uint8 or images.ndim != 4 or len(images) != len(labels):
    raise ValueError(f"{part}.npy is {images.dtype} {images.shape}, of {len(labels)} labels")
  return Split(images, labels.astype(np.int32))
