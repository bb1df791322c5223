"""What runs of an experiment came to: one row per run."""

import json
import re

import numpy as np

_NAMED = re.compile(r"(.+)_(\d+)")


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
