"""FITS files, whose bytes each test writes itself; what they say is what astropy reads."""

import functools
import gzip

import numpy as np
import pytest

from edjax.data.readers import fits
from tests import archives as made


def card(name, value):
  """A card of 80 characters; texts are in quotes, but for true (T), and a comment follows."""
  said = f"'{value:<8}'" if isinstance(value, str) and value != "T" else f"{value:>20}"
  return f"{name:<8}= {said} / what it is".ljust(80)


def block(text, fill):
  return text + fill * (-len(text) % 2880)


def unit(cards, data=b""):
  """A header and what it describes, both filled up to whole blocks."""
  head = "".join(card(*each) for each in cards.items()) + "COMMENT  of nobody's".ljust(80)
  return block((head + "END".ljust(80)).encode(), b" ") + block(data, b"\0")


FIRST = unit({"SIMPLE": "T", "BITPIX": 8, "NAXIS": 0})


def table(columns, name="LIGHTCURVE", **other):
  """{name: (kind, values)} as a unit; big-endian, a record behind another."""
  kinds = {"D": ">f8", "E": ">f4", "J": ">i4", "I": ">i2", "K": ">i8", "B": "u1"}
  fields = [
    (each, kinds[form[-1]], np.shape(values)[1:]) for each, (form, values) in columns.items()
  ]
  records = np.zeros(len(next(iter(columns.values()))[1]), fields)
  for each, (_, values) in columns.items():
    records[each] = values
  cards = {"XTENSION": "BINTABLE", "BITPIX": 8, "NAXIS": 2, "NAXIS1": records.dtype.itemsize}
  cards |= {"NAXIS2": len(records), "PCOUNT": 0, "GCOUNT": 1, "TFIELDS": len(fields)}
  for number, (each, (form, _)) in enumerate(columns.items(), 1):
    cards |= {f"TTYPE{number}": each, f"TFORM{number}": form}
  return unit(cards | {"EXTNAME": name} | other, records.tobytes())


def quarter(start, count=5, **changes):
  """A quarter of a star; of its points, the second is flagged and the third no number."""
  columns = {
    "TIME": ("D", start + 0.02 * np.arange(count)),
    "CADENCENO": ("J", np.arange(count)),
    "PDCSAP_FLUX": ("E", 1000 * start + np.arange(count)),
    "SAP_QUALITY": ("J", np.arange(count) == 1),
  }
  columns["PDCSAP_FLUX"][1][2] = np.nan
  return FIRST + table({name: each for name, each in (columns | changes).items() if each})


VARIED = {
  "TIME": ("D", np.array([131.5120452097326, np.nan, -1e300])),
  "FLUX": ("E", np.float32([0.1, np.inf, -3e38])),
  "FLAG": ("J", np.array([2**30, -1, 0])),
  "SHORT": ("I", np.array([-300, 1, 2])),
  "LONG": ("K", np.array([2**60, -5, 0])),
  "IMAGE": ("6B", np.arange(18).reshape(3, 2, 3)),
}


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_a_table_is_what_was_written(compress, tmp_path):
  other = unit(
    {"XTENSION": "IMAGE", "BITPIX": -32, "NAXIS": 2, "NAXIS1": 700, "NAXIS2": 2}, bytes(5600)
  )
  content = FIRST + other + table({"A": ("J", [1])}, "OTHER") + table(VARIED, TDIM6="(3,2)")
  path = tmp_path / "a.fits"
  path.write_bytes(compress(content + table({"A": ("J", [2])}, "LAST")))
  found = fits.table(path, "LIGHTCURVE")
  assert [*found] == [*VARIED]
  for name, (_, values) in VARIED.items():
    np.testing.assert_array_equal(found[name], values)
    assert found[name].dtype.isnative
  assert fits.table(path, "LAST")["A"].tolist() == [2]


def test_tables_that_astropy_writes(tmp_path):
  oracle = pytest.importorskip("astropy.io.fits")
  columns = [
    oracle.Column(name, form, array=values, dim="(3,2)" if name == "IMAGE" else None)
    for name, (form, values) in VARIED.items()
  ]
  names = np.array(["it's", "b", ""])
  columns.append(oracle.Column("TEXT", "5A", array=names))
  primary = oracle.PrimaryHDU(np.ones((3, 5), np.int16))
  made_by_it = oracle.BinTableHDU.from_columns(columns, name="LIGHTCURVE")
  made_by_it.header["OBJECT"] = "it's / here"
  path = tmp_path / "a.fits.gz"
  oracle.HDUList([primary, made_by_it]).writeto(path)
  found = fits.table(path, "LIGHTCURVE")
  for name, (_, values) in VARIED.items():
    np.testing.assert_array_equal(found[name], values)
  assert found["TEXT"].tolist() == [name.encode() for name in names]


def test_astropy_reads_what_these_tests_write(tmp_path):
  oracle = pytest.importorskip("astropy.io.fits")
  (tmp_path / "a.fits").write_bytes(FIRST + table(VARIED, TDIM6="(3,2)"))
  with oracle.open(tmp_path / "a.fits") as units:
    for name, (_, values) in VARIED.items():
      np.testing.assert_array_equal(units["LIGHTCURVE"].data[name], values)


def test_quarters_in_the_order_of_their_times(tmp_path):
  for name, start in (("a", 300.0), ("b", 200.0)):
    (tmp_path / name).write_bytes(gzip.compress(quarter(start)))
  time, flux, quarters = fits.light_curve([tmp_path / "a", tmp_path / "b"])
  np.testing.assert_allclose(time, [200, 200.06, 200.08, 300, 300.06, 300.08])
  np.testing.assert_allclose(flux, [200000, 200003, 200004, 300000, 300003, 300004])
  assert quarters.tolist() == [0, 0, 0, 1, 1, 1]
  assert time.dtype == flux.dtype == np.float64 and time.dtype.isnative


@pytest.mark.parametrize(
  "harm, words",
  [
    (lambda whole: whole[:-2880], "ends within LIGHTCURVE"),
    (lambda whole: whole[:4000], "ends within a header"),
    (lambda whole: whole[:2880], "no such table"),
    (lambda whole: b"", "does not begin as one"),
    (lambda whole: b"\x89PNG" + whole, "does not begin as one"),
    (lambda whole: gzip.compress(whole)[:-20], "end-of-stream"),
    (lambda whole: whole.replace(b"'D       '", b"'Z       '"), "kind 'Z'"),
    (lambda whole: whole.replace(b"'D       '", b"'2D      '"), "are 28 bytes and its rows 20"),
    (lambda whole: whole.replace(b"TFIELDS", b"TFEILDS"), "its TFIELDS is None"),
    (lambda whole: whole.replace(b"SAP_QUALITY", b"SAP_QUALITI"), "no column SAP_QUALITY"),
  ],
)
def test_files_that_cannot_be(harm, words, tmp_path):
  path = tmp_path / "quarter.fits"
  path.write_bytes(harm(quarter(200.0)))
  made.refuses(functools.partial(fits.light_curve, [path]), path, words)


def test_a_shape_that_is_not_that_of_the_values(tmp_path):
  (tmp_path / "a").write_bytes(FIRST + table(VARIED, TDIM6="(3,3)"))
  made.refuses(functools.partial(fits.table, tmp_path / "a", "LIGHTCURVE"), "6 values", "(3,3)")
  made.refuses(functools.partial(fits.table, tmp_path / "none", "LIGHTCURVE"), tmp_path / "none")


def test_no_quarter_is_no_light_curve():
  made.refuses(functools.partial(fits.light_curve, []), "no file")
