"""Real events: OGLE-2014-BLG-0939 from two places, MOA-2008-BLG-310's disk, KMT-2024-BLG-0792."""

import numpy as np

from edjax.data.readers import horizons, photometry
from edjax.errors import UserError
from edjax.et import event, lens, nights, observers

EPOCH = 2451545.0
# OGLE-2014-BLG-0939 (Yee et al. 2015, ApJ 802, 76, arXiv:1410.5429).
FIELD = (266.80104, -21.38283)
REFERENCE = 2456836.0 - EPOCH  # when parameters are those of an observer on the Earth
LENGTHS = (0.2, 0.6, 1.8)  # of parallaxes that are tried
# The source's proper motion past the mean of the bulge, north and east in mas a year, of which a
# public repository (exozippy's tests) says that it is Eq. 8 of Yee et al.
SOURCE_MOTION, SOURCE_ERROR = (-0.64, -5.31), 0.45
# Assumed: the source is 8 kpc off and at rest but for that. The lens goes round as the disk does,
# with 30 km/s of its own along either axis. The Sun goes 12.24 km/s faster and 7.25 km/s upwards
# (Schoenrich et al. 2010), and the Galaxy's middle passes it by 6.411 and 0.219 mas a year (Reid
# and Brunthaler 2020).
SOURCE_DISTANCE = 8.0
OWN, SOLAR, MIDDLE = 30.0, (12.24, 7.25), (6.411, 0.219)
POLE = (192.85948, 27.12825)  # of the Galaxy
KMS = 4.74047  # km/s of an au a year
DISTANCES = np.arange(0.5, 7.9, 0.01)  # kpc
PUBLISHED_DISTANCE = (2.7, 3.1, 3.5)

MOA_310 = (3111.4, 0.003, 11.0)  # where the search begins
# What examples of MulensModel have for it, and the first 44 points of CTIO's in I.
MULENSMODEL = event.Event(2454656.39975 - EPOCH, 0.003, 11.14, None, 0.05487 / 11.14)
CTIO = "CTIO_I", 44

# KMT-2024-BLG-0792 (arXiv:2601.00057): mass in Jupiters, kpc of lens and source, hours apart.
ROGUE = {"mass": 0.219, "lens": 3.05, "source": 8.0, "apart": 2.0}
JUPITER = 9.5458e-4  # in masses of the Sun
ROGUE_DAY = 2460433.5 - EPOCH  # 3 May 2024


def parallaxes(directory):
  """Finds all solutions of OGLE-2014-BLG-0939, and what masses they mean.

  Returns:
    (rows, curves, fits), the best first.
  """
  curves = [_curve(directory / "OB140939" / f"ob140939_{name}.dat") for name in ("OGLE", "Spitzer")]
  away = horizons.places(directory / "Spitzer_ephemeris_01.dat", curves[1].time)
  more = observers.across(away, FIELD)
  place = observers.Across(*(a + b for a, b in zip(curves[1].place, more, strict=True)))
  curves[1] = curves[1]._replace(place=place)
  brightest = curves[0].time[np.argmax(curves[0].flux)]
  alone = event.fit(curves[:1], event.Event(float(brightest), 0.5, 20.0))
  fits = event.solutions(curves, event.starts(alone.event, LENGTHS))
  count = sum(len(curve.time) for curve in curves)
  free = count - 5 - 2 * len(curves)
  rows = []
  for found in fits:
    scaled = np.sqrt(np.diag(found.covariance) * fits[0].chi_square / free)
    rows.append(
      {
        "part": "parallax",
        "n": count,
        "signs": signs(found.event, curves[1]),
        "chi_square": round(found.chi_square, 2),
        "closest": round(found.event.closest + EPOCH, 4),
        "least": round(found.event.least, 4),
        "crossing": round(found.event.crossing, 3),
        "parallax": [round(each, 4) for each in found.event.parallax],
        "errors": [round(float(each), 4) for each in scaled],  # if χ² / degree of freedom is 1
        **weighed(found.event),
      }
    )
  return rows, curves, fits


def signs(seen, curve):
  """Returns the signs of u₀ on the Earth and as a spacecraft sees it."""
  along, aside = lens.track(curve.time, *seen[:4], curve.place)
  there = float(aside[np.argmin(np.hypot(along, aside))])
  return "".join("+" if each > 0 else "-" for each in (seen.least, there))


def weighed(seen):
  """Returns the lens's mass by its published distance, and by how it and the source move.

  By motion: for every distance of the lens π_rel follows, and with the measured parallax the motion
  past the source, which differs from what the disk and the source do by so many σ. Weighed by that
  over distances that are equally likely.
  """
  strength = np.hypot(*seen.parallax)
  near = 1 / np.array(PUBLISHED_DISTANCE) - 1 / SOURCE_DISTANCE  # mas
  speed = np.array(observers.speed(REFERENCE, FIELD)) * 365.25  # au a year
  seen_here = np.array(seen.parallax) / strength**2 / seen.crossing * 365.25
  projected = seen_here + speed  # past the Sun, in au a year across the lens's distance
  far = 1 / DISTANCES - 1 / SOURCE_DISTANCE
  along, up = galactic(FIELD)
  moved = [
    np.outer(middle - solar / (KMS * DISTANCES), axis)
    for middle, solar, axis in zip(MIDDLE, SOLAR, (along, up), strict=True)
  ]
  missed = np.outer(far, projected) - (sum(moved) - np.array(SOURCE_MOTION))
  variance = SOURCE_ERROR**2 + (OWN / (KMS * DISTANCES)) ** 2
  likely = np.exp(-(missed**2).sum(-1) / variance / 2) / variance
  share = np.cumsum(likely) / likely.sum()
  distance = np.interp((0.16, 0.5, 0.84), share, DISTANCES)
  mass = (1 / distance - 1 / SOURCE_DISTANCE) / lens.KAPPA / strength**2
  return {
    "speed_kms": round(float(np.hypot(*projected) * KMS), 1),
    "mass_by_distance": [round(float(each), 3) for each in (near / lens.KAPPA / strength**2)[::-1]],
    "mass_by_motion": [round(float(each), 3) for each in mass[::-1]],
    "kpc_by_motion": [round(float(each), 2) for each in distance],
    "evidence": round(float(likely.sum() * 0.01), 4),
  }


def galactic(target):
  """Returns the ways (north, east) at a target that galactic longitude and latitude rise."""
  pole = np.array(observers.across(_ahead(POLE), target))
  up = pole / np.hypot(*pole)
  return np.array([-up[1], up[0]]), up


def disks(directory):
  """Fits MOA-2008-BLG-310 with a point and with a disk, all telescopes together."""
  paths = sorted((directory / "MB08310").glob("*.tbl"))
  if not paths:
    raise UserError(f"{directory / 'MB08310'} has no .tbl")
  curves = {path.name.split("_03")[0]: _curve(path, still=True) for path in paths}
  together = list(curves.values())
  rows = []
  for radius in (None, 0.005):
    found = event.fit(together, event.Event(*MOA_310, None, radius))
    parts = {
      name: round(float(event.chi_square(found.event, [curve])), 1)
      for name, curve in curves.items()
    }
    rows.append(
      {
        "part": "disk",
        "n": sum(len(curve.time) for curve in together),
        "source": "point" if radius is None else "disk",
        "chi_square": round(found.chi_square, 1),
        "closest": round(found.event.closest + EPOCH, 5),
        "least": round(abs(found.event.least), 5),
        "crossing": round(found.event.crossing, 3),
        "radius": found.event.radius and round(found.event.radius, 6),
        "parts": parts,
        "at_mulensmodels": at_known(curves[CTIO[0]], radius),
      }
    )
  return rows


def at_known(curve, radius):
  """Returns χ² of the points that MulensModel's parameters are said to fit, without a fit."""
  some = event.Curve(*(each[: CTIO[1]] for each in curve[:3]), (0.0, 0.0))
  known = MULENSMODEL if radius else MULENSMODEL._replace(radius=None)
  return round(float(event.chi_square(known, [some])), 1)


def rogue():
  """Says by how much Earth and L2 see KMT-2024-BLG-0792 apart, as far as its figures tell."""
  parallax = 1 / ROGUE["lens"] - 1 / ROGUE["source"]
  radius = float(lens.einstein_radius(ROGUE["mass"] * JUPITER, parallax))
  apart = float(np.hypot(*observers.beyond(ROGUE_DAY, nights.BULGE)))
  longest = apart * parallax * 365.25 * 24  # hours times mas a year, if apart along the motion
  return {
    "part": "delay",
    "einstein_radius_uas": round(1e3 * radius, 2),
    "parallax": round(parallax / radius, 2),
    "apart_au": round(apart, 5),
    "offset": round(float(lens.offset(parallax / radius, apart)), 4),
    "longest_hours_at_6_mas_a_year": round(longest / 6, 2),
    "motion_for_2_hours": round(longest / ROGUE["apart"], 2),
  }


def _curve(path, still=False):
  time, magnitude, error = photometry.magnitudes(path)
  flux, error = (np.asarray(each) for each in event.fluxes(magnitude, error))
  place = np.zeros((2, len(time))) if still else observers.uneven(time, REFERENCE, FIELD)
  return event.Curve(time, flux, error, observers.Across(*map(np.asarray, place)))


def _ahead(target):
  right, up = np.radians(target)
  return np.array([np.cos(up) * np.cos(right), np.cos(up) * np.sin(right), np.sin(up)])
