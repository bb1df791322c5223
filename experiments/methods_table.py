r"""Every distillation algorithm alone and under edjax's default curriculum, at equal compute.

python experiments/methods_table.py --dataset=cifar100 --data_dir=DIR --out=DIR [--methods=kd,at]
  [--budget=6] [--rates=0.1,0.3,0.9] [--choose_at=6] [--seeds=3] [--jobs=2] [--generalist=FOLDER]
  [--limit=0]

Each method is run with its published weights (edjax/recipes/published.py) for every seed, as plain
distillation and under the default curriculum. The budget is counted in epochs of plain KD, as in
ed_vs_kd.py, with its networks and teachers. Peaks of the learning rate are chosen for every method
alone and under the curriculum, on the validation part, with a seed of their own, at a budget that
may be shorter: those of KD leave some methods with nothing. Warm-ups of methods are published for
240 epochs, and last as large a share of the budget. What methods compute of their own beside the
networks is not counted; methods_cost.py measures it. A run that is there is not done again, and one
that was killed goes on.

Writes to --out/DATASET: methods_table.jsonl, a row per run; methods_table.md, test top-1 of the
last epoch, mean ± standard deviation over the seeds, and the differences of the same seeds with
their 95 % intervals; compute; seconds, which are rough where runs share a machine;
methods_table.png.
"""

import argparse
import collections
import json
import pathlib

import numpy as np
from budgets import flags, lengths, paired, settled
from ed_vs_kd import CONFIGS, KD, WHOLE, faculty, unit
from matplotlib.figure import Figure
from runs import budgeted, spread

from edjax.compare.sweep import run_all
from edjax.data import datasets

METHODS = ("kd", "dkd", "at", "crd", "reviewkd", "dist")
ALONE, UNDER = "#0072b2", "#d55e00"
_PUBLISHED = 240  # epochs, of which a method's warm-up is a part
_WARM_UPS = ("warm_up", "warmup")
_CHOOSING = 100  # the seed with which peaks are chosen


def main():
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--dataset", choices=CONFIGS, required=True)
  parser.add_argument("--data_dir", required=True)
  parser.add_argument("--out", type=pathlib.Path, required=True)
  parser.add_argument("--methods", default=",".join(METHODS))
  parser.add_argument("--budget", type=float, default=6.0, help="epochs of KD that a run costs")
  parser.add_argument("--rates", default="0.1,0.3,0.9", help="peaks that are tried")
  parser.add_argument("--choose_at", type=float, default=0.0, help="budget of a trial; 0: --budget")
  parser.add_argument("--seeds", type=int, default=3)
  parser.add_argument("--jobs", type=int, default=1, help="runs at a time, each on its own cores")
  parser.add_argument("--generalist", default="", help="folder of one, else it is trained")
  parser.add_argument("--limit", type=int, default=0, help="training images; 0: all")
  options = parser.parse_args()
  given = {"data_dir": options.data_dir, "faculty.cache": str(options.out / "teachers")}
  given |= {"data.train_limit": options.limit} if options.limit else {}
  given |= {"faculty.generalist.checkpoint": options.generalist} if options.generalist else {}
  dataset = datasets.load(options.dataset, data_dir=options.data_dir, train_limit=options.limit)
  place, rates = options.out / options.dataset, [*map(float, options.rates.split(","))]

  def runs(budget, peaks, seeds):
    """Returns {name: arguments of the command} of arms with peaks, {name: several}."""
    made = {}
    for name, several in peaks.items():
      method, suffix = name.removesuffix("_ed"), "_ed" if name.endswith("_ed") else ""
      config, changes = arguments(options.dataset, dataset, method, suffix, budget)
      for peak in several:
        changes["grades.learning_rate"] = (peak,)
        for seed in seeds:
          own = f"{name}_{peak:g}" if len(several) > 1 else name
          made[f"{own}_{budget:g}_{seed}"] = flags(config, given | changes | {"seed": seed})
    return made

  arms = [f"{name}{suffix}" for name in options.methods.split(",") for suffix in ("", "_ed")]
  peaks = dict.fromkeys(arms, rates)
  if len(rates) > 1:
    trial = options.choose_at or options.budget
    run_all(runs(trial, peaks, [_CHOOSING]), place / "rates", options.jobs)
    peaks = {
      name: [max(rates, key=lambda peak, own=name: chosen_by(place, own, peak, trial))]
      for name in arms
    }
  run_all(runs(options.budget, peaks, range(options.seeds)), place, options.jobs)
  rows = budgeted(place, place / "methods_table.jsonl", dataset=options.dataset)
  rows = [row for row in rows if row["budget"] == options.budget]
  for name, (peak,) in peaks.items():
    print(f"{name}: peak of the learning rate {peak:g}")
  (place / "methods_table.md").write_text(table(rows))
  picture(rows, place / "methods_table.png")
  print(table(rows))


def arguments(name, dataset, method, suffix, amount):
  """Returns (config, changes) of a method at a budget, see `budgets.settled`.

  Args:
    name: of the data set.
    dataset: a `datasets.Dataset`.
    method: a variant of the configs.
    suffix: "" for plain distillation, "_ed" under the curriculum.
    amount: epochs of plain KD that it is to cost.
  """
  file, size = CONFIGS[name]
  variants = filter(None, (size, "ed" if suffix else "kd", "" if method == "kd" else method))
  config = f"{file}:{','.join(variants)}"
  changes = faculty(name) | {"class_order": "similar"} | WHOLE
  changes |= KD if method == "kd" else {}
  made = settled(config, changes)
  changes |= {
    f"methods.{each}.{option}": value * amount / _PUBLISHED
    for each, options in made.methods.items()
    for option, value in options.items()
    if option in _WARM_UPS
  }
  epochs = lengths(made, dataset, amount * unit(name, dataset))
  return config, changes | {"grades.epochs": epochs}


def chosen_by(place, name, peak, budget):
  """Returns the validation top-1 at the end of a trial, by which a peak is chosen."""
  run = place / "rates" / f"{name}_{peak:g}_{budget:g}_{_CHOOSING}"
  kept = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
  own = [row for row in kept if row["training"] == "student"]
  return [row["top1"] for row in own if row.get("split") == "validation"][-1]


def table(rows):
  """Returns Markdown: one line per method, its two arms side by side."""
  lines = [
    "| method | alone, top-1 % | under the curriculum, top-1 % | gain, points | n "
    "| TMAC alone, under it | seconds alone, under it |",
    "|---|---|---|---|---|---|---|",
  ]
  for method, arms in _arms(rows).items():
    top1 = [{seed: 100 * row["top1"] for seed, row in arm.items()} for arm in arms]
    gain, half, count = paired(top1[1], top1[0])
    told = f"{gain:+.2f} ± {half:.2f}" if count > 1 else "–"
    macs, seconds = (
      [np.mean([row[key] for row in arm.values()]) for arm in arms] for key in ("macs", "seconds")
    )
    lines.append(
      f"| `{method}` | {_mean(top1[0])} | {_mean(top1[1])} | {told} | {count} "
      f"| {', '.join(f'{each / 1e12:.3f}' for each in macs)} "
      f"| {', '.join(f'{each:.0f}' for each in seconds)} |"
    )
  return "\n".join(lines) + "\n"


def _arms(rows):
  """Returns {method: (alone, under)}, each {seed: row}, of methods that have both."""
  by = collections.defaultdict(dict)
  for row in rows:
    by[row["arm"]][row["seed"]] = row
  names = dict.fromkeys([*METHODS, *(arm.removesuffix("_ed") for arm in by)])
  return {name: (by[name], by[f"{name}_ed"]) for name in names if {name, f"{name}_ed"} <= {*by}}


def _mean(top1):
  values = [*top1.values()]
  return f"{np.mean(values):.2f} ± {spread(values):.2f}"


def picture(rows, path):
  """Draws both arms of every method, best alone at the top; small dots are the seeds."""
  arms = {
    name: [[100 * row["top1"] for row in arm.values()] for arm in both]
    for name, both in _arms(rows).items()
  }
  order = sorted(arms, key=lambda name: np.mean(arms[name][0]))
  figure = Figure(figsize=(8, 0.42 * len(order) + 1.4), dpi=150, layout="constrained")
  axes = figure.subplots()
  for place, name in enumerate(order):
    for top1, colour, label, shift in zip(
      arms[name], (ALONE, UNDER), ("alone", "under the default curriculum"), (0.12, -0.12),
      strict=True,
    ):  # fmt: skip
      at = place + shift
      axes.scatter(top1, [at] * len(top1), color=colour, s=10, alpha=0.4)
      axes.errorbar(
        np.mean(top1), at, xerr=spread(top1), color=colour, marker="o", capsize=3,
        label=label if place == len(order) - 1 else None,
      )  # fmt: skip
  axes.set_yticks(range(len(order)), order)
  axes.set_xlabel("test top-1, last epoch, %")
  axes.grid(axis="x", alpha=0.3)
  axes.spines[["top", "right"]].set_visible(False)
  figure.legend(loc="outside lower center", ncols=2, frameon=False)
  figure.savefig(path)


if __name__ == "__main__":
  main()
