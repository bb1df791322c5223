r"""Does education distillation beat the best plain use of the same teachers, for the same compute?

python experiments/ed_vs_kd.py --data_dir=DIR --out=DIR [--seeds=3] [--jobs=2] [--arms=kd,ed]

Trains every arm of `ARMS` for every seed on Fashion-MNIST (54,000 images, or 20,000 with --quick)
with one set of teachers, each run a process of its own on its share of the cores. A run that is
there is not done again, and one that was killed goes on. Writes to --out: ed_vs_kd.jsonl, a row per
run; ed_vs_kd.md and ed_vs_kd.png, test top-1 of the last epoch, mean ± standard deviation over the
seeds. All arms have the same teachers (the published curriculum too, which is why it is given
edjax's class order here). The recipes were chosen on the validation part with another seed; see
configs/fashion_mnist.py.
"""

import argparse
import itertools
import pathlib

import numpy as np
from matplotlib.figure import Figure
from runs import COLUMNS, read, run_all, spread, write

_COSINE = ("--config.recipe.schedule=cosine", "--config.grades.learning_rate=0.1,")
# name -> (what it is, who teaches, variant of configs/fashion_mnist.py, settings besides)
ARMS = {
  "alone": ("student alone", "nobody", "ce"),
  "kd": ("KD from a generalist", "generalist", "kd"),
  "mixed": ("specialists in mixed batches, no grades", "specialists", "mixed"),
  "paper": ("ED, as published", "specialists", "paper"),
  "paper_cosine": ("ED, as published, cosine per grade", "specialists", "paper", *_COSINE),
  "ed_specialists": ("ED, specialists only", "specialists", "specialists"),
  "both": ("generalist and specialists, no grades", "both", "both"),
  "growth": ("growth only: all classes, one generalist", "generalist", "growth"),
  "fixed": ("freezing only: all classes, one generalist", "generalist", "fixed"),
  "ed": ("ED, default", "generalist", ""),
}
_COLOURS = {
  "nobody": "#777777",
  "generalist": "#0072b2",
  "specialists": "#d55e00",
  "both": "#009e73",
}
_SHOWN = 2.0  # points below the best arm that the picture shows


def main():
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--data_dir", required=True)
  parser.add_argument("--out", type=pathlib.Path, required=True)
  parser.add_argument("--seeds", type=int, default=3)
  parser.add_argument("--jobs", type=int, default=1, help="runs at a time, each on its own cores")
  parser.add_argument("--arms", default=",".join(ARMS))
  parser.add_argument("--quick", action="store_true", help="a third of the images")
  options = parser.parse_args()
  # The first seed of each arm trains the teachers it lacks; arms that share teachers wait for it.
  runs = {
    f"{arm}_{seed}": _arguments(arm, seed, options)
    for seed in range(options.seeds)
    for arm in options.arms.split(",")
  }
  run_all(runs, options.out, options.jobs)
  rows = {arm: read(options.out, arm) for arm in ARMS}
  rows = {arm: row for arm, row in rows.items() if row["top1"]}
  common = {"dataset": "fashion_mnist", "budget": "quick" if options.quick else "whole"}
  write(options.out, options.out / "ed_vs_kd.jsonl", **common)
  (options.out / "ed_vs_kd.md").write_text(table(rows))
  picture(rows, options.out / "ed_vs_kd.png")
  print(table(rows))


def _arguments(arm, seed, options):
  _, _, variant, *settings = ARMS[arm]
  variant = ",".join(filter(None, ("quick" * options.quick, variant)))
  return [
    f"--config=configs/fashion_mnist.py:{variant}",
    f"--config.data_dir={options.data_dir}",
    f"--config.faculty.cache={options.out / 'teachers'}",
    "--config.class_order=similar",
    f"--config.seed={seed}",
    *settings,
  ]


def table(rows):
  """Returns Markdown: one line per arm, mean ± sample standard deviation over the seeds."""
  lines = [
    "| arm | teachers | test top-1 %, last epoch | top-1 % at the best validation epoch | n "
    "| student TMAC | teacher TMAC | seconds |",
    "|---|---|---|---|---|---|---|---|",
  ]
  for arm, row in rows.items():
    what, who, *_ = ARMS[arm]
    mean = {column: np.mean(row[column]) for column in COLUMNS}
    error = {column: spread(row[column]) for column in COLUMNS}
    lines.append(
      f"| {what} | {who} | {mean['top1']:.2f} ± {error['top1']:.2f} "
      f"| {mean['top1_best']:.2f} ± {error['top1_best']:.2f} | {len(row['top1'])} "
      f"| {mean['student']:.3f} | {mean['teachers']:.3f} | {mean['seconds']:.0f} |"
    )
  return "\n".join(lines) + "\n"


def picture(rows, path):
  """Draws test top-1 against student compute: a mark per arm with its spread, a point per seed.

  Arms far below the best would flatten all others, and are named on the lower edge instead.
  """
  figure = Figure(figsize=(9, 4.5), dpi=150, layout="constrained")
  axes = figure.subplots()
  best = max(np.mean(row["top1"]) for row in rows.values())
  floor = best - _SHOWN
  for marker, (arm, row) in zip(itertools.cycle("osD^<PX*>p"), rows.items(), strict=False):
    what, who, *_ = ARMS[arm]
    colour, mean, error = _COLOURS[who], np.mean(row["top1"]), spread(row["top1"])
    label, x = f"{mean:.2f} ± {error:.2f}  {what}", np.mean(row["student"])
    if mean < floor:
      axes.plot(x, floor, "v", color=colour, markersize=9, clip_on=False, label=label)
      continue
    axes.scatter(row["student"], row["top1"], color=colour, s=12, alpha=0.35, linewidths=0)
    axes.errorbar(
      x, mean, error, color=colour, marker=marker, markersize=9, capsize=3, linestyle="",
      markeredgecolor="white", label=label,
    )  # fmt: skip
  axes.set_ylim(bottom=floor)
  axes.set_xlabel("student training compute, 10¹² multiply-accumulates")
  axes.set_ylabel("test top-1, last epoch, %")
  axes.spines[["top", "right"]].set_visible(False)
  axes.margins(x=0.1)
  figure.legend(
    *_best_first(axes), loc="outside right center", frameon=False, fontsize=8, labelspacing=1.1
  )
  figure.savefig(path)


def _best_first(axes):
  handles, labels = axes.get_legend_handles_labels()
  order = sorted(range(len(labels)), key=lambda n: -float(labels[n].split()[0]))
  return [handles[n] for n in order], [labels[n] for n in order]


if __name__ == "__main__":
  main()
