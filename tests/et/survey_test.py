"""Surveys: scipy's special functions, transits counted, published sums and integrals."""

import dataclasses

import jax
import numpy as np
import pytest
from scipy import special, stats

from edjax.et import survey

EARTH = 6.3781e6 / 6.957e8
MES = np.array([7.1, 8.0, 9.0, 10.0, 12.0, 15.0])
# Hsu et al. 2019: least and most transits of a row; the efficiency at MES, from their code.
HSU = (
  (1, 3, (0.0864, 0.2149, 0.3962, 0.5492, 0.6801, 0.6989)),
  (4, 4, (0.0932, 0.2316, 0.4284, 0.5971, 0.7455, 0.7681)),
  (5, 5, (0.1010, 0.2469, 0.4549, 0.6367, 0.8047, 0.8332)),
  (6, 6, (0.1079, 0.2595, 0.4730, 0.6584, 0.8299, 0.8594)),
  (7, 9, (0.1126, 0.2662, 0.4807, 0.6674, 0.8429, 0.8744)),
  (10, 18, (0.1148, 0.2758, 0.4997, 0.6899, 0.8589, 0.8857)),
  (19, 36, (0.1185, 0.2861, 0.5159, 0.7061, 0.8665, 0.8894)),
  (37, 900, (0.1181, 0.2726, 0.4915, 0.6906, 0.8975, 0.9438)),
)


planets = jax.jit(survey.planets, static_argnums=(0, 1, 2))


pytestmark = pytest.mark.usefixtures("precisely")


@pytest.mark.parametrize(
  "name, light, earlier", [("white_paper", 0.598, 73.5), ("phase_b", 0.521, 68.6)]
)
def test_telescopes_add_up_to_a_large_one(name, light, earlier):
  """Both ratios, and the diameter in centimetres of one telescope with as much area."""
  chosen = survey.SURVEYS[name]
  assert chosen.light == pytest.approx(light, abs=5e-4)
  assert 95 * np.sqrt(chosen.light) == pytest.approx(earlier, abs=0.05)
  assert chosen.span == 1461


def test_window():
  """Published values, and Γ-function binomials by scipy for other duties and spans."""
  said = survey.window(np.array([100, 365.25, 400, 480]), 1461, 0.95)
  np.testing.assert_allclose(said, [1.0, 0.9860, 0.9678, 0.8704], atol=5e-5)
  period, duty = np.geomspace(1, 700, 40)[:, None], np.array([0.3, 0.826, 0.95])
  many = 1461 / period
  wanted = 1 - sum(special.binom(many, k) * duty**k * (1 - duty) ** (many - k) for k in range(3))
  np.testing.assert_allclose(survey.window(period, 1461, duty), wanted, atol=1e-12)
  single = survey.window(np.float32(period), np.float32(1461), np.float32(duty))
  assert single.dtype == np.float32
  np.testing.assert_allclose(single, wanted, atol=2e-5)
  np.testing.assert_array_equal(survey.window(np.array([731, 1400, 9e3]), 1461, 0.95), 0)


def test_window_is_what_is_counted_at_whole_numbers_of_periods():
  seen = np.random.default_rng(0).random((200_000, 4)) < 0.8
  share = (seen.sum(1) >= 3).mean()
  assert survey.window(1461 / 4, 1461, 0.8) == pytest.approx(share, abs=4 * 0.4 / np.sqrt(200_000))


def test_an_earth_stands_out_by_seven_sigmas():
  """84 ppm, 34 ppm in 6.5 hours, four transits of 13.1 hours, and three of them."""
  noise = 34 * np.sqrt(6.5 / 13.1)
  np.testing.assert_allclose(
    survey.significance(1e6 * EARTH**2, noise, np.array([4, 3])), [7.01, 6.07], atol=0.01
  )


def test_efficiencies():
  wanted = [
    stats.gamma(4.65, scale=0.98).cdf(MES - 4.1),
    0.94 * stats.gamma(30.87, 0, 0.271).cdf(MES),
  ]
  for ours, each in zip((survey.CHRISTIANSEN, survey.DR25), wanted, strict=True):
    np.testing.assert_allclose(ours(MES), each, rtol=1e-9)
    np.testing.assert_allclose(ours(np.float32(MES)), each, atol=1e-5)
  np.testing.assert_allclose(
    survey.DR25(MES), [0.1920, 0.4005, 0.6402, 0.8085, 0.9266, 0.9399], atol=6e-5
  )
  np.testing.assert_array_equal(survey.CHRISTIANSEN(np.array([0.0, 4.1])), 0)


def test_more_transits_are_accepted_sooner():
  least, most, wanted = zip(*HSU, strict=True)
  for transits in (least, most):
    np.testing.assert_allclose(survey.accepted(MES, np.array(transits)[:, None]), wanted, atol=6e-5)
  single = survey.accepted(np.float32(MES), np.float32(4))
  assert single.dtype == np.float32
  np.testing.assert_allclose(single, wanted[1], atol=6e-5)


def test_fressin_has_the_published_sums():
  """All planets of a star, and those of 0.8 to 1.25 radii of the Earth; cells by their measure."""
  periods, radii = survey.FRESSIN_PERIODS, survey.FRESSIN_RADII
  assert planets(survey.fressin, periods, radii) == pytest.approx(0.873, abs=5e-4)
  assert planets(survey.fressin, periods, radii[:2]) == pytest.approx(0.184, abs=5e-4)
  assert planets(survey.fressin, (10, 17), (2, 4)) == pytest.approx(0.0367, abs=1e-9)
  at = survey.fressin(
    np.array([11, 11, 300, 0.7, 420, 11, 11]), np.array([3, 3.9, 1, 1, 3, 0.7, 22])
  )
  known = 0.0367 / np.log(17 / 10) / np.log(2)
  np.testing.assert_allclose(at, [known, known, 0, 0, 0, 0, 0], rtol=1e-12)


def test_sag13_has_the_published_integrals():
  """Over 0.5 to 500 days and 0.5 to 16 radii of the Earth, and over the box of Hsu et al."""
  whole = planets(survey.sag13, (0.5, 500), (0.5, 3.4, 16))
  assert whole == pytest.approx(2.670, abs=5e-4)
  assert planets(survey.sag13, (237, 500), (0.75, 1.5)) == pytest.approx(0.192, abs=5e-4)


@pytest.mark.parametrize("law", (survey.BURKE, survey.MULDERS, survey.BRYSON))
def test_power_laws_have_their_number_in_the_box(law):
  edges = (
    tuple(sorted({low, high, min(max(at, low), high)}))
    for (low, high), at in zip((law.periods, law.radii), law.breaks, strict=True)
  )
  assert planets(law, *edges) == pytest.approx(law.count, rel=1e-9)
  period, radius = law.breaks
  ratio = law(period * np.array([0.9, 2.0]), radius * np.array([0.5, 1.1])) / law(period, radius)
  wanted = [
    t ** law.period_powers[side] * s ** law.radius_powers[side]
    for side, t, s in ((0, 0.9, 0.5), (1, 2.0, 1.1))
  ]
  np.testing.assert_allclose(ratio, wanted, rtol=1e-9)
  single = law(np.float32(period), np.float32(radius))
  assert single.dtype == np.float32
  np.testing.assert_allclose(single, law(period, radius), rtol=1e-5)


def test_power_laws_say_what_is_published_of_earths():
  """ζ of Burke et al., 0.1 within a fifth of the Earth's period and radius; η of the own fit."""
  zeta = planets(survey.BURKE, (0.8 * 365.25, 1.2 * 365.25), (0.8, 0.94, 1.2))
  assert round(float(zeta), 1) == 0.1
  box = (0.9 * 365.25, 2.2 * 365.25), (0.7, 1.5)
  assert planets(survey.MULDERS, *box) == pytest.approx(0.593, abs=5e-3)
  np.testing.assert_allclose(survey.MULDERS.within(*box), planets(survey.MULDERS, *box), rtol=1e-9)


def test_a_power_of_0_is_a_power_like_others():
  law = dataclasses.replace(survey.MULDERS, period_powers=(0.0, 1e-5), radius_powers=(0.0, 0.0))
  edges = (2.0, law.breaks[0], 400.0), (0.5, 6.0)
  assert planets(law, *edges) == pytest.approx(law.count, rel=1e-9)
