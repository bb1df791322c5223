r"""How many planets have Kepler's stars, and would intervals of Earth 2.0's survey hold the truth?

python experiments/et_occurrence.py --data_dir=DIR --out=DIR [--runs=100]

--data_dir holds, at any depth, `completeness.dr25.*.npz` of https://github.com/GijsMulders/epos
(MIT), `bryson2020_GK_PCs.csv`, the candidates of Bryson et al. 2020 (AJ 159, 279) with their
reliabilities, and `cumulative*.csv`, NASA's cumulative table of Kepler's objects of interest.

Two samples of real stars: G and K dwarfs with radii of Gaia, whose candidates count by their
reliability or all alike; and all dwarfs with the radii of DR25, whose candidates have a score of
0.9 or more. Then Earth 2.0 is simulated --runs times: stars, planets by the fit to all dwarfs, who
of them is found. Whoever is found is known to be a planet. Counted is how often the 68 % interval
of each figure holds the truth.

Writes --out/et_occurrence.jsonl, a row per figure, and prints the tables of docs/survey.md.
"""

import argparse
import json
import pathlib
import sys

import jax
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import et_tables
import kepler_candidates
import simulated_survey
from et_tables import rounded

from edjax.devices import xla
from edjax.errors import UserError
from edjax.et import occurrence, survey

BURKE, SYSTEMS = ((50.0, 300.0), (0.75, 2.5)), ((2.0, 400.0), (0.5, 6.0))
LONG = ((50.0, 400.0), (0.75, 2.5))  # of Bryson et al. 2020
EARTHS = ((0.8, 85.0), (0.8, 1.25))  # the first row of Fressin et al. 2013
TWINS = ((0.8 * survey.YEAR, 1.2 * survey.YEAR), (0.8, 1.2))  # ζ of Burke et al. 2015
MULDERS = ((0.9 * survey.YEAR, 2.2 * survey.YEAR), (0.7, 1.5))  # η of Mulders et al. 2018
CHANCES = ((10.0, 50.0), (2.0, 4.0)), ((2.0, 85.0), (0.8, 1.25)), ((50.0, 300.0), (1.5, 2.5))
STRAIGHT, BROKEN = occurrence.Straight(*LONG), occurrence.Broken(*SYSTEMS)
NAMES = ("ln count", "ln P", "ln R", "P below", "P above", "R below", "R above")
# Breaks at 5 to 13 days and 2 to 3.3 radii of the Earth, and powers like those of other fits.
STARTS = np.array(
  [
    [1.0, np.log(days), np.log(radius), 1.6, 0.3, -0.5, -4.0]
    for days in (5.0, 8.0, 13.0)
    for radius in (2.0, 2.7, 3.3)
  ]
)


def main():
  xla.quicken_cpus()
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--data_dir", type=pathlib.Path, required=True)
  parser.add_argument("--out", type=pathlib.Path, required=True)
  parser.add_argument("--runs", type=int, default=100)
  parser.add_argument("--seed", type=int, default=0)
  options = parser.parse_args()
  jax.config.update("jax_enable_x64", True)
  options.out.mkdir(parents=True, exist_ok=True)
  with open(options.out / "et_occurrence.jsonl", "w") as file:
    for row in rows(options):
      file.write(json.dumps(row) + "\n")
      file.flush()
      print(json.dumps(row), flush=True)
  made = [json.loads(line) for line in (options.out / "et_occurrence.jsonl").open()]
  for table in et_tables.rates(made):
    print(table)


def rows(options):
  """Yields every row, real ones first."""
  yield from gk(options.data_dir)
  truth = yield from dwarfs(options.data_dir)
  simulated = simulated_survey.Simulated(survey.SURVEYS["white_paper"], 100_000)
  law = BROKEN(jax.numpy.asarray(truth))

  def draw(key):
    return simulated.candidates(law, *SYSTEMS, key)

  keys = jax.random.split(jax.random.key(options.seed), options.runs)
  yield from covered(truth, simulated.completeness(), map(draw, keys))


def gk(folder):
  """Yields what is said of G and K dwarfs, with reliabilities and without."""
  share = kepler_candidates.completeness(
    there(folder, "completeness.dr25.G.gaia-r1.npz").parent, ("G.gaia-r1", "K.gaia-r1"), "all"
  )
  listed = kepler_candidates.gk(there(folder, "bryson2020_GK_PCs.csv"))
  alike = listed._replace(reliability=np.ones_like(listed.reliability))
  for weights, candidates in (("reliability", listed), ("none", alike)):
    common = {"sample": "GK", "stars": int(share.stars), "weights": weights}
    for box, known in ((BURKE, (0.77, 0.3, 1.9, "Burke 2015")), (EARTHS, (0.184, "Fressin 2013"))):
      yield common | inverse(share, candidates, box) | {"published": known}
    starts = np.array([[-1.0, 0.2, 0.0], [-1.0, 0.2, 2.0]])
    fitted, said = fit(STRAIGHT, LONG, starts, share, candidates)
    yield common | said
    bryson = {"reliability": (0.015, 0.008, 0.026), "none": (0.034, 0.022, 0.052)}[weights]
    yield common | figure(STRAIGHT, fitted, TWINS) | {"published": (*bryson, "Bryson 2020")}


def dwarfs(folder):
  """Yields what is said of all dwarfs; returns the parameters of the fit."""
  grid = there(folder, "completeness.dr25.dwarfs.huber.npz")
  share = kepler_candidates.completeness(grid.parent, ("dwarfs.huber",), "score")
  candidates = kepler_candidates.dwarfs(there(folder, "cumulative*.csv"))
  common = {"sample": "dwarfs", "stars": int(share.stars), "weights": "none"}
  yield common | inverse(share, candidates, EARTHS) | {"published": (0.184, "Fressin 2013")}
  fitted, said = fit(BROKEN, SYSTEMS, STARTS, share, candidates)
  yield common | said
  yield common | figure(BROKEN, fitted, MULDERS) | {"published": (0.36, 0.22, 0.50, "Mulders 2018")}
  yield common | figure(BROKEN, fitted, TWINS) | {"published": (0.1, 0.01, 2.0, "Burke 2015")}
  law = BROKEN(jax.numpy.asarray(fitted.parameters))
  for periods in ((2.0, 10.0), (10.0, 50.0), (50.0, 150.0), (150.0, 400.0)):
    for radii in ((0.5, 0.8), (0.8, 1.25), (1.25, 2.0), (2.0, 4.0), (4.0, 6.0)):
      found = occurrence.expected(law, share.exposure(periods, radii))
      own = {"expected": round(float(found), 1), "by fit": rounded(law.within(periods, radii))}
      yield common | inverse(share, candidates, (periods, radii)) | own
  return fitted.parameters


def covered(truth, share, surveys, alarms=None):
  """Yields, for every figure, how often its interval holds the truth of simulated surveys.

  Args:
    truth: parameters of the law that planets are drawn from.
    share: of planets that are found, by all that is known to who looks.
    surveys: yields the candidates of each.
    alarms: candidates that stand for the false ones to expect, each for `reliability` of them.
  """
  law, exposure, held, runs = BROKEN(jax.numpy.asarray(truth)), share.exposure(*SYSTEMS), {}, 0
  false = dict.fromkeys(CHANCES, 0.0)
  if alarms is not None:
    edges = exposure.periods, exposure.radii
    counts = np.histogram2d(alarms.period, alarms.radius, edges, weights=alarms.reliability)[0]
    exposure = exposure._replace(alarms=counts)
    false = {box: inverse(share, alarms, box)["rate"] for box in CHANCES}
  for candidates in map(padded, surveys):
    runs += 1
    fitted = occurrence.fit(BROKEN, STARTS[::4], candidates, exposure)
    number = round(candidates.reliability.sum())
    deviations = np.sqrt(np.diag(fitted.covariance))
    for name, value, deviation, wanted in zip(
      NAMES, fitted.parameters, deviations, truth, strict=True
    ):
      said = (value, value - deviation, value + deviation, number)
      held.setdefault(("fit", name), []).append((*said, wanted))
    for name, box in {"all": SYSTEMS, "Burke": BURKE, "twins": TWINS, "Earths": EARTHS}.items():
      wanted = float(law.within(*box))
      said = occurrence.interval(fitted, lambda at, box=box: BROKEN(at).within(*box))
      held.setdefault(("fit", name), []).append((*said, number, wanted))
    efficiency = np.asarray(share(candidates.period, candidates.radius))
    # Boxes in which every planet has a chance: what is never found is not in a sum over the found.
    for box in CHANCES:
      own = kept(candidates, box) & (candidates.reliability > 0)
      sum_, error = occurrence.inverse_efficiency(
        efficiency, np.where(own, candidates.reliability, 0), share.stars
      )
      planets, error = float(sum_) - false[box], float(error)
      said = (planets, planets - error, planets + error, int(own.sum()))
      held.setdefault(("inverse efficiency", box), []).append((*said, float(law.within(*box))))
  for (estimator, name), said in held.items():
    value, low, high, found, wanted = np.array(said).T
    yield {
      "sample": "simulated",
      "stars": int(share.stars),
      "estimator": estimator,
      "figure": name,
      "runs": runs,
      "found": rounded(found.mean()),
      "truth": rounded(wanted[0]),
      "mean": rounded(value.mean()),
      "deviation": rounded(value.std(ddof=1)),
      "mean_half_interval": rounded((high - low).mean() / 2),
      "inside": int(((low <= wanted) & (wanted <= high)).sum()),
    }


def inverse(share, candidates, box):
  """Returns what inverse efficiencies say of a box."""
  own = within(candidates, box)
  rate, error = occurrence.inverse_efficiency(
    share(own.period, own.radius), own.reliability, share.stars
  )
  return {
    "estimator": "inverse efficiency",
    "box": box,
    "found": len(own.period),
    "planets": rounded(own.reliability.sum()),
    "rate": rounded(rate),
    "low": rounded(rate - error),
    "high": rounded(rate + error),
  }


def fit(family, box, starts, share, candidates):
  """Returns (the fit to what was found in a box, what is said of it)."""
  own = within(candidates, box)
  fitted = occurrence.fit(family, starts, own, share.exposure(*box))
  deviations = np.sqrt(np.diag(fitted.covariance))
  names = NAMES if len(fitted.parameters) == len(NAMES) else (NAMES[0], "P", "R")
  values = zip(names, fitted.parameters, deviations, strict=True)
  return fitted, {
    "estimator": "fit",
    "box": box,
    "found": len(own.period),
    "planets": rounded(own.reliability.sum()),
    "log_likelihood": round(fitted.log_likelihood, 2),
    "parameters": {name: (rounded(value), rounded(own)) for name, value, own in values},
  } | rate(family, fitted, box)


def figure(family, fitted, box):
  """Returns what a fit says of another box."""
  return {"estimator": "fit", "box": box} | rate(family, fitted, box)


def rate(family, fitted, box):
  said = occurrence.interval(fitted, lambda at: family(at).within(*box))
  return dict(zip(("rate", "low", "high"), map(rounded, said), strict=True))


def within(candidates, box):
  """Returns the candidates in a box."""
  own = kept(candidates, box)
  return occurrence.Candidates(*(each[own] for each in candidates))


def kept(candidates, box):
  """Returns whether each is in a box, the lower edges of which belong to it."""
  (first, last), (least, most) = box
  along = (candidates.period >= first) & (candidates.period < last)
  return along & (candidates.radius >= least) & (candidates.radius < most)


def padded(candidates):
  """Returns candidates in a number that few runs differ by, as others compile anew."""
  more = -len(candidates.period) % 512
  return occurrence.Candidates(
    np.pad(candidates.period, (0, more), constant_values=10.0),
    np.pad(candidates.radius, (0, more), constant_values=1.0),
    np.pad(candidates.reliability, (0, more)),
  )


def there(folder, name):
  found = sorted(folder.rglob(name))
  if not found:
    raise UserError(f"{folder} has no {name}")
  return found[-1]


if __name__ == "__main__":
  main()
