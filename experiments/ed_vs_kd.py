r"""Does education distillation beat the best plain use of the same teachers, for the same compute?

python experiments/ed_vs_kd.py --data_dir=DIR --out=DIR [--seeds=3] [--jobs=2] [--arms=kd,ed]

Trains every arm of `ARMS` for every seed on Fashion-MNIST (54,000 images, or 20,000 with --quick)
with one set of teachers, each run a process of its own on its share of the cores. A run that is
there is not done again, and one that was killed goes on. Writes ed_vs_kd.md and ed_vs_kd.png to
--out: test top-1 of the last epoch, mean ± standard deviation over the seeds. All arms have the
same teachers (the published curriculum too, which is why it is given edjax's class order here). The
recipes were chosen on the validation part with another seed; see configs/fashion_mnist.py.
"""

import argparse
import collections
import concurrent.futures
import itertools
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
from matplotlib.figure import Figure

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
_COLUMNS = ("top1", "top1_best", "student", "teachers", "seconds")


def main():
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--data_dir", required=True)
  parser.add_argument("--out", type=pathlib.Path, required=True)
  parser.add_argument("--seeds", type=int, default=3)
  parser.add_argument("--jobs", type=int, default=1, help="runs at a time, each on its own cores")
  parser.add_argument("--arms", default=",".join(ARMS))
  parser.add_argument("--quick", action="store_true", help="a third of the images")
  options = parser.parse_args()
  options.out.mkdir(parents=True, exist_ok=True)
  arms = options.arms.split(",")
  # The first seed of each arm trains the teachers it lacks, so arms that share teachers wait for
  # it.
  runs = [(arm, seed) for seed in range(options.seeds) for arm in arms]
  with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
    cores = _CoreShares(options.jobs)
    list(pool.map(lambda pair: _run(*pair, options, cores), runs))
  rows = {arm: _read(options.out, arm) for arm in ARMS}
  rows = {arm: row for arm, row in rows.items() if row["top1"]}
  (options.out / "ed_vs_kd.md").write_text(table(rows))
  picture(rows, options.out / "ed_vs_kd.png")
  print(table(rows))


class _CoreShares:
  """Hands out disjoint sets of cores, one per running job."""

  def __init__(self, jobs):
    cores = sorted(os.sched_getaffinity(0))
    share = max(1, len(cores) // jobs)
    self.free = collections.deque(set(cores[n * share : (n + 1) * share]) for n in range(jobs))


def _run(arm, seed, options, cores):
  workdir = options.out / f"{arm}_{seed}"
  if (workdir / "report.json").exists():
    return
  _, _, variant, *settings = ARMS[arm]
  variant = ",".join(filter(None, ("quick" * options.quick, variant)))
  mine = cores.free.popleft()
  with open(options.out / f"{arm}_{seed}.log", "a") as log:
    subprocess.run(
      [
        sys.executable,
        "-m",
        "edjax.main",
        f"--config=configs/fashion_mnist.py:{variant}",
        f"--workdir={workdir}",
        f"--config.data_dir={options.data_dir}",
        f"--config.faculty.cache={options.out / 'teachers'}",
        "--config.class_order=similar",
        f"--config.seed={seed}",
        *settings,
      ],
      check=True,
      stdout=log,
      stderr=log,
      preexec_fn=lambda: os.sched_setaffinity(0, mine),
    )
  cores.free.append(mine)
  print(f"{arm} {seed}: {json.loads((workdir / 'report.json').read_text())['student']['top1']:.4f}")


def _read(out, arm):
  """Returns {column: one figure per seed}."""
  reports = [json.loads(p.read_text()) for p in sorted(out.glob(f"{arm}_[0-9]*/report.json"))]
  return {
    "top1": [100 * report["student"]["top1"] for report in reports],
    "top1_best": [100 * report["student"]["top1_best"] for report in reports],
    "student": [report["train_macs_student"] / 1e12 for report in reports],
    "teachers": [report["train_macs_teachers"] / 1e12 for report in reports],
    "seconds": [report["seconds"] for report in reports],
  }


def table(rows):
  """Returns Markdown: one line per arm, mean ± sample standard deviation over the seeds."""
  lines = [
    "| arm | teachers | test top-1 %, last epoch | top-1 % at the best validation epoch | n "
    "| student TMAC | teacher TMAC | seconds |",
    "|---|---|---|---|---|---|---|---|",
  ]
  for arm, row in rows.items():
    what, who, *_ = ARMS[arm]
    mean = {column: np.mean(row[column]) for column in _COLUMNS}
    spread = {column: _spread(row[column]) for column in _COLUMNS}
    lines.append(
      f"| {what} | {who} | {mean['top1']:.2f} ± {spread['top1']:.2f} "
      f"| {mean['top1_best']:.2f} ± {spread['top1_best']:.2f} | {len(row['top1'])} "
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
    colour, mean, spread = _COLOURS[who], np.mean(row["top1"]), _spread(row["top1"])
    label, x = f"{mean:.2f} ± {spread:.2f}  {what}", np.mean(row["student"])
    if mean < floor:
      axes.plot(x, floor, "v", color=colour, markersize=9, clip_on=False, label=label)
      continue
    axes.scatter(row["student"], row["top1"], color=colour, s=12, alpha=0.35, linewidths=0)
    axes.errorbar(
      x, mean, spread, color=colour, marker=marker, markersize=9, capsize=3, linestyle="",
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


def _spread(values):
  """Sample standard deviation; 0 of one value."""
  return np.std(values, ddof=min(1, len(values) - 1))


if __name__ == "__main__":
  main()
