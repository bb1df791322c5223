r"""What a training step costs as one thing grows, and what checkpoints and logs cost a school.

python experiments/costs.py [--pair=resnet20-resnet8] [--steps=8] [--rounds=3]
  [--run=digits] [--data_dir=DIR]

Steps are of a single grade of 100 classes, 32×32 images and one teacher, but for what the row
names; specialists share out the classes. Every round times all rows one after the other, and the
ratio of the medians to the first row is what counts: machines are shared and noisy. Then the school
of a config runs, with the time it spends in saving, journal and progress line on a clock, which
includes waiting for a checkpoint that is being written.
"""

import argparse
import contextlib
import importlib
import json
import pathlib
import statistics
import sys
import tempfile
import time
from unittest import mock

import jax

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from edjax import curriculum, models, progress
from edjax.devices import xla
from edjax.report import followers, journal
from edjax.settings import settle
from edjax.storage import checkpoint
from edjax.training import loop
from experiments import sides

BATCH = 64
GROWING = {"specialists": (2, 5, 10), "classes": (10, 1000), "side": (16, 64)}
KEPT = [
  (checkpoint.Store, "save"),
  (checkpoint.Store, "wait"),
  (journal.Journal, "write"),
  (followers.Followers, "write"),
  (progress.Progress, "update"),
]


def main():
  xla.quicken_cpus()
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--pair", default="resnet20-resnet8", help="teachers and student")
  parser.add_argument("--steps", type=int, default=8)
  parser.add_argument("--rounds", type=int, default=3)
  parser.add_argument("--run", default="digits", help="a file in configs/, variants")
  parser.add_argument("--data_dir", default="")
  options = parser.parse_args()
  rows = [("", 0)]
  rows += [(what, value) for what, values in GROWING.items() for value in values]
  rows += [("devices", count) for count in (2, 4) if count <= len(jax.devices())]
  timed = [_clock(options, **({what: value} if what else {})) for what, value in rows]
  times = [[] for _ in rows]
  for _ in range(options.rounds):
    for kept, run in zip(times, timed, strict=True):
      kept.append(run())
  medians = list(map(statistics.median, times))
  for (what, value), seconds in zip(rows, medians, strict=True):
    row = {what: value} if what else {"specialists": 1, "classes": 100, "side": 32, "devices": 1}
    ratio = round(seconds / medians[0], 2)
    print(json.dumps(row | {"ms": round(1e3 * seconds, 1), "ratio": ratio}), flush=True)
  print(json.dumps(_keeping(options)))


def _clock(options, specialists=1, classes=100, side=32, devices=1):
  """Compiles a step; returns a function that times some, in seconds each."""
  images, labels = sides.pixels(max(classes, BATCH * options.steps), side, classes)
  subjects = curriculum.subjects_of((1,) * specialists, classes)
  names = tuple(subject.name for subject in subjects)
  fragments = len(models.body(options.pair.split("-")[1]).fragments)
  grade = curriculum.Grade("grade_1", fragments, subjects, names, 1)
  plan = curriculum.Curriculum(subjects, (grade,))
  term = sides.prepared(options.pair, plan, images, labels, BATCH, devices)(0)
  state = jax.block_until_ready(term.teach(term.begin(), 0, 0, 1))

  def run():
    nonlocal state
    began = time.perf_counter()
    state = jax.block_until_ready(term.teach(state, 0, 0, options.steps))
    return (time.perf_counter() - began) / options.steps

  return run


def _keeping(options):
  """Runs a school; returns the share of its time that it spent in each of `KEPT`."""
  file, _, variants = options.run.partition(":")
  config = importlib.import_module(f"configs.{file}").get_config(variants)
  config.data_dir = options.data_dir
  spent = {f"{place.__name__}.{name}": 0.0 for place, name in KEPT}

  def clocked(key, works):
    def run(*arguments, **named):
      began = time.perf_counter()
      try:
        return works(*arguments, **named)
      finally:
        spent[key] += time.perf_counter() - began

    return run

  with contextlib.ExitStack() as stack:
    for place, name in KEPT:
      works = clocked(f"{place.__name__}.{name}", getattr(place, name))
      stack.enter_context(mock.patch.object(place, name, works))
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    began = time.perf_counter()
    loop.run(settle(config), folder)
    whole = time.perf_counter() - began
  shares = {key: f"{100 * seconds / whole:.2f} %" for key, seconds in spent.items()}
  return {"run": options.run, "seconds": round(whole, 1), **shares}


if __name__ == "__main__":
  main()
