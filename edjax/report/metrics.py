"""Scores of an exam, and the journal of a run (metrics.jsonl).

numpy and the standard library only: the scores are computed once per exam on the host, in float64.
"""

import json
import math
import os
import pathlib

import numpy as np

from edjax.errors import UserError
from edjax.storage.files import naming

CALIBRATION_BINS = 15


def exam_scores(logits, labels, subjects):
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
  logits = np.asarray(logits).astype(np.float64)
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


def interval(share, count):
  """Returns the 95 % interval of a share of `count` examples, [low, high] (Wilson 1927).

  It says within which the share of endlessly many such examples would be, and stays in [0, 1] and
  wide where there are few, even of none or all. None without examples.
  """
  if not count:
    return None
  z = 1.959963984540054
  centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
  half = z * math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2)) / (1 + z**2 / count)
  return [max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))]


def percent_of(share, count):
  """Says a share, of how many, and its interval: "99.3 % of 451 (95 % interval 98.1–99.8)"."""
  low, high = interval(share, count)
  return f"{100 * share:.1f} % of {count:,} (95 % interval {100 * low:.1f}–{100 * high:.1f})"


def _answers(logits):
  return np.where(np.isfinite(logits).all(axis=1), logits.argmax(axis=1), -1)


def _calibration(confidence, right):
  inner_edges = np.arange(1, CALIBRATION_BINS) / CALIBRATION_BINS
  bins = np.searchsorted(inner_edges, confidence, side="left")
  members = [bins == index for index in range(CALIBRATION_BINS)]
  return {
    "confidence": [float(confidence[m].mean()) if m.any() else None for m in members],
    "accuracy": [float(right[m].mean()) if m.any() else None for m in members],
    "count": [int(m.sum()) for m in members],
  }


def plain(value):
  """Returns `value` as strict JSON can hold it.

  numpy scalars and arrays become Python's; a float that is not finite becomes the string "nan",
  "inf" or "-inf", which `float` reads back.
  """
  if isinstance(value, dict):
    return {str(key): plain(item) for key, item in value.items()}
  if isinstance(value, (list, tuple)):
    return [plain(item) for item in value]
  if isinstance(value, (np.generic, np.ndarray)) or hasattr(value, "__array__"):
    return plain(np.asarray(value).tolist())
  if isinstance(value, float) and not math.isfinite(value):
    return str(value)
  return value


def replace_file(path, data):
  """Writes bytes so that `path` holds either its old content or all of the new, never a part."""
  path = pathlib.Path(path)
  temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
  try:
    with naming(path):
      with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
      os.replace(temporary, path)
  finally:
    temporary.unlink(missing_ok=True)


def clear_leftovers(directory):
  """Removes what processes killed within `replace_file` left in a directory.

  To be called by who writes there alone: another's write that is under way would fail.
  """
  for leftover in pathlib.Path(directory).glob(".*.tmp"):
    leftover.unlink(missing_ok=True)


class Journal:
  """metrics.jsonl: one strict JSON object per line, in the order of writing.

  Opening it drops a last line that a killed process left half-written. Missing parent directories
  are made at the first write. One process writes at a time.
  """

  def __init__(self, path):
    self.path = pathlib.Path(path)
    content = self._content()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
      os.truncate(self.path, whole)

  def write(self, row):
    """Appends a dict as one line, keys in the given order; it has left the process on return."""
    line = json.dumps(plain(row), allow_nan=False) + "\n"
    self.path.parent.mkdir(parents=True, exist_ok=True)
    with naming(self.path), open(self.path, "ab") as file:
      file.write(line.encode())

  def set_aside(self):
    """Moves all rows to the end of metrics_before.jsonl beside it.

    Returns:
      That file's path, or None if there were no rows.
    """
    content = self._content()
    if not content:
      return None
    before = self.path.with_name("metrics_before.jsonl")
    earlier = before.read_bytes() if before.exists() else b""
    replace_file(before, earlier + content)
    replace_file(self.path, b"")
    return before

  def rows(self):
    """Returns all rows as dicts; raises UserError if a line is not a JSON object."""
    return [self._row(number, line) for number, line in enumerate(self._lines(), 1)]

  def rewind(self, step):
    """Drops the rows whose "step" is later than `step`, so that a resumed run does not repeat them.

    The other rows, those without a step among them, stay as they are to the byte.
    """
    lines = self._lines()
    kept = [
      line
      for number, line in enumerate(lines, 1)
      if self._row(number, line).get("step", step) <= step
    ]
    if len(kept) < len(lines):
      replace_file(self.path, b"".join(line + b"\n" for line in kept))

  def _content(self):
    return self.path.read_bytes() if self.path.exists() else b""

  def _lines(self):
    return self._content().split(b"\n")[:-1]

  def _row(self, number, line):
    try:
      row = json.loads(line)
    except ValueError:
      row = None
    if not isinstance(row, dict):
      raise UserError(
        f"{self.path}, line {number}: not a JSON object; "
        "remove that line or start again in another work directory"
      )
    return row
