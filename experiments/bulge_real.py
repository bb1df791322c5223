r"""What graduates of `bulge` say of three real events, two of which are no point lenses.

python experiments/bulge_real.py --data_dir=DIR --out=DIR RUN [RUN …]

`--data_dir` has a folder per event: OGLE-2016-BLG-1195 with KMTNet's files (a planet, Shvartzvald
et al. 2017), MOA-2008-BLG-310 (a source's disk, and a planet by Janczak et al. 2010) and
OGLE-2014-BLG-0939 from the ground (a single lens). All curves of an event are fitted with one point
lens, brought to its magnification, and their means over half hours about the peak are a season of
the simulated survey. Errors of each curve are scaled by the spread of what is left. Writes
--out/bulge_real.jsonl, a row per event and run: what the pipeline found, and the probability of
each class. Prints a table: for how sure runs take each for a planet, mean and sample standard
deviation of those that have the same name but for the seed at its end.
"""

import argparse
import json
import pathlib
import sys

import jax
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from runs import spread

import edjax
from edjax.data import simulation
from edjax.data.readers import bulge as lensed
from edjax.data.readers import photometry
from edjax.errors import UserError
from edjax.et import bulge, draws, event, events, peaks

EPOCH = 2451545.0
# folder, files: where the fit begins, as JD, u₀ and days
EVENTS = {
  ("OB161195", "K*I.dat"): (2457568.77, 0.05, 10.0),
  ("MB08310", "*.tbl"): (2454656.4, 0.003, 11.0),
  ("OB140939", "*_OGLE.dat"): (2456836.0, 0.9, 23.0),
}


def main():
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--data_dir", type=pathlib.Path, required=True)
  parser.add_argument("--out", type=pathlib.Path, required=True)
  parser.add_argument("runs", nargs="+", metavar="RUN", help="of the config, or its graduate")
  options = parser.parse_args()
  graduates, rows = [(pathlib.Path(run).name, edjax.load(run)) for run in options.runs], []
  for (folder, files), (closest, *others) in EVENTS.items():
    paths = sorted((options.data_dir / folder).glob(files))
    if not paths:
      raise UserError(f"{options.data_dir / folder} has no {files}")
    with jax.enable_x64(True):
      flux, error = season(paths, event.Event(closest - EPOCH, *others))
    found = reported(flux, error)
    row = {"event": folder, "curves": len(paths), "half_hours": int(np.isfinite(error).sum())}
    row |= {
      name: round(float(getattr(found, name)[0]), 3)
      for name in ("width", "signal", "deviation", "asymmetry", "misfit")
    }
    pictures = simulation.SUBJECTS["lenses"].pictures(found)
    for run, graduate in graduates:
      chances = zip(lensed.CLASSES, graduate.predict(pictures)[0], strict=True)
      said = {name: round(float(chance), 3) for name, chance in chances}
      rows.append(row | {"run": run} | said)
  options.out.mkdir(parents=True, exist_ok=True)
  text = "".join(json.dumps(row) + "\n" for row in rows)
  (options.out / "bulge_real.jsonl").write_text(text)
  print(table(rows))


def table(rows):
  """Returns Markdown: a line for every event."""
  arms = {row["run"]: row["run"].rpartition("_")[0] or row["run"] for row in rows}
  names = [*dict.fromkeys(arms.values())]
  lines = [
    f"| event | half hours | σ from the point lens | planet: {' | '.join(names)} |",
    f"|---|---:|---:|{'---|' * len(names)}",
  ]
  for called in dict.fromkeys(row["event"] for row in rows):
    own = [row for row in rows if row["event"] == called]
    cells = [called, f"{own[0]['half_hours']:,}", f"{own[0]['deviation']:.1f}"]
    for name in names:
      chances = [row["planet"] for row in own if arms[row["run"]] == name]
      cells.append(f"{np.mean(chances):.3f} ± {spread(chances):.3f}")
    lines.append(f"| {' | '.join(cells)} |")
  return "\n".join(lines) + "\n"


def season(paths, start):
  """Returns (magnification less 1, its error) of every exposure of a season about the peak."""
  curves = []
  for path in paths:
    time, magnitude, error = photometry.magnitudes(path)
    bright, spread = (np.asarray(each) for each in event.fluxes(magnitude, error))
    curves.append(event.Curve(time, bright, spread, (0.0, 0.0)))
  fit = event.fit(curves, start)
  days = bulge.SEASON.days
  cells = len(events.times(days))
  begin = fit.event.closest - days / 2
  total, known = np.zeros(cells), np.zeros(cells)
  for curve, source, blend in zip(curves, fit.source, fit.blend, strict=True):
    left = (curve.flux - blend) / source - np.asarray(event.magnification(fit.event, curve.time))
    error = curve.error / source
    error = error * max(1, np.median(np.abs(left / error)) / 0.6745)
    cell = np.floor((curve.time - begin) / draws.EXPOSURE).astype(int)
    inside = (cell >= 0) & (cell < cells)
    weight = 1 / error[inside] ** 2
    np.add.at(known, cell[inside], weight)
    np.add.at(total, cell[inside], weight * ((curve.flux - blend) / source - 1)[inside])
  there = known > 0
  flux = total / np.where(there, known, 1)
  return flux, np.where(there, 1 / np.sqrt(np.where(there, known, 1)), np.inf)


def reported(flux, error):
  time = events.times(bulge.SEASON.days)
  flux, error = (np.asarray(each, np.float32)[None] for each in (flux, error))
  return jax.device_get(jax.jit(peaks.reported)(flux, error, time, np.zeros_like(flux)))


if __name__ == "__main__":
  main()
