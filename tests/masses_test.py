"""What experiments/et_masses.py says of simulated and of real lenses."""

import numpy as np
import pytest

from tests import command


@pytest.fixture(autouse=True)
def experiments(monkeypatch):
  monkeypatch.syspath_prepend(command.ROOT / "experiments")


def rows(*counts):
  """(mass, events, seen, measured) …"""
  keys = ("earths", "n", "seen", "measured")
  return [dict(zip(keys, each, strict=True), right=each[3]) for each in counts]


def test_where_half_are_measured():
  import floating

  table = rows((1.0, 40, 20, 0), (10.0, 40, 40, 10), (100.0, 40, 40, 30), (1000.0, 40, 40, 4))
  assert floating.half(table, "measured", "n") == pytest.approx(10**1.5, abs=0.01)
  assert floating.half(table[:2], "measured", "n") is None
  assert floating.half(table[2:], "measured", "n") == 100.0
  unseen = rows((1.0, 40, 0, 0), (4.0, 40, 4, 4))
  assert floating.half(unseen, "measured", "seen") == pytest.approx(2.0)
  assert floating.half(unseen, "measured", "n") is None


def test_what_came_of_events():
  import floating

  found = [
    None,
    {"error": 0.2, "agreed": True, "scale": np.log(1.2), "best": 2.0},
    {"error": 0.3, "agreed": False, "scale": np.log(0.5), "best": 0.0},
    {"error": np.nan, "agreed": True, "scale": 0.0, "best": 0.0},
  ]
  row = floating.summary(found)
  assert (row["n"], row["seen"], row["measured"], row["agreed"], row["right"]) == (4, 3, 2, 1, 1)
  assert row["right_by_chi_square"] == 1 and row["ratio_16_50_84"][1] == pytest.approx(
    0.775, abs=1e-3
  )
  assert floating.summary([None])["measured"] == 0


def test_the_error_of_a_mass():
  """By moving what was fitted: M = θ_* / (ρ κ π_E)."""
  import floating

  from edjax.et import event

  seen = event.Event(0.0, 0.1, 1.0, (3.0, 4.0), 0.5)
  spread = np.diag([1, 1, 1, 0.3, 0.2, 0.1]) ** 2
  fit = event.Fit(seen, 0.0, spread, np.ones(2), np.ones(2), True)
  north, east, rho = np.random.default_rng(0).normal(size=(3, 100_000)) * [[0.03], [0.02], [0.01]]
  logarithm = -(rho + np.log(np.hypot(3 + north, 4 + east)))
  wanted = np.hypot(10 * np.std(logarithm), floating.CALIBRATED)
  assert floating.mass_error(fit) == pytest.approx(wanted, rel=0.01)


def test_the_mirror_images_of_an_event():
  """Seen from the second place, all four have the same distance at the time of the peak."""
  import floating

  from edjax.et import event, lens

  truth, place = event.Event(5.0, 0.3, 2.0, (9.0, 4.0), 0.5), (0.002, 0.01)
  images = floating.beginnings(truth, place)
  assert len({image.parallax for image in images}) == 4
  wanted = lens.path(5.0, *truth[:4], place)
  for image in images:
    assert lens.path(5.0, *image[:4], place) == pytest.approx(float(wanted), rel=1e-4)
    assert abs(image.least) == 0.3
  np.testing.assert_allclose(images[0].parallax, truth.parallax, rtol=1e-4)


def test_galactic_ways():
  """The Galaxy's middle passes the Sun by (−3.116, −5.607) mas a year, east and north."""
  import lenses

  along, up = lenses.galactic(lenses.FIELD)
  north, east = -6.411 * along - 0.219 * up
  assert (east, north) == (pytest.approx(-3.116, abs=2e-3), pytest.approx(-5.607, abs=2e-3))


def test_the_first_weighed_rogue_planet():
  """θ_E of 18.6 µas and π_E of 10.9 for 0.219 Jupiters at 3.05 kpc, before a star at 8."""
  import lenses

  row = lenses.rogue()
  assert row["einstein_radius_uas"] == pytest.approx(18.6, abs=0.05)
  assert row["parallax"] == pytest.approx(10.9, abs=0.05)
  assert row["motion_for_2_hours"] * 2 == pytest.approx(
    6 * row["longest_hours_at_6_mas_a_year"], abs=0.05
  )
