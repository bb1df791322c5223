"""Tables of Horizons: places by hand, what lies between rows, and what is said of damaged files."""

import numpy as np
import pytest

from edjax.data.readers import horizons
from edjax.errors import UserError

HEAD = """Target body name: Spitzer Space Telescope (-79)   {source: sst}
Center body name: Earth (399)                     {source: sst}
 Date__(UT)__HR:MN     R.A._(ICRF/J2000.0)_DEC            delta      deldot   1-way_LT
"""
FIRST = " 2000-Jan-02 12:00     06 00 00.00 +30 00 00.0 2.00000000000000  -0.3874637   9.890300"
ROWS = [
  FIRST,
  " 2000-Jan-03 00:00 *m  18 00 00.00 -00 30 00.0 1.00000000000000   0.3903285   9.888432",
]


def written(tmp_path, rows, head=HEAD, end="$$EOE"):
  path = tmp_path / "table.dat"
  path.write_text("\n".join([head + "***", "$$SOE", *rows, end, " 1-way_LT ="]))
  return path


def test_a_place_by_hand(tmp_path):
  """Six hours of right ascension are the y axis; half a degree south is −0.0087 of the distance."""
  times, places = horizons.table(written(tmp_path, ROWS))
  np.testing.assert_array_equal(times, [1.0, 1.5])
  half = np.radians(0.5)
  wanted = [[0, np.sqrt(3), 1], [0, -np.cos(half), -np.sin(half)]]
  np.testing.assert_allclose(places, wanted, atol=1e-15)


def circle(day):
  """Half an au round the Earth in 100 days."""
  return 0.5 * np.array([np.cos(0.0628 * day), np.sin(0.0628 * day), 0 * day]).T


def test_between_rows(tmp_path):
  rows = []
  for day in range(25):
    hours = (24 * 0.0628 * day / (2 * np.pi)) % 24
    minutes, seconds = divmod(3600 * hours, 60)
    text = f"{int(minutes) // 60:02d} {int(minutes) % 60:02d} {seconds:05.2f}"
    rows.append(f" 2000-Jan-{day + 2:02d} 12:00  {text} +00 00 00.0 0.50000000000000 0.0 4.1")
  path = written(tmp_path, rows)
  times = np.linspace(1.7, 24.3, 40)
  found = horizons.places(path, times)
  np.testing.assert_allclose(found, circle(times - 1), atol=2e-6)  # 0.01 s of time are 4e-7 au
  with pytest.raises(UserError, match="days 1.00 to 25.00 .*, and 25.50 is asked for"):
    horizons.places(path, np.array([3.0, 25.5]))


@pytest.mark.parametrize(
  "changes, words",
  [
    ({"rows": [FIRST, " 2000-Jan-04 12:00 6.0 30.0 2.0"]}, "line 7: is no row of Horizons"),
    ({"rows": [FIRST.replace("Jan", "Jab")]}, "line 6: is no row of Horizons"),
    ({"rows": [FIRST, FIRST]}, "two or more of rising times"),
    ({"rows": ROWS, "end": ""}, "is it a whole table"),
    ({"rows": ROWS, "head": HEAD.replace("Earth (399)", "Sun (10)")}, "not of what is seen from"),
  ],
)
def test_what_is_said_of_a_damaged_table(tmp_path, changes, words):
  with pytest.raises(UserError, match=words) as told:
    horizons.table(written(tmp_path, **changes))
  assert "table.dat" in str(told.value)


def test_a_file_that_is_not_there(tmp_path):
  with pytest.raises(UserError, match="nowhere.dat: cannot be read"):
    horizons.table(tmp_path / "nowhere.dat")
