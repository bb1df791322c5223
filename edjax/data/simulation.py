"""Draws a sky that never was (`edjax.et.source`) and writes it for the reader `simulated`.

In the views, scalars and classes of `tess`. Each part has a seed of its own.
"""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import UInt8

from edjax.data.readers import curves, simulated, tess
from edjax.data.splits import Split
from edjax.errors import UserError
from edjax.et import source
from edjax.et.events import Event
from edjax.storage.files import replace_file

LABELS = {
  "J": ("variable", "systematic", "orbital", "flickering"),
  "EB": ("eclipsing", "blended"),
  "PC": ("planet",),
}
# What is learnt from has all labels in plenty, the exam as often as the events of `tess`.
_LEARNT = {"J": 0.5, "EB": 0.25, "PC": 0.25}
_EXAM = {"J": 0.831, "EB": 0.139, "PC": 0.030}
# Share of all events, and how labels are mixed.
_PARTS = {"train": (0.7, _LEARNT), "validation": (0.1, _LEARNT), "test": (0.2, _EXAM)}
_FORMAT = 1
_SAMPLE = 8  # events that tell one physics from another


def prepare(
  directory: pathlib.Path,
  sky: source.Sky,
  events: int,
  seed: int,
  tell: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
  """Writes a sky, unless the same is there.

  Args:
    directory: made if need be.
    sky: how events come about. A label none of whose classes is in its mixture has no event.
    events: of all parts together.
    seed: of the draw.
    tell: is told what is being drawn.

  Returns:
    What is in `simulated.FILE`.

  Raises:
    UserError: if another sky is there, or nothing could be drawn.
  """
  name = next(iter(sky.mixture))
  sample = source.events_of(name, _SAMPLE, sky, seed)
  wanted = {
    "format": _FORMAT,
    "sky": dataclasses.asdict(sky),
    "events": events,
    "seed": seed,
    "sample": hashlib.sha256(_pictures(sample).tobytes()).hexdigest(),
  }
  there = simulated.stated(directory)
  if there is not None and {key: there.get(key) for key in wanted} != wanted:
    raise UserError(
      f"{directory} holds another sky, or one that was drawn by another edjax; give another folder"
    )
  if there is None:
    directory.mkdir(parents=True, exist_ok=True)
    counts = {}
    for number, (part, (share, mixed)) in enumerate(_PARTS.items()):
      split, counts[part] = _drawn(sky, round(events * share), mixed, (seed, number), tell)
      np.save(directory / f"{part}.npy", split.images)
      np.save(directory / f"{part}_labels.npy", split.labels)
    there = wanted | {"counts": counts}
    replace_file(directory / simulated.FILE, json.dumps(there, indent=2).encode())
  return there


def _drawn(
  sky: source.Sky,
  events: int,
  mixed: Mapping[str, float],
  seeds: tuple[int, int],
  tell: Callable[[str], None],
) -> tuple[Split, dict[str, int]]:
  """Returns a part, and how many of each class of object it has."""
  images, labels, counts = [], [], {}
  seed = int(np.random.SeedSequence(seeds).generate_state(1)[0])
  for label, called in enumerate(tess.CLASSES):
    shares = {name: sky.mixture.get(name, 0) for name in LABELS[called]}
    for name, share in shares.items():
      if count := round(events * mixed[called] * share / (sum(shares.values()) or 1)):
        tell(f"{count:,} of {name}")
        images.append(_pictures(source.events_of(name, count, sky, seed)))
        labels.append(np.full(count, label, np.int32))
        counts[name] = count
  order = np.random.default_rng(seed).permutation(sum(counts.values()))
  return Split(np.concatenate(images)[order], np.concatenate(labels)[order]), counts


def _pictures(found: Event) -> UInt8[np.ndarray, "n 1 places channels"]:
  """Events as bytes, in the views and scalars of `tess`."""
  views = [np.asarray(each, float) for each in (found.whole, found.local, found.second)]
  numbers = (found.duration, found.period, found.signal, found.moved, found.ingress)
  return curves.pictures(views, tess.scalars(*(np.asarray(each, float) for each in numbers)))
