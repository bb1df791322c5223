r"""Masses of lenses by parallax: real events as they were measured, and Earth 2.0's simulated.

python experiments/et_masses.py --data_dir=DIR --out=DIR [--parts=real,simulated] [--events=40]
  [--seed=0]

DIR holds OB140939/, MB08310/ and Spitzer_ephemeris_01.dat, of the folders photometry_files and
ephemeris_files of https://github.com/rpoleski/MulensModel (MIT). Real: OGLE-2014-BLG-0939 from the
Earth and from Spitzer, all solutions and the masses they mean (`parallax`); MOA-2008-BLG-310 by
seven telescopes, of a point and of a disk (`disk`); how far apart Earth and L2 see
KMT-2024-BLG-0792 (`delay`). Simulated: --events free-floating planets of each mass, before three
kinds of stars, seen from L2 and by KMTNet, and fitted (`mass`); at which mass half of them are
measured (`threshold`). What is assumed is said in lenses.py and floating.py.

Writes --out/et_masses.jsonl, a row to each; rows of parts that are not asked for stay as they are.
Draws --out/et_masses.png, of all rows.
"""

import argparse
import json
import pathlib
import sys

import jax
import numpy as np
from matplotlib.figure import Figure

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import floating
import lenses

from edjax.et import event

PARTS = {"real": ("parallax", "disk", "delay"), "simulated": ("mass", "threshold")}
GOULD = {"bulge": 6.0, "disk": 0.7}  # M⊕ that Gould et al. 2021 (arXiv:2010.09671) come down to


def main():
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--data_dir", type=pathlib.Path, required=True)
  parser.add_argument("--out", type=pathlib.Path, required=True)
  parser.add_argument("--parts", default=",".join(PARTS))
  parser.add_argument("--events", type=int, default=40)
  parser.add_argument("--seed", type=int, default=0)
  options = parser.parse_args()
  jax.config.update("jax_enable_x64", True)
  asked = options.parts.split(",")
  path = options.out / "et_masses.jsonl"
  options.out.mkdir(parents=True, exist_ok=True)
  replaced = {name for part in asked for name in PARTS[part]}
  rows = [row for row in kept(path) if row["part"] not in replaced]
  found, curves, fits = lenses.parallaxes(options.data_dir)
  if "real" in asked:
    real = [*found, *lenses.disks(options.data_dir), lenses.rogue()]
    for row in real:
      say(row)
    rows = real + rows
  if "simulated" in asked:
    rows += floating.rows(options.events, options.seed, say)
  path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
  picture(rows, curves, fits[0], options.out / "et_masses.png")


def kept(path):
  """Returns the rows of an earlier run."""
  return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def say(row):
  print(json.dumps(row, ensure_ascii=False), flush=True)


def picture(rows, curves, best, path):
  """Draws the real event from both places, and how many simulated masses are measured."""
  figure = Figure(figsize=(13, 4.4), layout="constrained")
  first, *others = figure.subplots(1, 3)
  for name, color, curve, source, blend in zip(
    ("Earth (OGLE)", "Spitzer"), ("C0", "C3"), curves, best.source, best.blend, strict=True
  ):
    day = np.asarray(curve.time) - lenses.REFERENCE
    near = np.abs(day) < 60
    light = (np.asarray(curve.flux) - blend) / source
    first.plot(day[near], light[near], ".", color=color, markersize=4, label=name)
    order = np.argsort(day[near])
    model = event.magnification(best.event, curve.time, curve.place)
    first.plot(day[near][order], np.asarray(model)[near][order], color=color, linewidth=1)
  first.set(
    xlabel="days from HJD 2456836", ylabel="magnification", title="OGLE-2014-BLG-0939, real"
  )
  first.legend()
  simulated = [row for row in rows if row["part"] == "mass" and row["geometry"] == "season"]
  for axis, kind in zip(others, floating.LENSES, strict=True):
    for name in floating.STARS:
      own = [row for row in simulated if (row["lens"], row["source"]) == (kind, name)]
      shares = [row["measured"] / row["n"] for row in own]
      (line,) = axis.plot([row["earths"] for row in own], shares, "o-", label=name)
      right = [row["right"] / row["n"] for row in own]
      axis.plot([row["earths"] for row in own], right, ":", color=line.get_color())
    axis.axvline(GOULD[kind], color="0.6")
    axis.annotate("Gould et al. 2021", (GOULD[kind], 0.98), rotation=90, va="top", color="0.4")
    axis.axhline(0.5, color="0.85", zorder=0)
    axis.set(
      xscale="log",
      ylim=(0, 1),
      xlabel="mass of the lens, M⊕",
      title=f"simulated lenses in the {kind}",
    )
    axis.set_ylabel("share with a mass (dotted: within a factor of 1.5)")
  others[0].legend(title="source")
  figure.savefig(path, dpi=110)


if __name__ == "__main__":
  main()
