"""Noise: published tables of what a survey would have, drawn photons, quantiles of drawn stars."""

import jax
import numpy as np
import pytest
from scipy import stats

from edjax.et import noise, survey

SIX = survey.SURVEYS["white_paper"].light  # 6 × 30 cm
MAGNITUDES = np.array([9, 10, 11, 12, 12.5, 13, 13.5, 14])
stellar = jax.jit(noise.stellar)


pytestmark = pytest.mark.usefixtures("precisely")


def test_photons():
  """Kepler's at magnitude 12, and the published table for six telescopes of 30 cm, in 6.5 hours."""
  assert noise.photons(12.0) == pytest.approx(14.8, abs=0.05)
  wanted = [4.8, 7.6, 12.0, 19.1, 24.0, 30.25, 38.1, 48.0, 76.0, 120.5]
  found = noise.photons(np.array([*MAGNITUDES, 15, 16]), light=SIX)
  np.testing.assert_allclose(found, wanted, rtol=4e-3)


def test_photons_and_faint_light_are_what_counting_gives():
  """2,000 means over 12 exposures each: a star of magnitude 15 and the sky, drawn as counts."""
  star, sky = 3.46e8 * 10 ** (0.4 * (12 - 15.0)), 7e6 * (15 / 14) ** 4
  generator = np.random.default_rng(0)
  counts = generator.poisson(star, (2000, 12)) + generator.normal(0, np.sqrt(sky), (2000, 12))
  hours = 12 * 29.4 / 60
  found = np.hypot(noise.photons(15.0, hours), noise.faint(15.0, hours))
  spread = 1e6 * counts.mean(1).std() / star
  assert found == pytest.approx(spread, rel=4 / np.sqrt(2 * 2000))


def test_all_noise_and_what_it_leaves_of_an_earth():
  """The published table: ppm in 6.5 hours, and how an Earth stands out in four transits."""
  total = noise.cdpp(MAGNITUDES, light=SIX)
  np.testing.assert_allclose(total, [22.4, 23.2, 25.0, 29.3, 33.0, 38.4, 46.1, 57.2], atol=0.06)
  found = survey.significance(84.05, noise.cdpp(MAGNITUDES, 13.1, light=SIX), 4)
  np.testing.assert_allclose(found, [10.6, 10.3, 9.5, 8.2, 7.2, 6.2, 5.2, 4.2], atol=0.06)
  single = noise.cdpp(np.float32(MAGNITUDES), light=np.float32(SIX))
  assert single.dtype == np.float32
  np.testing.assert_allclose(single, total, rtol=1e-5)


def test_stars_have_the_published_quantiles():
  """8, 12.5, 20 and 66 ppm in 6 hours at 10, 25, 50 and 75 %."""
  drawn = jax.random.uniform(jax.random.key(0), (200_000,))
  stars = stellar(drawn) * np.sqrt(6.5 / 6)
  assert stars.dtype == drawn.dtype == np.float64
  np.testing.assert_allclose(
    np.quantile(stars, [0.1, 0.25, 0.5, 0.75]), [8, 12.5, 20, 66], rtol=0.05
  )


def test_quantiles_run_like_those_of_lognormal_distributions_and_on():
  """Between two known ones and beyond the outer ones, in float32 also."""
  below = stats.norm.ppf([0.05, 0.1])
  scale = np.log(8.3 / 6.3) / np.diff(below)[0]
  wanted = 6.3 * np.exp(scale * (stats.norm.ppf([0.001, 0.07]) - below[0])) * np.sqrt(6 / 6.5)
  share = np.array([0.001, 0.07])
  np.testing.assert_allclose(stellar(share), wanted, rtol=1e-6)
  np.testing.assert_allclose(stellar(np.float32(share)), wanted, rtol=1e-5)
  rising = stellar(np.linspace(0.001, 0.999, 999))
  assert np.all(np.diff(rising) > 0)


def test_a_star_in_a_crowd_has_noise_of_all_photons():
  """Counted: electrons of half an hour at 22 mag, and as many more as the flux and the glow are."""
  flux, light = np.array([1.0, 25.0, 631.0]), 0.1
  electrons = 3.46e8 * light * 1e-4 * 0.5 / (29.4 / 60)
  wanted = np.sqrt((flux + 10**1.4) / electrons + (1e-3 * flux) ** 2)
  np.testing.assert_allclose(noise.crowded(flux, 0.5, light), wanted, rtol=1e-5)
