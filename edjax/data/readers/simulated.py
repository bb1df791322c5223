"""Simulated events in the shape of real ones, as `edjax.data.simulation` wrote them.

`train`, `validation` and `test` are arrays in the views, scalars and classes of a subject. Transits
have those of `tess`, so that a network that learnt from them can sit the exam of real events.
"""

import json
import pathlib
from typing import Any

import numpy as np

from edjax.data.splits import Parts, Split
from edjax.errors import UserError

FILE = "sky.json"
FILES = FILE + " and the arrays beside it, written by `edjax simulate --subject={} --data_dir=DIR`"
FIRST = "transits"  # the subject of files that name none
PARTS = ("train", "validation", "test")


def read(subject: str, classes: tuple[str, ...], directory: pathlib.Path) -> Parts:
  """Reads the arrays.

  Args:
    subject: a key of `simulation.SUBJECTS`.
    classes: of its events.
    directory: where they are.

  Raises:
    UserError: if they are not all there, or are of another subject.
  """
  said = stated(directory) or {}
  if (there := said.get("subject", FIRST)) != subject:
    raise UserError(f"{directory} holds simulated {there}, and not {subject}; give another folder")
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
    class_names=classes,
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
