"""Tables of answers: what is read was written, whatever happened to the file."""

import errno
import io
import os

import jax.numpy as jnp
import numpy as np
import pytest

from edjax.errors import UserError
from edjax.teachers import answers
from edjax.teachers.answers import Ledger, Table

ROWS, COLUMNS = 40, 3
SOME = np.array([7, 3, 39])


@pytest.fixture
def open_table(tmp_path):
  return lambda name="one", numbers="float32": Table(
    tmp_path / name, ROWS, COLUMNS, numbers, {"about": "tests"}
  )


def logits(seed=0):
  return np.random.default_rng(seed).normal(size=(len(SOME), COLUMNS)).astype(np.float32)


def known(table):
  return sorted(set(range(ROWS)) - set(table.missing(np.arange(ROWS)).tolist()))


@pytest.mark.parametrize("numbers, rounding", [("float32", 0), ("bfloat16", 2**-8)])
def test_what_is_read_was_written(open_table, numbers, rounding):
  table = open_table(numbers=numbers)
  table.write(SOME, logits())
  for reader in (table, open_table(numbers=numbers)):
    assert known(reader) == [3, 7, 39]
    read = reader.read(np.array([[3, -1], [39, 7]]))
    assert read.dtype == np.float32 and not read[0, 1].any()
    expected = logits()[[1, 2, 0]]
    np.testing.assert_allclose(read[[0, 1, 1], [0, 0, 1]], expected, rtol=rounding, atol=0)
  nearest = np.asarray(jnp.asarray(logits()).astype(numbers).astype(jnp.float32))
  np.testing.assert_array_equal(table.read(SOME), nearest)


def test_what_is_missing_comes_once_and_in_order(open_table):
  table = open_table()
  table.write(SOME, logits())
  assert table.missing(np.array([[9, 3, -1], [9, 0, 39]])).tolist() == [9, 0]


def test_tables_larger_than_a_chunk(open_table, monkeypatch):
  monkeypatch.setattr(answers, "_CHUNK", 2)
  open_table().write(SOME, logits())
  assert known(open_table()) == [3, 7, 39]


def test_processes_see_what_others_write(open_table):
  one, other = open_table(), open_table()
  assert known(other) == []
  one.write(SOME, logits())
  assert known(other) == [3, 7, 39]
  np.testing.assert_array_equal(other.read(SOME), logits())


@pytest.mark.parametrize("kept", [0, 1, 100, 16 * 7 + 9, 16 * 39])
def test_a_truncated_file(open_table, kept):
  table = open_table()
  table.write(SOME, logits())
  os.truncate(table.place / "logits", kept)
  again = open_table()
  assert known(again) == [row for row in (3, 7, 39) if 16 * (row + 1) <= kept]
  again.write(SOME, logits(1))
  np.testing.assert_array_equal(again.read(SOME), logits(1))


@pytest.mark.parametrize("byte", range(16))
def test_a_flipped_bit(open_table, byte):
  table = open_table()
  table.write(SOME, logits())
  content = bytearray((table.place / "logits").read_bytes())
  content[16 * 7 + byte] ^= 4
  (table.place / "logits").write_bytes(content)
  assert known(open_table()) == [3, 39]


def test_rows_of_other_tables_and_other_rows(open_table):
  one, other = open_table("one"), open_table("other")
  one.write(SOME, logits())
  content = (one.place / "logits").read_bytes()
  (other.place / "logits").write_bytes(content)
  assert known(open_table("other")) == []
  (one.place / "logits").write_bytes(content[16:] + content[:16])
  assert known(open_table("one")) == []


def test_a_full_disk(open_table, monkeypatch):
  table = open_table()
  monkeypatch.setattr(answers.os, "pwrite", lambda *_: 5)
  with pytest.raises(UserError, match="cannot write .*one: No space left.*0.00 GB"):
    table.write(SOME, logits())


def test_a_folder_that_cannot_be(tmp_path):
  (tmp_path / "file").write_text("")
  with pytest.raises(UserError, match="cannot write .*file/one: Not a directory"):
    Table(tmp_path / "file" / "one", ROWS, COLUMNS, "float32", {})


class FullDisk(io.FileIO):
  """A file of which no more than five bytes can be written."""

  def write(self, content):
    super().write(content[:5])
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_ledger(tmp_path):
  ledger = Ledger(tmp_path / "new" / "answered", 4)
  assert ledger.batches() == [] and ledger.count() == 0
  ledger.enter(np.array([5, 2, 9, 0]))
  with open(tmp_path / "new" / "answered.4_sealed", "ab") as file:
    file.write(b"half an entry")
  ledger.enter(np.array([7]))
  ledger.enter(np.array([9, 5]))
  assert [batch.tolist() for batch in ledger.batches()] == [[5, 2, 9, 0], [7], [9, 5]]
  Ledger(tmp_path / "new" / "answered", 2).enter(np.array([1, 2]))
  assert ledger.count() == 6
  Ledger(tmp_path / "new" / "other", 2).enter(np.array([30]))
  assert ledger.count() == 6
  assert ledger.damaged() == 0


def test_a_ledger_of_an_earlier_version(tmp_path):
  np.array([[5, 2, 9], [7, -1, -1]], np.int64).tofile(tmp_path / "answered.3")
  ledger = Ledger(tmp_path / "answered", 3)
  ledger.enter(np.array([1, 2]))
  assert [batch.tolist() for batch in ledger.batches()] == [[5, 2, 9], [7], [1, 2]]
  assert ledger.count() == 5 and ledger.damaged() == 0


@pytest.mark.parametrize("byte", range(24))
def test_a_damaged_entry_is_passed_over(tmp_path, byte):
  ledger = Ledger(tmp_path / "answered", 2)
  for rows in ([3, 4], [5, 6], [7, 8]):
    ledger.enter(np.array(rows))
  (file,) = tmp_path.iterdir()
  content = bytearray(file.read_bytes())
  content[24 + byte] ^= 4
  file.write_bytes(content)
  assert [batch.tolist() for batch in ledger.batches()] == [[3, 4], [7, 8]]
  assert ledger.count() == 4 and ledger.damaged() == 1


def test_a_disk_that_is_full_at_a_ledger(tmp_path, monkeypatch):
  ledger = Ledger(tmp_path / "answered", 2)
  ledger.enter(np.array([3, 4]))
  with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left") as caught:
    patch.setattr(answers, "open", FullDisk, raising=False)
    ledger.enter(np.array([5, 6]))
  assert caught.value.filename == str(tmp_path / "answered.2_sealed")
  assert os.stat(caught.value.filename).st_size == 24 + 5
  ledger.enter(np.array([7, 8]))
  assert [batch.tolist() for batch in ledger.batches()] == [[3, 4], [7, 8]]
