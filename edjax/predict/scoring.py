"""How right the answers are where folders tell the truth."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from edjax.report.scores import by_class, exam_scores, percent_of

_SHOWN = 20  # classes in the table of a terminal


def scores(
  logits: Sequence[np.ndarray], truths: Sequence[str], classes: Sequence[str]
) -> dict[str, Any]:
  """Scores the answers about some pictures.

  Args:
    logits: [classes] of each, one at least.
    truths: the class of each.
    classes: names of the columns.

  Returns:
    What `exam_scores` does, and `by_class`, a row for each class, see `report.scores.by_class`.
  """
  column = {name: index for index, name in enumerate(classes)}
  labels = np.array([column[truth] for truth in truths])
  exam = exam_scores(np.stack(logits), labels, {})
  counts = np.bincount(labels, minlength=len(classes))
  kept = {key: exam[key] for key in ("count", "top1", "interval", "top5", "nll", "ece")}
  return kept | {
    "classes": list(classes),
    "confusion": exam["confusion"],
    "by_class": by_class(exam["confusion"], counts.tolist(), classes),
  }


def told(scores: dict[str, Any]) -> list[str]:
  """Returns lines about scores: top-1, top-5 where there are more classes, and a line per class.

  Classes without pictures have none; of many, those that are found least are told.
  """
  line = f"top-1 {percent_of(scores['top1'], scores['count'])}"
  if len(scores["classes"]) > 5:
    line += f", top-5 {percent_of(scores['top5'], scores['count'])}"
  asked = [row for row in scores["by_class"] if row["count"]]
  shown = asked if len(asked) <= _SHOWN else sorted(asked, key=_recall)[:_SHOWN]
  width = max(len("class"), *(len(row["class"]) for row in shown))
  lines = [line, f"{'class':{width}} {'n':>7}    {'recall':<18}    precision"]
  for row in shown:
    shares = [_share(row, key) for key in ("recall", "precision")]
    lines.append(f"{row['class']:{width}} {row['count']:7,}  {shares[0]:<20}  {shares[1]}")
  if len(shown) < len(asked):
    lines.append(f"the {_SHOWN} of {len(asked)} classes that are found least")
  return lines


def _recall(row: dict[str, Any]) -> float:
  return row["recall"]


def _share(row: dict[str, Any], key: str) -> str:
  if row[key] is None:
    return "none"
  low, high = row[f"{key}_interval"]
  return f"{100 * row[key]:5.1f} % ({100 * low:.1f}–{100 * high:.1f})"
