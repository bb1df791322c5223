"""A run beside simpler ones of the same folder: which count, and what is said of them."""

import functools
import json

import numpy as np
import pytest
from scipy import stats

from edjax.report import baselines, page, scores
from tests.compare.command_test import report
from tests.report.pages import Page, school

RIGHT = {"ce": "11110000", "kd": "11111000", "mine": "11011110"}


def write(place, config, right, **changes):
  """Writes a report whose exam has these right answers; returns it."""
  extra = {key: changes.pop(key) for key in ("grades", "teachers") if key in changes}
  report(place, config, top1=right.count("1") / len(right), **changes)
  made = json.loads((place / "report.json").read_text())
  logits = np.eye(2)[[int(bit) for bit in right]]
  made["student"] |= {
    "right": scores.packed(logits, np.ones(len(right), int)),
    "exam_count": len(right),
  }
  made["run"]["test_digest"] = "e"
  made |= extra
  (place / "report.json").write_text(json.dumps(made))
  return made


@pytest.fixture
def folder(tmp_path):
  write(tmp_path / "a_ce", "digits:ce", RIGHT["ce"], teachers=[], grades=[{"seconds": 1.0}])
  write(tmp_path / "b_kd", "digits:kd", RIGHT["kd"], grades=[{"seconds": 1.0}])
  (tmp_path / "other").mkdir()
  (tmp_path / "other" / "report.json").write_text("[1]")
  return tmp_path


def test_differences_are_of_the_same_images(folder):
  mine = write(folder / "mine", "digits:ed", RIGHT["mine"])
  ce, kd = baselines.beside(folder / "mine", mine)
  assert (ce["run"], ce["kind"], kd["run"], kd["kind"]) == (
    "a_ce", "labels alone", "b_kd", "plain distillation",
  )  # fmt: skip
  assert (ce["top1"], ce["count"]) == (0.5, 8)
  # Of eight images this run alone has three right that labels alone have not, and lacks one.
  assert ce["difference"] == pytest.approx(2 / 8)
  assert ce["interval"] == scores.paired_interval(3, 1, 8)
  assert kd["difference"] == pytest.approx(1 / 8)


def test_a_simpler_run_has_no_baseline_that_is_less_simple(folder):
  for name, simpler in (("a_ce", []), ("b_kd", ["a_ce"])):
    mine = json.loads((folder / name / "report.json").read_text())
    assert [row["run"] for row in baselines.beside(folder / name, mine)] == simpler


@pytest.mark.parametrize(
  "path, value",
  [
    (("seed",), 1),
    (("student", "model"), "resnet8"),
    (("run", "data_digest"), "of others"),
    (("run", "test_digest"), "of others"),
    (("run", "settings", "student", "start"), "resnet20.pth"),
    (("teachers", 0, "sha256"), "another"),
    (("student", "right"), ""),  # an earlier version did not say
    (("student", "right"), "damaged"),
  ],
)
def test_runs_of_another_kind_are_no_baseline(folder, path, value):
  mine = write(folder / "mine", "digits:ed", RIGHT["mine"])
  assert len(baselines.beside(folder / "mine", mine)) == 2
  file = folder / "b_kd" / "report.json"
  made = json.loads(file.read_text())
  place = functools.reduce(lambda tree, key: tree[key], path[:-1], made)
  assert place[path[-1]] != value
  place[path[-1]] = value
  file.write_text(json.dumps(made))
  assert [row["run"] for row in baselines.beside(folder / "mine", mine)] == ["a_ce"]


def test_the_page_says_what_a_run_is_above_and_nothing_where_nothing_is():
  made, rows = school()
  assert "Beside simpler runs" not in Page(page.render(made, rows)).headings
  made["baselines"] = []
  assert "Beside simpler runs" not in Page(page.render(made, rows)).headings
  made["baselines"] = [
    {"run": "a_ce", "kind": "labels alone", "top1": 0.5, "count": 80, "macs": 3e9}
    | {"difference": 0.0125, "interval": [-0.031, 0.056]}
  ]
  shown = Page(page.render(made, rows))
  assert "Beside simpler runs" in shown.headings
  row = shown.texts[shown.texts.index("a_ce") :]
  assert {"labels alone", "50.0 %", "n 80, 39.3–60.7", "+1.2", "−3.1 to +5.6"} <= set(row)


def test_packed_answers_come_back():
  draw = np.random.default_rng(0)
  logits, labels = draw.normal(size=(13, 3)), draw.integers(0, 3, 13)
  logits[4] = np.inf
  told = scores.unpacked(scores.packed(logits, labels), 13)
  assert told.tolist() == [k != 4 and logits[k].argmax() == labels[k] for k in range(13)]


def test_paired_intervals_hold_the_truth_as_often_as_they_say():
  """Over 4,000 exams of 200 images."""
  draw, count = np.random.default_rng(0), 200
  cells = np.array([0.70, 0.12, 0.06, 0.12])  # both right, the first alone, the second, neither
  held = 0
  exams = draw.multinomial(count, cells, 4000)
  for _, gained, lost, _ in exams:
    low, high = scores.paired_interval(int(gained), int(lost), count)
    held += low <= 0.06 <= high
  assert stats.binomtest(held, len(exams), 0.95).pvalue > 1e-4
  assert scores.paired_interval(0, 0, 10)[0] < 0 < scores.paired_interval(0, 0, 10)[1]
  assert scores.paired_interval(10, 0, 10)[1] == 1.0
