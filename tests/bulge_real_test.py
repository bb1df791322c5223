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
