"""A work directory belongs to one config, to the data it was begun with, to one run at a time."""

import contextlib
import dataclasses
import errno
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import digits
from edjax import settings, workdirs
from edjax.data import datasets
from edjax.data.splits import Split
from edjax.errors import Stopped, UserError, one_line
from edjax.report import journal
from edjax.settings import settle
from edjax.storage import checkpoint, files
from edjax.training import loop
from tests import command
from tests.small import config

SETTINGS = {"name": "a", "student": {"model": "small"}, "recipe": {"pad": 1}}


def made(names=("a", "b", "c"), count=6, seed=0, **parts):
  """A data set of noise."""
  draw = np.random.default_rng(seed)

  def split(number):
    labels = np.arange(number, dtype=np.int32) % len(names)
    return Split(draw.integers(0, 256, (number, 8, 8, 1), np.uint8), labels)

  whole = {"train": split(3 * count), "validation": split(0), "test": split(count)} | parts
  return datasets.Dataset("noise", tuple(names), mean=(0.5,), std=(0.5,), **whole)


def begin(workdir, data, order=(0, 1, 2)):
  """What a run does before and with its first step."""
  workdir.mkdir()
  workdirs.check(workdir, SETTINGS, data)
  workdirs.claim(workdir, SETTINGS)
  assert workdirs.settle(workdir, data, order) == ""
  journal.Journal(workdir / "metrics.jsonl").write({"step": 1})


def one_pixel(split):
  images = split.images.copy()
  images[-1, -1, -1, -1] ^= 1
  return dataclasses.replace(split, images=images)


def other_label(split):
  labels = split.labels.copy()
  labels[-1] = (labels[-1] + 1) % 3
  return dataclasses.replace(split, labels=labels)


WAS = made()
OTHERS = {
  "classes": (made(("x", "y", "z")), ["the classes were a, b, c, are now x, y, z"]),
  "another class": (made("abcd"), ["the classes were a, b, c, are now a, b, c, d"]),
  "fewer": (made(count=5), ["there were 18 train images, there are now 15"]),
  "train": (made(train=one_pixel(WAS.train)), ["the 18 train images or their labels"]),
  "label": (made(train=other_label(WAS.train)), ["the 18 train images or their labels"]),
  "test": (made(test=one_pixel(WAS.test)), ["the 6 test images or their labels", "sha256 was"]),
  "name": (dataclasses.replace(WAS, name="more"), ["the data set was noise, is now more"]),
}


@pytest.mark.parametrize("case", OTHERS)
def test_other_data_are_refused(case, tmp_path):
  other, words = OTHERS[case]
  begin(tmp_path / "run", WAS.identity)
  before = command.files(tmp_path)
  with pytest.raises(UserError) as caught:
    workdirs.check(tmp_path / "run", SETTINGS, other.identity)
  for word in (*words, str(tmp_path / "run"), "belongs to other data", "another --workdir"):
    assert word in str(caught.value) and "\n" not in str(caught.value)
  assert command.files(tmp_path) == before
  workdirs.check(tmp_path / "run", SETTINGS, made().identity)  # the same, read again


def test_another_class_order_is_refused(tmp_path):
  begin(tmp_path / "run", WAS.identity)
  with pytest.raises(UserError, match="order of the classes was a, b, c, is now b, a, c"):
    workdirs.settle(tmp_path / "run", WAS.identity, (1, 0, 2))
  assert workdirs.settle(tmp_path / "run", WAS.identity, np.arange(3)) == ""


def test_an_order_that_a_teacher_tells_is_noted_later(tmp_path):
  begin(tmp_path / "run", WAS.identity, None)
  assert workdirs.settle(tmp_path / "run", WAS.identity, (2, 1, 0)) == ""
  with pytest.raises(UserError, match="is now a, b, c"):
    workdirs.settle(tmp_path / "run", WAS.identity, (0, 1, 2))


def test_one_of_an_earlier_version_goes_on_and_says_so(tmp_path):
  begin(tmp_path / "run", WAS.identity)
  (tmp_path / "run" / "data.json").unlink()
  workdirs.check(tmp_path / "run", SETTINGS, WAS.identity)
  assert "taken for these" in workdirs.settle(tmp_path / "run", WAS.identity, (0, 1, 2))
  with pytest.raises(UserError, match="belongs to other data"):
    workdirs.check(tmp_path / "run", SETTINGS, OTHERS["train"][0].identity)


@pytest.mark.parametrize("name", ["config.json", "data.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"{}", b"\xff\xfe"])
def test_damaged_notes_are_named(name, content, tmp_path):
  begin(tmp_path / "run", WAS.identity)
  (tmp_path / "run" / name).write_bytes(content)
  with pytest.raises(UserError, match=name):
    workdirs.check(tmp_path / "run", SETTINGS, WAS.identity)


@pytest.mark.parametrize(
  "name", ["config.json", "report.json", "report.html", "graduate", "teachers"]
)
def test_what_others_wrote_is_not_taken(name, tmp_path):
  """A folder of another program's, such as the current one, may hold files of these names."""
  if "." in name:
    (tmp_path / name).write_text('{"hidden_size": 768}')
  else:
    (tmp_path / name).mkdir()
    (tmp_path / name / "notes").write_text("mine")
  before = command.files(tmp_path)
  with pytest.raises(UserError, match=name):
    workdirs.check(tmp_path, SETTINGS, WAS.identity)
  assert command.files(tmp_path) == before


# --- one by the config's name --------------------------------------------------------------------


def taken(settings, data, workdir=None):
  """Takes a work directory and takes a step there; returns its name and what was said."""
  said = []
  place, lock = workdirs.take(workdir, settings, data.identity, said.append)
  with lock:
    assert (place / "lock").exists()
    journal.Journal(place / "metrics.jsonl").write({"step": 1})
    workdirs.settle(place, data.identity, (0, 1, 2))
  assert not (place / "lock").exists()
  return str(place), said


def test_it_is_counted_up_where_it_is_another_runs(place):
  other, more = SETTINGS | {"seed": 1}, OTHERS["train"][0]
  assert taken(SETTINGS, WAS) == ("runs/a", [])
  name, (line,) = taken(other, WAS)
  assert name == "runs/a-2" and "runs/a belongs to another config: seed was 'not set'" in line
  assert line.endswith("so the work directory is runs/a-2")
  name, (line,) = taken(SETTINGS, more)
  assert name == "runs/a-3" and "runs/a (data.json) belongs to other data" in line
  assert ", and 1 more is another run's; so" in line
  # Each goes on in its own, even where an earlier one is free by now.
  shutil.rmtree("runs/a")
  assert taken(other, WAS)[0] == "runs/a-2" and taken(SETTINGS, more)[0] == "runs/a-3"
  assert taken(SETTINGS | {"seed": 2}, WAS)[0] == "runs/a"
  with pytest.raises(UserError, match="runs/a-2 belongs to another config"):
    taken(SETTINGS, WAS, pathlib.Path("runs/a-2"))  # which was asked for


def test_what_is_no_runs_is_passed_by(place):
  for name, content in (("a", '{"hidden_size": 768}'), ("a-x", "{}"), ("a-02", "{}"), ("ab", "{}")):
    (place / "runs" / name).mkdir(parents=True)
    (place / "runs" / name / "config.json").write_text(content)
  before = command.files(place / "runs")
  assert taken(SETTINGS, WAS)[0] == "runs/a-2"
  assert before.items() <= command.files(place / "runs").items()
  (place / "runs" / "a-2" / "config.json").write_text("{")
  with pytest.raises(UserError, match="runs/a-2/config.json is damaged"):
    taken(SETTINGS, WAS)


def test_two_at_once_do_not_share_it(place):
  """Neither has taken a step; the same twice is an error, another one counts up."""
  said = []
  first, lock = workdirs.take(None, SETTINGS, WAS.identity, said.append)
  with lock:
    with pytest.raises(files.InUse, match="runs/a is in use by another run"):
      workdirs.take(None, SETTINGS, WAS.identity, said.append)
    name, (line,) = taken(SETTINGS | {"seed": 1}, WAS)
  assert (str(first), name, said) == ("runs/a", "runs/a-2", []) and "in use" in line


def test_the_newest_graduate_of_a_config_is_examined(place):
  with pytest.raises(UserError, match="runs/a holds no graduate.*without --mode=exam"):
    workdirs.examined(SETTINGS)
  names = [taken(SETTINGS, data)[0] for data in (WAS, OTHERS["train"][0], OTHERS["test"][0])]
  assert taken(SETTINGS | {"seed": 1}, WAS)[0] == "runs/a-4"  # which has none yet
  for name, when in zip(names, (5, 9, 7), strict=True):
    (place / name / "graduate").mkdir()
    (place / name / "graduate" / "info.json").write_text("{}")
    os.utime(place / name / "graduate" / "info.json", (0, when))
  assert str(workdirs.examined(SETTINGS)) == "runs/a-2"
  with pytest.raises(
    UserError, match="runs/a-2 .*seed was 'not set', is now 1.*--workdir=runs/a-2"
  ):
    workdirs.examined(SETTINGS | {"seed": 1})


# --- one run at a time ---------------------------------------------------------------------------

HOLD = """
import pathlib, sys, time
from edjax.storage import files
with files.held(pathlib.Path(sys.argv[1]), print):
  print("held", flush=True)
  time.sleep(60)
"""


def test_a_second_run_is_refused_and_a_killed_one_leaves_no_lock(tmp_path):
  holder = subprocess.Popen(
    [sys.executable, "-c", HOLD, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True
  )
  try:
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(UserError) as caught:
      with files.held(tmp_path / "lock", print):
        raise AssertionError("it was held twice")
    for word in (f"{tmp_path} is in use by another run", f"process {holder.pid} on ", "since "):
      assert word in str(caught.value)
  finally:
    holder.kill()
    holder.communicate()
  with files.held(tmp_path / "lock", print):
    pass
  assert not list(tmp_path.iterdir())


def test_who_waits_is_told_so_once_and_is_alone_in_turn(tmp_path):
  """Who holds a lock removes its file, which others have opened and wait for."""
  told, inside, entered = [], [], []

  def enter():
    for _ in range(2):
      mine = []
      told.append(mine)
      with files.held(tmp_path / "lock", mine.append, "waiting"):
        inside.append(1)
        entered.append(len(inside))
        time.sleep(0.02)
        inside.pop()

  threads = [threading.Thread(target=enter) for _ in range(6)]
  with files.held(tmp_path / "lock", print):
    for thread in threads:
      thread.start()
    while told.count(["waiting"]) < 6:
      time.sleep(0.01)
    assert not entered
  for thread in threads:
    thread.join(20)
  assert entered == [1] * 12 and all(each in ([], ["waiting"]) for each in told)
  assert not list(tmp_path.iterdir())


def test_a_full_disk_is_no_reason_to_refuse_a_lock(tmp_path):
  code = """
import pathlib, resource, sys
from edjax.storage import files
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
with files.held(pathlib.Path(sys.argv[1]), print):
  print("held")
"""
  run = [sys.executable, "-c", code, str(tmp_path / "lock")]
  assert subprocess.run(run, check=True, stdout=subprocess.PIPE, text=True).stdout == "held\n"
  assert not list(tmp_path.iterdir())


def test_where_there_are_no_locks(tmp_path, monkeypatch):
  import fcntl

  def refuse(*_):
    raise OSError(errno.ENOLCK, "No locks available")

  monkeypatch.setattr(fcntl, "flock", refuse)
  said = []
  with files.held(tmp_path / "lock", said.append):
    pass
  assert len(said) == 1 and "No locks available" in said[0] and "no other run" in said[0]


# --- schools -------------------------------------------------------------------------------------


def digest(workdir):
  return json.loads((workdir / "report.json").read_text())["student"]["sha256"]


def others(monkeypatch):
  """Lets the digits come with one other pixel."""
  load = datasets.load

  def loaded(*arguments, **options):
    data = load(*arguments, **options)
    return dataclasses.replace(data, train=one_pixel(data.train))

  monkeypatch.setattr(datasets, "load", loaded)


def test_all_of_a_run_says_of_which_data_it_is(finished):
  known = datasets.load("digits", **config().data).identity
  ordered = known | {"class_order": list(range(10))}
  assert json.loads((finished / "data.json").read_text()) == ordered
  assert json.loads((finished / "graduate" / "info.json").read_text())["data"] == known
  with checkpoint.Store(finished / "checkpoints") as store:
    assert store.newest()[2]["data"] == ordered
  assert not (finished / "lock").exists()


@pytest.mark.parametrize("lost", [None, "data.json"])
def test_a_run_on_other_images_is_refused(lost, small, finished, tmp_path, monkeypatch):
  """By the work directory, or else by its checkpoints."""
  shutil.copytree(finished, tmp_path / "run")
  if lost:
    (tmp_path / "run" / lost).unlink()
  others(monkeypatch)
  before = command.files(tmp_path / "run" / "graduate")
  with pytest.raises(UserError, match="belongs to other data: the .* train images"):
    loop.run(settle(config()), tmp_path / "run")
  assert command.files(tmp_path / "run" / "graduate") == before


def test_a_teacher_of_other_images_is_refused(small, tmp_path, monkeypatch):
  workdir = tmp_path / "run"
  loop.run(settle(config("kd,smoke")), workdir)
  for name in ("data.json", "report.json", "report.html"):
    (workdir / name).unlink()
  shutil.rmtree(workdir / "checkpoints")
  others(monkeypatch)
  with pytest.raises(UserError, match="teacher in .*generalist/network belongs to other data"):
    loop.run(settle(config("kd,smoke")), workdir)


def test_an_exam_takes_other_images_of_the_same_classes(small, finished, monkeypatch):
  load = datasets.load

  def loaded(*arguments, **options):
    data = load(*arguments, **options)
    return dataclasses.replace(data, test=one_pixel(data.test))

  monkeypatch.setattr(datasets, "load", loaded)
  assert loop.exam(settle(config()), finished)["count"] == 451


def test_a_run_that_is_asked_to_stop_saves_and_goes_on(small, finished, tmp_path):
  asked = []

  def stop():
    asked.append(1)
    return len(asked) == 2

  chosen = config(**{"checkpoint.every_seconds": 1e9})
  with pytest.raises(Stopped, match="student: stopped after step 2"):
    loop.run(settle(chosen), tmp_path / "run", stop=stop)
  assert not (tmp_path / "run" / "lock").exists()
  with checkpoint.Store(tmp_path / "run" / "checkpoints") as store:
    assert store.newest()[0] == 2
  loop.run(settle(chosen), tmp_path / "run")
  assert digest(tmp_path / "run") == digest(finished)


def test_sigterm(compiled, tmp_path):
  """As machines that are taken back send it; the same command goes on."""
  given = (
    "--config=configs/digits.py:ce,smoke",
    "--config.student.model=tests.small:SMALL",
    "--config.grades.epochs=4",
    "--config.checkpoint.every_seconds=1000",
  )
  process = command.start(*given, f"--workdir={tmp_path}", **compiled)
  while process.poll() is None and not (tmp_path / "metrics.jsonl").exists():
    time.sleep(0.001)
  process.send_signal(signal.SIGTERM)
  ended = command.end(process)
  assert ended.code == 143 and "Traceback" not in ended.err
  assert "edjax: student: stopped after step" in ended.err.splitlines()[-1]
  assert "the same command continues" in ended.err.splitlines()[-1]
  ended = command.end(command.start(*given, f"--workdir={tmp_path}", **compiled))
  assert ended.code == 0, ended.err
  assert "continuing after step" in ended.err


def test_rows_of_a_run_without_checkpoints_are_kept(small, finished, tmp_path, capfd):
  shutil.copytree(finished, tmp_path / "run")
  shutil.rmtree(tmp_path / "run" / "checkpoints")
  rows = (tmp_path / "run" / "metrics.jsonl").read_bytes()
  loop.run(settle(config()), tmp_path / "run")
  assert (tmp_path / "run" / "metrics_before.jsonl").read_bytes() == rows
  assert "no sound checkpoint is left" in capfd.readouterr().err
  assert digest(tmp_path / "run") == digest(finished)


def test_a_school_leaves_its_callers_programs_and_handlers_alone(small, tmp_path):
  traced, before = [], signal.getsignal(signal.SIGTERM)

  @jax.jit
  def mine(x):
    traced.append(1)
    return x + 1

  mine(jnp.ones(3))
  loop.run(settle(config()), tmp_path / "run")
  mine(jnp.ones(3))
  assert len(traced) == 1 and signal.getsignal(signal.SIGTERM) is before


SINCE = ("source", "mean", "std", "check", "optimiser", "weight_decay", "clip", "standardise")
SINCE_OF_RECIPE = ("randaugment", "magnitude")


@pytest.mark.parametrize(
  ("now", "words"),
  [
    ({}, ""),
    ({"faculty.check": False}, ""),
    ({"data.mean": (0.4,)}, "data.mean was 'not set', is now"),
    ({"data.source": "files"}, "data.source was 'auto', is now 'files'"),
    ({"faculty.generalist.clip": 1.0}, "faculty.generalist.clip was 0.0, is now 1.0"),
    ({"recipe.randaugment": 2}, "recipe.randaugment was 'not set', is now 2"),
    ({"recipe.magnitude": 5}, "recipe.magnitude was 9, is now 5"),
    ({"methods.kd.standardise": True}, "methods.kd.standardise was False, is now True"),
  ],
)
def test_a_config_of_an_earlier_version_lacks_what_there_was_not(now, words, small, tmp_path):
  begin(tmp_path / "run", WAS.identity)
  before = settings.to_json(settings.settle(config("kd,smoke")))
  parts = before["data"], before["faculty"], *before["methods"].values()
  for part in (*parts, before["faculty"]["specialist"], before["faculty"]["generalist"]):
    for key in SINCE:
      part.pop(key, None)
  for key in SINCE_OF_RECIPE:
    del before["recipe"][key]
  (tmp_path / "run" / "config.json").write_text(json.dumps(before))
  asked = settings.to_json(settings.settle(config("kd,smoke", **now)))
  with pytest.raises(UserError, match=words) if words else contextlib.nullcontext():
    workdirs.check(tmp_path / "run", asked, WAS.identity)


@pytest.mark.parametrize(
  ("epochs", "words"), [((5, 10, 25), ""), ((5, 9, 25), "grades.grade_2.epochs was 9, is now 10")]
)
def test_a_config_of_an_earlier_version_has_its_grades_in_columns(epochs, words, tmp_path):
  """As 7f2a900 wrote those of configs/digits.py."""
  begin(tmp_path / "run", WAS.identity)
  asked = settings.to_json(settings.settle(digits.get_config()))
  columns = {
    "carry_momentum": [False], "epochs": epochs, "final_rate": [0.0], "fragments": [1, 2, 0],
    "frozen": [0], "learning_rate": [0.05], "lower_rate": [1.0], "methods": [""],
    "reference_grid": [1], "reference_relu": [True], "reference_width": [0], "rehearsal": [1.0],
    "subjects": [1, 2, 0], "teachers": ["specialists", "specialists", "both"],
    "warmup_epochs": [0.0],
  }  # fmt: skip
  (tmp_path / "run" / "config.json").write_text(json.dumps(asked | {"grades": columns}))
  with pytest.raises(UserError, match=words) if words else contextlib.nullcontext():
    workdirs.check(tmp_path / "run", asked, WAS.identity)


def test_one_that_another_run_has_just_begun_is_refused(small, finished, tmp_path, monkeypatch):
  """It was free when it was looked at, and is not when its lock is taken."""
  held = files.held

  def later(path, warn):
    shutil.copytree(finished, path.parent, dirs_exist_ok=True)
    return held(path, warn)

  monkeypatch.setattr(files, "held", later)
  with pytest.raises(UserError, match="belongs to another config: seed was 0, is now 1"):
    loop.run(settle(config(seed=1)), tmp_path / "run")
  theirs, left = (command.files(each).values() for each in (finished, tmp_path / "run"))
  assert sorted(left) == sorted(theirs)


def test_a_checkpoint_that_does_not_fit_is_named(small, finished, tmp_path, monkeypatch):
  newest = checkpoint.Store.newest

  def without(store):
    step, arrays, meta = newest(store)
    return step, {path: leaf for path, leaf in arrays.items() if path != "step"}, meta

  shutil.copytree(finished, tmp_path / "run")
  monkeypatch.setattr(checkpoint.Store, "newest", without)
  with pytest.raises(UserError, match="the checkpoint in .*step is missing.*--workdir"):
    loop.run(settle(config()), tmp_path / "run")


def test_a_full_disk_at_any_file_ends_in_a_line_and_the_run_goes_on(small, finished, tmp_path):
  workdir, replace, write = tmp_path / "run", files.os.replace, pathlib.Path.write_text
  for name in ("config.json", "data.json", "info.json", "report.json", "report.html"):

    def replaced(one, other, name=name):
      if pathlib.Path(other).name == name:
        raise OSError(errno.ENOSPC, "No space left on device")
      replace(one, other)

    def written(path, *arguments, name=name, **options):
      if path.name == name:
        raise OSError(errno.EIO, "Input/output error")
      return write(path, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
      patch.setattr(files.os, "replace", replaced)
      patch.setattr(pathlib.Path, "write_text", written)
      with one_line("it goes on"):
        loop.run(settle(config()), workdir)
    said = str(ended.value.code)
    assert said.startswith("edjax: cannot ") and "the same command" in said and "\n" not in said
    assert ("No space left" in said and name in said) or "Input/output error" in said
    assert not [path for path in workdir.rglob("*") if path.suffix in (".tmp", ".unfinished")]
  loop.run(settle(config()), workdir)
  assert digest(workdir) == digest(finished)
  one, other = (json.loads((each / "data.json").read_text()) for each in (workdir, finished))
  assert one == other
