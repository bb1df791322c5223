"""Free-floating planets as Earth 2.0 from L2 and KMTNet would see them, simulated and fitted.

Assumptions of ours, where no reference has a figure, are marked so.
"""

import dataclasses

import jax
import numpy as np

from edjax.et import event, lens, nights, noise, observers, peaks

EARTH = 3.0035e-6  # in masses of the Sun
MOTION = 6.0  # mas a year of the lens past the source; ours
SEASON = 2457460 - 2451545, 190  # first day and length of that by which `nights` was set
CADENCE = 15 / 1440  # days; ours: of ET, and of KMTNet where two of its fields overlap
POINTS = 255  # within ± 32 hours; one more stands for what is known of the star beforehand
KNOWN = 5000  # points it is known by; ours
FAR = 1000.0  # days to it
CALIBRATED = 0.05  # error of ln θ_*, ours
VEIL = 0.10  # by which share the baseline may not be the source's; ours
CLEAR = 1 / 3  # σ of ln M for a mass to be measured, and how much masses that agree may differ
SEEN = 100.0  # χ² by which an event must differ from none, from L2 and from the ground; ours


@dataclasses.dataclass(frozen=True)
class Star:
  """A source in the bulge; ours, at 8 kpc behind 1.5 mag of dust in I."""

  magnitude: float  # I
  radius: float  # θ_*, in µas

  @property
  def flux(self):
    return 10 ** (0.4 * (22 - self.magnitude))


STARS = {
  "giant": Star(15.8, 6.1),  # of the red clump, 10.5 radii of the Sun
  "subgiant": Star(18.0, 1.74),  # 3 radii
  "dwarf": Star(20.1, 0.58),  # like the Sun
}
# Relative parallax in mas, and masses in that of the Earth.
LENSES = {
  "bulge": (16e-3, (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)),
  "disk": (125e-3, (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)),
}
GEOMETRIES = ("season", "0.01 au")  # where L2 is seen to be that day, or always as far as it is


def ground_error(flux):
  """σ of a KMTNet visit, of a flux of which 22 mag is 1.

  By the photometry of OGLE-2016-BLG-1195: medians are 0.0104 mag at I = 16.2 to 16.6 (n = 124) and
  0.0624 at 18.6 to 18.8 (n = 7,421); between and beyond the variance runs evenly in the flux.
  """
  return np.sqrt(1.26 + 0.0088 * flux)


def space_error(flux):
  """σ of a quarter of an hour of ET: photons of star and unresolved light, and the floor."""
  return np.asarray(noise.crowded(flux, 24 * CADENCE, peaks.LIGHT))


_seen = jax.jit(event.magnification)
_visited = jax.jit(nights.visited, static_argnums=2)
_beyond = jax.jit(observers.beyond, static_argnums=1)


def drawn(random, star, parallax, mass, geometry):
  """Draws an event in which the lens passes before the source's disk, as seen from the Earth.

  Returns:
    (event, curves of L2 and of the ground).
  """
  radius = float(lens.einstein_radius(mass * EARTH, parallax))
  rho = 1e-3 * star.radius / radius
  angle, strength = random.uniform(0, 2 * np.pi), parallax / radius
  closest = SEASON[0] + random.uniform(0, SEASON[1])
  truth = event.Event(
    closest=closest,
    least=random.uniform(-1, 1) * rho,
    crossing=float(lens.einstein_time(radius, MOTION)),
    parallax=(strength * np.cos(angle), strength * np.sin(angle)),
    radius=rho,
  )
  start = closest + random.uniform(-0.5, 0.5) * CADENCE - POINTS // 2 * CADENCE
  time = np.append(start + CADENCE * np.arange(POINTS), closest + FAR)
  away = observers.Across(*map(np.asarray, _beyond(time, nights.BULGE)))
  if geometry == "0.01 au":
    away = observers.Across(0 * time, np.full_like(time, observers.L2))
  here = observers.Across(0 * time, 0 * time)
  keys = jax.random.split(jax.random.key(int(random.integers(2**31))), len(nights.KMTNET))
  sites = [
    np.asarray(_visited(key, time, site))
    for key, site in zip(keys, nights.KMTNET.values(), strict=True)
  ]
  count = np.where(time < closest + FAR, np.sum(sites, 0), KNOWN)
  curves = [
    measured(
      random, truth, star, time, away, space_error, np.where(time < closest + FAR, 1, KNOWN)
    ),
    measured(random, truth, star, time, here, ground_error, count),
  ]
  return truth, curves


def measured(random, truth, star, time, place, error, count):
  """Returns the curve of a telescope, which has so many points at each time."""
  flux = star.flux * np.asarray(_seen(truth, time, place))
  with np.errstate(divide="ignore"):
    errors = error(flux) / np.sqrt(count)
  noisy = flux + np.where(count > 0, errors, 0) * random.normal(size=time.size)
  return event.Curve(time, noisy, errors, place, VEIL * star.flux)


def beginnings(truth, place):
  """Returns the truth and its mirror images, of other signs of u₀ here or there."""
  from_here, there = truth.least, float(lens.track(truth.closest, *truth[:4], place)[1])
  along = -float(lens.track(truth.closest, *truth[:4], place)[0])
  found = []
  for here in (1, -1):
    for beyond in (1, -1):
      least = here * abs(from_here)
      parallax = lens.parallax(along, beyond * abs(there) - least, place)
      found.append(truth._replace(least=least, parallax=tuple(map(float, parallax))))
  return found


def weighed(truth, star, curves, random):
  """Fits an event, and takes of solutions within Δχ² = 4 the one of the least parallax.

  A small parallax always has a large one as a mirror image, and a large one has a small one only by
  chance (Rich's argument), so that the best χ² would choose badly among equals.

  Returns:
    {error: σ of ln M, agreed: whether those solutions have the same mass, scale: ln of the mass by
    the true one, best: the same of the best χ²}, or None where the event is not seen from both
    places or no solution was found.
  """
  for curve in curves:
    gained = star.flux * (np.asarray(_seen(truth, curve.time, curve.place)) - 1)
    if ((gained / curve.error) ** 2).sum() < SEEN:
      return None
  place = tuple(float(each[POINTS // 2]) for each in curves[0].place)
  ends = event.solutions(curves, beginnings(truth, place))
  equals = [end for end in ends if end.chi_square < ends[0].chi_square + 4]
  if not equals:
    return None
  size = 1e-3 * star.radius * np.exp(CALIBRATED * random.normal())
  true = mass_of(truth, 1e-3 * star.radius)
  scales = [float(np.log(mass_of(end.event, size) / true)) for end in equals]
  chosen = int(np.argmin([np.hypot(*end.event.parallax) for end in equals]))
  return {
    "error": mass_error(equals[chosen]),
    "agreed": bool(np.ptp(scales) < CLEAR),
    "scale": scales[chosen],
    "best": scales[0],
  }


def mass_of(seen, size):
  """The lens's mass in that of the Sun, where the source's disk has a radius of so many mas."""
  return float(lens.mass(size / seen.radius, np.hypot(*seen.parallax)))


def mass_error(end):
  """σ of ln M = ln θ_* − ln ρ − ln π_E − …; no number where the data do not tell it."""
  parallax = np.array(end.event.parallax)
  slope = np.array([0, 0, 0, *(-parallax / (parallax**2).sum()), -1])
  with np.errstate(invalid="ignore"):
    return float(np.sqrt(slope @ end.covariance @ slope + CALIBRATED**2))


def rows(count, seed, say):
  """Simulates so many events of each kind; returns a row for each mass, and a row per threshold.

  Args:
    say: what is done with a row as soon as it is there.
  """
  made = []
  for geometry in GEOMETRIES:
    for kind, (parallax, masses) in LENSES.items():
      for name, star in STARS.items():
        common = {"geometry": geometry, "lens": kind, "source": name}
        table = []
        for mass in masses:
          place = [*GEOMETRIES].index(geometry), [*LENSES].index(kind), [*STARS].index(name)
          random = np.random.default_rng([seed, *place, masses.index(mass)])
          found = []
          for _ in range(count):
            truth, curves = drawn(random, star, parallax, mass, geometry)
            found.append(weighed(truth, star, curves, random))
          table.append({"part": "mass", **common, "earths": mass, **summary(found)})
          say(table[-1])
        made += [*table, {"part": "threshold", **common, **thresholds(table)}]
        say(made[-1])
  return made


def summary(found):
  """Returns what came of events of one kind: counts, and of measured masses how right they are."""
  seen = [each for each in found if each]
  measured = [each for each in seen if each["error"] < CLEAR]
  scales = np.array([each["scale"] for each in measured])
  right = np.abs(scales) < np.log(1.5)
  row = {
    "n": len(found),
    "seen": len(seen),
    "measured": len(measured),
    "agreed": sum(each["agreed"] for each in measured),
    "right": int(right.sum()),
  }
  if not measured:
    return row
  best = np.array([each["best"] for each in measured])
  ends = np.exp(np.quantile(scales, (0.16, 0.5, 0.84)))
  return row | {
    "right_by_chi_square": int((np.abs(best) < np.log(1.5)).sum()),
    "ratio_16_50_84": [round(float(each), 3) for each in ends],
  }


def thresholds(table):
  """Returns the masses at which half of all events, and half of those seen, have a mass."""
  return {
    "of_all": half(table, "measured", "n"),
    "of_seen": half(table, "measured", "seen"),
    "right_of_seen": half(table, "right", "seen"),
  }


def half(table, key, of):
  """Returns the least mass at which the share is a half, even in the logarithm between two masses.

  None if it is a half nowhere; the least mass that was tried if it is one there already.
  """
  shares = [row[key] / max(row[of], 1) for row in table]
  place = next((place for place, share in enumerate(shares) if share >= 0.5), None)
  if place is None or place == 0:
    return place if place is None else table[0]["earths"]
  step = (0.5 - shares[place - 1]) / (shares[place] - shares[place - 1])
  ends = np.log([table[place - 1]["earths"], table[place]["earths"]])
  return round(float(np.exp(ends[0] + step * (ends[1] - ends[0]))), 2)
