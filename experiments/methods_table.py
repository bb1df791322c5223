r"""Every distillation algorithm alone and under education distillation, with the same teachers.

python experiments/methods_table.py --data_dir=DIR --out=DIR [--seeds=3] [--jobs=2]
  [--methods=kd,at] [--config=fashion_mnist:brief]

Each method is run with its published weights (edjax/recipes/published.py) for every seed, as
ordinary distillation and under the config's own curriculum, by default on 10,000 pictures of
Fashion-MNIST for four epochs. A run that is there is not done again, and one that was killed goes
on, so rows are added by naming more methods. Writes to --out: methods_table.jsonl, a row per run;
methods_table.md and methods_table.png, test top-1 of the last epoch, mean ± standard deviation over
the seeds; compute; seconds, which are rough where runs share a machine. What a step costs is
measured by methods_cost.py.
"""

import argparse
import pathlib

import numpy as np
from matplotlib.figure import Figure
from runs import read, run_all, spread, write

METHODS = (
  "ce", "kd", "at", "sp", "rkd", "crd", "dkd", "dist", "reviewkd", "average", "ebkd", "aekd",
  "camkd",
)  # fmt: skip
ALONE, UNDER = "#0072b2", "#d55e00"


def main():
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--data_dir", required=True)
  parser.add_argument("--out", type=pathlib.Path, required=True)
  parser.add_argument("--config", default="fashion_mnist:brief", help="file in configs/, variants")
  parser.add_argument("--seeds", type=int, default=3)
  parser.add_argument("--jobs", type=int, default=1, help="runs at a time, each on its own cores")
  parser.add_argument("--methods", default=",".join(METHODS))
  options = parser.parse_args()
  chosen = options.methods.split(",")
  runs = {
    f"{method}{suffix}_{seed}": _arguments(method, suffix, seed, options)
    for seed in range(options.seeds)
    for method in chosen
    for suffix in ("", "_ed")
    if (method, suffix) != ("ce", "_ed")  # without a teacher there is nothing to grade
  }
  run_all(runs, options.out, options.jobs)
  found = sorted({path.name.rpartition("_")[0] for path in options.out.glob("*_[0-9]*/")})
  names = dict.fromkeys([*METHODS, *(name.removesuffix("_ed") for name in found)])
  rows = {name: (read(options.out, name), read(options.out, f"{name}_ed")) for name in names}
  rows = {name: row for name, row in rows.items() if row[0]["top1"]}
  write(options.out, options.out / "methods_table.jsonl", config=options.config)
  (options.out / "methods_table.md").write_text(table(rows))
  picture(rows, options.out / "methods_table.png")
  print(table(rows))


def _arguments(method, suffix, seed, options):
  file, _, variants = options.config.partition(":")
  variant = {"": method, "_ed": "ed" if method == "kd" else f"ed,{method}"}[suffix]
  return [
    f"--config=configs/{file}.py:{','.join(filter(None, (variants, variant)))}",
    f"--config.data_dir={options.data_dir}",
    f"--config.faculty.cache={options.out / 'teachers'}",
    f"--config.seed={seed}",
  ]


def table(rows):
  """Returns Markdown: one line per method, its two arms side by side."""
  lines = [
    "| method | alone, top-1 % | n | under ED, top-1 % | n | student TMAC alone, ED "
    "| teacher TMAC alone, ED | seconds alone, ED |",
    "|---|---|---|---|---|---|---|---|",
  ]
  for name, (alone, under) in rows.items():
    arms = [arm for arm in (alone, under) if arm["top1"]]
    pairs = {
      column: ", ".join(f"{np.mean(arm[column]):.3f}" for arm in arms)
      for column in ("student", "teachers")
    }
    seconds = ", ".join(f"{np.mean(arm['seconds']):.0f}" for arm in arms)
    lines.append(
      f"| {name} | {_mean(alone)} | {len(alone['top1'])} | {_mean(under)} | {len(under['top1'])} "
      f"| {pairs['student']} | {pairs['teachers']} | {seconds} |"
    )
  return "\n".join(lines) + "\n"


def _mean(arm):
  return f"{np.mean(arm['top1']):.2f} ± {spread(arm['top1']):.2f}" if arm["top1"] else "–"


def picture(rows, path):
  """Draws both arms of every method, best alone at the top; small dots are the seeds."""
  order = sorted(rows, key=lambda name: np.mean(rows[name][0]["top1"]))
  figure = Figure(figsize=(8, 0.42 * len(order) + 1.4), dpi=150, layout="constrained")
  axes = figure.subplots()
  for place, name in enumerate(order):
    for arm, colour, label, shift in zip(
      rows[name], (ALONE, UNDER), ("alone", "under education distillation"), (0.12, -0.12),
      strict=True,
    ):  # fmt: skip
      if arm["top1"]:
        at = place + shift
        axes.scatter(arm["top1"], [at] * len(arm["top1"]), color=colour, s=10, alpha=0.4)
        axes.errorbar(
          np.mean(arm["top1"]), at, xerr=spread(arm["top1"]), color=colour, marker="o", capsize=3,
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
