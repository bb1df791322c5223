r"""Would intervals of Earth 2.0's survey hold the truth if a graduate says what is a planet?

python experiments/et_vetted.py --kept=FILE --out=DIR [--runs=100]

--kept is of completeness.py, asked about a simulated sky (`--dataset=et`): which share of planets
the graduates keep, and how many other events they take for planets, by S/N. The survey of
et_occurrence.py is simulated --runs times. DR25's pipeline finds, and the graduates vet, by what
they did in the test part; who analyses the survey knows what they did in the validation part. False
candidates are as many for every planet that the pipeline finds as in that sky: their periods are
even in the logarithm, and their radii those by which they stand out as they do. A candidate's
reliability is 1 less the false ones that are expected in its cell of S/N and period, by the
candidates there are.

Writes --out/et_vetted.jsonl: how often the 68 % interval of each figure holds the truth, with
labels that are true and with the graduates'. Prints a table.
"""

import argparse
import dataclasses
import json
import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import et_tables
from et_occurrence import SYSTEMS, covered
from simulated_survey import Simulated

from edjax.devices import xla
from edjax.et import occurrence, population, survey

PERIODS = (2.0, 10.0, 50.0, 150.0, 400.0)
LAW = survey.MULDERS
_LOUDEST = 300.0  # σ of false candidates, where the last interval has no end
_MANY = 200  # times as many false ones as there are tell how many are expected


@dataclasses.dataclass(frozen=True)
class Vetting:
  """What graduates make of events, by intervals of σ.

  Attributes:
    edges: n + 1, rising.
    kept: share of the planets, n.
    false: other events that are taken for planets, by all planets of the sky, n.
  """

  edges: tuple[float, ...]
  kept: tuple[float, ...]
  false: tuple[float, ...]

  def __call__(self, sigmas, transits):
    """The share of planets that the pipeline finds and the graduates keep."""
    del transits
    row = jnp.clip(jnp.searchsorted(jnp.asarray(self.edges), sigmas) - 1, 0, len(self.kept) - 1)
    return piped(sigmas) * jnp.asarray(self.kept)[row]


def piped(sigmas, transits=None):
  """The share of planets that DR25's pipeline finds, before anyone vets."""
  del transits
  return survey.DR25(sigmas)


def main():
  xla.quicken_cpus()
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--kept", type=pathlib.Path, required=True)
  parser.add_argument("--out", type=pathlib.Path, required=True)
  parser.add_argument("--stars", type=int, default=100_000)
  parser.add_argument("--runs", type=int, default=100)
  parser.add_argument("--seed", type=int, default=0)
  options = parser.parse_args()
  jax.config.update("jax_enable_x64", True)
  told = [json.loads(line) for line in options.kept.read_text().splitlines()]
  exam, choices = ([row for row in told if row["part"] == part] for part in ("test", "validation"))
  planets = sum(row["planets"] for row in exam)
  mixture = {name: count / planets for name, count in totals(exam).items()}
  true, known = (vetting(rows, mixture) for rows in (exam, choices))
  rows = [{"labels": "true", **row} for row in surveyed(options, true, true, false=False)]
  rows += [{"labels": "the graduates'", **row} for row in surveyed(options, true, known)]
  options.out.mkdir(parents=True, exist_ok=True)
  text = "".join(json.dumps(row) + "\n" for row in rows)
  (options.out / "et_vetted.jsonl").write_text(text)
  print(et_tables.vetted(rows))


def totals(rows):
  """Returns {class: how many events are of it and no planets}."""
  return {name: sum(row["others"][name] for row in rows) for name in rows[0]["others"]}


def vetting(rows, mixture):
  """Returns the `Vetting` of graduates together.

  Args:
    rows: of completeness.py, of one part.
    mixture: {class: how many events of it there are for every planet}.
  """
  lows, events = sorted({row["low"] for row in rows}), totals(rows)
  intervals = [[row for row in rows if row["low"] == low] for low in lows]

  def false(own):
    taken = {name: sum(row["taken"][name] for row in own) for name in mixture}
    return sum(often * taken[name] / events[name] for name, often in mixture.items())

  def share(own):
    return sum(row["kept"] for row in own) / max(1, sum(row["planets"] for row in own))

  return Vetting((*lows, _LOUDEST), (*map(share, intervals),), (*map(false, intervals),))


def surveyed(options, true, known, false=True):
  """Yields how often intervals hold the truth.

  Args:
    options: of the command.
    true: what the graduates do.
    known: what is known of this.
    false: whether what they take for planets is among the candidates.
  """
  chosen = survey.SURVEYS["white_paper"]
  looked, thought = (Simulated(chosen, options.stars, found) for found in (true, known))
  before = Simulated(chosen, options.stars, piped).completeness().exposure(*SYSTEMS)
  planets = float(occurrence.expected(LAW, before))
  many = (planets * _MANY * np.array(known.false)).astype(int)
  expected = cells(known, *alarms(chosen, known, many, np.random.default_rng(options.seed))[:2])

  def draw(key):
    found, sigmas = looked.candidates(LAW, *SYSTEMS, key)
    if not false:
      return found
    numbers = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    count = numbers.poisson(planets * np.array(true.false))
    sigmas, period, radius = (
      np.concatenate(both)
      for both in zip(
        (sigmas, found.period, found.radius), alarms(chosen, true, count, numbers), strict=True
      )
    )
    sure = reliability(known, expected / _MANY, sigmas, period)
    return occurrence.Candidates(period, radius, sure)

  keys = jax.random.split(jax.random.key(options.seed), options.runs)
  truth = [np.log(LAW.count), *np.log(LAW.breaks), *LAW.period_powers, *LAW.radius_powers]
  yield from covered(np.array(truth), thought.completeness(), map(draw, keys))


def alarms(chosen, known, counts, numbers):
  """Returns σ, period and radius of false candidates whose radius is one that is looked at.

  Args:
    chosen: the survey.
    known: whose intervals of σ they are of.
    counts: of each interval.
    numbers: numpy's generator.
  """
  (first, last), (least, most) = SYSTEMS
  lows = np.maximum(known.edges[:-1], survey.THRESHOLD)
  which = np.repeat(np.arange(len(counts)), counts)
  even = numbers.uniform(size=(6, len(which)))
  sigmas = lows[which] * (np.array(known.edges[1:]) / lows)[which] ** even[0]
  period = first * (last / first) ** even[1]
  # As loud as a planet of the Earth's size would be before that star, by the square of the radius.
  star = population.stars(even[2:5].T)
  earth = np.asarray(population.stands_out(chosen, star, period, 1.0, even[5])[0])
  radius = np.sqrt(sigmas / earth)
  own = (radius >= least) & (radius < most)
  return sigmas[own], period[own], radius[own]


def cells(known, sigmas, period):
  """Returns how many candidates there are, by interval of σ and of the period."""
  return np.histogram2d(sigmas, period, (known.edges, PERIODS))[0]


def reliability(known, expected, sigmas, period):
  """Returns 1 less the share of false ones that is expected of a candidate's cell, at least 0.

  Args:
    known: whose intervals of σ cells have.
    expected: false candidates of every cell.
    sigmas, period: of the candidates.
  """
  found = cells(known, sigmas, period)
  sure = np.clip(1 - expected / np.maximum(found, 1), 0, 1)
  row = np.clip(np.searchsorted(known.edges, sigmas, "right") - 1, 0, len(sure) - 1)
  column = np.clip(np.searchsorted(PERIODS, period, "right") - 1, 0, len(PERIODS) - 2)
  return sure[row, column]


if __name__ == "__main__":
  main()
