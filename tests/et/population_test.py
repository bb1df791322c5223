"""Stars and planets as drawn: laws in closed form, published tables, known orbits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from edjax.et import noise, population, survey

pytestmark = pytest.mark.usefixtures("precisely")

SUN = population.Stars(*(jnp.float64(each) for each in (12.0, 1.0, 1.0, 5772.0, 20.0)))
CHOSEN = survey.SURVEYS["white_paper"]
stars = jax.jit(population.stars, static_argnums=1)
seen = jax.jit(population.seen, static_argnums=0)
planets = jax.jit(population.planets, static_argnums=(1, 2, 3, 4))
habitable = jax.jit(population.habitable, static_argnums=2)


def test_stars_have_their_shares_and_magnitudes():
  """Half of each unit of the cube, evenly; a magnitude less has 10^−0.27 as many stars."""
  place = (np.arange(1000) + 0.5) / 1000
  star = stars(np.stack([place, place[::-1], place], -1))
  temperatures = np.array([each.temperature for each in population.KINDS.values()])
  counted = (np.asarray(star.temperature)[:, None] == temperatures).sum(0)
  np.testing.assert_array_equal(counted, [300, 400, 250, 50])
  assert star.magnitude.max() < 16
  assert (star.magnitude < 15).mean() == pytest.approx(10**-0.27, abs=1e-3)
  assert np.median(star.noise) == pytest.approx(float(noise.stellar(0.5)), rel=1e-2)
  bright = stars(np.full((2, 3, 3), 0.5), (population.KINDS["G"],), 13.0)
  assert bright.magnitude.shape == (2, 3) and np.all(bright.radius == 0.96)
  np.testing.assert_allclose(bright.magnitude, 13 + np.log10(0.5) / 0.27)


def test_an_earth_passes_before_a_sun():
  """In 0.465 % of all directions, and near enough any star always."""
  assert population.crossing(SUN, survey.YEAR) == pytest.approx(0.00465, abs=5e-6)
  assert population.crossing(SUN._replace(radius=3.0), 0.1) == 1


def test_who_is_seen():
  """An Earth in 13.095 hours through the middle and 11.375 off it, by the survey's functions."""
  impact = np.array([0.0, 0.5])
  noisy = noise.cdpp(12.0, np.array([13.095, 11.375]), 20.0, 0.0, CHOSEN.light)
  transits = CHOSEN.span * CHOSEN.duty / survey.YEAR
  sigmas = survey.significance(84.05, noisy, transits)
  wanted = survey.window(survey.YEAR, CHOSEN.span, CHOSEN.duty) * survey.accepted(sigmas, transits)
  said = seen(CHOSEN, SUN, survey.YEAR, 1.0, impact)
  np.testing.assert_allclose(said, wanted, rtol=2e-3)
  single = population.Stars(*(jnp.float32(each) for each in SUN))
  one, halves = np.float32(1), np.float32(impact)
  found = seen(CHOSEN, single, one * survey.YEAR, one, halves)
  assert found.dtype == np.float32
  np.testing.assert_allclose(found, said, rtol=1e-3)


def test_drawn_planets_are_those_of_the_table():
  """100,000 by Fressin: χ² of the cells that have any, and nothing outside of these."""
  count, (periods, radii) = 100_000, (survey.FRESSIN_PERIODS, survey.FRESSIN_RADII)
  drawn = planets(jax.random.key(0), survey.fressin, periods, radii, count)
  seen, _, _ = np.histogram2d(*map(np.asarray, drawn), bins=(periods, radii))
  share = np.array(survey._FRESSIN).T / np.sum(survey._FRESSIN)
  assert seen.sum() == count and np.all((seen > 0) == (share > 0))
  cells = share > 0
  wanted = count * share[cells]
  chi = ((seen[cells] - wanted) ** 2 / wanted).sum()
  assert chi < cells.sum() + 4 * np.sqrt(2 * cells.sum())


def test_habitable_zones_of_the_sun():
  """Kopparapu et al. 2014: 0.95 to 1.68 au, or 0.75 to 1.77; Venus is too hot by both."""
  axis = np.array([0.723, 0.74, 0.76, 0.94, 0.96, 1.0, 1.524, 1.66, 1.69, 1.76, 1.78])
  period = survey.YEAR * axis**1.5
  for zone, (low, high) in {"conservative": (0.95, 1.68), "optimistic": (0.75, 1.77)}.items():
    said = habitable(SUN, period, zone)
    np.testing.assert_array_equal(said, (axis > low) & (axis < high))
