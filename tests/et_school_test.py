"""The experiment on simulated skies: what it asks of the commands, and what it says of exams."""

import json
import types

import numpy as np
import pytest

from edjax.data.readers import curves
from edjax.et import objects
from tests import archives, command


@pytest.fixture
def school(monkeypatch):
  monkeypatch.syspath_prepend(command.ROOT / "experiments")
  import et_school

  return et_school


class Knowing:
  """Says what the pictures of an exam are, from its labels."""

  def __init__(self, exams):
    self.known = {images.tobytes(): labels for images, labels, _ in exams.values()}

  def logits(self, images):
    return 5.0 * np.eye(3)[self.known[images.tobytes()]]


def test_skies_have_ever_more_in_them(school):
  skies = [({*objects}, red) for objects, red in school.SKIES.values()]
  for (few, less), (more, stronger) in zip(skies, skies[1:], strict=False):
    assert few <= more and less <= stronger and (few, less) != (more, stronger)
  assert skies[-1][0] == {*objects.CLASSES}


def test_exams_and_their_rows(school, tmp_path, monkeypatch, typed, capsys):
  archives.write_tess(tmp_path)
  archives.write_kepler(tmp_path)
  exams = school.real_exams(tmp_path, tmp_path)
  asked, drawn = {}, []

  def run_all(runs, out, jobs):
    asked.update(runs)
    for name in runs:
      (out / name).mkdir(parents=True)
      made = {"student": {"positives": {key: {"average_precision": 0.5, "curve": 1} for key in
                                        ("planet", "transit-like")}}}  # fmt: skip
      (out / name / "report.json").write_text(json.dumps(made))

  monkeypatch.setattr(school, "run_all", run_all)
  monkeypatch.setattr(school, "simulate", types.SimpleNamespace(main=drawn.append))
  monkeypatch.setattr(school, "edjax", types.SimpleNamespace(load=lambda run: Knowing(exams)))
  words = [
    f"--data_dir={tmp_path}",
    f"--kepler_dir={tmp_path}",
    f"--out={tmp_path / 'out'}",
    "--skies=toy",
    "--seeds=0,1",
  ]
  monkeypatch.setattr("sys.argv", ["et_school", *words, "--epochs=3", "--labels=30"])
  school.main()
  (words,) = drawn
  assert words[1:3] == ["--objects=planet,eclipsing,flickering", "--red=0.0"]
  assert [*asked] == ["toy_0_0", "toy_0_1", "none_30_0", "toy_30_0", "none_30_1", "toy_30_1"]
  first, after = typed(*asked["toy_0_1"]), typed(*asked["toy_30_1"])
  assert (first.seed, after.seed, after.data.train_limit) == (1, 1, 30)
  assert after.student.start.endswith("toy_0_1/graduate") and not first.student.start
  (short,), (long,) = first.grades.values(), after.grades.values()
  assert long.epochs == 4 * short.epochs == 12
  rows = [json.loads(line) for line in (tmp_path / "out/et_school.jsonl").read_text().splitlines()]
  sat = {(row["sky"], row["labels"], row["exam"]) for row in rows if not row["seed"]}
  real = ("real validation", "real test", "real Kepler")
  known = {
    (sky, labels, exam) for sky, labels in (("none", 30), ("toy", 30), ("toy", 0)) for exam in real
  }
  assert sat == known | {("toy", 0, "simulated")} and len(rows) == 2 * len(sat)
  own = {row["exam"]: row for row in rows if row["sky"] == "toy" and not row["labels"]}
  assert own["simulated"]["planet"] == {"average_precision": 0.5}
  assert own["real test"]["planet"]["average_precision"] == 1
  said = capsys.readouterr().out.splitlines()
  wanted = "planet 1.000 ± 0.000, transit-like 1.000 ± 0.000 (n = 2 seeds)"
  assert f"none, 30 real labels, real test: {wanted}" in said
  assert "toy, 0 real labels, real Kepler: planet 1.000 ± 0.000 (n = 2 seeds)" in said


def test_keplers_curves_are_asked_about_with_the_channels_of_tess(school):
  draw = np.random.default_rng(0)
  images, known = (draw.integers(0, 256, (n, 1, 201, c), np.uint8) for n, c in ((3, 5), (9, 8)))
  known[:5, ..., 6:] = 40, 90  # of most events, so that the medians are these
  asked = school.as_tess(images, np.array([10.0, 1000.0, np.nan]), known)
  assert asked.shape == (3, 1, 201, 8) and (asked[..., :5] == images).all()
  assert (asked[:, 0, :, 5] == curves.quantised(np.array([[0.0], [2.0], [0.0]]))).all()
  assert (asked[..., 6:] == (40, 90)).all()
