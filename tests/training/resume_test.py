"""Runs that are killed, damaged or repeated: the same command ends with the same bits."""

import json
import logging
import pathlib
import random
import shutil
import signal
import time

import pytest

from edjax.report.journal import Journal
from edjax.settings import settle
from edjax.storage import checkpoint, trees
from edjax.training import loop
from tests import command
from tests.small import config

# Two subjects and two grades of the least network and its average, every step a checkpoint.
SCHOOL = (
  "--config=configs/digits.py:paper,smoke",
  "--config.student.model=tests.small:SMALL",
  "--config.faculty.specialist.model=tests.small:SMALL",
  "--config.subjects=1,1",
  "--config.grades.fragments=1,3",
  "--config.grades.subjects=1,2",
  "--config.grades.epochs=1,2",
  "--config.grades.reference_grid=1",
  "--config.recipe.ema=0.9",
  "--config.checkpoint.every_seconds=0",
)
GRAFT = 3  # steps of the first grade
TIMES = (
  "seconds", "seconds_student", "seconds_teachers", "seconds_between", "training_seconds",
  "images_per_second", "latency", "bytes", "run", "time",
)  # fmt: skip


def report(workdir):
  """Returns report.json without what the clock says; saved folders hold that too."""
  return without_times(json.loads((workdir / "report.json").read_text()))


def journal(workdir):
  """Returns the rows of metrics.jsonl without what the clock says."""
  lines = (workdir / "metrics.jsonl").read_text().splitlines()
  return [without_times(json.loads(line)) for line in lines]


def without_times(tree):
  if isinstance(tree, dict):
    return {key: without_times(value) for key, value in tree.items() if key not in TIMES}
  return [without_times(value) for value in tree] if isinstance(tree, list) else tree


def go(workdir, environment, *changes):
  """Runs the school to its end; returns what it printed."""
  ended = command.end(command.start(*SCHOOL, *changes, f"--workdir={workdir}", **environment))
  assert ended.code == 0, ended.err
  assert (workdir / "report.html").exists()
  return ended.err


def kill(workdir, environment, when, *changes):
  """Starts the school and kills it at the first moment at which `when(workdir)` holds.

  The process is stopped before the killing, so that `when` is known to hold of what it leaves.
  """
  process = command.start(*SCHOOL, *changes, f"--workdir={workdir}", **environment)
  try:
    while process.poll() is None:
      if when(workdir):
        process.send_signal(signal.SIGSTOP)
        if when(workdir):
          break
        process.send_signal(signal.SIGCONT)
      time.sleep(0.001)
    assert process.poll() is None, "the moment never came"
  finally:
    process.kill()
    process.communicate()
  assert process.returncode == -signal.SIGKILL
  assert when(workdir) and not (workdir / "report.json").exists()


def steps(folder):
  """Finished checkpoints."""
  names = [path.name for path in folder.iterdir()] if folder.exists() else []
  return [int(name) for name in names if name.isdigit()]


def in_a_teacher(workdir):
  """The second teacher has a checkpoint and is not done."""
  here = workdir / "teachers" / "subject_2"
  return bool(steps(here / "checkpoints")) and not (here / "network").exists()


def in_a_grade(workdir):
  """The second grade has a checkpoint."""
  return max(steps(workdir / "checkpoints"), default=0) > GRAFT


def at_the_graft(workdir):
  """The first grade's exam is written, and no checkpoint of the second."""
  path = workdir / "metrics.jsonl"
  return path.exists() and '"exam"' in path.read_text() and not in_a_grade(workdir)


def while_saving(workdir):
  """A checkpoint of the second grade is half written."""
  folder = workdir / "checkpoints"
  return in_a_grade(workdir) and any("tmp" in path.name for path in folder.iterdir())


def _taught_alike(told):
  """A report without what depends on whether teachers were trained or found."""
  others = {k: v for k, v in told.items() if k not in ("train_macs", "teacher_training_macs")}
  return others | {"teachers": [row | {"source": ""} for row in told["teachers"]]}


def same(workdir, whole):
  """Asserts that two runs are equal to the bit, but for the clock and whose teachers they are."""
  assert _taught_alike(report(workdir)) == _taught_alike(report(whole))
  assert journal(workdir) == journal(whole)
  ours, theirs = (checkpoint.load_variables(place / "graduate")[0] for place in (workdir, whole))
  assert trees.sha256(ours) == trees.sha256(theirs) == sha256(workdir)


def sha256(workdir):
  return report(workdir)["student"]["sha256"]


def flip(path):
  """Alters one bit in the middle of a file."""
  content = bytearray(path.read_bytes())
  content[len(content) // 2] ^= 1
  path.write_bytes(content)


def truncate(path):
  """Cuts a file in half."""
  content = path.read_bytes()
  path.write_bytes(content[: len(content) // 2])


def damage(folder, how):
  """Damages all data of the newest checkpoint, some of which may be unused; returns its folder."""
  newest = folder / str(max(steps(folder)))
  for path in newest.rglob("d/*"):
    how(path)
  return newest


# --- processes -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(compiled, tmp_path_factory):
  """Returns (work directory of an uninterrupted run, cache of its teachers)."""
  # In a folder of its own: a report names the simpler runs that lie beside it.
  workdir, cache = (tmp_path_factory.mktemp(name) / "own" for name in ("whole", "cache"))
  said = go(workdir, compiled, f"--config.faculty.cache={cache}")
  assert "teacher subject_2" in said and "continuing" not in said and "damaged" not in said
  ends = [row["step"] for row in journal(workdir) if row["grade"] == "grade_1"]
  assert max(ends) == GRAFT
  return workdir, cache


@pytest.mark.slow
def test_killed_in_a_teacher(whole, compiled, tmp_path):
  kill(tmp_path / "run", compiled, in_a_teacher)
  said = go(tmp_path / "run", compiled)
  assert "teacher subject_2: continuing after step" in said
  assert "teacher subject_1 " not in said  # the first teacher is found in the work directory
  same(tmp_path / "run", whole[0])


def test_killed_at_the_graft_and_while_saving(whole, compiled, tmp_path):
  """The images living elsewhere each time, which changes nothing."""
  cache = f"--config.faculty.cache={whole[1]}"
  kill(tmp_path / "run", compiled, at_the_graft, cache, "--config.residence=streamed")
  kill(tmp_path / "run", compiled, while_saving, cache, "--config.residence=sharded")
  newest = damage(tmp_path / "run" / "checkpoints", flip)
  said = go(tmp_path / "run", compiled, cache)
  assert f"checkpoint {newest} is damaged" in said
  assert f"student: continuing after step {int(newest.name) - 1}, in grade_" in said
  assert "teacher subject" not in said and "tmp" not in said.replace(str(tmp_path), "")
  same(tmp_path / "run", whole[0])


def test_interrupted_by_hand(whole, compiled, tmp_path):
  cache = f"--config.faculty.cache={whole[1]}"
  process = command.start(*SCHOOL, cache, f"--workdir={tmp_path / 'run'}", **compiled)
  while process.poll() is None and not steps(tmp_path / "run" / "checkpoints"):
    time.sleep(0.001)
  process.send_signal(signal.SIGINT)
  ended = command.end(process)
  assert ended.code == 1 and "Traceback" not in ended.err
  assert ended.err.endswith(
    "edjax: interrupted; the same command continues from the last checkpoint\n"
  )


@pytest.mark.slow
@pytest.mark.parametrize("number", range(10))
def test_killed_anywhere(number, compiled, tmp_path_factory, request):
  """The whole smoke school, killed up to three times at random rows of its journals."""
  base = request.config.cache.mkdir("killed_anywhere") / "whole"
  if number == 0:
    shutil.rmtree(base, ignore_errors=True)
  arguments = "--config=configs/digits.py:smoke", "--config.checkpoint.every_seconds=0"
  if not (base / "report.json").exists():
    assert command.end(command.start(*arguments, f"--workdir={base}", **compiled)).code == 0

  def rows(workdir):
    journals = workdir / "metrics.jsonl", *workdir.glob("teachers/*/metrics.jsonl")
    return sum(path.read_text().count("\n") for path in journals if path.exists())

  draw, workdir = random.Random(number), tmp_path_factory.mktemp("run")
  for target in sorted(draw.sample(range(1, rows(base)), 1 + number % 3)):
    process = command.start(*arguments, f"--workdir={workdir}", **compiled)
    try:
      while process.poll() is None and rows(workdir) < target:
        time.sleep(0.001)
      time.sleep(draw.uniform(0, 0.3))
    finally:
      process.kill()
      process.communicate()
  ended = command.end(command.start(*arguments, f"--workdir={workdir}", **compiled))
  assert ended.code == 0, ended.err
  same(workdir, base)


# --- within this process -------------------------------------------------------------------------


def test_the_same_again(small, finished, tmp_path, capfd):
  before = sha256(finished), (finished / "metrics.jsonl").read_bytes()
  kept = {path: path.stat().st_mtime for path in (finished / "checkpoints").rglob("*")}
  loop.run(settle(config()), finished)
  assert "is not what it was" not in capfd.readouterr().err
  assert (sha256(finished), (finished / "metrics.jsonl").read_bytes()) == before
  assert {path: path.stat().st_mtime for path in (finished / "checkpoints").rglob("*")} == kept
  loop.run(settle(config()), tmp_path / "again")
  same(tmp_path / "again", finished)
  loop.run(settle(config(seed=1)), tmp_path / "other")
  assert sha256(tmp_path / "other") != sha256(finished)
  assert journal(tmp_path / "other") != journal(finished)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # tensorstore's
@pytest.mark.parametrize("how", [flip, truncate])
def test_damaged_checkpoint(how, small, finished, tmp_path, caplog):
  shutil.copytree(finished, tmp_path / "run")
  for left in ("report.json", "report.html"):
    (tmp_path / "run" / left).unlink()
  newest = damage(tmp_path / "run" / "checkpoints", how)
  caplog.clear()
  loop.run(settle(config()), tmp_path / "run")
  warnings = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
  assert sum(f"checkpoint {newest} is damaged" in text for text in warnings) == 1
  same(tmp_path / "run", finished)


def test_no_sound_checkpoint(small, finished, tmp_path):
  shutil.copytree(finished, tmp_path / "run")
  while steps(tmp_path / "run" / "checkpoints"):
    newest = damage(tmp_path / "run" / "checkpoints", truncate)
    newest.rename(newest.with_name(f"{newest.name}x"))
  for path in (tmp_path / "run" / "checkpoints").iterdir():
    path.rename(path.with_name(path.name[:-1]))
  loop.run(settle(config()), tmp_path / "run")
  same(tmp_path / "run", finished)


def alter(path):
  """Changes a figure in the first row of a journal, which stays one."""
  path.write_text(path.read_text().replace('"loss": ', '"loss": 1', 1))


@pytest.mark.parametrize("how", [truncate, alter, pathlib.Path.unlink])
def test_rows_that_are_not_what_they_were_are_said(how, small, finished, tmp_path, capfd):
  shutil.copytree(finished, tmp_path / "run")
  how(tmp_path / "run" / "metrics.jsonl")
  loop.run(settle(config()), tmp_path / "run")
  assert "metrics.jsonl is not what it was at step" in capfd.readouterr().err
  assert sha256(tmp_path / "run") == sha256(finished)


def test_half_a_row_and_rows_of_lost_steps(small, finished, tmp_path):
  shutil.copytree(finished, tmp_path / "run")
  folder = tmp_path / "run" / "checkpoints"
  shutil.rmtree(folder / str(max(steps(folder))))
  with open(tmp_path / "run" / "metrics.jsonl", "a") as file:
    file.write('{"step": 7, "gra')
  loop.run(settle(config()), tmp_path / "run")
  same(tmp_path / "run", finished)


def test_checkpoints_of_earlier_versions_go_on(small, finished, tmp_path):
  """They did not sum what each method adds to the loss."""
  shutil.copytree(finished, tmp_path / "run")
  folder = tmp_path / "run" / "checkpoints"
  shutil.rmtree(folder / str(max(steps(folder))))
  with checkpoint.Store(folder) as store:
    step, arrays, meta = store.newest()
    assert not arrays.pop("sums/losses").any() and not arrays["sums/loss"]
    shutil.rmtree(folder / str(step))
  with checkpoint.Store(folder) as store:
    store.save(step, arrays, meta)
  loop.run(settle(config()), tmp_path / "run")
  same(tmp_path / "run", finished)


def test_teachers_are_found(small, tmp_path, capfd):
  cache = {"faculty.cache": str(tmp_path / "cache")}
  loop.run(settle(config("kd,smoke", **cache)), tmp_path / "first")
  assert "teacher generalist:" in capfd.readouterr().err
  place = tmp_path / "first" / "teachers" / "generalist"
  assert (place / "network" / "info.json").exists() and not (place / "checkpoints").exists()
  assert Journal(place / "metrics.jsonl").rows()
  # Another student, the same teacher.
  loop.run(settle(config("kd,smoke", seed=1, **cache)), tmp_path / "second")
  assert "teacher generalist" not in capfd.readouterr().err
  (one,), (other,) = (report(tmp_path / run)["teachers"] for run in ("first", "second"))
  assert (one["source"], other["source"]) == ("trained", "cache")
  assert one | {"source": "cache"} == other
  training = [report(tmp_path / run)["teacher_training_macs"] for run in ("first", "second")]
  assert training == [one["training_macs"], 0]
  assert sha256(tmp_path / "first") != sha256(tmp_path / "second")
  # The same student once more, its teacher only in the work directory.
  shutil.rmtree(tmp_path / "cache")
  shutil.rmtree(tmp_path / "first" / "checkpoints")
  before = sha256(tmp_path / "first")
  loop.run(settle(config("kd,smoke", **cache)), tmp_path / "first")
  assert "teacher generalist" not in capfd.readouterr().err
  assert sha256(tmp_path / "first") == before
  # Another teacher: nothing that it is made of may be found.
  loop.run(settle(config("kd,smoke", **{"faculty.seed": 1}, **cache)), tmp_path / "third")
  assert "teacher generalist:" in capfd.readouterr().err
