"""How the graduate fares with each class, the weakest first. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

MOST_OPEN = 25  # classes whose table is short enough to be read; of more it opens with the weakest
WEAKEST = 12


def table(rows: Sequence[Mapping[str, Any]], counts: Sequence[Sequence[int]]) -> dict[str, Any]:
  """Returns the page's table of classes, and how all of them fare.

  Args:
    rows: of each class, from `scores.by_class`.
    counts: [n][n] counts in the same order, rows are the truth.

  Returns:
    `weakest` and `others`, rows that know what else the class is `taken` for most often and how
    many `times`: by recall, of equal ones that of more images first, those without images last;
    how many were `asked` about, and of these the `median` recall, how many have `easy` over 0.9,
    and how many share the `lowest`.
  """
  known = [{**row, **_taken(rows, counts[label], label)} for label, row in enumerate(rows)]
  known.sort(key=lambda row: (row["recall"] is None, row["recall"] or 0.0, -row["count"]))
  recalls = [row["recall"] for row in known if row["recall"] is not None]
  most = WEAKEST if len(known) > MOST_OPEN else len(known)
  return {
    "weakest": known[:most],
    "others": known[most:],
    "asked": len(recalls),
    "median": float(np.median(recalls)),
    "easy": sum(recall > 0.9 for recall in recalls),
    "lowest": recalls.count(recalls[0]),
  }


def _taken(rows: Sequence[Mapping[str, Any]], answers: Sequence[int], label: int) -> dict[str, Any]:
  others = [count if answer != label else 0 for answer, count in enumerate(answers)]
  most = max(range(len(others)), key=others.__getitem__)
  return {"taken": rows[most]["class"], "times": others[most]}
