"""How surely rare classes are found: scikit-learn's figures, and intervals that mean something."""

import numpy as np
import pytest
from sklearn import metrics

from edjax.report import page, precision
from tests.report.pages import SECTIONS, Page, school


def exam(count, seed=0, classes=3, shift=1.5):
  """Logits that know a little of the truth, and labels of which few are of the last class."""
  draw = np.random.default_rng(seed)
  labels = draw.choice(classes, count, p=[0.8, 0.15, 0.05])
  return draw.normal(size=(count, classes)) + shift * np.eye(classes)[labels], labels


GROUPS = {"planet": (2,), "transit-like": (1, 2)}


@pytest.mark.parametrize("decimals", [8, 0])
def test_figures_are_scikit_learns(decimals):
  """With few different scores, most are thresholds of several examples."""
  logits, labels = exam(400)
  logits = np.round(logits, decimals)
  rows = precision.found(logits, labels, GROUPS)
  shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
  for name, columns in GROUPS.items():
    truth, scores = np.isin(labels, columns), np.round(shares[:, columns].sum(1), 12)
    row = rows[name]
    assert (row["members"], row["count"]) == (truth.sum(), 400)
    wanted = metrics.average_precision_score(truth, scores)
    assert row["average_precision"] == pytest.approx(wanted, rel=1e-9)
    assert precision.figures(scores, truth)["average_precision"] == pytest.approx(wanted, rel=1e-9)
    precisions, recalls, _ = metrics.precision_recall_curve(truth, scores)
    for level, key in ((0.99, "recall_at_99"), (0.9, "recall_at_90")):
      assert row[key] == pytest.approx(recalls[precisions >= level].max(), rel=1e-9)
    known = {(round(r, 9), round(p, 9)) for r, p in zip(recalls, precisions, strict=True)}
    curve = row["curve"]
    points = [(round(r, 9), round(p, 9)) for r, p in zip(*curve.values(), strict=True)]
    assert set(points) <= known and len(points) <= 200 and points[-1][0] == 1


def test_an_interval_is_as_wide_as_other_exams_differ(monkeypatch):
  """Of 60 exams, the mean of their average precisions is in most intervals, and the widths fit."""
  monkeypatch.setattr(precision, "RESAMPLED", 150)
  figures, inside = [], 0
  for seed in range(60):
    logits, labels = exam(150, seed)
    figures.append(precision.found(logits, labels, {"a": (1, 2)})["a"])
  values = np.array([row["average_precision"] for row in figures])
  for row in figures:
    low, high = row["average_precision_interval"]
    assert low <= row["average_precision"] <= high
    inside += low <= values.mean() <= high
  assert inside >= 50
  widths = np.diff([row["average_precision_interval"] for row in figures])
  assert widths.mean() == pytest.approx(2 * 1.96 * values.std(), rel=0.3)


def test_an_answer_that_is_no_number_is_taken_last():
  logits = np.array([[0.0, 3.0], [0.0, np.nan], [0.0, -1.0], [2.0, -3.0]])
  row = precision.found(logits, np.array([1, 1, 0, 0]), {"a": (1,)})["a"]
  assert row["average_precision"] == pytest.approx(0.5 * 1 + 0.5 * 2 / 4)
  assert row["recall_at_99"] == 0.5


def test_the_surest_are_told_apart():
  """Where probabilities round to 1 in single precision, their order is still known."""
  logits = np.array([[0.0, 60.0], [0.0, 50.0], [0.0, 40.0]])
  row = precision.found(logits, np.array([1, 1, 0]), {"a": (1,)})["a"]
  assert row["average_precision"] == 1


def test_groups_of_which_there_is_nothing_to_say():
  logits, labels = exam(50)
  assert precision.found(logits, labels * 0, GROUPS) == {}
  assert precision.found(logits, labels, {"all": (0, 1, 2)}) == {}


def test_the_page_says_it_of_graduate_and_teacher():
  made, rows = school(num_classes=3)
  ours, theirs = (precision.found(*exam(300, seed), GROUPS) for seed in (0, 1))
  made["student"]["positives"] = ours
  made["teachers"][0]["positives"] = theirs
  shown = Page(page.render(made, rows))
  assert [heading for heading in shown.headings if heading not in SECTIONS] == [
    "How surely they are found"
  ]
  text = "\n".join(shown.texts)
  for found in (ours, theirs):
    for row in found.values():
      assert f"{row['members']} of 300" in text
      for key in ("average_precision", "recall_at_99", "recall_at_90"):
        low, high = row[f"{key}_interval"]
        assert f"{row[key]:.3f}" in text and f"{low:.3f}–{high:.3f}" in text
  assert shown.tags.count("svg") == 1 + Page(page.render(*school(num_classes=3))).tags.count("svg")
  assert len(shown.ids) == len(set(shown.ids)) and shown.references <= set(shown.ids)
