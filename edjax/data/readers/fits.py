"""Light curves of Kepler in FITS files, read with numpy alone.

A FITS file is headers and data in blocks of 2,880 bytes (Pence et al. 2010, A&A 524, A42). A header
is cards of 80 characters, `NAME    = value / comment`, up to `END`. The data of a table
(`BINTABLE`) are records, big-endian, whose fields the cards `TTYPEn` (name), `TFORMn` (kind) and
`TDIMn` (shape) describe. Files may be compressed by gzip.
"""

import gzip
import math
import pathlib
import re
import zlib
from collections.abc import Iterable

import numpy as np
from jaxtyping import Float64, Integer

from edjax.errors import UserError

_BLOCK, _CARD = 2880, 80
_GZIP = b"\x1f\x8b"
_KINDS = {"L": "S1", "B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}

# A card's value: what is in quotes, or else what stands before the comment.
_VALUE = re.compile(r"\s*(?:'((?:[^']|'')*)'|([^/]*))")

Header = dict[str, str]
LightCurve = tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, " n"], Integer[np.ndarray, " n"]]


def light_curve(paths: Iterable[pathlib.Path]) -> LightCurve:
  """Reads the quarters of a star, in the order of their times.

  Args:
    paths: a file of Kepler's long or short cadence (`…_llc.fits`) for each quarter.

  Returns:
    (times in days of BJD − 2,454,833, flux `PDCSAP_FLUX` in electrons per second, the file that
    each point is of, from 0) where the flux is a number and no quality flag is set.

  Raises:
    UserError: if there is no file, or one is no whole FITS file with such a table.
  """
  parts = []
  for path in paths:
    found = table(path, "LIGHTCURVE")
    for name in ("TIME", "PDCSAP_FLUX", "SAP_QUALITY"):
      if name not in found:
        raise UserError(f"{path}: its table has no column {name}; is it a light curve of Kepler?")
    time, flux, quality = (found[name] for name in ("TIME", "PDCSAP_FLUX", "SAP_QUALITY"))
    good = (quality == 0) & np.isfinite(time) & np.isfinite(flux)
    parts.append((time[good].astype(float), flux[good].astype(float)))
  if not parts:
    raise UserError("no file of a light curve is given; give one for each quarter")
  parts.sort(key=lambda part: part[0].min(initial=np.inf))
  numbers = [np.full(len(time), number) for number, (time, _) in enumerate(parts)]
  time, flux = (np.concatenate([part[column] for part in parts]) for column in range(2))
  return time, flux, np.concatenate(numbers)


def table(path: pathlib.Path, name: str) -> dict[str, np.ndarray]:
  """Reads the table of that name (`EXTNAME`).

  Returns:
    {column: values [rows, …]} as the file has them, in the byte order of this machine.

  Raises:
    UserError: if the file cannot be read, is no FITS file, ends too early, or has no such table.
  """
  try:
    content = path.read_bytes()
    if content.startswith(_GZIP):
      content = gzip.decompress(content)
    return _table(content, name)
  except (OSError, EOFError, ValueError, zlib.error) as error:
    raise UserError(
      f"{path}: cannot be read as a FITS file with a table {name} ({error}); fetch it again"
    ) from error


def _table(content: bytes, name: str) -> dict[str, np.ndarray]:
  place = 0
  if not content.startswith(b"SIMPLE  ="):
    raise ValueError("it does not begin as one")
  while place < len(content):
    header, place = _header(content, place)
    size = _size(header)
    if len(content) < place + size:
      raise ValueError(f"it ends within {header.get('EXTNAME', 'its first data')}")
    if header.get("XTENSION") == "BINTABLE" and header.get("EXTNAME") == name:
      kind, rows = _record(header), int(header["NAXIS2"])
      records = np.frombuffer(content, kind, rows, place)
      return {column: _native(records[column]) for column in kind.names or ()}
    place += -(-size // _BLOCK) * _BLOCK
  raise ValueError("there is no such table")


def _header(content: bytes, place: int) -> tuple[Header, int]:
  """Returns the cards of the header at a place, and where its data begin."""
  cards: Header = {}
  start = place
  while len(card := content[place : place + _CARD]) == _CARD:
    text = card.decode("ascii")
    place += _CARD
    if text.rstrip() == "END":
      return cards, start + -(-(place - start) // _BLOCK) * _BLOCK
    if text[8:10] == "= " and (value := _VALUE.match(text, 10)):
      quoted, bare = value.groups()
      cards[text[:8].rstrip()] = bare.strip() if quoted is None else quoted.rstrip()
  raise ValueError("it ends within a header")


def _size(header: Header) -> int:
  """Bytes of the data behind a header, without what fills up their last block."""
  axes = [_number(header, f"NAXIS{axis}") for axis in range(1, _number(header, "NAXIS") + 1)]
  if not axes:
    return 0
  elements = _number(header, "PCOUNT", 0) + math.prod(axes)
  return abs(_number(header, "BITPIX")) // 8 * _number(header, "GCOUNT", 1) * elements


def _record(header: Header) -> np.dtype:
  """The kind of a table's records, of its columns in order."""
  fields: list[tuple[str, str, tuple[int, ...]]] = []
  for number in range(1, _number(header, "TFIELDS") + 1):
    form = header.get(f"TFORM{number}", "")
    found = re.fullmatch(r"(\d*)([LBIJKEDA])", form)
    if not found:
      raise ValueError(f"its column {number} is of an unknown kind {form!r}")
    name = header.get(f"TTYPE{number}", f"column {number}")
    fields.append((name, *_field(found[2], int(found[1] or 1), header.get(f"TDIM{number}"))))
  kind = np.dtype(fields)
  if kind.itemsize != _number(header, "NAXIS1"):
    raise ValueError(f"its columns are {kind.itemsize} bytes and its rows {header['NAXIS1']}")
  return kind


def _field(letter: str, count: int, shape: str | None) -> tuple[str, tuple[int, ...]]:
  """Returns (kind, shape) of a column of `count` values to a row."""
  if letter == "A":  # a text, not letters
    return f"S{count}", ()
  if shape is None:
    return _KINDS[letter], (count,) if count != 1 else ()
  axes = [int(axis) for axis in shape.strip("() ").split(",")]  # the first runs fastest
  if math.prod(axes) != count:
    raise ValueError(f"a column of {count} values is said to be {shape}")
  return _KINDS[letter], tuple(reversed(axes))


def _number(header: Header, name: str, otherwise: int | None = None) -> int:
  if name not in header and otherwise is not None:
    return otherwise
  try:
    return int(header.get(name, ""))
  except ValueError as error:
    raise ValueError(f"its {name} is {header.get(name)!r}, no number") from error


def _native(values: np.ndarray) -> np.ndarray:
  return values.astype(values.dtype.newbyteorder("="))
