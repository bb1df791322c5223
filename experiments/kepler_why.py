r"""Kepler's objects: how well are planets told from what is false, by its reason and by S/N?

python experiments/kepler_why.py --data_dir=DIR --out=FILE RUN [RUN …]

--data_dir is that of the config `kepler`; its koi_of_row.npz must also say `model_snr` and `flags`,
as NASA's cumulative table does: not transit-like, stellar eclipse, centroid offset, same ephemeris
as another object. Each RUN is a work directory of that config. The area under the ROC curve is that
of all confirmed planets of the exam against the false ones of a kind, or of an interval of S/N
against each other.

Writes --out, a row per run and kind: run, kind, auc, and how many are confirmed and false. Prints a
table: mean and sample standard deviation over the runs that differ by their seed alone, as sky.py
names them.
"""

import argparse
import json
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from runs import spread

import edjax
from edjax.data import datasets
from edjax.data.readers import kepler

SNR = (0, 15, 30, 100, np.inf)
_FLAGS = ("not transit-like", "stellar eclipse", "centroid offset", "same ephemeris")


def main():
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--data_dir", type=pathlib.Path, required=True)
  parser.add_argument("--out", type=pathlib.Path, required=True)
  parser.add_argument("runs", nargs="+", metavar="RUN")
  options = parser.parse_args()
  exam = datasets.load("kepler", data_dir=options.data_dir).test
  flags, snr = kepler.of_exam(options.data_dir, ("flags", "model_snr"))
  among = kinds(exam.labels == kepler.CLASSES.index("confirmed"), flags, snr)
  rows = []
  for run in options.runs:
    logits = edjax.load(run).logits(np.asarray(exam.images))
    odds = logits[:, 1] - logits[:, 0]
    for kind, (planets, false) in among.items():
      counts = {"confirmed": int(planets.sum()), "false": int(false.sum())}
      row = {"run": pathlib.Path(run).name, "kind": kind, "auc": auc(odds, planets, false)}
      rows.append(row | counts)
  options.out.write_text("".join(json.dumps(row) + "\n" for row in rows))
  print(table(rows))


def kinds(confirmed, flags, snr):
  """Returns {kind: (which are its planets, which its false ones)}, of bool [n] each.

  Args:
    confirmed: bool [n].
    flags: 0 or 1 [n, 4], in the order of `_FLAGS`.
    snr: [n]; what has none is in no interval.
  """
  false = ~confirmed
  named = {"all": (confirmed, false)}
  for column, name in enumerate(_FLAGS):
    named[name] = confirmed, false & (flags[:, column] == 1)
  alone = (flags[:, 2] == 1) & (flags.sum(1) == 1)
  named["centroid offset alone"] = confirmed, false & alone
  for low, high in zip(SNR, SNR[1:], strict=False):
    inside = (snr >= low) & (snr < high)
    what = f"S/N {low} to {high}" if np.isfinite(high) else f"S/N {low} or more"
    named[what] = confirmed & inside, false & inside
  return {kind: both for kind, both in named.items() if all(each.any() for each in both)}


def auc(scores, members, others):
  """The probability that a member has a higher score than another, half of it where they tie."""
  ranked = np.sort(scores[others])
  below, upto = (np.searchsorted(ranked, scores[members], side) for side in ("left", "right"))
  return float((below + upto).mean() / 2 / len(ranked))


def table(rows):
  """Returns Markdown: a line for every kind, a column for every arm, whose runs end in _SEED."""
  arms = dict.fromkeys(_arm(row) for row in rows)
  lines = [
    f"| false ones, or both by S/N | confirmed | false | {' | '.join(arms)} |",
    "|---|---:|---:|" + "---|" * len(arms),
  ]
  for kind in dict.fromkeys(row["kind"] for row in rows):
    own = [row for row in rows if row["kind"] == kind]
    cells = [kind, str(own[0]["confirmed"]), str(own[0]["false"])]
    for arm in arms:
      values = [row["auc"] for row in own if _arm(row) == arm]
      cells.append(f"{np.mean(values):.3f} ± {spread(values):.3f}")
    lines.append(f"| {' | '.join(cells)} |")
  return "\n".join(lines) + "\n"


def _arm(row):
  """Of a run kepler_stars_ARM_SEED."""
  return row["run"].rpartition("_")[0].removeprefix("kepler_stars_")


if __name__ == "__main__":
  main()
