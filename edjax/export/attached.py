"""Notes at the end of a file whose format has no place for them: a zip archive, for `unzip`.

Readers of flatbuffers begin at the front and see nothing of it. LiteRT's own files have labels.txt
there, too.
"""

import json
import os
import zipfile

from edjax.export.program import Program

LABELS, NOTES = "labels.txt", "notes.json"


def write(path: str | os.PathLike[str], program: Program) -> None:
  """Attaches a program's class names, one a line in the order of the columns, and its notes."""
  with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
    archive.writestr(LABELS, "\n".join(program.graduate.class_names) + "\n")
    archive.writestr(NOTES, json.dumps(program.notes, indent=2, ensure_ascii=False) + "\n")
