"""The experiment on light curves: what it asks of the command, and what it says of runs."""

import json
import pathlib
import types

import numpy as np
import pytest

from edjax import rows
from edjax.data.readers import curves, tess
from tests import command

OPTIONS = ["--dataset=tess", "--data_dir=data", "--seeds=0,1", "--epochs=4", "--splits=stars"]


@pytest.fixture
def sky(monkeypatch):
  monkeypatch.syspath_prepend(command.ROOT / "experiments")
  import sky

  return sky


def group(value):
  return {"average_precision": value, "count": 1653, "curve": {"recall": [1.0]}}


def report(value, teachers):
  student = {"top1": 0.9, "exam_count": 1653, "positives": {"planet": group(value)}}
  # Its teacher was trained for another arm.
  costs = {
    "train_macs": 5e12,
    "train_macs_student": 3e12,
    "train_macs_teachers": 2e12,
    "teacher_training_macs": 0,
    "seconds": 1.5,
  }
  own = [{"top1": 0.95, "positives": {"planet": group(0.9)}, "training_macs": 4e12}] * teachers
  return {"student": student, "teachers": own, "grades": [{"epochs": 2}, {"epochs": 2}], **costs}


def test_runs_and_their_rows(sky, tmp_path, monkeypatch, typed, capsys):
  asked = {}

  def run_all(runs, out, jobs):
    asked.update(runs)
    for name in runs:
      (out / name).mkdir(parents=True)
      made = report(0.6 + 0.1 * int(name[-1]), "alone" not in name)
      (out / name / "report.json").write_text(json.dumps(made))

  monkeypatch.setattr(sky, "run_all", run_all)
  monkeypatch.setattr("sys.argv", ["sky", *OPTIONS, f"--out={tmp_path}", "--arms=alone,ed_three"])
  sky.main()
  assert len(asked) == 4
  config = typed(*asked["tess_stars_ed_three_1"])
  assert (config.seed, config.faculty.seed, config.faculty.generalists) == (1, 1, 3)
  assert config.data.split == "stars" and config.faculty.generalist.epochs < 24
  told = [json.loads(line) for line in (tmp_path / "tess.jsonl").read_text().splitlines()]
  assert [(row["arm"], row["seed"]) for row in told] == [
    ("alone", 0), ("ed_three", 0), ("alone", 1), ("ed_three", 1),
  ]  # fmt: skip
  assert ["teacher" in row for row in told] == [False, True, False, True]
  assert "curve" not in told[0]["planet"] and told[0]["epochs"] == 4
  told = capsys.readouterr().out.splitlines()
  assert told[2:4] == [
    "| stars | planet | alone | 0.650 ± 0.071 | – | – | 5.00 | 2 |",
    "| stars | planet | ed_three | 0.650 ± 0.071 | 0.900 ± 0.000 | – | 9.00 | 2 |",
  ]


def test_the_table_compares_arms_of_the_same_seeds(sky):
  arms = {"kd": (0.6, 0.7, 0.8), "ed": (0.7, 0.8, 0.9), "alone": (0.5, 0.7, 0.9)}
  made = [
    {
      "split": "stars",
      "arm": arm,
      "seed": seed,
      "planet": {"average_precision": value},
      "train_macs": 1e12 * value,
    }
    for arm, values in arms.items()
    for seed, value in enumerate(values)
  ]
  kd, ed, alone = sky.table(made).splitlines()[2:]
  assert kd == "| stars | planet | kd | 0.700 ± 0.100 | – | – | 0.70 | 3 |"
  assert "| +0.100 ± 0.000 | 0.80 | 3 |" in ed
  assert (
    "| +0.000 ± 0.248 | 0.70 | 3 |" in alone
  )  # Student's t of two degrees of freedom, 4.303 · 0.1/√3


@pytest.mark.parametrize("dataset", ["tess", "kepler", "et", "bulge"])
def test_every_arm_is_a_config(dataset, sky, typed):
  assert dataset in sky.SPLITS
  for variant, changes, _ in sky.ARMS.values():
    given = [f"--config.{key}={value}" for key, value in changes.items()]
    assert typed(f"--config={dataset}:{variant}", *given)


def asking(epochs, limit):
  """The script's options, as far as a run's arguments depend on them."""
  return types.SimpleNamespace(
    dataset="tess", data_dir="data", out=pathlib.Path("runs"), epochs=epochs, limit=limit
  )


@pytest.mark.parametrize("epochs, wanted", [(0, 11 * 24), (2, 22)])
def test_alone_for_as_long_as_under_a_teacher(sky, typed, epochs, wanted):
  config = typed(*sky.arguments(asking(epochs, 0), "alone_long", "stars", 0))
  assert [grade.epochs for grade in rows.in_order(config.grades)] == [wanted]


def test_a_method_is_an_arm(sky, typed):
  config = typed(*sky.arguments(asking(8, 4000), "mlld", "stars", 0))
  assert {*config.methods} == {"ce", "mlld"} and len(config.grades) == 1
  assert config.data.train_limit == 4000


def test_planets_among_what_is_false_by_its_reason(monkeypatch):
  """The area against every pair looked at; kinds by hand."""
  monkeypatch.syspath_prepend(command.ROOT / "experiments")
  import kepler_why

  draw = np.random.default_rng(0)
  scores, confirmed = draw.integers(0, 9, 60), draw.uniform(size=60) < 0.5
  pairs = scores[confirmed][:, None] - scores[~confirmed][None]
  wanted = np.mean((pairs > 0) + 0.5 * (pairs == 0))
  assert kepler_why.auc(scores, confirmed, ~confirmed) == pytest.approx(wanted)
  flags = np.array([[0, 0, 0, 0], [0, 0, 1, 0], [1, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1]])
  snr = np.array([20.0, 20.0, 200.0, np.nan, 5.0])
  found = kepler_why.kinds(np.array([True, False, False, True, False]), flags, snr)
  false = {kind: np.flatnonzero(other).tolist() for kind, (_, other) in found.items()}
  assert false == {
    "all": [1, 2, 4], "not transit-like": [2], "centroid offset": [1, 2], "same ephemeris": [4],
    "centroid offset alone": [1], "S/N 15 to 30": [1],
  }  # fmt: skip
  assert np.flatnonzero(found["S/N 15 to 30"][0]).tolist() == [0]
  runs = {"kepler_stars_kd_0": 0.9, "kepler_stars_kd_1": 0.8, "kepler_stars_ed_three_0": 0.7}
  rows = [
    {"run": run, "kind": "all", "auc": auc, "confirmed": 5, "false": 7} for run, auc in runs.items()
  ]
  heading, _, line = kepler_why.table(rows).splitlines()
  assert heading.endswith("| kd | ed_three |")
  assert line == "| all | 5 | 7 | 0.850 ± 0.071 | 0.700 ± 0.000 |"


def test_planets_that_are_kept_by_how_far_they_stand_out(monkeypatch):
  """Events of known S/N in the bytes of `tess`; counts by hand."""
  monkeypatch.syspath_prepend(command.ROOT / "experiments")
  import completeness

  snr = np.array([8.0, 8.5, 9.0, 25.0, 25.0, 400.0, 400.0])
  once = np.ones(len(snr))
  views = [np.zeros((len(snr), 201))] * len(tess.VIEWS)
  images = curves.pictures(views, tess.scalars(once, once, snr, once, once))
  told = completeness.signal(images)
  np.testing.assert_allclose(told, snr, rtol=0.021)
  labels, said = np.array([2, 2, 0, 2, 1, 2, 2]), np.array([2, 0, 2, 2, 1, 2, 2])
  rows = list(completeness.intervals(said, labels, told))
  assert [(row["low"], row["planets"], row["kept"]) for row in rows] == [
    (0, 2, 1), (20, 1, 1), (100, 2, 2),
  ]  # fmt: skip
  assert [(row["others"]["J"], row["others"]["EB"]) for row in rows] == [(1, 0), (0, 1), (0, 0)]
  assert [(row["taken"]["J"], row["taken"]["EB"]) for row in rows] == [(1, 0), (0, 0), (0, 0)]
  first, _, last = completeness.summary(rows)
  assert first.startswith("S/N 0 to 10: 0.500 ± 0.000 of 2 planets kept, 1.0000 ± 0.0000 of 1 ")
  assert (
    last == "S/N 100 or more: 1.000 ± 0.000 of 2 planets kept, none of 0 others taken (n = 1 runs)"
  )


def test_graduates_sit_the_real_exam_too(sky, monkeypatch):
  """Planets are first and third of four: (1/1 + 2/3) / 2."""
  chances = np.array([0.6, 0.1, 0.8, 0.4])
  logits = np.log(np.stack([1 - chances, np.full(4, 1e-9), chances], 1))
  graduate = types.SimpleNamespace(logits=lambda images: logits[images[:, 0, 0, 0]])
  monkeypatch.setattr(sky.edjax, "load", {"run": graduate}.get)
  images = np.arange(4, dtype=np.uint8).reshape(4, 1, 1, 1)
  exam = types.SimpleNamespace(images=images, labels=np.array([0, 1, 2, 2]))
  found = sky.among("run", types.SimpleNamespace(test=exam, positives={"planet": (2,)}))
  assert list(found) == ["real planet"] and found["real planet"]["count"] == 4
  assert found["real planet"]["average_precision"] == pytest.approx(5 / 6)
