"""Kept answers: those of the network, computed once, whatever kills a run in between."""

import errno
import pathlib
import shutil

import jax
import numpy as np
import pytest

from edjax import models
from edjax.data import datasets
from edjax.errors import one_line
from edjax.settings import settle
from edjax.storage import files
from edjax.teachers import answers, bank, faculty
from edjax.teachers.answers import Table
from edjax.training import loop
from tests import command
from tests import small as least
from tests.storage.checkpoint_test import spoil
from tests.teachers.answers_test import FullDisk
from tests.teachers.banked import KINDS, VIEWS, close, config, fresh, teachers_macs
from tests.training import resume_test
from tests.training.resume_test import report, same, sha256


def entered(workdir):
  """The batches in the ledger of a run with one teacher and one grade, [n, size], −1 for none."""
  (file,) = (workdir / "teachers" / "generalist").glob("answered_*")
  size = int(file.suffix[1:].removesuffix("_sealed"))
  return np.fromfile(file, np.int64).reshape(-1, size + 1)[:, :size]


def forbid_teachers(monkeypatch):
  """Lets a run fail from now on that asks a teacher anything."""

  def refuse(*_):
    raise AssertionError("a teacher was asked")

  monkeypatch.setattr(bank, "_asker", lambda *_: refuse)


# --- those of the network -------------------------------------------------------------------------


def opened(cache, teacher, dataset, numbers="float32"):
  """Returns the table of a teacher's answers, and its members."""
  (place,) = cache.glob(f"bank_digits_small_{len(teacher.classes)}_*")
  members = np.flatnonzero(np.isin(dataset.train.labels, teacher.classes))
  return Table(place, len(members) * VIEWS, len(teacher.classes), numbers, {}), members


@pytest.fixture(scope="module")
def full(schools, tmp_path_factory):
  """The folder, with the teacher, of a bank that was filled up front by a run beside it."""
  base = tmp_path_factory.mktemp("full")
  changes = fresh(schools, base) | {
    "faculty.bank_fill": "up_front",
    "checkpoint.every_seconds": 1e9,
  }
  with pytest.MonkeyPatch.context() as patch:
    patch.setitem(models.MODELS, "small", least.SMALL)
    loop.run(settle(config(**changes)), base / "run")
  return base / "fresh"


def check_answers(cache, numbers, rounding):
  """Asserts that a bank is full, and says what the network does for slices of padded images."""
  dataset = datasets.load("digits", data_dir="", **config().data)
  (place,) = cache.glob("digits_*")
  teacher = faculty.load(place, "generalist", tuple(range(10)), dataset)
  table, members = opened(cache, teacher, dataset, numbers)
  assert not len(table.missing(np.arange(len(members) * VIEWS)))
  padded = np.pad(dataset.train.images, ((0, 0), (1, 1), (1, 1), (0, 0)))
  for number in range(VIEWS):
    top, left = divmod(number, 3)
    view = padded[:, top : top + 8, left : left + 8] / np.float32(255)
    view = (view - np.float32(dataset.mean)) / np.float32(dataset.std)
    with jax.numpy_rank_promotion("allow"):
      expected = np.asarray(teacher.network.apply(teacher.variables, view).logits)
    got = table.read(np.arange(len(members)) * VIEWS + number)
    np.testing.assert_allclose(got, expected, rtol=rounding, atol=2e-6 * np.abs(expected).max())
  return len(members)


def test_answers_are_those_of_the_network(small, full):
  """As it was saved; up front they are computed for all views, once."""
  images, run = check_answers(full, "float32", 1e-6), full.parent / "run"
  per_image = report(run)["teachers"][0]["macs"]
  assert teachers_macs(run) == images * VIEWS * per_image


def test_answers_are_rounded_to_bfloat16(small, schools, tmp_path):
  changes = fresh(schools, tmp_path) | {"faculty.bank": "bfloat16", "faculty.bank_fill": "up_front"}
  made = config(**changes, **{"grades.epochs": (1,)})
  loop.run(settle(made), tmp_path / "run")
  check_answers(tmp_path / "fresh", "bfloat16", 2**-8)


# --- computed once -------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["generalist", "specialists"])
def test_a_filled_bank_needs_no_teacher(small, schools, tmp_path, monkeypatch, kind):
  place = schools(kind)
  forbid_teachers(monkeypatch)
  changes = {"faculty.cache": str(place / "filled"), "faculty.bank": "float32"}
  loop.run(settle(config(**KINDS[kind] | changes)), tmp_path / "again")
  assert teachers_macs(tmp_path / "again") == 0
  assert sha256(tmp_path / "again") == sha256(place / "kept")


def test_a_teacher_is_asked_in_whole_batches(schools):
  """But for a grade's last, though no epoch ends with a batch."""
  batches = entered(schools("generalist") / "kept")
  assert len(batches) > 4 and 300 % batches.shape[1]
  assert (batches[:-1] >= 0).all()


@pytest.mark.parametrize(
  "other",
  [
    {"seed": 1, "faculty.bank_fill": "up_front"},
    pytest.param({"methods": {"dkd": {"weight": 1.0}}}, marks=pytest.mark.slow),
    pytest.param(
      KINDS["specialists"] | {"grades.teachers": ("generalist",)}, marks=pytest.mark.slow
    ),
  ],
)
def test_a_second_seed_pays_nothing(small, full, tmp_path, monkeypatch, other):
  """Nor does another method, or another curriculum with other subjects."""
  forbid_teachers(monkeypatch)
  changes = {"faculty.cache": str(full), "faculty.bank": "float32"} | other
  loop.run(settle(config(**changes)), tmp_path / "run")
  assert teachers_macs(tmp_path / "run") == 0
  assert sha256(tmp_path / "run") != sha256(full.parent / "run")


# --- killed --------------------------------------------------------------------------------------


class Killed(BaseException):
  """What no code of edjax expects."""


def kill(monkeypatch, place, name, made, workdir, after=1, done=False):
  """Runs a school until a function is called for the so manieth time, before or after it works."""
  left, works = [after], getattr(place, name)

  def until(*arguments):
    left[0] -= 1
    if left[0] or done:
      result = works(*arguments)
    if not left[0]:
      raise Killed
    return result

  with monkeypatch.context() as patch:
    patch.setattr(place, name, until)
    with pytest.raises(Killed):
      loop.run(settle(made), workdir)


@pytest.mark.slow
@pytest.mark.parametrize("writes", [1, 60, 128, 129, 300, 700])
def test_killed_while_answers_are_written(small, schools, tmp_path, monkeypatch, writes):
  """The same bits in the end, and the same cost, wherever in a batch the pen was dropped."""
  place, changes = schools("generalist"), fresh(schools, tmp_path)
  kill(monkeypatch, answers.os, "pwrite", config(**changes), tmp_path / "run", writes)
  last = entered(tmp_path / "run")[-1]
  asked, compute = [], bank.Bank._compute
  monkeypatch.setattr(
    bank.Bank, "_compute", lambda self, desk, rows: asked.append(rows) or compute(self, desk, rows)
  )
  loop.run(settle(config(**changes)), tmp_path / "run")
  # A batch of other images could give other last bits, if not from so small a network.
  assert np.array_equal(asked[0], last[last >= 0])
  same(tmp_path / "run", place / "kept")


@pytest.mark.slow
def test_killed_between_ledger_and_table(small, schools, tmp_path, monkeypatch):
  place, changes = schools("specialists"), fresh(schools, tmp_path, "specialists")
  kill(monkeypatch, answers.Ledger, "enter", config(**changes), tmp_path / "run", 5, done=True)
  loop.run(settle(config(**changes)), tmp_path / "run")
  same(tmp_path / "run", place / "kept")


@pytest.mark.slow
def test_a_work_directory_that_is_still_anybody_s(small, schools, tmp_path, monkeypatch):
  """Killed before its first step, it is given to another config, whose table is smaller."""
  changes = fresh(schools, tmp_path) | {"faculty.bank_fill": "up_front"}
  kill(monkeypatch, bank.Bank, "lay", config(**changes), tmp_path / "run")
  loop.run(settle(config(**changes, **{"recipe.crops": 2})), tmp_path / "run")
  row = report(tmp_path / "run")
  assert row["train_macs_teachers"] == 300 * 2 * row["teachers"][0]["macs"]


@pytest.mark.slow
def test_a_damaged_table_is_made_anew(small, schools, tmp_path):
  place = schools("generalist")
  shutil.copytree(place / "filled", tmp_path / "filled")
  (file,) = (tmp_path / "filled").glob("bank_*/logits")
  content = bytearray(file.read_bytes()[: file.stat().st_size // 2])
  content[1000:1100] = bytes(100)
  file.write_bytes(content)
  changes = {"faculty.cache": str(tmp_path / "filled"), "faculty.bank": "float32"}
  loop.run(settle(config(**changes)), tmp_path / "run")
  close(tmp_path / "run", place / "kept")
  assert 0 < teachers_macs(tmp_path / "run") < teachers_macs(place / "kept")


def test_a_full_disk_ends_in_a_line_and_the_run_goes_on(small, schools, tmp_path, monkeypatch):
  """At the ledger, at the table, at what is said of it; half of each is written."""
  changes, workdir, pwrite = fresh(schools, tmp_path), tmp_path / "run", answers.os.pwrite
  written, replace = [], files.os.replace

  def full_at_the_table(file, content, place):
    written.append(place)
    return pwrite(file, content[: 5 if len(written) == 200 else None], place)

  def full_at_its_note(one, other):
    if "bank_" in str(other):
      raise OSError(errno.EIO, "Input/output error")
    replace(one, other)

  for module, name, fault, said in (
    (files.os, "replace", full_at_its_note, "Input/output error"),
    (answers, "open", FullDisk, "No space left on device"),
    (answers.os, "pwrite", full_at_the_table, "No space left on device"),
  ):
    with monkeypatch.context() as patch, pytest.raises(SystemExit) as ended:
      patch.setattr(module, name, fault, raising=False)
      with one_line("the same command continues"):
        loop.run(settle(config(**changes)), workdir)
    line = str(ended.value.code)
    assert line.startswith("edjax: cannot ") and said in line and "same command" in line
    assert ("answered_" if module is answers else "bank_") in line and "\n" not in line
    assert not list(tmp_path.rglob("*.tmp"))
  loop.run(settle(config(**changes)), workdir)
  same(workdir, schools("generalist") / "kept")


# Of a whole work directory and its cache, what no other test of damage looks at, all at once.
UNSOUND = {
  "cache/bank_*/info.json": "emptied",
  "cache/bank_*/logits": "flipped",
  "run/teachers/generalist/answered_*": "flipped",
  "run/checkpoints/*/meta/metadata": "cut",
}


@pytest.fixture(scope="module")
def killed(schools, tmp_path_factory):
  """The folder of a work directory and the cache of a run that was killed as it filled a bank."""
  root = tmp_path_factory.mktemp("killed")
  shutil.copytree(schools("generalist") / "teachers", root / "cache")
  with pytest.MonkeyPatch.context() as patch:
    patch.setitem(models.MODELS, "small", least.SMALL)
    kill(patch, answers.os, "pwrite", walked(root), root / "run", 700)
  return root


def walked(root):
  return config(**{"faculty.cache": str(root / "cache"), "faculty.bank": "float32"})


def test_what_is_damaged_in_a_killed_run(small, killed, schools, tmp_path, capfd):
  shutil.copytree(killed, tmp_path, dirs_exist_ok=True)
  for pattern, how in UNSOUND.items():
    found = sorted(tmp_path.glob(pattern))
    assert found, pattern
    spoil(found[-1], how)
  loop.run(settle(walked(tmp_path)), tmp_path / "run")
  assert "bank of generalist: the notes of what this run" in capfd.readouterr().err
  close(tmp_path / "run", schools("generalist") / "kept")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # tensorstore's
@pytest.mark.parametrize("how", ["flipped", "cut", "emptied", "removed"])
def test_every_file_of_a_killed_run(how, small, killed, schools, tmp_path, capfd):
  """The run goes on, to the same bits where nothing is said of answers, or ends in a line."""
  for file in [path.relative_to(killed) for path in killed.rglob("*") if path.is_file()]:
    place = tmp_path / "copy"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(killed, place)
    spoil(place / file, how)
    capfd.readouterr()
    try:
      with one_line("the same command continues"):
        loop.run(settle(walked(place)), place / "run")
    except SystemExit as ended:
      line = str(ended.code)
      assert line.startswith("edjax: ") and str(place) in line and "\n" not in line, file
      continue
    said, kept = capfd.readouterr().err, schools("generalist") / "kept"
    if "the notes of what this run" in said or file.name == "logits":
      close(place / "run", kept)
    elif file == pathlib.Path("run/metrics.jsonl"):
      assert sha256(place / "run") == sha256(kept) and "metrics.jsonl is not what it was" in said
    else:
      same(place / "run", kept)


BANK = ("--config.faculty.bank=float32", "--config.grades.teachers=('specialists','both')")


@pytest.mark.slow
def test_processes_that_are_killed_and_that_share(compiled, tmp_path):
  whole = tmp_path / "whole"
  resume_test.go(whole, compiled, f"--config.faculty.cache={tmp_path / 'cache'}", *BANK)
  shared = tmp_path / "shared"
  shared.mkdir()
  for path in (tmp_path / "cache").glob("digits_*"):
    shutil.copytree(path, shared / path.name)
  shutil.copytree(shared, tmp_path / "other")
  alone = f"--config.faculty.cache={tmp_path / 'other'}"
  resume_test.kill(tmp_path / "run", compiled, resume_test.in_a_grade, alone, *BANK)
  resume_test.go(tmp_path / "run", compiled, alone, *BANK)
  same(tmp_path / "run", whole)
  arguments = *resume_test.SCHOOL, f"--config.faculty.cache={shared}", *BANK
  pair = [
    command.start(*arguments, f"--workdir={tmp_path / name}", **compiled) for name in ("a", "b")
  ]
  assert [command.end(process).code for process in pair] == [0, 0]
  for name in ("a", "b"):
    close(tmp_path / name, whole)
