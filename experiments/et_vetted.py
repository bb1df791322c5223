r"""Would intervals of Earth 2.0's survey hold the truth if a graduate says what is a planet?

python experiments/et_vetted.py --kept=FILE --known=FILE --out=DIR [--runs=100]

Both files are of completeness.py, asked about two simulated skies (`--dataset=et --parts=train`)
that the graduates have not learnt from: which share of planets they keep, and how many other events
they take for planets, by S/N. The survey of et_occurrence.py is simulated --runs times. DR25's
pipeline finds, and the graduates vet, by what they did in the sky of --kept; who analyses the
survey knows what they did in that of --known. For every planet that the pipeline finds there are as
many other events as in the exam of a simulated sky. Their periods are even in the logarithm, and
their radii those by which they stand out as they do.

Writes --out/et_vetted.jsonl: how often the 68 % interval of each figure holds the truth, with
labels that are true and with the graduates'. No candidate of these is known to be false, but how
many there should be, by period and radius, see `edjax.et.occurrence`. Prints a table.
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

from edjax.data import simulation
from edjax.devices import xla
from edjax.et import occurrence, population, survey

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
  parser.add_argument("--known", type=pathlib.Path, required=True)
  parser.add_argument("--out", type=pathlib.Path, required=True)
  parser.add_argument("--stars", type=int, default=100_000)
  parser.add_argument("--runs", type=int, default=100)
  parser.add_argument("--seed", type=int, default=0)
  options = parser.parse_args()
  jax.config.update("jax_enable_x64", True)
  true, known = (
    vetting([json.loads(line) for line in file.read_text().splitlines()])
    for file in (options.kept, options.known)
  )
  options.out.mkdir(parents=True, exist_ok=True)
  made = [*rows(options, true, known)]
  (options.out / "et_vetted.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made))
  print(et_tables.vetted(made))


def vetting(rows):
  """Returns the `Vetting` of graduates together, by the rows of completeness.py."""
  exam = simulation.SUBJECTS["transits"].exam
  lows = sorted({row["low"] for row in rows})
  intervals = [[row for row in rows if row["low"] == low] for low in lows]
  others = {name: share / exam["PC"] for name, share in exam.items() if name != "PC"}
  events = {name: sum(row["others"][name] for row in rows) for name in others}

  def false(own):
    taken = {name: sum(row["taken"][name] for row in own) for name in others}
    return sum(often * taken[name] / events[name] for name, often in others.items())

  def share(own):
    return sum(row["kept"] for row in own) / max(1, sum(row["planets"] for row in own))

  return Vetting((*lows, _LOUDEST), (*map(share, intervals),), (*map(false, intervals),))


def rows(options, true, known):
  """Yields how often intervals hold the truth, of each way to label.

  Args:
    options: of the command.
    true: what the graduates do.
    known: what is known of this.
  """
  chosen = survey.SURVEYS["white_paper"]
  looked, thought = (Simulated(chosen, options.stars, found) for found in (true, known))
  before = Simulated(chosen, options.stars, piped).completeness().exposure(*SYSTEMS)
  planets = float(occurrence.expected(LAW, before))
  share = thought.completeness()
  truth = [np.log(LAW.count), *np.log(LAW.breaks), *LAW.period_powers, *LAW.radius_powers]
  keys = jax.random.split(jax.random.key(options.seed), options.runs)

  def labelled(key):
    return looked.candidates(LAW, *SYSTEMS, key)

  def taken(key):
    """With what the graduates take for planets besides."""
    numbers = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    count = numbers.poisson(planets * np.array(true.false))
    more = alarms(chosen, true, count, numbers)
    period, radius = map(np.concatenate, zip(labelled(key)[:2], more, strict=True))
    return occurrence.Candidates(period, radius, np.ones(len(period)))

  many = (planets * _MANY * np.array(known.false)).astype(int)
  period, radius = alarms(chosen, known, many, np.random.default_rng(options.seed))
  expected = occurrence.Candidates(period, radius, np.full(len(period), 1 / _MANY))
  for labels, drawn, false in (
    ("true", labelled, None),
    ("the graduates'", taken, expected),
  ):
    for row in covered(np.array(truth), share, map(drawn, keys), false):
      yield {"labels": labels} | row


def alarms(chosen, known, counts, numbers):
  """Returns period and radius of false candidates whose radius is one that is looked at.

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
  return period[own], radius[own]


if __name__ == "__main__":
  main()
