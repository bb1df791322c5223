"""TESS threshold-crossing events with the labels people gave them (Yu et al. 2019, AJ 158, 25).

As published in https://github.com/yuliang419/Astronet-Vetting: eight files of training, one of
validation and one for the test. A light curve has the views global (201 places), local and
secondary (61, stretched to 201) and five scalars. Transit depth and magnitude, which are published
standardised by figures that are not, are left out.
"""

import functools
import pathlib

import numpy as np
from jaxtyping import Int32, Int64, UInt8

from edjax.data.readers import curves, tfrecord
from edjax.data.splits import Parts, Split
from edjax.errors import UserError

CLASSES = ("J", "EB", "PC")  # junk, eclipsing binary, planet candidate
GROUPS = {"planet": ("PC",), "transit-like": ("EB", "PC")}  # what is looked for among them
FOLDER = "astronet/tfrecords"  # where the published repository has the files
FILES = (
  "train-00000-of-00008 to train-00007-of-00008, val-00000-of-00001 and test-00000-of-00001,"
  f" published in {FOLDER} of https://github.com/yuliang419/Astronet-Vetting"
)
TRACES = "train-00000-of-00008", f"{FOLDER}/train-00000-of-00008"
PARTS = ("train", "val", "test")
VIEWS = ("global_view", "local_view", "secondary_view")
_NUMBERS = ("Duration", "Period", "SN", "depth_change", "Qingress")
_NAMES = ("tic_id", "Disposition", *VIEWS, *_NUMBERS)


def read(directory: pathlib.Path, split: str, validation_fraction: float) -> Parts:
  """Reads the published files.

  Args:
    directory: holds them, or `FOLDER`.
    split: "published" (or "auto"), or "stars" to hold out whole stars.
    validation_fraction: of the stars that are learnt from, held out for choices; the published
      parts have one for that.

  Raises:
    UserError: if a file is missing, damaged, or holds other events.
  """
  found = {part: [_events(path) for path in _files(directory, part)] for part in PARTS}
  images, labels, stars = (
    np.concatenate([events[column] for part in PARTS for events in found[part]])
    for column in range(3)
  )
  if split == "stars":
    return curves.by_stars(Split(images, labels), stars, CLASSES, validation_fraction)
  train, choices, exam = (sum(len(labels) for _, labels, _ in found[part]) for part in PARTS)
  learnt = train + choices
  known = int(np.isin(stars[learnt:], stars[:learnt]).sum())
  note = (
    f"parts as published: {known:,} of the {exam:,} events of the exam are of stars that are in the"
    " other parts, too; --config.data.split=stars holds out whole stars"
  )
  return Parts(
    train=Split(images[:learnt], labels[:learnt]),
    test=Split(images[learnt:], labels[learnt:]),
    class_names=CLASSES,
    notes=(note,),
    held_out=np.arange(learnt) >= train,
  )


def scalars(
  duration: curves.Numbers,
  period: curves.Numbers,
  signal: curves.Numbers,
  change: curves.Numbers,
  ingress: curves.Numbers,
) -> list[curves.Numbers]:
  """Brings an event's numbers to the range of its views.

  Args:
    duration, period: in days.
    signal: by how many σ it stands out.
    change: by what share its depth is another in another aperture.
    ingress: the share of the dip that its fall takes.
  """
  return [
    curves.log_duty(duration, period),
    curves.log_period(period),
    curves.log_signal(signal),
    0.3 * np.clip(change, -5, 5),  # it reaches 1e25
    ingress,
  ]


def _files(directory: pathlib.Path, part: str) -> list[pathlib.Path]:
  """Returns the files of a part, which say in their names how many there are."""
  for folder in (directory, directory / FOLDER):
    paths = sorted(folder.glob(f"{part}-?????-of-?????"))
    if paths:
      count = int(paths[0].name[-5:])
      wanted = [f"{part}-{number:05}-of-{count:05}" for number in range(count)]
      lacking = sorted({*wanted} - {path.name for path in paths})
      if lacking:
        raise UserError(f"{folder} lacks {', '.join(lacking)}; all {count} files are needed")
      return [folder / name for name in wanted]
  raise UserError(f"{directory} has no {part}-00000-of-…; fetch all ten files")


Events = tuple[
  UInt8[np.ndarray, "n 1 places channels"], Int32[np.ndarray, " n"], Int64[np.ndarray, " n"]
]


def _events(path: pathlib.Path) -> Events:
  """Returns (light curves, labels, numbers of the stars) of a file's events."""
  found, labels = tfrecord.examples(path, _NAMES), []
  for row, event in enumerate(found):
    if lacking := [name for name in _NAMES if not len(event.get(name, ()))]:
      raise UserError(f"{path}: event {row} has no {', '.join(lacking)}; fetch the file again")
    if (called := event["Disposition"][0].decode(errors="replace")) not in CLASSES:
      raise UserError(f"{path}: event {row} is called {called!r}, not {', '.join(CLASSES)}")
    labels.append(CLASSES.index(called))
  of = functools.partial(_column, path, found)
  numbers = scalars(*(of(name)[:, 0] for name in _NUMBERS))
  images = curves.pictures([of(name) for name in VIEWS], numbers)
  return images, np.array(labels, np.int32), of("tic_id")[:, 0]


def _column(path: pathlib.Path, events: list[dict[str, tfrecord.Values]], name: str) -> np.ndarray:
  try:
    column = np.stack([np.asarray(event[name]) for event in events])
  except ValueError as error:
    raise UserError(f"{path}: {name} is not equally long everywhere; fetch the file") from error
  return column.astype(np.int64 if name == "tic_id" else np.float64)
