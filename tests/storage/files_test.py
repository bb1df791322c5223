"""Only networks are ever replaced, whole or not at all, by any number of processes."""

import asyncio
import concurrent.futures
import gc
import os
import pathlib
import shutil
import subprocess
import sys

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from edjax.errors import UserError, one_line
from edjax.storage import checkpoint, replacing, trees
from tests import command, school
from tests.school import bits
from tests.storage.checkpoint_test import empty, flip, full, remove, state, truncate

NETWORK = {"params": {"head": {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3)}}}


def test_networks_come_back(tmp_path):
  _, variables = school.pupil(2, 4)
  folder = tmp_path / "deep" / "network"
  checkpoint.save_variables(folder, variables, {"model": "resnet8"})
  loaded, info = checkpoint.load_variables(folder)
  assert bits(loaded) == bits(variables)
  assert jax.tree.structure(loaded) == jax.tree.structure(variables)
  assert info["model"] == "resnet8" and info["sha256"] == trees.sha256(variables)
  _, other = school.pupil(1, 2)
  checkpoint.save_variables(folder, other, {"model": "other"})
  loaded, info = checkpoint.load_variables(folder)
  assert bits(loaded) == bits(other) and info["model"] == "other"
  assert [path.name for path in folder.parent.iterdir()] == ["network"]


@pytest.mark.parametrize("damage", [flip, truncate, remove, empty], ids=lambda f: f.__name__)
def test_damaged_networks_are_refused(tmp_path, damage):
  checkpoint.save_variables(tmp_path / "network", state(1)["params"], {})
  damage(tmp_path / "network")
  with pytest.raises(UserError, match="damaged") as caught:
    checkpoint.load_variables(tmp_path / "network")
  assert str(tmp_path / "network") in str(caught.value) and "\n" not in str(caught.value)


def test_where_no_network_is(tmp_path):
  with pytest.raises(UserError, match="holds no network") as caught:
    checkpoint.load_variables(tmp_path / "nowhere")
  assert str(tmp_path / "nowhere") in str(caught.value)


def test_a_failed_write_leaves_the_network_that_was_there(tmp_path, monkeypatch):
  checkpoint.save_variables(tmp_path / "network", state(1)["params"], {})
  monkeypatch.setattr(ocp.Checkpointer, "save", full)
  with pytest.raises(UserError, match="No space left on device"):
    checkpoint.save_variables(tmp_path / "network", state(2)["params"], {})
  monkeypatch.undo()
  assert bits(checkpoint.load_variables(tmp_path / "network")[0]) == bits(state(1)["params"])


# --- what is replaced ----------------------------------------------------------------------------


def network(place):
  checkpoint.save_variables(place, NETWORK, {})


def notes(place):
  network(place / "a")
  (place / "notes.txt").write_text("three months")


def notes_beside(place):
  network(place)
  (place / "notes.txt").write_text("three months")


def notes_within(place):
  network(place)
  (place / "variables" / "notes.txt").write_text("three months")


def two_networks(place):
  network(place / "a")
  network(place / "b")


def only_info(place):
  network(place)
  shutil.rmtree(place / "variables")


def only_variables(place):
  (place / "variables").mkdir(parents=True)


def info_of_others(place):
  (place / "variables").mkdir(parents=True)
  (place / "info.json").write_text('{"name": "a survey"}')


def file(place):
  place.write_text("precious")


def link(place):
  network(place.with_name("far"))
  place.symlink_to(place.with_name("far"))


def link_to_nothing(place):
  place.symlink_to(place.with_name("nowhere"))


OTHERS = (
  notes, notes_beside, notes_within, two_networks, only_info, only_variables, info_of_others, file,
  link, link_to_nothing,
)  # fmt: skip


def refused(place, *words):
  """Asserts that nothing is written at a place, and that a line says why."""
  whole = replacing.absolute(place)
  with pytest.raises(
    UserError, match="is there already, and .* only a network of edjax's is ever replaced"
  ) as caught:
    checkpoint.save_variables(place, state(2)["params"], {"model": "new"})
  for word in (str(whole), *words):
    assert word in str(caught.value) and "\n" not in str(caught.value)


def everything(folder):
  return sorted(folder.rglob("*")), command.files(folder)


@pytest.mark.parametrize("make", OTHERS, ids=lambda f: f.__name__)
def test_nothing_but_a_network_is_replaced(make, tmp_path):
  make(tmp_path / "place")
  before = everything(tmp_path)
  refused(tmp_path / "place")
  assert everything(tmp_path) == before


def test_the_current_folder_and_what_holds_it_are_not_replaced(tmp_path, monkeypatch):
  place = tmp_path / "network"
  network(place)
  before = everything(tmp_path)
  for current, given in ((place, place), (place / "variables", place), (place, pathlib.Path("."))):
    monkeypatch.chdir(current)
    refused(given, "current folder")
  assert everything(tmp_path) == before


@pytest.mark.parametrize("place", ["/", "~", "..", "."])
def test_neither_home_nor_disk_nor_where_one_is(place, tmp_path, monkeypatch):
  (tmp_path / "home").mkdir()
  (tmp_path / "a" / "b").mkdir(parents=True)
  monkeypatch.setenv("HOME", str(tmp_path / "home"))
  monkeypatch.chdir(tmp_path / "a" / "b")
  refused(place)
  assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "b", "home"]


def test_networks_and_empty_folders_are_replaced(tmp_path):
  (tmp_path / "empty").mkdir()
  checkpoint.save_variables(tmp_path / "damaged", NETWORK, {})
  (tmp_path / "damaged" / "info.json").write_text("{")
  for name in ("empty", "empty", "damaged"):
    checkpoint.save_variables(tmp_path / name, NETWORK, {"model": name})
    assert checkpoint.load_variables(tmp_path / name)[1]["model"] == name
  assert sorted(path.name for path in tmp_path.iterdir()) == ["damaged", "empty"]
  assert (tmp_path / "empty").stat().st_mode & 0o777 == 0o777 & ~umask()


def umask():
  current = os.umask(0)
  os.umask(current)
  return current


def test_a_network_that_is_there_stays(tmp_path):
  checkpoint.save_variables(tmp_path / "network", state(1)["params"], {"model": "a"})
  before = {path: path.stat().st_ino for path in tmp_path.rglob("*")}
  checkpoint.save_variables(tmp_path / "network", state(1)["params"], {"model": "a"})
  assert {path: path.stat().st_ino for path in tmp_path.rglob("*")} == before
  flip(tmp_path / "network")  # one that is not sound does not
  checkpoint.save_variables(tmp_path / "network", state(1)["params"], {"model": "a"})
  assert bits(checkpoint.load_variables(tmp_path / "network")[0]) == bits(state(1)["params"])


# --- many at once --------------------------------------------------------------------------------


def test_a_network_that_is_replaced_while_it_is_looked_at(tmp_path, monkeypatch):
  """Another process clears away what was there, so that a part of it is all that is seen."""
  place, later = tmp_path / "network", tmp_path / "later"
  network(place)
  network(later)
  listed = pathlib.Path.iterdir

  def part(path):
    if path == place and later.exists():
      place.rename(tmp_path / "earlier")
      later.rename(place)
      return iter([place / "info.json"])
    return listed(path)

  monkeypatch.setattr(pathlib.Path, "iterdir", part)
  checkpoint.save_variables(place, NETWORK, {"model": "new"})
  assert checkpoint.load_variables(place)[1]["model"] == "new" and not later.exists()


def test_many_may_write_one_network_at_the_same_time(tmp_path):
  """As runs that share a cache do; each finds it whole afterwards."""

  def save(number):
    checkpoint.save_variables(tmp_path / "teacher", NETWORK, {"number": number})
    return number

  with concurrent.futures.ThreadPoolExecutor(8) as pool:
    assert list(pool.map(save, range(80))) == list(range(80))
  variables, info = checkpoint.load_variables(tmp_path / "teacher")
  assert bits(variables) == bits(NETWORK) and info["number"] in range(80)
  assert [path.name for path in tmp_path.iterdir()] == ["teacher"]


def test_many_save_one_network(tmp_path):
  """Four processes save eight times, two of them another network; a reader finds one always."""
  place = tmp_path / "cache" / "teacher"
  (tmp_path / "cache").mkdir()
  dead = place.with_name(f".teacher.{'0' * 12}.unfinished")  # of a process that was killed
  (dead / "variables").mkdir(parents=True)
  code = """
import sys
import numpy as np
from edjax.storage import checkpoint, replacing, trees
for _ in range(8):
  checkpoint.save_variables(sys.argv[1], {"a": np.full(1000, int(sys.argv[2]))}, {})
"""
  checkpoint.save_variables(place, {"a": np.full(1000, 0)}, {})
  savers = [
    subprocess.Popen(
      [sys.executable, "-c", code, str(place), str(number // 2)],
      stderr=subprocess.PIPE,
      text=True,
    )
    for number in range(4)
  ]
  read = 0
  while any(saver.poll() is None for saver in savers):
    assert checkpoint.load_variables(place)[0]["a"][0] in (0, 1)
    read += 1
  said = [saver.communicate()[1] for saver in savers]
  assert [saver.returncode for saver in savers] == [0] * 4, said
  assert read and [path.name for path in place.parent.iterdir()] == ["teacher"]


# --- what is left of a damaged one ---------------------------------------------------------------


def test_no_traceback_of_readers_that_come_late(tmp_path):
  """Of a file that is cut, tensorstore's threads still read when orbax has given up."""
  draw = np.random.default_rng(0)
  many = {str(number): draw.normal(size=5000) for number in range(30)}
  checkpoint.save_variables(tmp_path / "network", many, {})
  truncate(tmp_path / "network")
  code = """
import sys
from edjax.storage import checkpoint, replacing, trees
from edjax.errors import UserError, one_line
with one_line("again"):
  for _ in range(15):
    try:
      checkpoint.load_variables(sys.argv[1])
    except UserError as error:
      said = error
  raise said
"""
  ended = subprocess.run(
    [sys.executable, "-c", code, str(tmp_path / "network")], capture_output=True, text=True
  )
  assert ended.returncode == 1 and "Traceback" not in ended.stderr, ended.stderr
  assert f"edjax: the network in {tmp_path / 'network'} is damaged" in ended.stderr


@pytest.mark.parametrize(
  ("said", "shown"), [('OUT_OF_RANGE: Error reading "8/0" in OCDBT', False), ("mine", True)]
)
def test_what_late_readers_met_is_not_logged(said, shown, caplog):
  """Where nobody asks for their answers any more; what others left unasked still is."""

  async def fails():
    raise ValueError(said)

  async def forgets():
    task = asyncio.ensure_future(fails())
    await asyncio.wait([task])

  with one_line("again"):
    asyncio.run(forgets())
    gc.collect()
  assert ("never retrieved" in caplog.text) == (said in caplog.text) == shown
