"""Kepler objects of interest (KOIs): confirmed planets and false positives, as folded light curves.

`dataset.npz` of https://github.com/azizhalloul/kepler-exoplanet-detector holds 4,993 curves of 201
places, `X` [n, 1, 201], and their labels `y`; which KOI a row is it does not say. `KOIS` beside it
does: a file with a row for each of those, with the number of the star (`kepid`), the `period` in
days and the duration in hours (`duration_h`), as in NASA's cumulative table. A light curve is the
folded view, two close-ups of it and two scalars. No split is published; that here is by star.
"""

import pathlib
import zipfile
from collections.abc import Mapping

import numpy as np

from edjax.data.readers import curves
from edjax.data.splits import Parts, Split
from edjax.errors import UserError
from edjax.et import fold

CLASSES = ("false positive", "confirmed")
CURVES, KOIS = "dataset.npz", "koi_of_row.npz"
FILES = (
  f"{CURVES}, published at https://github.com/azizhalloul/kepler-exoplanet-detector, and {KOIS},"
  " which says which object each of its rows is (docs/sky.md)"
)


def read(directory: pathlib.Path, split: str, validation_fraction: float) -> Parts:
  """Reads the curves and which KOIs they are.

  Args:
    directory: holds `CURVES` and `KOIS`.
    split: "stars" (or "auto").
    validation_fraction: of the stars that are learnt from, held out for choices.

  Raises:
    UserError: if a file is missing or damaged, or another split is asked for.
  """
  if split == "published":
    raise UserError("no split of 'kepler' is published; set data.split to 'stars'")
  folded, labels = _arrays(directory / CURVES, ("X", "y"))
  stars, period, duration = _arrays(directory / KOIS, ("kepid", "period", "duration_h"))
  if folded.ndim != 3 or folded.shape[1] != 1 or folded.shape[2] < 2:
    raise UserError(f"{directory / CURVES}: X is {folded.shape}, not [n, 1, places]")
  counts = {len(each) for each in (folded, labels, stars, period, duration)}
  if len(counts) > 1:
    raise UserError(f"{directory}: {CURVES} and {KOIS} are of unlike length; they belong together")
  scalars = [curves.log_duty(duration / 24, period), curves.log_period(period)]
  images = curves.pictures(_views(folded[:, 0].astype(float), duration / 24 / period), scalars)
  return curves.by_stars(
    Split(images, labels.astype(np.int32)), stars, CLASSES, validation_fraction
  )


def of_exam(directory: pathlib.Path, names: tuple[str, ...]) -> list[np.ndarray]:
  """Columns of `KOIS` for the objects of the exam, in its order; raises UserError as `read`."""
  stars, *columns = _arrays(directory / KOIS, ("kepid", *names))
  out = curves.by_star(stars, curves.TEST_FRACTION)
  return [column[out] for column in columns]


def _views(folded: np.ndarray, duty: np.ndarray) -> list[np.ndarray]:
  """Returns the whole orbit [n, 201], and of it the transit and where an eclipse would be [n, 61].

  A network of small kernels does not know where it looks: in the whole orbit a dip of noise is as
  good as one that is where the transit was found. All have the scale of the whole orbit.

  Args:
    folded: [n, 201].
    duty: the share of a period that a dip lasts, [n].
  """
  whole = fold.dipping(folded)
  width = 2 * fold.LOCAL_SPAN * duty
  return [whole, *(fold.close_up(whole, at, width, fold.LOCAL_PLACES) for at in (0, 0.5))]


def _arrays(path: pathlib.Path, names: tuple[str, ...]) -> list[np.ndarray]:
  if not path.is_file():
    raise UserError(f"{path.parent} lacks {path.name}; dataset 'kepler' needs {CURVES} and {KOIS}")
  try:
    with np.load(path, allow_pickle=False) as found:
      held: Mapping[str, np.ndarray] = found
      return [held[name] for name in names]
  except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
    raise UserError(
      f"{path}: cannot be read as arrays {', '.join(names)} ({error}); fetch it again"
    ) from error
