"""Light curves from the files they are published in, which each test writes itself, small."""

import functools
import gzip
import zlib

import numpy as np
import pytest

from edjax.data import datasets
from edjax.data.readers import curves, tfrecord
from tests import archives as made

pytestmark = pytest.mark.usefixtures("no_network")
fails = functools.partial(made.refuses, datasets.load)


# --- TFRecord files ------------------------------------------------------------------------------


def test_checksums_are_those_of_the_standard():
  """CRC-32C of RFC 3720, B.4, of texts of unlike length at once, masked as TensorFlow's are."""
  known = {bytes(32): 0x8A9136AA, b"\xff" * 32: 0x62A8AB43, b"123456789": 0xE3069283, b"": 0}
  masked = [((crc >> 15 | crc << 17) + 0xA282EAD8) % (1 << 32) for crc in known.values()]
  assert tfrecord.checksums([*known]).tolist() == masked
  assert [made.crc32c(text) for text in known] == [*known.values()]


@pytest.mark.parametrize("compress", [bytes, gzip.compress, zlib.compress])
@pytest.mark.parametrize("packed", [True, False])
def test_examples(packed, compress, tmp_path):
  rows = [
    {"a": [b"J", b"EB"], "b": np.float32([0.5, -1e25]), "c": [-3, 2**40]},
    {"a": [b""], "b": np.float32(np.arange(300)), "other": [1]},
  ]
  texts = [made.tf_example(row, packed) for row in rows]
  (tmp_path / "file").write_bytes(compress(made.tf_record(texts)))
  found = tfrecord.examples(tmp_path / "file", ("a", "b", "c"))
  assert [sorted(row) for row in found] == [["a", "b", "c"], ["a", "b"]]
  for row, wanted in zip(found, rows, strict=True):
    for name, values in row.items():
      np.testing.assert_array_equal(values, wanted[name])
  assert found[0]["b"].dtype == np.float32 and found[0]["c"].dtype == np.int64


@pytest.mark.parametrize(
  "harm, words",
  [
    (lambda content: content[:-1], "ends within record 1"),
    (lambda content: content[:70] + b"x" + content[71:], "record 1 is not what its checksum says"),
    (lambda content: b"", "file"),
    (lambda content: b"\x89PNG" + content, "file"),
    (lambda content: made.tf_record([b"\xff" * 9]), "file"),
  ],
)
def test_damaged_files(harm, words, tmp_path):
  whole = made.tf_record([made.tf_example({"a": [b"J" * 30]}) for _ in range(2)])
  (tmp_path / "file").write_bytes(harm(whole))
  call = functools.partial(tfrecord.examples, tmp_path / "file", ("a",))
  made.refuses(call, "file", words, "fetch the file again")


# --- pictures ------------------------------------------------------------------------------------


def test_bytes_keep_what_they_can():
  values = np.linspace(-1.5, 3, 1000)
  back = curves.quantised(values) * 4.5 / 255 - 1.5
  assert np.abs(back - values).max() <= 4.5 / 255 / 2 + 1e-12
  assert curves.quantised(np.array([-9.0, 1e25, np.nan, 0.0])).tolist() == [0, 255, 85, 85]


@pytest.mark.parametrize("length", [2, 61, 201, 300])
def test_shorter_views_are_stretched(length):
  view = np.random.default_rng(0).normal(size=(3, length))
  at = np.linspace(0, length - 1, 201)
  wanted = [np.interp(at, np.arange(length), row) for row in view]
  np.testing.assert_allclose(curves.stretched(view), wanted, atol=1e-12)


# --- TESS ----------------------------------------------------------------------------------------


def stars_of(split):
  """Which event each light curve is, of those that `archives.write_tess` writes."""
  known = {}
  for number in range(200):
    view = made.tess_event(0, b"J", number)["global_view"].astype(float)
    known[curves.quantised(view).tobytes()] = number // 2
  return [known[image[0, :, 0].tobytes()] for image in split.images]


@pytest.mark.parametrize("below", ["", "astronet/tfrecords"])
def test_tess_as_published(below, tmp_path):
  folder = tmp_path / below
  folder.mkdir(parents=True, exist_ok=True)
  made.write_tess(folder)
  data = datasets.load("tess", data_dir=tmp_path, validation_fraction=0.3)
  assert data.class_names == ("J", "EB", "PC")
  parts = data.train, data.validation, data.test
  assert [len(part.labels) for part in parts] == [40, 8, 8]
  assert [number for part in parts for number in stars_of(part)] == [n // 2 for n in range(56)]
  assert data.train.labels.tolist() == [number // 2 % 3 for number in range(40)]
  assert data.train.images.shape == (40, 1, 201, 8) and data.train.images.dtype == np.uint8
  event = made.tess_event(0, b"J", 3)
  at, local = np.linspace(0, 60, 201), event["local_view"].astype(float)
  stretched = curves.quantised(np.interp(at, np.arange(61), local))
  np.testing.assert_array_equal(data.train.images[3, 0, :, 1], stretched)
  # 0.1 of 10 days; 10 days; a ratio of 100; a change that is clipped; and what is left as it is.
  scalars = [np.log10(0.01) + 2, 1, np.log10(100) - 1, 1.5, 0.25]
  assert data.test.images[0, 0, 7, 3:].tolist() == curves.quantised(np.array(scalars)).tolist()
  assert np.ptp(data.test.images[:, 0, :, 3:], axis=1).max() == 0
  assert any("0 of the 8 events of the exam are of stars" in note for note in data.notes)


def test_what_leaks_between_published_parts_is_counted(tmp_path):
  made.write_tess(tmp_path)
  events = [made.tf_example(made.tess_event(star, b"J", 90)) for star in (3, 90, 91)]
  (tmp_path / "test-00000-of-00001").write_bytes(made.tf_record(events))
  (note,) = datasets.load("tess", data_dir=tmp_path).notes
  assert "1 of the 3 events of the exam are of stars that are in the other parts" in note


def test_tess_by_star(tmp_path):
  made.write_tess(tmp_path, train=160, out=20)
  data = datasets.load("tess", data_dir=tmp_path, split="stars", validation_fraction=0.25)
  parts = [stars_of(part) for part in (data.train, data.validation, data.test)]
  assert [len(set(part)) for part in parts] == [60, 20, 20]
  assert sorted(sum(parts, [])) == [number // 2 for number in range(200)]
  again = datasets.load("tess", data_dir=tmp_path, split="stars", validation_fraction=0)
  assert stars_of(again.test) == parts[2] and not len(again.validation.labels)


def test_tess_files_that_cannot_be(tmp_path):
  load = functools.partial(fails, data_dir=tmp_path, name="tess")
  load("Astronet-Vetting", "val-00000-of-00001")
  made.write_tess(tmp_path)
  (tmp_path / "train-00003-of-00008").unlink()
  load("lacks train-00003-of-00008")
  path, event = tmp_path / "train-00003-of-00008", made.tess_event(0, b"J")
  for harm, words in (
    ({"Disposition": [b"V"]}, "called 'V'"),
    ({"Period": np.float32([])}, "event 0 has no Period"),
    ({"local_view": np.float32([1.0])}, "local_view"),
  ):
    path.write_bytes(made.tf_record([made.tf_example(event | harm), made.tf_example(event)]))
    load(path, words)


# --- Kepler --------------------------------------------------------------------------------------


def test_kepler(tmp_path):
  made.write_kepler(tmp_path)
  data = datasets.load("kepler", data_dir=tmp_path)
  assert data.class_names == ("false positive", "confirmed")
  parts = data.train, data.validation, data.test
  assert [len(part.labels) for part in parts] == [44, 4, 12]  # 24 of 30 stars, a tenth of them
  assert data.train.images.shape == (44, 1, 201, 5)
  folded = np.load(tmp_path / "dataset.npz")["X"][:, 0].astype(float)
  level = folded - np.median(folded, 1, keepdims=True)
  wanted = {curves.quantised(row / -row.min()).tobytes() for row in level}
  assert wanted == {image[0, :, 0].tobytes() for part in parts for image in part.images}
  scalars = curves.quantised(np.array([0.0, 2.0]))  # a day of a hundred, and their logarithm
  for part in parts:
    assert (part.images[..., 3:] == scalars).all()


def test_kepler_looks_closer_at_the_transit_and_half_an_orbit_later(tmp_path):
  """A dip of one hundredth of the orbit, and one half as deep where an eclipse would be."""
  made.write_kepler(tmp_path)
  folded = np.ones((60, 1, 201))
  folded[:, 0, 99:102], folded[:, 0, [0, 200]] = 0, 0.5
  np.savez(tmp_path / "dataset.npz", X=folded, y=np.arange(60) // 2 % 2)
  images = datasets.load("kepler", data_dir=tmp_path).train.images[:, 0]
  level, half, deep = curves.quantised(np.array([0.0, -0.5, -1.0]))
  for channel, lowest in ((1, deep), (2, half)):
    view = images[..., channel]
    assert (view[:, 100] == lowest).all() and (view[:, [0, 200]] == level).all()
    assert ((view == lowest).mean(1) > 0.1).all()  # of four durations; 1 or 2 % of the orbit


def test_a_flat_curve_is_no_dip(tmp_path):
  made.write_kepler(tmp_path)
  np.savez(tmp_path / "dataset.npz", X=np.ones((60, 1, 201)), y=np.arange(60) // 2 % 2)
  assert (datasets.load("kepler", data_dir=tmp_path).train.images[..., 0] == 85).all()


def test_kepler_files_that_cannot_be(tmp_path):
  load = functools.partial(fails, data_dir=tmp_path, name="kepler")
  load("koi_of_row.npz")
  made.write_kepler(tmp_path)
  load("no split of 'kepler' is published", split="published")
  (tmp_path / "koi_of_row.npz").unlink()
  load("lacks koi_of_row.npz")
  np.savez(tmp_path / "koi_of_row.npz", kepid=[1], period=[1.0], duration_h=[1.0])
  load("unlike length")
  (tmp_path / "koi_of_row.npz").write_bytes(b"PK")
  load("cannot be read as arrays kepid")
  made.write_kepler(tmp_path)
  np.savez(tmp_path / "dataset.npz", X=np.ones((60, 201)), y=np.arange(60))
  load("X is (60, 201)", "[n, 1, places]")


# --- settings ------------------------------------------------------------------------------------


def test_a_split_that_a_data_set_has_not():
  fails("dataset 'digits' is cut in one way only", name="digits", split="stars")
  fails("data.split", "stars", name="digits", split="star")
