"""Draws a sky that never was and writes it for the reader `simulated`: a row in `SUBJECTS` each.

Transits (`edjax.et.source`) have the views, scalars and classes of `tess`, lenses
(`edjax.et.bulge`) their own. Each part has a seed of its own.
"""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import UInt8

from edjax.data.readers import bulge as lensed
from edjax.data.readers import curves, simulated, tess
from edjax.data.splits import Split
from edjax.errors import UserError
from edjax.et import bulge, source
from edjax.et.events import Event
from edjax.et.peaks import Peak
from edjax.storage.files import replace_file


@dataclasses.dataclass(frozen=True)
class Subject:
  """What can be drawn, and how it is written.

  Attributes:
    sky: how events come about, if nothing else is said.
    events_of: draws them, by class of object, number, sky and seed.
    pictures: what `events_of` returns as bytes.
    classes: labels, in their order.
    objects: which objects each label has.
    learnt, exam: how labels are mixed in what is learnt from, and in the exam.
  """

  sky: source.Sky
  events_of: Callable[[str, int, source.Sky, int], Any]
  pictures: Callable[[Any], UInt8[np.ndarray, "n 1 places channels"]]
  classes: tuple[str, ...]
  objects: Mapping[str, tuple[str, ...]]
  learnt: Mapping[str, float]
  exam: Mapping[str, float]


def _transits(found: Event) -> UInt8[np.ndarray, "n 1 places channels"]:
  """Events as bytes, in the views and scalars of `tess`."""
  views = [np.asarray(each, float) for each in (found.whole, found.local, found.second)]
  numbers = (found.duration, found.period, found.signal, found.moved, found.ingress)
  return curves.pictures(views, tess.scalars(*(np.asarray(each, float) for each in numbers)))


def _lenses(found: Peak) -> UInt8[np.ndarray, "n 1 places channels"]:
  views = [np.asarray(each, float) for each in (found.whole, found.near, found.rest)]
  numbers = (
    found.width, found.season, found.signal, found.deviation, found.asymmetry, found.misfit
  )  # fmt: skip
  return curves.pictures(views, lensed.scalars(*(np.asarray(each, float) for each in numbers)))


# What is learnt from has all labels in plenty. The exam of transits has them as often as `tess`;
# how often the bulge has them, as they are seen here, is not known: planets are few.
SUBJECTS = {
  simulated.FIRST: Subject(
    sky=source.Sky(),
    events_of=source.events_of,
    pictures=_transits,
    classes=tess.CLASSES,
    objects={
      "J": ("variable", "systematic", "orbital", "flickering"),
      "EB": ("eclipsing", "blended"),
      "PC": ("planet",),
    },
    learnt={"J": 0.5, "EB": 0.25, "PC": 0.25},
    exam={"J": 0.831, "EB": 0.139, "PC": 0.030},
  ),
  "lenses": Subject(
    sky=bulge.SEASON,
    events_of=bulge.events_of,
    pictures=_lenses,
    classes=lensed.CLASSES,
    objects={
      "flat": ("flat",),
      "outburst": ("outburst",),
      "lens": ("point", "finite"),
      "planet": ("planetary",),
    },
    learnt={"flat": 0.2, "outburst": 0.2, "lens": 0.3, "planet": 0.3},
    exam={"flat": 0.3, "outburst": 0.3, "lens": 0.35, "planet": 0.05},
  ),
}
# Share of all events.
_PARTS = {"train": 0.7, "validation": 0.1, "test": 0.2}
_FORMAT = 1
_SAMPLE = 8  # events that tell one physics from another


def prepare(
  directory: pathlib.Path,
  subject: str,
  sky: source.Sky,
  events: int,
  seed: int,
  tell: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
  """Writes a sky, unless the same is there.

  Args:
    directory: made if need be.
    subject: a key of `SUBJECTS`.
    sky: how events come about. A label none of whose classes is in its mixture has no event.
    events: of all parts together.
    seed: of the draw.
    tell: is told what is being drawn.

  Returns:
    What is in `simulated.FILE`.

  Raises:
    UserError: if another sky is there, or nothing could be drawn.
  """
  about = SUBJECTS[subject]
  sample = about.events_of(next(iter(sky.mixture)), _SAMPLE, sky, seed)
  named = {} if subject == simulated.FIRST else {"subject": subject}
  wanted = named | {
    "format": _FORMAT,
    "sky": dataclasses.asdict(sky),
    "events": events,
    "seed": seed,
    "sample": hashlib.sha256(about.pictures(sample).tobytes()).hexdigest(),
  }
  there = simulated.stated(directory)
  if there is not None and {key: there.get(key) for key in wanted} != wanted:
    raise UserError(
      f"{directory} holds another sky, or one that was drawn by another edjax; give another folder"
    )
  if there is None:
    directory.mkdir(parents=True, exist_ok=True)
    counts = {}
    for number, (part, share) in enumerate(_PARTS.items()):
      mixed = about.exam if part == "test" else about.learnt
      split, counts[part] = _drawn(about, sky, round(events * share), mixed, (seed, number), tell)
      np.save(directory / f"{part}.npy", split.images)
      np.save(directory / f"{part}_labels.npy", split.labels)
    there = wanted | {"counts": counts}
    replace_file(directory / simulated.FILE, json.dumps(there, indent=2).encode())
  return there


def _drawn(
  about: Subject,
  sky: source.Sky,
  events: int,
  mixed: Mapping[str, float],
  seeds: tuple[int, int],
  tell: Callable[[str], None],
) -> tuple[Split, dict[str, int]]:
  """Returns a part, and how many of each class of object it has."""
  images, labels, counts = [], [], {}
  seed = int(np.random.SeedSequence(seeds).generate_state(1)[0])
  for label, called in enumerate(about.classes):
    shares = {name: sky.mixture.get(name, 0) for name in about.objects[called]}
    for name, share in shares.items():
      if count := round(events * mixed[called] * share / (sum(shares.values()) or 1)):
        tell(f"{count:,} of {name}")
        images.append(about.pictures(about.events_of(name, count, sky, seed)))
        labels.append(np.full(count, label, np.int32))
        counts[name] = count
  order = np.random.default_rng(seed).permutation(sum(counts.values()))
  return Split(np.concatenate(images)[order], np.concatenate(labels)[order]), counts
