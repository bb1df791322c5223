"""Kepler's candidates and the shares of planets it found, as their publishers have them."""

import csv

import numpy as np

from edjax.et import occurrence

# The share of planets that the Robovetter accepts: c R^a (P / at)^(below or above).
# Mulders et al. 2018 (arXiv:1805.08211), of candidates whose score is 0.9 or more, and of all as
# ExoplanetsSysSim has it.
VETTED = {"score": (0.63, 0.19, 53.0, -0.07, -0.39), "all": (0.93, -0.03, 205.0, 0.0, -0.24)}


def completeness(folder, names, vetted):
  """Returns the share found of planets of all stars of several kinds.

  Args:
    folder: of `completeness.dr25.*.npz`, as EPOS has them.
    names: of the kinds, as "G.gaia-r1".
    vetted: of `VETTED`.
  """
  kinds = [np.load(folder / f"completeness.dr25.{name}.npz") for name in names]
  stars = sum(int(kind["n"]) for kind in kinds)
  share = sum(int(kind["n"]) * kind["ftot"] for kind in kinds) / stars
  periods, radii = kinds[0]["P"], kinds[0]["Rp"]
  most, power, at, below, above = VETTED[vetted]
  slope = (periods / at) ** np.where(periods < at, below, above)
  accepted = np.clip(most * radii**power * slope[:, None], 0, 1)
  return occurrence.Completeness(periods, radii, share * accepted, float(stars))


def dwarfs(path):
  """Returns the candidates of dwarfs in NASA's cumulative table whose score is 0.9 or more.

  Dwarfs by surface gravity and temperature, as Huber et al. 2016 tell them (arXiv:1512.02643).
  """
  table = _columns(path, "koi_period", "koi_prad", "koi_score", "koi_steff", "koi_slogg")
  period, radius, score, temperature, gravity = table
  dwarf = gravity > np.arctan((temperature - 6300) / -67.172) / 4.671 + 3.876
  kept = dwarf & (score >= 0.9)
  return occurrence.Candidates(period[kept], radius[kept], np.ones(kept.sum()))


def gk(path):
  """Returns the candidates of G and K dwarfs of Bryson et al. 2020, with their reliabilities."""
  names = "koi_period", "corrected_prad", "totalReliability"
  return occurrence.Candidates(*_columns(path, *names))


def _columns(path, *names):
  """Returns float64 [rows] for every name; NaN where there is nothing."""
  with open(path, newline="") as file:
    rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
  return [np.array([float(row[name] or "nan") for row in rows]) for name in names]
