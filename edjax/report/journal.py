"""The journal of a run (metrics.jsonl), and values as strict JSON can hold them."""

import hashlib
import json
import math
import os
import pathlib
from typing import Any

import numpy as np

from edjax.errors import UserError
from edjax.storage.files import naming, replace_file


def plain(value: Any) -> Any:
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


class Journal:
  """metrics.jsonl: one strict JSON object per line, in the order of writing.

  Opening it drops a last line that a killed process left half-written. Missing parent directories
  are made at the first write. One process writes at a time.
  """

  def __init__(self, path: str | os.PathLike[str]) -> None:
    self.path = pathlib.Path(path)
    content = self._content()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
      os.truncate(self.path, whole)

  def write(self, row: dict[str, Any]) -> None:
    """Appends a dict as one line, keys in the given order; it has left the process on return."""
    line = json.dumps(plain(row), allow_nan=False) + "\n"
    self.path.parent.mkdir(parents=True, exist_ok=True)
    with naming(self.path), open(self.path, "ab") as file:
      file.write(line.encode())

  def set_aside(self) -> pathlib.Path | None:
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

  def rows(self) -> list[dict[str, Any]]:
    """Returns all rows as dicts; raises UserError if a line is not a JSON object."""
    return [self._row(number, line) for number, line in enumerate(self._lines(), 1)]

  def rewind(self, step: int) -> None:
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

  def digest(self) -> str:
    """Returns a hex digest of all rows."""
    return hashlib.sha256(self._content()).hexdigest()

  def _content(self) -> bytes:
    return self.path.read_bytes() if self.path.exists() else b""

  def _lines(self) -> list[bytes]:
    return self._content().split(b"\n")[:-1]

  def _row(self, number: int, line: bytes) -> dict[str, Any]:
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
