"""The cache of decoded photographs: mapped, continued, shared, damaged, and on a full disk."""

import dataclasses
import errno
import fcntl
import functools
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from edjax.data import __main__ as command_line
from edjax.data.photographs import archives, cache, decoding, filling
from tests import archives as made
from tests import command

pytestmark = pytest.mark.usefixtures("no_network")
fails = functools.partial(made.refuses, made.load)


def contents(place):
  return {path.name: path.read_bytes() for path in place.iterdir()}


def test_the_command(tmp_path, food, capsys):
  command_line.main(["prepare", "food101", f"--data_dir={tmp_path}", "--size=16"])
  out, err = capsys.readouterr()
  place = tmp_path / "edjax-food101-16"
  assert out.startswith(f"{place}: 18 images for training and 6 for the exam, of 16x16 pixels, 0")
  assert "preparing food101 · ━━━━━━━━━━ 100%" in err and "epoch" not in err
  meta = json.loads((place / "meta.json").read_text())
  assert meta["source"]["md5"] == hashlib.md5(food.read_bytes()).hexdigest()
  assert meta["images"] == {"train": 18, "test": 6} and meta["skipped"] == []
  assert meta["decoder"] == decoding.best() and {"edjax", "numpy", "pillow"} <= set(
    meta["versions"]
  )
  # From now on the archive is not needed, and nothing is written.
  food.unlink()
  before = {path: path.stat().st_mtime_ns for path in place.iterdir()}
  command_line.main(["prepare", "food101", f"--data_dir={tmp_path}", "--size=16"])
  assert capsys.readouterr().err == ""
  data = made.load(tmp_path)
  assert capsys.readouterr().err == ""
  assert before == {path: path.stat().st_mtime_ns for path in place.iterdir()}
  assert np.array_equal(data.train.images, np.load(place / "train.npy"))


def test_a_cache_is_mapped_and_not_read(tmp_path, food):
  data = made.load(tmp_path, validation_fraction=0.3, train_limit=6)
  source = data.train.images._source
  assert isinstance(source, np.memmap) and not source.flags.writeable
  assert data.validation.images._source is source
  everything = np.load(tmp_path / "edjax-food101-16" / "train.npy")
  sizes = [len(part.labels) for part in (data.train, data.validation)]
  assert sizes == [6, 6]
  for part in (data.train, data.validation):
    rows = [next(i for i, e in enumerate(everything) if np.array_equal(e, m)) for m in part.images]
    assert [i // 6 for i in rows] == part.labels.tolist()
  whole = made.load(tmp_path).train.images
  assert np.shares_memory(np.asarray(whole), whole._source)  # no second copy of what is all there
  assert np.array_equal(whole[3], everything[3])
  assert np.array_equal(whole[[5, 1]], everything[[5, 1]])
  assert np.array_equal(whole[2:9:3], everything[2:9:3])


def test_the_kernel_is_told_what_will_be_read(tmp_path, food, monkeypatch):
  images = made.load(tmp_path).train.images
  content, told = (tmp_path / "edjax-food101-16" / "train.npy").read_bytes(), []
  monkeypatch.setattr(
    os, "posix_fadvise", lambda file, start, length, how: told.append(content[start:][:length])
  )
  asked = np.array([[7, 3], [17, 0]])
  found = images[asked]
  assert told == [images._source[row].tobytes() for row in asked.ravel()]
  assert found.shape == (2, 2, 16, 16, 3) and b"".join(told) == found.tobytes()
  (tmp_path / "edjax-food101-16" / "train.npy").unlink()
  assert np.array_equal(images[asked], found)  # what is mapped stays


def test_the_cache_does_not_depend_on_threads_or_batches(tmp_path, food, monkeypatch):
  made.load(tmp_path)
  place = cache.folder(tmp_path, "food101", 16)
  first = contents(place)
  shutil.rmtree(place)
  monkeypatch.setattr(filling.os, "sched_getaffinity", lambda _: set(range(7)), raising=False)
  monkeypatch.setattr(filling, "_BATCH_FILES", 1)
  made.load(tmp_path)
  assert contents(place) == first


_KILLED = """
import itertools, json, os, pathlib, sys, time
from edjax.data.photographs import archives, decoding, filling, reader
archives.ARCHIVES["food101"] = archives.Archive(*json.loads(sys.argv[2]))
filling.SAVE_SECONDS, filling._BATCH_FILES = 0, 2
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
seconds, square = itertools.chain(8 * [0.05], itertools.repeat(3600)), decoding.square
decoding.square = lambda *arguments: (time.sleep(next(seconds)), square(*arguments))[1]
reader.prepare("food101", pathlib.Path(sys.argv[1]), 16)
"""


def test_a_killed_run_is_continued(tmp_path, food, monkeypatch):
  made.load(tmp_path)
  place = cache.folder(tmp_path, "food101", 16)
  expected = contents(place)
  shutil.rmtree(place)
  row = json.dumps(dataclasses.astuple(archives.ARCHIVES["food101"]))
  with subprocess.Popen(
    [sys.executable, "-c", _KILLED, str(tmp_path), row], cwd=command.ROOT
  ) as process:
    done = 0
    while done < 6 and process.poll() is None:
      time.sleep(0.01)
      state = place / "progress.json"
      done = json.loads(state.read_text())["done"] if state.exists() else 0
    process.send_signal(signal.SIGKILL)
  assert process.returncode == -signal.SIGKILL and not cache.is_ready(place)
  done = json.loads((place / "progress.json").read_text())["done"]
  (place / ".progress.json.1.tmp").touch()  # as by one killed while it saves
  square, decoded = decoding.square, []
  monkeypatch.setattr(decoding, "square", lambda *a: decoded.append(a) or square(*a))
  made.load(tmp_path)
  assert 6 <= done <= 8 and len(decoded) == 24 - done
  assert contents(place) == expected


def test_another_kind_of_run_is_not_continued(tmp_path, food):
  place = cache.folder(tmp_path, "food101", 16)
  made.load(tmp_path)
  expected = contents(place)
  meta = cache.meta(place)
  (place / "meta.json").unlink()
  state = {key: meta[key] for key in ("format", "dataset", "source", "size", "decoder", "images")}
  (place / "progress.json").write_text(json.dumps(state | {"done": 24, "skipped": []}))
  made.load(tmp_path)  # of the same kind: nothing is left to do
  assert contents(place) == expected
  for change in ({"decoder": "other"}, {"source": {"md5": "other"}}, {"format": 0}):
    (place / "meta.json").unlink()
    (place / "train.npy").write_bytes(expected["train.npy"][:-1] + b"x")
    (place / "progress.json").write_text(json.dumps(state | {"done": 24, "skipped": []} | change))
    made.load(tmp_path)
    assert contents(place) == expected
  (place / "meta.json").unlink()
  (place / "progress.json").write_text(json.dumps(state | {"done": 24, "skipped": []}))
  (place / "test.npy").unlink()
  made.load(tmp_path)
  assert contents(place) == expected


def test_two_processes_do_not_prepare_at_once(tmp_path, food):
  place = cache.folder(tmp_path, "food101", 16)
  place.mkdir()
  with open(place / "lock", "w") as other:
    fcntl.flock(other, fcntl.LOCK_EX)
    thread = threading.Thread(target=made.load, args=(tmp_path,))
    thread.start()
    thread.join(0.3)
    assert thread.is_alive() and not (place / "train.npy").exists()
  thread.join(20)
  assert cache.is_ready(place)
  # What the other has prepared meanwhile is not prepared again.
  meta = (place / "meta.json").read_bytes()
  (place / "meta.json").unlink()
  with open(place / "lock", "w") as other:
    fcntl.flock(other, fcntl.LOCK_EX)
    thread = threading.Thread(target=made.load, args=(tmp_path,))
    thread.start()
    thread.join(0.3)
    (place / "meta.json").write_bytes(meta + b"\n")
  thread.join(20)
  assert (place / "meta.json").read_bytes() == meta + b"\n"
  assert not (place / "lock").exists()


def test_a_cache_is_prepared_where_there_are_no_locks(tmp_path, food, monkeypatch, capsys):
  def refuse(*_):
    raise OSError(errno.ENOLCK, "No locks available")

  monkeypatch.setattr(fcntl, "flock", refuse)
  made.load(tmp_path)
  assert cache.is_ready(cache.folder(tmp_path, "food101", 16))
  assert "No locks available" in capsys.readouterr().err


@pytest.mark.parametrize("damage", ["short", "format", "labels", "no labels", "no json"])
def test_a_damaged_cache(tmp_path, food, damage):
  made.load(tmp_path)
  place = cache.folder(tmp_path, "food101", 16)
  train, labels, meta = (place / n for n in ("train.npy", "train_labels.npy", "meta.json"))
  if damage == "short":
    train.write_bytes(train.read_bytes()[:-1])
  elif damage == "format":
    meta.write_text(json.dumps(cache.meta(place) | {"format": 99}))
  elif damage == "labels":
    np.save(labels, np.zeros(17, np.int32))
  elif damage == "no labels":
    labels.unlink()
  else:
    meta.write_text("{")
  fails(place, "prepare the data set again", directory=tmp_path)


# --- a full disk ---------------------------------------------------------------------------------


def no_room(*args):
  raise OSError(28, "No space left on device")


def test_a_disk_that_is_full_from_the_start(tmp_path, food, monkeypatch):
  place = cache.folder(tmp_path, "food101", 16)
  with monkeypatch.context() as full:
    full.setattr(filling.os, "posix_fallocate", no_room)
    fails(place, "No space left on device", "free", directory=tmp_path)
    assert not list(place.glob("*.npy"))  # what was reserved is given back
  made.shows(made.load(tmp_path).test, *((name, i) for name in made.FOOD for i in (3, 7)))


def test_a_disk_that_fills_up(tmp_path, food, monkeypatch):
  made.load(tmp_path)
  place = cache.folder(tmp_path, "food101", 16)
  expected = contents(place)
  shutil.rmtree(place)
  written, pwrite = [], os.pwrite

  def limited(file, data, offset):
    written.append(offset)
    if len(written) > 10:
      no_room()
    return pwrite(file, data[:100], offset)  # nor need a write be whole

  monkeypatch.setattr(filling, "_BATCH_FILES", 1)
  with monkeypatch.context() as full:
    full.setattr(filling.os, "pwrite", limited)
    fails(place, "No space left on device", "same command again", directory=tmp_path)
  assert not cache.is_ready(place)
  monkeypatch.setattr(filling, "_BATCH_FILES", 5)
  made.load(tmp_path)
  assert contents(place) == expected


_LIMITED = """
import json, pathlib, resource, sys
from edjax.data import __main__
from edjax.data.photographs import archives
archives.ARCHIVES["food101"] = archives.Archive(*json.loads(sys.argv[2]))
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
sys.argv[1:] = ["prepare", "food101", "--data_dir=" + sys.argv[1], "--size=16"]
__main__.run()
"""


def test_a_limit_on_the_size_of_files(tmp_path, food):
  row = json.dumps(dataclasses.astuple(archives.ARCHIVES["food101"]))
  ended = subprocess.run(
    [sys.executable, "-c", _LIMITED, str(tmp_path), row],
    capture_output=True, text=True, cwd=command.ROOT, check=False,
  )  # fmt: skip
  assert ended.returncode == 1 and "Traceback" not in ended.stderr
  assert "File too large" in ended.stderr.splitlines()[-1]
  assert len(made.load(tmp_path).train.labels) == 18
