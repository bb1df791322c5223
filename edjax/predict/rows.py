"""Answers as lines of text: a table (CSV), or an object a line (JSON lines)."""

import csv
import json
from collections.abc import Callable, Sequence
from typing import TextIO

# Writes a line for (path, [(class, probability)], the likeliest first; why there is no answer).
Write = Callable[[str, Sequence[tuple[str, float]], str], None]


def table(stream: TextIO, top: int) -> Write:
  """Columns path, class_1, probability_1, class_2 …; a picture without an answer has no line."""
  rows = csv.writer(stream, lineterminator="\n")
  columns = [f"{what}_{rank}" for rank in range(1, top + 1) for what in ("class", "probability")]
  rows.writerow(["path", *columns])

  def write(path: str, likeliest: Sequence[tuple[str, float]], why: str) -> None:
    if not why:
      rows.writerow([path, *(x for name, share in likeliest for x in (name, f"{share:.6f}"))])

  return write


def objects(stream: TextIO, top: int) -> Write:
  """{"path": …, "top": [{"class": …, "probability": …}, …]}, or {"path": …, "error": why}."""

  def write(path: str, likeliest: Sequence[tuple[str, float]], why: str) -> None:
    found = [{"class": name, "probability": round(share, 6)} for name, share in likeliest]
    row = {"path": path, "error": why} if why else {"path": path, "top": found}
    stream.write(json.dumps(row) + "\n")

  return write


FORMATS: dict[str, Callable[[TextIO, int], Write]] = {"csv": table, "jsonl": objects}
