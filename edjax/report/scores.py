"""Scores of an exam, and how sure they are.

numpy and the standard library only: the scores are computed once per exam on the host, in float64.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Integer

CALIBRATION_BINS = 15
MOST_MISTAKES = 12
_Z = 1.959963984540054  # 95 % of a normal distribution lie so many deviations about its mean


def exam_scores(
  logits: Float[np.ndarray, "n classes"],
  labels: Integer[np.ndarray, " n"],
  subjects: Mapping[str, Iterable[int]],
) -> dict[str, Any]:
  """Scores one exam.

  Ties are broken as `argmax` breaks them: of equal logits the lower column ranks first. This order
  is strict, and `top1` is exactly the trace of `confusion` over `count`.

  An example with any non-finite logit has no answer. It counts as a fully confident mistake: wrong
  in top-1 and top-5, confidence 1 and accuracy 0 in the calibration, in no cell of the confusion,
  and it makes `nll` infinite.

  Args:
    logits: [n, classes] floats, a column for each class the network knows, n > 0.
    labels: [n] ints, the column of the true class of each example.
    subjects: {name: columns of that subject}; need not cover all columns.

  Returns:
    A dict of plain Python values: `count`, `top1`, `top5` (top min(5, classes)), `nll` (nats per
    example), `ece` (expected calibration error over 15 equal-width bins, closed on the right; Guo
    et al. 2017, arXiv:1706.04599), `top1_by_subject` (a subject with no example is left out),
    `confusion` ([classes][classes] counts, rows are the truth) and `calibration` ({"confidence",
    "accuracy", "count"}: a value per bin, None for the mean of an empty one); `interval` of top1
    and `count_by_subject` say how sure the shares are.

  Raises:
    ValueError: for an empty exam, shapes that do not fit, or a label without a column.
  """
  # In C order, as sums along another axis of memory may differ in their last bits.
  logits = np.asarray(logits).astype(np.float64, order="C")
  labels = np.asarray(labels)
  if logits.ndim != 2 or labels.shape != logits.shape[:1] or not logits.size:
    raise ValueError(
      f"an exam needs logits [n, classes] and labels [n], n > 0; "
      f"got {logits.shape} and {labels.shape}"
    )
  count, classes = logits.shape
  if labels.min() < 0 or labels.max() >= classes:
    raise ValueError(
      f"labels must be columns of the logits, 0 to {classes - 1}; "
      f"got {labels.min()} to {labels.max()}"
    )

  answers = _answers(logits)
  answered = answers >= 0
  # Zeros stand in for rows without an answer, so that the arithmetic below raises no warning.
  scores = np.where(answered[:, None], logits, 0.0)
  of_truth = scores[np.arange(count), labels][:, None]
  before_truth = np.arange(classes) < labels[:, None]
  rank = ((scores > of_truth) | ((scores == of_truth) & before_truth)).sum(axis=1)
  top1 = answered & (rank < 1)
  top5 = answered & (rank < min(5, classes))

  highest = scores.max(axis=1)
  log_normaliser = highest + np.log(np.exp(scores - highest[:, None]).sum(axis=1))
  nll = np.where(answered, log_normaliser - of_truth[:, 0], np.inf)
  confidence = np.where(answered, np.exp(highest - log_normaliser), 1.0)

  confusion = np.zeros((classes, classes), np.int64)
  np.add.at(confusion, (labels[answered], answers[answered]), 1)
  calibration = _calibration(confidence, top1)
  ece = sum(
    n / count * abs(mean - share) for mean, share, n in zip(*calibration.values(), strict=True) if n
  )

  by_subject, counts = {}, {}
  for name, columns in subjects.items():
    asked = np.isin(labels, list(columns))
    if asked.any():
      by_subject[name], counts[name] = float(top1[asked].mean()), int(asked.sum())
  return {
    "count": count,
    "top1": float(top1.mean()),
    "interval": interval(float(top1.mean()), count),
    "top5": float(top5.mean()),
    "nll": float(nll.mean()),
    "ece": float(ece),
    "top1_by_subject": by_subject,
    "count_by_subject": counts,
    "confusion": confusion.tolist(),
    "calibration": calibration,
  }


def only_answer(confusion: Sequence[Sequence[int]]) -> int | None:
  """The column that all examples of an exam are taken for, if they are of several classes."""
  table = np.asarray(confusion)
  answered, asked = (np.flatnonzero(table.sum(axis)) for axis in (0, 1))
  return int(answered[0]) if len(answered) == 1 and len(asked) > 1 else None


def by_class(
  confusion: Sequence[Sequence[int]], counts: Sequence[int], names: Sequence[str]
) -> list[dict[str, Any]]:
  """Scores each class by itself.

  Args:
    confusion: as from `exam_scores`: rows are the truth, columns the answers.
    counts: how many examples each class has. Its row may sum to less: some have no answer.
    names: of the classes.

  Returns:
    A dict of plain Python values for each class: `class`; `count`; `recall`, the share of its
    examples that are found; `answered`, how often it is the answer; `precision`, the share of those
    answers that are right; and the intervals of both shares, `recall_interval` and
    `precision_interval`. A share of nothing is None.
  """
  rows = []
  for index, (name, count) in enumerate(zip(names, counts, strict=True)):
    right, answered = int(confusion[index][index]), sum(int(row[index]) for row in confusion)
    row: dict[str, Any] = {"class": name, "count": int(count), "answered": answered}
    for key, whole in (("recall", int(count)), ("precision", answered)):
      row[key] = right / whole if whole else None
      row[f"{key}_interval"] = interval(right / whole, whole) if whole else None
    rows.append(row)
  return rows


def surest_mistakes(
  logits: Float[np.ndarray, "n classes"],
  labels: Integer[np.ndarray, " n"],
  names: Sequence[str],
) -> list[dict[str, Any]]:
  """Returns the mistakes of an exam with the highest probabilities, the highest first.

  Args:
    logits, labels: as `exam_scores` takes them.
    names: of the columns.

  Returns:
    A dict of plain Python values for each, `MOST_MISTAKES` of them at most: `image`, its row;
    `truth` and `answer`, names; `probability` of the answer and `of_truth`. An example that has no
    answer is not among them.
  """
  logits, labels = np.asarray(logits).astype(np.float64), np.asarray(labels)
  answers = _answers(logits)
  wrong = np.flatnonzero((answers >= 0) & (answers != labels))
  odds = np.exp(logits[wrong] - logits[wrong].max(axis=1, keepdims=True))  # the answer's are 1
  # What all others have tells apart probabilities that are 1 to the last digit.
  others = odds.copy()
  others[np.arange(len(wrong)), answers[wrong]] = 0
  doubt = others.sum(axis=1)
  return [
    {
      "image": int(wrong[place]),
      "truth": names[labels[wrong[place]]],
      "answer": names[answers[wrong[place]]],
      "probability": float(1 / (1 + doubt[place])),
      "of_truth": float(odds[place, labels[wrong[place]]] / (1 + doubt[place])),
    }
    for place in np.argsort(doubt, kind="stable")[:MOST_MISTAKES]
  ]


def interval(share: float, count: int) -> Any:
  """Returns the 95 % interval of a share of `count` examples, [low, high] (Wilson 1927).

  It says within which the share of endlessly many such examples would be, and stays in [0, 1] and
  wide where there are few, even of none or all. None without examples.
  """
  if not count:
    return None
  centre = (share + _Z**2 / (2 * count)) / (1 + _Z**2 / count)
  half = _Z * math.sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2))
  half /= 1 + _Z**2 / count
  return [max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))]


def packed(logits: Float[np.ndarray, "n classes"], labels: Integer[np.ndarray, " n"]) -> str:
  """Returns which examples are answered right, a bit for each, as hexadecimal digits."""
  return np.packbits(_answers(np.asarray(logits)) == labels).tobytes().hex()


def unpacked(text: str, count: int) -> Bool[np.ndarray, " {count}"]:
  """Returns the bool [count] that `packed` wrote."""
  return np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8), count=count).astype(bool)


def paired_interval(gained: int, lost: int, count: int) -> list[float]:
  """Returns the 95 % interval of the difference of two shares of the same examples, [low, high].

  Wald's, with half an example more in each of the four cells (Agresti & Min 2005,
  doi:10.1002/sim.1781).

  Args:
    gained: examples that count for the first share alone.
    lost: for the second alone.
    count: of all examples.
  """
  total = count + 2
  difference = (gained - lost) / total
  half = _Z * math.sqrt(gained + lost + 1 - total * difference**2) / total
  return [max(-1.0, difference - half), min(1.0, difference + half)]


def percent_of(share: float, count: int) -> str:
  """Says a share, of how many, and its interval: "99.3 % of 451 (95 % interval 98.1–99.8)"."""
  low, high = interval(share, count)
  return f"{100 * share:.1f} % of {count:,} (95 % interval {100 * low:.1f}–{100 * high:.1f})"


def _answers(logits: np.ndarray) -> np.ndarray:
  return np.where(np.isfinite(logits).all(axis=1), logits.argmax(axis=1), -1)


def _calibration(confidence: np.ndarray, right: np.ndarray) -> dict[str, list[Any]]:
  inner_edges = np.arange(1, CALIBRATION_BINS) / CALIBRATION_BINS
  bins = np.searchsorted(inner_edges, confidence, side="left")
  members = [bins == index for index in range(CALIBRATION_BINS)]
  return {
    "confidence": [float(confidence[m].mean()) if m.any() else None for m in members],
    "accuracy": [float(right[m].mean()) if m.any() else None for m in members],
    "count": [int(m.sum()) for m in members],
  }
