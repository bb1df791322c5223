r"""Does education distillation pay? Arms of equal compute, at several budgets.

python experiments/ed_vs_kd.py --dataset=cifar100 --data_dir=DIR --out=DIR [--arms=kd,ed]
  [--budgets=3.6,6] [--seeds=3] [--jobs=2] [--generalist=FOLDER]

A budget is counted in epochs of plain distillation (KD). Whatever an arm shows and to whom, at a
budget its student's training and its teachers' answers together cost what KD costs. All arms of a
data set have the same teachers: trained once, in --out/teachers, or given. The networks are those
of configs/cifar100.py:brief and configs/fashion_mnist.py. Peaks of the learning rate were chosen on
the validation part with another seed, see `_RATES`. Each run is a process; one that is there is not
done again, and one that was killed goes on, so arms, budgets and seeds are added by naming more.

Writes to --out/DATASET: ed_vs_kd.jsonl, a row per run; ed_vs_kd.md, test top-1 of the last epoch,
mean ± standard deviation over seeds, and what it is more than KD's of the same seeds, with a 95 %
interval, at the same compute and at 1/0.6 of it where that was run (specialists and a deeper
student are measured against an ungraded school of the same); ed_vs_kd_DATASET.png.
"""

import argparse
import collections
import pathlib

import numpy as np
from budgets import flags, lengths, paired, settled, work
from matplotlib.figure import Figure
from runs import budgeted, spread

from edjax import plans
from edjax.compare.sweep import run_all
from edjax.data import datasets
from edjax.rows import GradeRow

KD = {"methods.ce.weight": 0.1, "methods.kd.weight": 0.9}  # the literature's
_SPECIALISTS = {"methods.ce.weight": 1.0, "methods.kd.weight": 0.9}
WHOLE = {"recipe.schedule": "cycle"}
_SMALL_FIRST = plans.sized(GradeRow(epochs=3.0))
_SIZES = WHOLE | {
  "grades.image_size": tuple(row.image_size for row in _SMALL_FIRST),
  "grades.epochs": tuple(row.epochs for row in _SMALL_FIRST),
  "grades.carry_momentum": (True,),
}
_SUBJECTS = WHOLE | {
  "grades.subjects": (1, 2, 0),
  "grades.epochs": (1.0, 1.0, 1.0),
  "grades.rehearsal": (0.5,),
  "grades.carry_momentum": (True,),
}
_DEPTH = WHOLE | {
  "student.cut": "depth",
  "grades.fragments": (1, 0),
  "grades.epochs": (2.0, 1.0),
  "grades.carry_momentum": (True,),
}
_DEEP = {"student.model": "resnet14"}  # the least student with two blocks in a stage
# name -> (what it is, who teaches, variant of the config, settings besides)
ARMS = {
  "alone": ("labels alone", "nobody", "ce", WHOLE),
  "alone_sizes": ("labels alone, small images first", "nobody", "ce", _SIZES),
  "kd": ("KD from a generalist", "generalist", "kd", WHOLE | KD),
  "ed": ("edjax's default: small images first, for teachers too", "generalist", "ed", KD),
  "labels_first": (
    "the default, no teacher in the first grade", "generalist", "ed",
    KD | {"grades.teachers": ("none", "generalist", "generalist")},
  ),
  "whole_answers": ("the default, teachers see whole images", "generalist", "ed", KD),
  "depth": (
    "a block of each stage first, then all", "generalist", "kd", _DEPTH | _DEEP | KD
  ),
  "kd_deep": ("KD of that student", "generalist", "kd", WHOLE | _DEEP | KD),
  "subjects": ("ever more classes", "generalist", "kd", _SUBJECTS | KD),
  "stages": ("ever more stages and classes", "generalist", "stages", KD),
  "mixed": ("specialists, no grades", "specialists", "mixed", WHOLE | _SPECIALISTS),
  "ed_specialists": (
    "the default grades, specialists only", "specialists", "ed",
    _SPECIALISTS | {"grades.teachers": ("specialists",)},
  ),
  "paper": ("as published", "specialists", "paper", {}),
  "paper_cosine": (
    "as published, a cosine in each grade", "specialists", "paper",
    {"recipe.schedule": "cosine", "recipe.milestones": ()},
  ),
}  # fmt: skip
# What an arm is measured against where that is not KD: an ungraded school of the same networks.
_BESIDE = {"depth": "kd_deep", "ed_specialists": "mixed"}
CONFIGS = {"cifar100": ("cifar100", "brief"), "fashion_mnist": ("fashion_mnist", "")}
# Peaks of the learning rate, by data set: where all images are whole, and where small ones come
# first. Other arms have their own.
_RATES = {"cifar100": (0.8, 0.4), "fashion_mnist": (0.8, 0.8)}
_SHARES = (0.3, 0.3, 0.4)  # of a budget, as `plans.sized` has them where all grades cost alike
_SHARED = ("alone_sizes", "labels_first", "whole_answers")
_TRAINED_BY = (
  "epochs", "image_sizes", "learning_rate", "warmup_epochs", "schedule", "milestones"
)  # fmt: skip
_LESS = 0.6  # of KD's compute, at which its accuracy is a claim
_COLOURS = {"kd": "#0072b2", "ed": "#d55e00"}  # the others are grey, and told by their marks


def main():
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--dataset", choices=CONFIGS, required=True)
  parser.add_argument("--data_dir", required=True)
  parser.add_argument("--out", type=pathlib.Path, required=True)
  parser.add_argument("--arms", default="kd,ed")
  parser.add_argument("--budgets", default="3.6,6,10", help="epochs of KD that a run costs")
  parser.add_argument("--seeds", type=int, default=3)
  parser.add_argument("--jobs", type=int, default=1, help="runs at a time, each on its own cores")
  parser.add_argument("--generalist", default="", help="folder of one, else it is trained")
  options = parser.parse_args()
  amounts = [float(amount) for amount in options.budgets.split(",")]
  dataset = datasets.load(options.dataset, data_dir=options.data_dir)
  runs, place = {}, options.out / options.dataset
  for amount in amounts:
    for arm in options.arms.split(","):
      config, changes = arguments(options.dataset, dataset, arm, amount)
      for seed in range(options.seeds):
        given = {"data_dir": options.data_dir, "faculty.cache": str(options.out / "teachers")}
        given |= {"faculty.generalist.checkpoint": options.generalist} if options.generalist else {}
        name = f"{arm}_{amount:g}_{seed}"
        runs[name] = flags(config, given | changes | {"seed": seed})
  run_all(runs, place, options.jobs)
  rows = budgeted(place, place / "ed_vs_kd.jsonl", dataset=options.dataset)
  (place / "ed_vs_kd.md").write_text(table(rows))
  picture(rows, place / f"ed_vs_kd_{options.dataset}.png")
  print(table(rows))


def arguments(name, dataset, arm, amount):
  """Returns (config, changes) of an arm of a data set at a budget, see `budgets.settled`."""
  config, changes = _arm(name, dataset, arm)
  shares = _SHARES if arm in _SHARED else ()
  epochs = lengths(settled(config, changes), dataset, amount * unit(name, dataset), shares)
  if arm == "paper":  # it falls at both grafts and half-way through the last grade
    first, second, third = epochs
    ends = (first, first + second, first + second + third / 2)
    changes["recipe.milestones"] = tuple(dict.fromkeys(max(1, round(end)) for end in ends))
  return config, changes | {"grades.epochs": epochs}


def unit(name, dataset):
  """Returns the multiply-accumulates of an epoch of plain distillation, which budgets count in."""
  plain = settled(*_arm(name, dataset, "kd"))
  return sum(work(plain, dataset)) / plain.grades[0].epochs


def faculty(name):
  """Returns the changes by which all arms have the teachers of a data set's default."""
  file, size = CONFIGS[name]
  default = settled(f"{file}:{','.join(filter(None, (size, 'ed')))}", {}).faculty
  return {
    f"faculty.{kind}.{key}": getattr(getattr(default, kind), key)
    for kind in ("generalist", "specialist")
    for key in _TRAINED_BY
  }


def rate(name, small):
  """Returns the change to the peak for a data set, whether `small` images come first or not."""
  return {"grades.learning_rate": (_RATES[name][small],)}


def _arm(name, dataset, arm):
  """Returns (config, changes) of an arm at any length."""
  (file, size), (_, _, variant, own) = CONFIGS[name], ARMS[arm]
  changes = faculty(name) | {"class_order": "similar"} | own
  if arm == "whole_answers":
    changes["grades.teacher_size"] = (float(max(dataset.train.images.shape[1:3])),)
  if variant not in ("paper", "stages"):
    changes |= rate(name, variant == "ed" or "grades.image_size" in own)
  return f"{file}:{','.join(filter(None, (size, variant)))}", changes


def table(rows):
  """Returns Markdown: a line per budget and arm."""
  by = collections.defaultdict(dict)
  for row in rows:
    by[row["budget"], row["arm"]][row["seed"]] = row
  amounts = sorted({amount for amount, _ in by})
  lines = [
    "| budget | arm | teachers | test top-1 % | n | than KD, points | than KD of 1/0.6 the compute "
    "| learning, TMAC | answers, TMAC | seconds |",
    "|---|---|---|---|---|---|---|---|---|---|",
  ]
  for amount in amounts:
    for arm, (what, who, *_) in ARMS.items():
      runs = by.get((amount, arm))
      if not runs:
        continue
      top1 = _percent(runs)
      mean = {
        key: np.mean([row[key] for row in runs.values()])
        for key in ("macs_student", "macs_teachers", "seconds")
      }
      more = next((other for other in amounts if abs(other * _LESS / amount - 1) < 0.01), None)
      lines.append(
        f"| {amount:g} | {what} | {who} | {np.mean([*top1.values()]):.2f} ± "
        f"{spread([*top1.values()]):.2f} | {len(runs)} "
        f"| {_beside(arm, top1, by, amount)} | {_gap('', top1, by.get((more, 'kd')))} "
        f"| {mean['macs_student'] / 1e12:.3f} | {mean['macs_teachers'] / 1e12:.3f} "
        f"| {mean['seconds']:.0f} |"
      )
  return "\n".join(lines) + "\n"


def _percent(runs):
  return {seed: 100 * row["top1"] for seed, row in runs.items()}


def _beside(arm, top1, by, amount):
  """Writes what an arm's figures are more than KD's, or than those of its own `_BESIDE`."""
  other = _BESIDE.get(arm, "kd")
  gap = _gap(arm, top1, by.get((amount, other)))
  return gap if other == "kd" or gap == "–" else f"{gap}, than: {ARMS[other][0]}"


def _gap(arm, top1, kd):
  """Writes what an arm's figures are more than KD's, with a 95 % interval."""
  if arm == "kd" or not kd:
    return "–"
  mean, half, count = paired(top1, _percent(kd))
  return f"{mean:+.2f} ± {half:.2f} ({count})" if count > 1 else "–"


def picture(rows, path):
  """Draws test top-1 against compute: a line per arm, a mark per budget with its spread."""
  figure = Figure(figsize=(9, 4.8), dpi=150, layout="constrained")
  axes = figure.subplots()
  for marker, (arm, (what, *_)) in zip("osD^v<PX*>phd8", ARMS.items(), strict=True):
    amounts = sorted({row["budget"] for row in rows if row["arm"] == arm})
    if not amounts:
      continue
    cells = [[r for r in rows if (r["arm"], r["budget"]) == (arm, each)] for each in amounts]
    macs = [np.mean([row["macs"] for row in cell]) / 1e12 for cell in cells]
    top1 = [[100 * row["top1"] for row in cell] for cell in cells]
    axes.errorbar(
      macs, [*map(np.mean, top1)], [*map(spread, top1)], label=what,
      color=_COLOURS.get(arm, "#777777"), marker=marker, capsize=3, markersize=7,
      markeredgecolor="white",
      linestyle="-" if arm in ("kd", "ed") else ":",
    )  # fmt: skip
  axes.set_xlabel("learning and answers, 10¹² multiply-accumulates")
  axes.set_ylabel("test top-1, last epoch, %")
  axes.spines[["top", "right"]].set_visible(False)
  figure.legend(loc="outside right center", frameon=False, fontsize=8)
  figure.savefig(path)


if __name__ == "__main__":
  main()
