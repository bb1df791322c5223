r"""A teacher of few images, started from a published network and from nothing.

python experiments/start.py --data_dir=DIR --start=FILE --out=DIR [--seeds=0,1,2] [--size=32]
  [--epochs=10] [--frozen=1] [--rates=0.05,0.1] [--held_out=0] [--keep_statistics] [--jobs=1]

DIR holds train/CLASS and test/CLASS. Each run is the school of configs/folder.py:kd, of whose
teacher alone is told; its student, the smallest, learns for one epoch. Both arms have the same
network and as many epochs, of which the started one freezes its body in the first ones; --rates are
the peaks of the learning rate, started and not, which --held_out=0.1 helps to choose: then accuracy
is that of so large a part of the training images. A run that is there is not done again.

Writes --out/start.jsonl, a row per run: arm, seed, top1 of the teacher and its count, what it was
trained in (macs, seconds) and the settings that differ.
"""

import argparse
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from runs import spread

from edjax import convert
from edjax.compare.sweep import run_all

_TEACHER = "faculty.generalist"


def main():
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--data_dir", required=True)
  parser.add_argument("--start", required=True, help="a file or folder, see docs/teachers.md")
  parser.add_argument("--out", type=pathlib.Path, required=True)
  parser.add_argument("--seeds", default="0,1,2")
  parser.add_argument("--size", type=int, default=32, help="of images, in pixels")
  parser.add_argument("--epochs", type=float, default=10.0)
  parser.add_argument("--frozen", type=float, default=1.0, help="of these, with a frozen body")
  parser.add_argument("--rates", default="0.05,0.1")
  parser.add_argument("--held_out", type=float, default=0.0)
  parser.add_argument("--keep_statistics", action="store_true", help="of the started one")
  parser.add_argument("--jobs", type=int, default=1)
  options = parser.parse_args()
  arms = planned(options)
  runs = {
    f"{arm}_{seed}": arguments(options, changes | {"faculty.seed": seed})
    for seed in options.seeds.split(",")
    for arm, changes in arms.items()
  }
  run_all(runs, options.out, options.jobs)
  rows = [row(options, name, arms[name.rpartition("_")[0]]) for name in runs]
  (options.out / "start.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
  for arm in arms:
    top1 = [100 * each["top1"] for each in rows if each["arm"] == arm]
    mean = sum(top1) / len(top1)
    print(f"{arm}: {mean:.1f} ± {spread(top1):.1f} % (n = {len(top1)} seeds)")


def planned(options):
  """Returns {arm: settings of the teacher}."""
  started, anew = map(float, options.rates.split(","))
  return {
    "started": {
      f"{_TEACHER}.start": options.start,
      f"{_TEACHER}.frozen_epochs": options.frozen,
      f"{_TEACHER}.epochs": options.epochs - options.frozen,
      f"{_TEACHER}.learning_rate": started,
      f"{_TEACHER}.keep_statistics": options.keep_statistics,
    },
    "anew": {
      f"{_TEACHER}.model": convert.model_of(options.start),
      f"{_TEACHER}.epochs": options.epochs,
      f"{_TEACHER}.learning_rate": anew,
    },
  }


def arguments(options, changes):
  """Returns those of the command."""
  settings = {
    "data_dir": options.data_dir,
    "data.image_size": options.size,
    "data.validation_fraction": options.held_out,
    "student.model": "resnet8_half",
    "grades.epochs": 1,
  } | changes
  return ["--config=folder:kd", *(f"--config.{key}={value}" for key, value in settings.items())]


def row(options, name, changes):
  """Returns what became of the teacher of a run."""
  arm, _, seed = name.rpartition("_")
  (teacher,) = json.loads((options.out / name / "report.json").read_text())["teachers"]
  kept = {key: teacher[key] for key in ("model", "top1", "count")}
  if options.held_out:
    journal = options.out / name / "teachers" / "generalist" / "metrics.jsonl"
    exams = [line for line in map(json.loads, journal.open()) if line["kind"] == "exam"]
    kept |= {key: exams[-1][key] for key in ("top1", "count")}
  cost = {"macs": teacher["training_macs"], "seconds": teacher["training_seconds"]}
  about = {key.removeprefix(f"{_TEACHER}."): value for key, value in changes.items()}
  about = {key: value for key, value in about.items() if key not in ("start", "model")}
  return {"arm": arm, "seed": int(seed), "size": options.size, **kept, **cost, **about}


if __name__ == "__main__":
  main()
