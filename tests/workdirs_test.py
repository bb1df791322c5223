"""A work directory belongs to one config, to the data it was begun with, to one run at a time."""

import dataclasses
import errno
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from edjax import workdirs
from edjax.data import datasets
from edjax.data.splits import Split
from edjax.errors import UserError
from edjax.report import journal
from edjax.storage import files
from tests import command

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
