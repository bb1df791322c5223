r"""What distillation and grades bring to light curves: real exams, seeds, both splits.

python experiments/sky.py --dataset=tess --data_dir=DIR --out=DIR [--arms=alone,kd,ed,…]
  [--splits=published,stars] [--seeds=0,1,2] [--epochs=0] [--limit=0] [--jobs=1] [--real=DIR]

Arms are the config's variants `ce`, the same for so long that it has the compute of `kd` and its
teacher, `kd`, `ed`, and `ed` with three generalists; or the name of a method, which is `kd` with
it. Those of a seed and a split have the same teachers, which learn once, in --out/teachers. A
school of three has those of the next two seeds as well. --epochs shortens all of a run alike,
teachers included, and --limit leaves all but so many events out; 0: as the config has it. A run
that is there is not done again. With --real, the directory of `tess`, graduates of `et` are also
asked about its test part.

Writes --out/DATASET.jsonl, a row per run: arm, split, seed, the exam's figures of the graduate and
of the first teacher, each with its interval and count, and what it cost. Compute has the training
of all its teachers, seconds only of those that this run trained. Prints a table: mean and sample
standard deviation over the seeds, and how much more each arm has than `kd` of the same seeds, with
a 95 % interval.
"""

import argparse
import itertools
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import numpy as np
from budgets import paired
from runs import spread

import edjax
from edjax.compare.sweep import run_all
from edjax.data import datasets
from edjax.recipes import light_curves
from edjax.report import precision

# (variant, changes, times as many epochs)
ARMS = {
  "alone": ("ce", {}, 1),
  "alone_long": ("ce", {}, 11),
  "kd": ("kd", {}, 1),
  "ed": ("ed", {}, 1),
  "ed_three": ("ed", {"faculty.generalists": 3}, 1),
}
SPLITS = {"tess": "published,stars", "kepler": "stars", "et": "auto", "bulge": "auto"}


def main():
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--dataset", choices=SPLITS, required=True)
  parser.add_argument("--data_dir", required=True)
  parser.add_argument("--out", type=pathlib.Path, required=True)
  parser.add_argument("--arms", default=",".join(ARMS))
  parser.add_argument("--splits", default="", help="all that the data set has, if not given")
  parser.add_argument("--seeds", default="0,1,2")
  parser.add_argument("--epochs", type=int, default=0)
  parser.add_argument("--limit", type=int, default=0)
  parser.add_argument("--jobs", type=int, default=1)
  parser.add_argument("--real")
  options = parser.parse_args()
  plan = {
    f"{options.dataset}_{split}_{arm}_{seed}": (arm, split, int(seed))
    for seed in options.seeds.split(",")
    for split in (options.splits or SPLITS[options.dataset]).split(",")
    for arm in options.arms.split(",")
  }
  runs = {name: arguments(options, *planned) for name, planned in plan.items()}
  run_all(runs, options.out, options.jobs)
  rows = [row(options.out / name, *planned) for name, planned in plan.items()]
  if options.real:
    known = datasets.load("tess", data_dir=options.real)
    rows = [each | among(options.out / name, known) for name, each in zip(plan, rows, strict=True)]
  path = options.out / f"{options.dataset}.jsonl"
  path.write_text("".join(json.dumps(each) + "\n" for each in rows))
  print(table(rows))


def arguments(options, arm, split, seed):
  """Returns those of the command."""
  variant, changes, times = ARMS.get(arm, (f"kd,{arm}", {}, 1))
  settings = {
    "data_dir": options.data_dir,
    "data.split": split,
    "data.train_limit": options.limit,
    "seed": seed,
    "faculty.seed": seed,
    "faculty.cache": options.out / "teachers",
  } | changes
  if options.epochs or times > 1:
    settings["epochs"] = times * (options.epochs or light_curves.EPOCHS)
  given = [f"--config.{key}={value}" for key, value in settings.items()]
  return [f"--config={options.dataset}:{variant}", *given]


def row(run, arm, split, seed):
  """Returns what a run came to."""
  report = json.loads((run / "report.json").read_text())
  student, teachers = report["student"], report["teachers"]
  kept = {"top1": student["top1"], "count": student["exam_count"], **figures(student)}
  if teachers:
    kept["teacher"] = {"top1": teachers[0]["top1"], **figures(teachers[0])}
  # A teacher of the cache was trained for another arm, and this one needs it as much.
  training = sum(teacher["training_macs"] for teacher in teachers)
  costs = {
    "train_macs": report["train_macs_student"] + report["train_macs_teachers"] + training,
    "teacher_training_macs": training,
    "seconds": report["seconds"],
  }
  epochs = sum(grade["epochs"] for grade in report["grades"])
  return {"arm": arm, "split": split, "seed": seed, **kept, "epochs": epochs, **costs}


def figures(who):
  """What an exam says of the groups that are looked for, without the curves."""
  return {
    name: {key: value for key, value in found.items() if key != "curve"}
    for name, found in who["positives"].items()
  }


def asked(graduate, images, labels, positives):
  """Returns what a graduate finds of each group in an exam, without the curves."""
  return figures({"positives": precision.found(graduate.logits(images), labels, positives)})


def among(run, known):
  """Returns {"real GROUP": what a graduate finds of it in the exam of a data set}."""
  exam = np.asarray(known.test.images), known.test.labels, known.positives
  return {f"real {name}": each for name, each in asked(edjax.load(run), *exam).items()}


def table(rows):
  """Returns Markdown: a line for every arm of every split and group that is looked for.

  A TMAC is 10¹² multiply-accumulates of training, teachers included.
  """
  lines = [
    "| split | looked for | arm | average precision | its teacher's | more than kd | TMAC | n |",
    "|---|---|---|---|---|---|---:|---|",
  ]
  groups = [key for key, value in rows[0].items() if isinstance(value, dict) and key != "teacher"]
  for split, group in itertools.product(dict.fromkeys(row["split"] for row in rows), groups):
    own = [row for row in rows if row["split"] == split]
    arms = {arm: {} for arm in dict.fromkeys(row["arm"] for row in own)}
    for row in own:
      arms[row["arm"]][row["seed"]] = row[group]["average_precision"]
    for arm, found in arms.items():
      taught = [
        row["teacher"][group]["average_precision"]
        for row in own
        if row["arm"] == arm and group in row.get("teacher", ())
      ]
      gain, half, count = paired(found, arms.get("kd", {}))
      more = f"{gain:+.3f} ± {half:.3f}" if arm != "kd" and count > 1 else "–"
      cost = np.mean([row["train_macs"] for row in own if row["arm"] == arm]) / 1e12
      cells = split, group, arm, _mean([*found.values()]), _mean(taught), more, f"{cost:.2f}"
      cells += (str(len(found)),)
      lines.append(f"| {' | '.join(cells)} |")
  return "\n".join(lines) + "\n"


def _mean(values):
  return f"{np.mean(values):.3f} ± {spread(values):.3f}" if values else "–"


if __name__ == "__main__":
  main()
