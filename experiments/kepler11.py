r"""Kepler-11: are its six planets found in the light curve as it was measured?

python experiments/kepler11.py --data_dir=DIR --out=DIR

--data_dir holds the 17 quarters of long cadence, as https://archive.stsci.edu/kepler has them:
kplr006541920-*_llc.fits, or .fits.gz. All of them are read, trends taken out, and planets searched
blindly, from 1 day to a third of the span. Apart from that, at each published period the best box
of 1 to 13 hours is measured, in the same curve with nothing hidden or left out.

Writes --out/kepler11.jsonl, a row per planet, and --out/kepler11.png, the folded transits.
"""

import argparse
import json
import pathlib
import sys
import time as clock

import numpy as np
from matplotlib.figure import Figure

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from edjax.data.readers import fits
from edjax.devices import xla
from edjax.errors import UserError
from edjax.et import boxes, fold, search

# Days: Lissauer et al. 2011 (Nature 470, 53), means over 16 months, and Lissauer et al. 2013
# (ApJ 770, 131), of orbits at one moment, as neighbours change them.
PUBLISHED = {
  "b": (10.30375, 10.3039),
  "c": (13.02502, 13.0241),
  "d": (22.68719, 22.6845),
  "e": (31.99590, 31.9996),
  "f": (46.68876, 46.6888),
  "g": (118.37774, 118.3807),
}
DURATIONS = np.arange(1.0, 13.5, 0.5) / 24
SAME = 1e-3  # of a period: as near as this is the same planet


def main():
  xla.quicken_cpus()
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--data_dir", type=pathlib.Path, required=True)
  parser.add_argument("--out", type=pathlib.Path, required=True)
  options = parser.parse_args()
  paths = sorted(options.data_dir.glob("kplr006541920-*_llc.fits*"))
  if not paths:
    raise UserError(f"{options.data_dir} has no kplr006541920-*_llc.fits")
  curve = fits.light_curve(paths)
  began = clock.perf_counter()
  found = search.planets(*curve)
  seconds = clock.perf_counter() - began
  rows = table(curve, found) + others(found)
  options.out.mkdir(parents=True, exist_ok=True)
  circumstances = {
    "quarters": len(paths),
    "count": len(curve[0]),
    "span_days": round(float(np.ptp(curve[0])), 2),
    "trial_periods": len(search.trial_periods(float(np.ptp(curve[0])))),
    "seconds": round(seconds, 1),
  }
  path = options.out / "kepler11.jsonl"
  path.write_text("".join(json.dumps(row | circumstances) + "\n" for row in rows))
  picture(curve, found, options.out / "kepler11.png")
  for row in rows:
    print(json.dumps(row))
  print(json.dumps(circumstances))


def table(curve, found):
  """Returns a row for every published planet: what is there at its periods, and what was found."""
  time, flux = search.without(*curve, [])
  rows = []
  for name, periods in PUBLISHED.items():
    seen = boxes.bls(time, flux, np.array(periods), DURATIONS, step=0.5 / 24)
    places = {
      year: {
        "period": period,
        "signal": round(float(seen.signal[place]), 2),
        "depth_ppm": round(1e6 * float(seen.depth[place]), 1),
        "hours": round(24 * float(seen.duration[place]), 2),
        "points": int(seen.points[place]),
      }
      for place, (year, period) in enumerate(zip(("2011", "2013"), periods, strict=True))
    }
    own = next((each for each in found if abs(each.period / periods[0] - 1) < SAME), None)
    rows.append({"planet": name, "published": places, "blind": said(own)})
  return rows


def others(found):
  """Returns a row for everything that was found and is no published planet."""
  known = np.array([periods[0] for periods in PUBLISHED.values()])
  unknown = [each for each in found if (np.abs(each.period / known - 1) > SAME).all()]
  return [{"planet": None, "published": {}, "blind": said(each)} for each in unknown]


def said(planet):
  if planet is None:
    return None
  return {
    "signal": round(planet.signal, 2),
    "steady": round(planet.steady, 2),
    "scatter": round(planet.scatter, 2),
    "period": round(planet.period, 5),
    "epoch": round(planet.epoch, 4),
    "depth_ppm": round(1e6 * planet.depth, 1),
    "hours": round(24 * planet.duration, 2),
    "points": planet.points,
    "transits": planet.transits,
  }


def picture(curve, found, path):
  """Draws what was found, each folded without the others: points, medians, and the box."""
  figure = Figure(figsize=(13, 6), layout="constrained")
  axes = figure.subplots(2, -(-len(found) // 2) or 1, squeeze=False).ravel()
  for axis, own in zip(axes, sorted(found), strict=False):
    time, flux = search.without(*curve, [each for each in found if each is not own], own)
    hours = 24 * own.period * fold.fold(time, own.period, own.epoch)
    reach = 60 * own.duration
    near = np.abs(hours) < reach
    axis.plot(hours[near], 1e6 * flux[near], ",", color="0.7")
    places = 61
    middles = (np.arange(places) + 0.5) / places * 2 * reach - reach
    medians = fold.binned(hours, 1e6 * flux, -reach, reach, places)
    axis.plot(middles, medians, ".", color="C0", markersize=4)
    edge = 12 * own.duration
    axis.step([-reach, -edge, edge, reach], 1e6 * own.depth * np.array([0, 0, -1, 0]), color="C3")
    axis.set_ylim(-2.2e6 * own.depth, 1.2e6 * own.depth)
    axis.set_title(
      f"{own.period:.4f} d, S/N {own.signal:.0f}, {own.transits} transits", fontsize=10
    )
    axis.set_xlabel("hours from the middle")
    axis.set_ylabel("ppm")
  for axis in axes[len(found) :]:
    axis.set_axis_off()
  figure.savefig(path, dpi=110)


if __name__ == "__main__":
  main()
