"""Scores against slow loops and closed forms; the journal over kills; what the live line prints."""

import json
import math
import os

import numpy as np
import pytest
import torch

from edjax.errors import UserError
from edjax.report.journal import Journal
from edjax.report.scores import _calibration, exam_scores, only_answer
from edjax.storage import files


def _exam(n=400, classes=7, seed=0):
  rng = np.random.default_rng(seed)
  labels = rng.integers(0, classes, n)
  logits = 3 * rng.normal(size=(n, classes)).astype(np.float32)
  logits[np.arange(n), labels] += 2
  return logits, labels


def test_nll_and_top_k_against_torch():
  logits, labels = _exam()
  scores = exam_scores(logits, labels, {})
  reference = torch.tensor(logits, dtype=torch.float64)
  truth = torch.tensor(labels)
  nll = -torch.log_softmax(reference, dim=1)[torch.arange(len(labels)), truth].mean()
  top5 = (reference.topk(5).indices == truth[:, None]).any(dim=1).double().mean()
  assert scores["count"] == 400
  assert scores["nll"] == pytest.approx(nll.item(), rel=1e-12)
  assert scores["top1"] == (reference.argmax(dim=1) == truth).double().mean().item()
  assert scores["top5"] == top5.item()


def test_nll_of_huge_logits_does_not_overflow():
  scores = exam_scores([[1e4, 0.0], [1e4, 0.0]], [0, 1], {})
  assert scores["nll"] == pytest.approx(5000.0)


def test_ece_by_hand():
  # Two classes: confidence is the logistic of the difference, so 0.9 and 0.6 can be asked for.
  sure, unsure = math.log(9), math.log(1.5)
  logits = [[sure, 0]] * 4 + [[0, unsure]] * 2
  scores = exam_scores(logits, [0, 0, 0, 1, 0, 0], {})
  # Bin of 0.9: accuracy 3/4, 4 of 6 images. Bin of 0.6: accuracy 0, 2 of 6 images.
  assert scores["ece"] == pytest.approx(4 / 6 * 0.15 + 2 / 6 * 0.6)
  filled = [index for index, n in enumerate(scores["calibration"]["count"]) if n]
  assert len(filled) == 2 and scores["calibration"]["count"][13] == 4
  assert scores["calibration"]["accuracy"][13] == 0.75
  assert scores["calibration"]["confidence"][13] == pytest.approx(0.9)
  assert scores["calibration"]["accuracy"][0] is None


def test_ece_against_a_slow_loop():
  logits, labels = _exam(n=500, classes=4, seed=1)
  probabilities = torch.softmax(torch.tensor(logits, dtype=torch.float64), dim=1).tolist()
  ece = 0.0
  for index in range(15):
    inside = [
      (max(p), p.index(max(p)) == label)
      for p, label in zip(probabilities, labels, strict=True)
      if index / 15 < max(p) <= (index + 1) / 15
    ]
    if inside:
      gap = sum(right for _, right in inside) - sum(confidence for confidence, _ in inside)
      ece += abs(gap) / 500
  assert exam_scores(logits, labels, {})["ece"] == pytest.approx(ece, abs=1e-12)


def test_calibration_bins_are_closed_on_the_right():
  confidence = np.array([1 / 15, 1 / 3, np.nextafter(1 / 3, 1), 1.0])
  counts = _calibration(confidence, np.ones(4, bool))["count"]
  assert [index for index, n in enumerate(counts) for _ in range(n)] == [0, 4, 5, 14]


def test_a_uniform_answer_is_calibrated_where_classes_are_balanced():
  scores = exam_scores(np.zeros((30, 3)), np.arange(30) % 3, {})
  assert scores["nll"] == pytest.approx(math.log(3))
  assert scores["ece"] == pytest.approx(0.0, abs=1e-12)
  # All equal: the lowest column is the answer.
  assert scores["top1"] == pytest.approx(1 / 3)
  assert [row[0] for row in scores["confusion"]] == [10, 10, 10]


def test_ties_rank_the_lower_column_first():
  logits = np.ones((7, 7))
  scores = exam_scores(logits, np.arange(7), {})
  assert scores["top1"] == 1 / 7
  assert scores["top5"] == 5 / 7


def test_fewer_than_five_classes():
  assert exam_scores([[0.0, 1.0, 2.0]], [0], {})["top5"] == 1.0


def test_confusion_and_subjects_against_a_loop():
  logits, labels = _exam(classes=5)
  subjects = {"low": (0, 1), "high": [3, 4], "never asked": (9,)}
  scores = exam_scores(logits, labels, subjects)
  confusion = [[0] * 5 for _ in range(5)]
  for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
    confusion[label][row.index(max(row))] += 1
  assert scores["confusion"] == confusion
  assert scores["top1"] == sum(confusion[i][i] for i in range(5)) / 400
  high = (confusion[3][3] + confusion[4][4]) / sum(confusion[3] + confusion[4])
  assert scores["top1_by_subject"]["high"] == pytest.approx(high)
  assert set(scores["top1_by_subject"]) == {"low", "high"}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_an_answer_that_is_not_finite_is_a_mistake(bad):
  logits = np.array([[5.0, 0.0], [bad, 0.0], [0.0, 5.0]])
  scores = exam_scores(logits, [0, 0, 1], {"all": (0, 1)})
  assert scores["top1"] == pytest.approx(2 / 3) and scores["top5"] == pytest.approx(2 / 3)
  assert scores["nll"] == math.inf
  assert scores["confusion"] == [[1, 0], [0, 1]]
  assert sum(scores["calibration"]["count"]) == 3
  sure = 1 / (1 + math.exp(-5))
  assert scores["ece"] == pytest.approx(abs(2 / 3 - (1 + 2 * sure) / 3))


def test_scores_are_plain_python():
  logits, labels = _exam()
  scores = exam_scores(logits, labels, {"low": (0, 1)})
  assert json.loads(json.dumps(scores, allow_nan=False)) == scores


@pytest.mark.parametrize(
  "logits, labels",
  [
    (np.zeros((0, 3)), []),
    (np.zeros((2, 3)), [0]),
    (np.zeros(3), [0, 1, 2]),
    (np.zeros((2, 3)), [0, 3]),
    (np.zeros((2, 3)), [-1, 0]),
  ],
)
def test_an_exam_that_does_not_fit_is_refused(logits, labels):
  with pytest.raises(ValueError):
    exam_scores(logits, np.array(labels, int), {})


def _strict(line):
  def refuse(constant):
    raise AssertionError(f"{constant} is not strict JSON")

  return json.loads(line, parse_constant=refuse)


def test_journal_returns_what_was_written(tmp_path):
  path = tmp_path / "new" / "metrics.jsonl"
  journal = Journal(path)
  assert journal.rows() == []
  journal.write({"step": 1, "loss": 0.1, "grade": "größe\n"})
  journal.write({"step": np.int64(2), "loss": np.float32(0.5), "top1": math.nan, "nll": [math.inf]})
  lines = path.read_text().splitlines()
  assert lines[0].startswith('{"step": 1, "loss": 0.1, "grade"')
  assert (
    [_strict(line) for line in lines]
    == Journal(path).rows()
    == [
      {"step": 1, "loss": 0.1, "grade": "größe\n"},
      {"step": 2, "loss": 0.5, "top1": "nan", "nll": ["inf"]},
    ]
  )


def test_journal_drops_a_half_written_line(tmp_path):
  path = tmp_path / "metrics.jsonl"
  path.write_bytes(b'{"step": 1}\n{"step": 2, "lo')
  journal = Journal(path)
  assert path.read_bytes() == b'{"step": 1}\n'
  journal.write({"step": 2})
  assert journal.rows() == [{"step": 1}, {"step": 2}]


def test_a_resumed_journal_equals_the_uninterrupted_one(tmp_path):
  rows = [{"grade": "one"}, *({"step": step, "loss": 1 / step} for step in range(1, 9))]
  whole, resumed = Journal(tmp_path / "whole"), Journal(tmp_path / "resumed")
  for row in rows:
    whole.write(row)
  for row in rows[:7]:
    resumed.write(row)
  resumed = Journal(tmp_path / "resumed")
  resumed.rewind(4)
  assert [row.get("step") for row in resumed.rows()] == [None, 1, 2, 3, 4]
  for row in rows[5:]:
    resumed.write(row)
  assert (tmp_path / "resumed").read_bytes() == (tmp_path / "whole").read_bytes()
  assert sorted(os.listdir(tmp_path)) == ["resumed", "whole"]


def test_rewind_of_a_missing_journal_makes_no_file(tmp_path):
  Journal(tmp_path / "metrics.jsonl").rewind(3)
  assert os.listdir(tmp_path) == []


def test_a_spoilt_line_is_named(tmp_path):
  (tmp_path / "metrics.jsonl").write_text('{"step": 1}\nspoilt\n{"step": 2}\n')
  with pytest.raises(UserError, match="line 2"):
    Journal(tmp_path / "metrics.jsonl").rows()


def test_a_failed_replacement_leaves_the_old_file(tmp_path, monkeypatch):
  path = tmp_path / "file"
  path.write_text("old")

  def fail(*_):
    raise OSError("disk full")

  monkeypatch.setattr(os, "replace", fail)
  with pytest.raises(OSError):
    files.replace_file(path, b"new")
  assert path.read_text() == "old" and os.listdir(tmp_path) == ["file"]


def test_how_logits_lie_in_memory_changes_no_bit():
  """A report has its columns reordered, an exam has not."""
  logits = np.random.default_rng(0).normal(size=(500, 37)).astype(np.float32)
  labels = np.arange(500) % 37
  other = exam_scores(np.asfortranarray(logits), labels, {})
  assert other == exam_scores(logits, labels, {})


@pytest.mark.parametrize(
  "answers, truth, only",
  [
    ([1, 1, 1], [0, 1, 2], 1),
    ([1, 1, 2], [0, 1, 2], None),
    ([1, 1, 1], [1, 1, 1], None),  # and rightly so
    ([0, 0], [1, 1], None),  # of one class no exam can tell
  ],
)
def test_one_answer_for_a_whole_exam(answers, truth, only):
  confusion = np.zeros((3, 3), int)
  np.add.at(confusion, (truth, answers), 1)
  assert only_answer(confusion.tolist()) == only
