r"""Is Kepler's noise, as `edjax.et.noise` draws it, that of Kepler's real stars?

python experiments/noise.py --data_dir=DIR [--out=experiments/results/noise.jsonl]

DIR holds `kepler.cdpp` of https://github.com/rodluger/everest (MIT): identity, Kp and noise of six
hours in ppm, of 78,519 stars. Every one gets a simulated noise: photons and faint light of its
magnitude, and a star's own that is drawn. Writes a row for every half magnitude or so: how many
stars (n), and the 5 % point and the median of the real noise, the simulated one and a budget (10
ppm instrument, 19.5 ppm star). What is drawn has the measured quantiles of Kp 12 to 12.5, so that
row proves nothing.
"""

import argparse
import itertools
import json
import pathlib
import sys

import jax
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from edjax.et import noise

_HOURS = 6.0
_EDGES = (10.5, 11.0, 11.5, 12.0, 12.5, 13.0, 13.5, 14.0, 14.5, 14.8, 15.5, 16.0)


def main():
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--data_dir", type=pathlib.Path, required=True)
  parser.add_argument("--out", type=pathlib.Path, default="experiments/results/noise.jsonl")
  parser.add_argument("--seed", type=int, default=0)
  options = parser.parse_args()
  _, kp, real = np.loadtxt(options.data_dir / "kepler.cdpp", unpack=True)
  share = jax.random.uniform(jax.random.key(options.seed), kp.shape)
  drawn = np.asarray(noise.cdpp(kp, _HOURS, noise.stellar(share), 0.0))
  budget = np.asarray(noise.cdpp(kp, _HOURS))
  rows = [row(*edges, kp, real, drawn, budget) for edges in itertools.pairwise(_EDGES)]
  options.out.write_text("".join(json.dumps(each) + "\n" for each in rows))
  for each in rows:
    said = [
      f"{point} {each[f'simulated_{point}'] / each[f'real_{point}'] - 1:+.1%} simulated, "
      f"{each[f'budget_{point}'] / each[f'real_{point}'] - 1:+.1%} budget"
      for point in ("5", "median")
    ]
    print(f"Kp {each['kp']} to {each['to']}: {'; '.join(said)} (n = {each['n']:,})")


def row(low, high, kp, real, drawn, budget):
  """Returns what is written of the stars between two magnitudes."""
  own = (kp >= low) & (kp < high)
  points = {
    f"{name}_{point}": round(float(np.quantile(values[own], share)), 2)
    for name, values in (("real", real), ("simulated", drawn), ("budget", budget))
    for point, share in (("5", 0.05), ("median", 0.5))
  }
  return {"kp": low, "to": high, "n": int(own.sum()), **points}


if __name__ == "__main__":
  main()
