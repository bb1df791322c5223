"""Where a spacecraft was, of a table that JPL's Horizons mails.

An observer table (`Ephemeris Type: OBSERVER`) of right ascension, declination and `delta`, the
distance in au, as seen from the Earth's centre. Its rows are between `$$SOE` and `$$EOE`:

2013-Jun-01 12:00     08 26 37.19 +18 30 37.4 1.18920300729648  -0.3874637   9.890300
"""

import datetime
import pathlib
import re

import numpy as np
from jaxtyping import Float64
from scipy import interpolate

from edjax.errors import UserError

_START, _END = "$$SOE", "$$EOE"
_NOON = datetime.datetime(2000, 1, 1, 12)
_ROW = re.compile(
  r"(\d{4}-\w{3}-\d\d \d\d:\d\d)\D{2,}?"  # with marks of daylight, if any
  r"(\d\d) (\d\d) (\d\d\.\d+) ([+-])(\d\d) (\d\d) (\d\d\.\d+)\s+(\d+\.\d+)\b"
)

Times = Float64[np.ndarray, " n"]
Places = Float64[np.ndarray, "n 3"]


def places(path: pathlib.Path, times: Times) -> Places:
  """Where the spacecraft was from the Earth's centre, in au along the axes of J2000's equator.

  Between the rows by a cubic spline. Horizons means the place that light left; the spacecraft's own
  time differs by as long as light takes, 10 minutes from 1.2 au, which is not put right.

  Args:
    path: of the table.
    times: in days of UTC since JD 2451545.0.

  Raises:
    UserError: as `table` does, and if the table does not cover all times.
  """
  known, where = table(path)
  for time in times[(times < known[0]) | (times > known[-1])][:1]:
    raise UserError(
      f"{path}: is of days {known[0]:.2f} to {known[-1]:.2f} since JD 2451545.0, and {time:.2f} is "
      "asked for; get a longer table"
    )
  return interpolate.CubicSpline(known, where)(times)


def table(path: pathlib.Path) -> tuple[Times, Places]:
  """Reads the rows of a table: (times in rising order, places), as in `places`.

  Raises:
    UserError: if the file cannot be read, is no such table, ends too early, has fewer than two rows
      or one that says something else; the line is named.
  """
  try:
    lines = path.read_text(encoding="utf-8").splitlines()
  except (OSError, UnicodeDecodeError) as error:
    raise UserError(f"{path}: cannot be read as a table of Horizons ({error})") from error
  marks = [line.strip() for line in lines]
  if _START not in marks or _END not in marks:
    raise UserError(f"{path}: has no {_START} and {_END}; is it a whole table of Horizons?")
  if not any(re.match(r"Center body name:\s*Earth \(399\)", line) for line in lines):
    raise UserError(f"{path}: is not of what is seen from the Earth's centre, Earth (399)")
  start, end = marks.index(_START) + 1, marks.index(_END)
  rows = [_row(path, number, line) for number, line in enumerate(lines[start:end], start + 1)]
  times = np.array([row[0] for row in rows])
  if len(rows) < 2 or not (np.diff(times) > 0).all():
    raise UserError(f"{path}: has {len(rows)} rows; two or more of rising times are needed")
  return times, np.array([row[1:] for row in rows])


def _row(path: pathlib.Path, number: int, line: str) -> tuple[float, float, float, float]:
  """Returns (time, place) of the row in line `number` of the file."""
  found = _ROW.match(line.strip())
  try:
    if not found:
      raise ValueError("date, right ascension, declination and delta are wanted")
    date, *angles, distance = found.groups()
    when = datetime.datetime.strptime(date, "%Y-%b-%d %H:%M")
  except ValueError as error:
    raise UserError(f"{path}, line {number}: is no row of Horizons ({error})") from error
  hour, minute, second, sign, degree, arcminute, arcsecond = angles
  right = np.radians(15 * _sexagesimal(hour, minute, second))
  up = np.radians(_sexagesimal(degree, arcminute, arcsecond) * (-1 if sign == "-" else 1))
  level = float(distance) * np.cos(up)
  return (
    (when - _NOON) / datetime.timedelta(days=1),
    level * np.cos(right),
    level * np.sin(right),
    float(distance) * np.sin(up),
  )


def _sexagesimal(whole: str, minute: str, second: str) -> float:
  return int(whole) + int(minute) / 60 + float(second) / 3600
