"""Many runs of the command, a few at a time, each a process on its own cores; one row per run.

A run that is there is not done again, and one that was killed goes on where it was.
"""

import collections
import concurrent.futures
import json
import os
import re
import subprocess
import sys

import numpy as np

_NAMED = re.compile(r"(.+)_(\d+)")


def run_all(runs, out, jobs):
  """Does what is left to do.

  Args:
    runs: {name: arguments of the command besides --workdir}, in the order to start them in.
    out: folder of the work directories, a pathlib.Path.
    jobs: how many at a time, each on its own share of the cores.
  """
  out.mkdir(parents=True, exist_ok=True)
  cores = sorted(os.sched_getaffinity(0))
  share = max(1, len(cores) // jobs)
  free = collections.deque(set(cores[n * share : (n + 1) * share]) for n in range(jobs))

  def do(name):
    workdir = out / name
    if not (workdir / "report.json").exists():
      mine = free.popleft()
      # Of this thread, from which the process has it. To set it in the process would take a fork of
      # a script in which JAX runs threads, and that may hang.
      os.sched_setaffinity(0, mine)
      with open(out / f"{name}.log", "a") as log:
        subprocess.run(
          [sys.executable, "-m", "edjax.main", f"--workdir={workdir}", *runs[name]],
          check=True,
          stdout=log,
          stderr=log,
        )
      free.append(mine)
    print(f"{name}: {json.loads((workdir / 'report.json').read_text())['student']['top1']:.4f}")

  with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
    list(pool.map(do, runs))


def rows(out):
  """Returns what each run that is done came to: its arm, its seed, accuracy, compute and seconds.

  top-1 is in percent, compute in 10¹² multiply-accumulates.
  """
  found = {}
  for path in out.glob("*/report.json"):
    named, report = _NAMED.fullmatch(path.parent.name), json.loads(path.read_text())
    if named:
      found[named[1], int(named[2])] = {
        "top1": 100 * report["student"]["top1"],
        "top1_best": 100 * report["student"]["top1_best"],
        "student": report["train_macs_student"] / 1e12,
        "teachers": report["train_macs_teachers"] / 1e12,
        "seconds": sum(row["seconds"] for row in report["grades"]),
      }
  return [{"arm": arm, "seed": seed, **found[arm, seed]} for arm, seed in sorted(found)]


def write(out, path, **common):
  """Writes a JSON line per run that is done.

  Args:
    out: folder of the work directories.
    path: of the file.
    **common: what all rows say besides, such as the data set.

  A row has arm, seed, top1 and top1_best (fractions), macs (the student's training and the answers
  of its teachers), each part of them, and seconds.
  """
  with open(path, "w") as file:
    for row in rows(out):
      parts = {f"macs_{part}": 1e12 * row[part] for part in ("student", "teachers")}
      shares = {name: row[name] / 100 for name in ("top1", "top1_best")}
      named = {"arm": row["arm"], "seed": row["seed"], "macs": sum(parts.values())}
      line = common | named | parts | shares | {"seconds": row["seconds"]}
      file.write(json.dumps(line) + "\n")


def budgeted(out, path, **common):
  """Writes as `write` does, of arms that are named with their budget, as "kd_3.6"; returns rows."""
  write(out, path, **common)
  rows = []
  for row in map(json.loads, path.read_text().splitlines()):
    arm, _, amount = row["arm"].rpartition("_")
    rows.append(row | {"arm": arm, "budget": float(amount)})
  path.write_text("".join(json.dumps(row) + "\n" for row in rows))
  return rows


def spread(values):
  """Sample standard deviation; 0 of one value."""
  return np.std(values, ddof=min(1, len(values) - 1))
