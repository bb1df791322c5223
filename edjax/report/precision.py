"""How surely the rare classes are found: precision and recall, and their average. Pure.

Where one class in thirty is a planet, top-1 says little: who never answers "planet" has 97 %. A
data set names groups of classes that are looked for. The score of an example is the probability
that the network gives to the classes of a group together; every score is a threshold, above which
examples are taken for members. Recall is the share of the members that are taken, precision the
share of what is taken that are members.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Integer

LEVELS = (0.99, 0.9)  # of precision, at which recall is said
RESAMPLED = 1000  # times, for an interval
_DRAWN = 200  # points of a curve that are kept at most

Numbers = Float[np.ndarray, " n"]


def found(
  logits: Float[np.ndarray, "n classes"],
  labels: Integer[np.ndarray, " n"],
  positives: Mapping[str, Sequence[int]],
) -> dict[str, dict[str, Any]]:
  """Scores how the members of each group are found.

  An example with a logit that is not finite is never taken for a member.

  Args:
    logits: a column for each class.
    labels: the column of the true class of each example.
    positives: {name of a group: its columns}.

  Returns:
    {group: a dict of plain Python values}, without groups of which there is no member, or nothing
    else: `members` and `count` of all; `average_precision`; `recall_at_99` and `recall_at_90`, the
    largest recall at that precision, 0 where it is never reached; the interval of each, as
    `average_precision_interval`; `curve`, {"recall", "precision"}, of at most 200 thresholds.
  """
  rows = {}
  for name, columns in positives.items():
    member = np.isin(labels, list(columns))
    if member.all() or not member.any():
      continue
    scores = _probability(logits, columns)
    row: dict[str, Any] = {"members": int(member.sum()), "count": len(member)}
    known = figures(scores, member)
    for key, interval in _intervals(scores, member).items():
      row |= {key: known[key], f"{key}_interval": interval}
    rows[name] = row | {"curve": _curve(scores, member)}
  return rows


def _probability(logits: Float[np.ndarray, "n classes"], columns: Sequence[int]) -> Numbers:
  """Of the classes of a group together: the logarithm of its odds, which does not round to 1."""
  logits = np.asarray(logits, np.float64)
  answered = np.isfinite(logits).all(axis=1)
  inside = np.isin(np.arange(logits.shape[1]), list(columns))
  shown = np.where(answered[:, None], logits, 0.0)
  odds = np.logaddexp.reduce(shown[:, inside], 1) - np.logaddexp.reduce(shown[:, ~inside], 1)
  return np.where(answered, np.round(odds, 9), -np.inf)  # equal ones stay so, however rounded


def _points(scores: Numbers, member: Bool[np.ndarray, " n"]) -> tuple[Numbers, Numbers]:
  """Returns (recall, precision) at every threshold, the highest first."""
  order = np.argsort(-scores, kind="stable")
  ranked = scores[order]
  last = np.append(ranked[1:] != ranked[:-1], True)  # of those with equal scores
  right = np.cumsum(member[order])[last]
  taken = np.flatnonzero(last) + 1
  return right / max(1, right[-1]), right / taken


def figures(scores: Numbers, member: Bool[np.ndarray, " n"]) -> dict[str, float]:
  """Returns the average precision, and the recall at each of `LEVELS`, as `found` has them.

  The average is the mean of the precision over the members, each at the threshold that takes it:
  Σ (Rₙ − Rₙ₋₁) Pₙ over the thresholds. No line is drawn between them, and examples of equal score
  are taken together.
  """
  recall, precision = _points(scores, member)
  known = {"average_precision": float(np.sum(np.diff(recall, prepend=0.0) * precision))}
  for level in LEVELS:
    known[f"recall_at_{100 * level:.0f}"] = float(recall[precision >= level].max(initial=0.0))
  return known


def _intervals(scores: Numbers, member: Bool[np.ndarray, " n"]) -> dict[str, list[float]]:
  """95 % intervals: the figures of as many examples, drawn again and again of these (Efron 1979).

  Always the same draws, so that the same exam has the same intervals.
  """
  draw, count = np.random.default_rng(0), len(scores)
  rows: list[dict[str, float]] = []
  while len(rows) < RESAMPLED:
    chosen = draw.integers(0, count, count)
    if member[chosen].any():
      rows.append(figures(scores[chosen], member[chosen]))
  return {
    key: [float(edge) for edge in np.quantile([row[key] for row in rows], (0.025, 0.975))]
    for key in rows[0]
  }


def _curve(scores: Numbers, member: Bool[np.ndarray, " n"]) -> dict[str, list[float]]:
  """The points of a curve; of many, those at even steps of recall, and always the last."""
  recall, precision = _points(scores, member)
  at = np.searchsorted(recall, np.linspace(0, 1, _DRAWN)) if len(recall) > _DRAWN else slice(None)
  kept = np.unique(np.arange(len(recall))[at])
  return {"recall": recall[kept].tolist(), "precision": precision[kept].tolist()}
