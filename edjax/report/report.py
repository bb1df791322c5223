"""Writes the report of a run: report.json for programs, a self-contained report.html for people."""

import json
import pathlib
import re
from typing import Any

from edjax.report import journal, page
from edjax.report.images import Pictures
from edjax.storage import files


def write(workdir: pathlib.Path, report: dict[str, Any], pictures: Pictures | None = None) -> None:
  """Writes report.json and report.html into `workdir`, each whole or not at all.

  Args:
    workdir: the learning curve comes from its metrics.jsonl, if there is one.
    report: see `summary.content`; figures that are not finite become strings.
    pictures: that the page shows; None for none.
  """
  report = journal.plain(report)
  text = json.dumps(report, indent=2, allow_nan=False)
  # A row of numbers stays one line, or a confusion matrix would take a line for every cell.
  text = re.sub(r'\[\n([^\[\]{}"]*)\n *\]', lambda found: f"[{' '.join(found[1].split())}]", text)
  files.replace_file(workdir / "report.json", (text + "\n").encode())
  made = page.render(report, journal.Journal(workdir / "metrics.jsonl").rows(), pictures)
  files.replace_file(workdir / "report.html", made.encode())
