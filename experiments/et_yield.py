r"""How many planets would Earth 2.0 find, and how faint may the star of an Earth's twin be?

python experiments/et_yield.py --out=DIR [--draws=100000]

Nothing real is read. Stars are drawn as `edjax.et.population` has them, each with a planet by an
occurrence rate and an impact, and a planet counts by the probability that it passes before its
star and is found: the mean of --draws, times stars and planets of a star. One circumstance or two
are others than in the first row. Earth 2.0s, of 0.8 to 1.25 radii of the Earth in a habitable
zone, are drawn by themselves, as few are found. The error is that of a mean of so many draws; what
a survey finds also varies by the root of its number.

Writes --out/et_yield.jsonl, a row per circumstance, kind of Earth 2.0 and noise of a twin. Then
prints the tables of docs/survey.md.
"""

import argparse
import dataclasses
import json
import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
from scipy import optimize

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import et_tables
from et_tables import rounded

from edjax.devices import xla
from edjax.et import noise, population, survey

EARTHS = (0.8, 1.25)
# Days to which a survey of four years sees three transits, and radii of the Earth.
PERIODS, RADII = (0.5, 730.0), (0.5, 22.0)
LONG = (50.0, 730.0)  # has all that a habitable zone of a G or K dwarf has
RATES = {
  "fressin": (survey.fressin, survey.FRESSIN_PERIODS, survey.FRESSIN_RADII),
  "dwarfs": (survey.MULDERS, PERIODS, RADII),
  "sag13": (survey.sag13, PERIODS, (0.5, 3.4, 22.0)),
}
TWINS = {"dwarfs": survey.MULDERS, "gk": survey.BRYSON, "sag13": survey.sag13}
HOURS = 13.095  # of a transit of the Earth, through the middle of the Sun


def step(sigmas, transits):
  """All that stand out by 7.1 σ. `survey.window` has counted the transits."""
  return jnp.where(jnp.asarray(sigmas) >= survey.THRESHOLD, 1.0, 0.0)


FOUND = {"accepted": survey.accepted, "step": step}


@dataclasses.dataclass(frozen=True)
class Case:
  """In which circumstances planets are found."""

  design: str = "white_paper"
  rate: str = "fressin"
  found: str = "accepted"
  faintest: float = population.FAINTEST
  noise: str = "drawn"  # or "budget": 10 ppm of the instrument, 19.5 ppm of every star
  duty: float = 0.95


CASES = (
  Case(),
  Case(found="step"),
  Case(rate="dwarfs"),
  Case(rate="dwarfs", found="step"),
  Case(rate="sag13"),
  Case(faintest=15.0),
  Case(noise="budget"),
  Case(duty=0.826),
  Case(design="phase_b"),
  Case(design="phase_b", rate="dwarfs"),
)


def main():
  xla.quicken_cpus()
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--out", type=pathlib.Path, required=True)
  parser.add_argument("--draws", type=int, default=100_000)
  parser.add_argument("--seed", type=int, default=0)
  options = parser.parse_args()
  jax.config.update("jax_enable_x64", True)
  options.out.mkdir(parents=True, exist_ok=True)
  key = jax.random.key(options.seed)
  made = list(rows(key, options.draws))
  text = "".join(json.dumps(row) + "\n" for row in made)
  (options.out / "et_yield.jsonl").write_text(text)
  for table in et_tables.yields(made):
    print(table)


def rows(key, draws):
  """Yields every row."""
  for case in CASES:
    yield all_of_them(key, draws, case)
  for rate in TWINS:
    for found in FOUND:
      yield from earth2(key, draws, Case(rate=rate, found=found))
  yield from magnitudes()


def all_of_them(key, draws, case):
  """Returns how many planets are found, and how many of the Earth's size."""
  density, periods, radii = RATES[case.rate]
  _, _, radius, share = drawn(key, draws, case, density, periods, radii)
  small = share * ((radius >= EARTHS[0]) & (radius < EARTHS[1]))
  per_star = float(survey.planets(density, *edges(density, periods, radii)))
  return {
    **dataclasses.asdict(case),
    "draws": draws,
    "planets_per_star": rounded(per_star),
    **mean(share, per_star, case, "total"),
    **mean(small, per_star, case, "earths"),
  }


def earth2(key, draws, case):
  """Yields how many Earth 2.0s are found, for habitable zones and kinds of stars."""
  density = TWINS[case.rate]
  star, period, _, share = drawn(key, draws, case, density, LONG, EARTHS)
  per_star = float(survey.planets(density, *edges(density, LONG, EARTHS)))
  for zone in population.ZONES:
    inside = np.asarray(population.habitable(star, period, zone))
    for kinds in ("FG", "FGK"):
      own = np.isin(star.temperature, [population.KINDS[kind].temperature for kind in kinds])
      said = mean(share * inside * own, per_star, case, "earth2")
      yield {**dataclasses.asdict(case), "zone": zone, "kinds": kinds, "draws": draws, **said}


def magnitudes():
  """Yields the magnitude at which a twin of the Earth before a Sun has 7.1 σ, by noise."""
  light = survey.SURVEYS["white_paper"].light
  budget = {"budget": (noise.STELLAR, noise.INSTRUMENT)}
  shares = {f"quietest {share:.0%}": (noise.stellar(share), 0.0) for share in (0.1, 0.25, 0.5)}
  for name, (star, instrument) in (budget | shares).items():
    for transits in (4, 8):

      def short(magnitude, star=star, instrument=instrument, transits=transits):
        ppm = noise.cdpp(magnitude, HOURS, star, instrument, light)
        return float(survey.significance(population.DEPTH, ppm, transits)) - survey.THRESHOLD

      magnitude = round(optimize.brentq(short, 0, 20), 2)
      own = {"star_ppm": rounded(star), "instrument_ppm": instrument}
      yield {"twin": name, **own, "transits": transits, "magnitude": magnitude}


def drawn(key, draws, case, density, periods, radii):
  """Returns (stars, periods, radii of the planets, the probability that each is found)."""
  planet, star = jax.random.split(key)
  period, radius = population.planets(planet, density, *edges(density, periods, radii), draws)
  numbers = jax.random.uniform(star, (draws, 4))
  stars = population.stars(numbers[:, :3], faintest=case.faintest)
  if case.noise == "budget":
    flat = np.hypot(noise.STELLAR, noise.INSTRUMENT)
    stars = stars._replace(noise=jnp.full(draws, flat))
  chosen = dataclasses.replace(survey.SURVEYS[case.design], duty=case.duty)
  share = population.seen(chosen, stars, period, radius, numbers[:, 3], FOUND[case.found])
  return stars, period, radius, np.asarray(population.crossing(stars, period) * share)


def edges(density, periods, radii):
  """Returns the edges of a box, and between them those at which a density breaks."""
  if isinstance(density, survey.PowerLaw):
    at = zip((periods, radii), density.breaks, strict=True)
    periods, radii = (
      sorted({*box, *([edge] if box[0] < edge < box[-1] else [])}) for box, edge in at
    )
  return periods, radii


def mean(share, per_star, case, name):
  """Returns what all stars have of planets, of each of which a share is found, and its error."""
  count = per_star * survey.SURVEYS[case.design].stars
  error = share.std() / np.sqrt(len(share))
  return {name: rounded(count * share.mean()), f"{name}_error": rounded(count * error)}


if __name__ == "__main__":
  main()
