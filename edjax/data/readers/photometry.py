"""Light curves in text files: a time, a magnitude and its error to a line, and perhaps more.

So OGLE, KMTNet and NASA's Exoplanet Archive (IPAC tables, `.tbl`) have them. Lines that begin with
`#`, `\\` or `|` say something about the others.
"""

import pathlib

import numpy as np
from jaxtyping import Float64

from edjax.errors import UserError

_EPOCH = 2_451_545.0  # JD
_SHORT = 2_450_000.0  # what times are often written without
_REMARKS = ("#", "\\", "|")

Numbers = Float64[np.ndarray, " n"]


def magnitudes(path: pathlib.Path) -> tuple[Numbers, Numbers, Numbers]:
  """Reads a light curve.

  Returns:
    (times in days since JD 2451545.0, magnitudes, their errors), in the order of the file. Times of
    the file are JD, or JD − 2450000 where they are below 50,000; whether of Sun, Earth or clock is
    for its readme to say.

  Raises:
    UserError: if the file cannot be read or has no points, or a line is no time, magnitude and
      positive error; it is named.
  """
  try:
    lines = path.read_text(encoding="utf-8").splitlines()
  except (OSError, UnicodeDecodeError) as error:
    raise UserError(f"{path}: cannot be read as a light curve ({error})") from error
  rows = [
    _row(path, number, line)
    for number, line in enumerate(lines, 1)
    if line.strip() and not line.startswith(_REMARKS)
  ]
  if not rows:
    raise UserError(f"{path}: has no points; lines of time, magnitude and error are wanted")
  time, magnitude, spread = np.array(rows).T
  return np.where(time < 50_000, time + _SHORT, time) - _EPOCH, magnitude, spread


def _row(path: pathlib.Path, number: int, line: str) -> list[float]:
  try:
    row = [float(word) for word in line.split()[:3]]
  except ValueError as error:
    raise UserError(f"{path}, line {number}: {error}") from error
  if len(row) < 3 or not np.isfinite(row).all() or row[2] <= 0:
    raise UserError(
      f"{path}, line {number}: {line.strip()!r} is no time, magnitude and positive error"
    )
  return row
