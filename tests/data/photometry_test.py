"""Light curves in text files, as three surveys write them, and what is said of damaged ones."""

import numpy as np
import pytest

from edjax.data.readers import photometry
from edjax.errors import UserError


@pytest.mark.parametrize(
  "text",
  [
    "2455265.84145 15.398 0.004 5.03 452.0\n2455268.87687 15.400 0.005 4.79 338.0\n",
    "# HJD' I error\n\n 5265.84145   15.398  0.004\n 5268.87687   15.400  0.005 1\n",
    '\\DATA = "of"\n|  JD|  mag|\n|real| real|\n  2455265.84145 15.398 0.004\n'
    "  2455268.87687 15.400 0.005\n",
  ],
)
def test_surveys(tmp_path, text):
  path = tmp_path / "a.dat"
  path.write_text(text)
  time, magnitude, error = photometry.magnitudes(path)
  np.testing.assert_allclose(time, [3720.84145, 3723.87687], rtol=0, atol=1e-9)
  np.testing.assert_array_equal(magnitude, [15.398, 15.4])
  np.testing.assert_array_equal(error, [0.004, 0.005])


@pytest.mark.parametrize(
  "text, words",
  [
    ("", "a.dat: has no points"),
    ("# all\n", "a.dat: has no points"),
    ("1 2 3\n5265.8 15.4\n", "a.dat, line 2: '5265.8 15.4' is no time, magnitude"),
    ("5265.8 15.4 0.0\n", "a.dat, line 1: .* positive error"),
    ("5265.8 nan 0.1\n", "a.dat, line 1"),
    ("\n5265.8 faint 0.1\n", "a.dat, line 2: could not convert"),
  ],
)
def test_what_is_said_of_a_damaged_curve(tmp_path, text, words):
  (tmp_path / "a.dat").write_text(text)
  with pytest.raises(UserError, match=words):
    photometry.magnitudes(tmp_path / "a.dat")


def test_a_file_that_is_not_there(tmp_path):
  with pytest.raises(UserError, match="b.dat: cannot be read"):
    photometry.magnitudes(tmp_path / "b.dat")
