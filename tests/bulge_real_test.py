"""Real events as a season of the bulge: files of a lens that was made up, brought together."""

import jax
import numpy as np
import pytest

from edjax.et import bulge, event, lens
from tests import command


@pytest.fixture
def real(monkeypatch):
  monkeypatch.syspath_prepend(command.ROOT / "experiments")
  import bulge_real

  return bulge_real


def test_two_telescopes_are_brought_to_one_light(real, tmp_path):
  """Blended otherwise, with errors that are said to be half of what they are."""
  draw, paths = np.random.default_rng(0), []
  for number, (source, blend) in enumerate([(400.0, 50.0), (90.0, 700.0)]):
    time = 7500 + np.sort(draw.uniform(0, 150, 1500))
    u = np.hypot((time - 7568.8) / 10, 0.1)
    flux = source * np.asarray(lens.point(u)) + blend
    magnitude = 22 - 2.5 * np.log10(flux) + 0.01 * draw.normal(size=len(time))
    paths.append(tmp_path / f"{number}.dat")
    np.savetxt(paths[-1], np.stack([time, magnitude, np.full(len(time), 0.005)], 1), "%.5f")
  with jax.enable_x64(True):
    flux, error = real.season(paths, event.Event(2457568.0 - real.EPOCH, 0.2, 8.0))
  days = (np.arange(len(flux)) + 0.5) / 48 - bulge.SEASON.days / 2
  there = np.isfinite(error)
  assert len(flux) == 190 * 48 and 0.2 < there.mean() < 0.35
  off = (flux - np.asarray(lens.point(np.hypot(days / 10, 0.1))) + 1)[there] / error[there]
  assert 0.85 < off.std() < 1.25
  found = real.reported(flux, error)
  assert found.deviation[0] < 6 and found.signal[0] > 100
  assert found.misfit[0] == pytest.approx(1, abs=0.15)


def test_the_table_has_means_over_seeds(real):
  chances = {"kd_0": (0.5, 0.1), "kd_1": (0.7, 0.3), "alone_0": (0.25, 0.0)}
  rows = [
    {"event": called, "half_hours": 1234, "deviation": 16.04, "run": run, "planet": told[number]}
    for number, called in enumerate(("A", "B"))
    for run, told in chances.items()
  ]
  assert real.table(rows).splitlines() == [
    "| event | half hours | σ from the point lens | planet: kd | alone |",
    "|---|---:|---:|---|---|",
    "| A | 1,234 | 16.0 | 0.600 ± 0.141 | 0.250 ± 0.000 |",
    "| B | 1,234 | 16.0 | 0.200 ± 0.141 | 0.000 ± 0.000 |",
  ]
