"""Images on every device, divided over them or streamed from a file: the same bits."""

import contextlib
import pathlib
import threading
import time

import jax
import numpy as np
import pytest

from edjax import curriculum, methods, rows
from edjax.data import figures, identity, placement, prefetch, sampler, similarity
from edjax.data.datasets import Dataset
from edjax.data.splits import Rows, Split
from edjax.devices import pmap
from edjax.errors import UserError
from edjax.study import Study
from edjax.training import batches, grade
from edjax.training.evaluation import Loader
from tests import school
from tests.devices.pmap_test import FLEETS
from tests.school import bits

PLACES = ("device", "sharded", "streamed")
GIB = 1 << 30


@pytest.fixture
def split(tmp_path):
  """54 of 60 pictures in a file that is mapped; no device count here divides them by chance."""
  images, labels = school.pictures()
  np.save(tmp_path / "images.npy", images)
  rows = np.delete(np.arange(60), [0, 7, 11, 31, 52, 57])
  return Split(Rows(np.load(tmp_path / "images.npy", mmap_mode="r"), rows), labels[rows])


def loaded(split, team, where):
  names = tuple(map(str, range(school.CLASSES)))
  empty = Split(split.images.take(np.arange(0)), split.labels[:0])
  how = school.AUGMENT
  return Loader(Dataset("random", names, split, empty, split, how.mean, how.std), team, where)


def study(epochs=3):
  """Ordinary training of the least network on batches of eight, shifted and mirrored."""
  return Study(
    label="student",
    model="small",
    curriculum=curriculum.build(
      [rows.GradeRow(teachers="none", epochs=epochs)], (1, 1), school.CLASSES, 3
    ),
    order=tuple(range(school.CLASSES)),
    teachers={},
    recipe=curriculum.Recipe(batch_size=8, pad=2, flip=True),
    methods=methods.build({"ce": {"weight": 1.0}}),
    seed=0,
    directory=pathlib.Path(),
    every_seconds=0.0,
    keep=1,
  )


def prepared(loader, chunk=2):
  """The grade of `study`, laid out so many steps at a time: six steps an epoch."""
  ready = grade.ReadyGrade(study(), loader, 0, 0)
  assert ready.seating.steps == 6 and ready.batches.chunk == chunk
  return ready


def taught(ready, state, first, last):
  """The state after steps of the grade."""
  while first < last:
    epoch, position = divmod(first, ready.seating.steps)
    end = min(last - first + position, ready.seating.steps)
    state = ready.teach(state, epoch, position, end)
    first += end - position
  return state


def trained(fleet, where, split):
  """(state after two epochs and a half, answers of an exam), of one fleet and residence."""
  loader = loaded(split, FLEETS[fleet](), where)
  ready = prepared(loader)
  state = taught(ready, ready.begin(), 0, 15)
  answers, labels = ready.answer(state.variables, "test", ready.order)
  assert ready.answer(state.variables, "validation", ready.order) is None
  ready.batches.ahead.close()
  return jax.device_get(state), answers.tobytes(), labels.tolist()


@pytest.fixture
def laid_out(small, monkeypatch):
  """Three chunks an epoch, and an exam of several batches."""
  monkeypatch.setattr(batches, "_CHUNKS_PER_EPOCH", 3)
  monkeypatch.setattr("edjax.devices.pmap.Fleet.at_once", 5)


@pytest.mark.parametrize("fleet", FLEETS)
@pytest.mark.usefixtures("laid_out")
def test_residence_does_not_change_a_bit(fleet, split):
  whole, answers, labels = trained(fleet, "device", split)
  assert whole.step == 15 and labels == split.labels.tolist()
  for where in ("sharded", "streamed"):
    other, *exam = trained(fleet, where, split)
    assert bits(other) == bits(whole), where
    assert exam == [answers, labels], where


@pytest.mark.usefixtures("laid_out")
def test_a_run_that_stopped_within_a_stretch_continues(split):
  """In another process, on another residence; the ninth step is the first of a chunk's two."""
  loader = loaded(split, school.fleet(), "streamed")
  ready = prepared(loader)
  with contextlib.closing(ready.batches.ahead):
    state = jax.device_get(taught(ready, ready.begin(), 0, 9))
    whole = bits(taught(ready, loader.fleet.replicate(state), 9, 15))
  for where in placement.RESIDENCES:
    loader = loaded(split, school.fleet(), where)
    ready = prepared(loader)
    with contextlib.closing(ready.batches.ahead):
      assert bits(taught(ready, loader.fleet.replicate(state), 9, 15)) == whole, where


@pytest.mark.usefixtures("laid_out")
def test_stretches_are_laid_out_in_order_and_across_epochs(split, monkeypatch):
  loader = loaded(split, school.fleet(), "streamed")
  asked, see = [], loader.seen
  monkeypatch.setattr(
    loader, "seen", lambda *which: asked.append((*which, threading.current_thread())) or see(*which)
  )
  ready = prepared(loader)
  with contextlib.closing(ready.batches.ahead):
    state = taught(ready, ready.begin(), 2, 8)  # resumed; the end is that of an epoch's first
    patience = time.monotonic() + 60
    while len(asked) < 4 and time.monotonic() < patience:
      time.sleep(0.01)  # one ahead of what was taught; closing calls off what is not begun
  rows = [rows for _, rows, _ in asked]
  orders = [
    sampler.epoch_order(ready.seating, _members(split), (0, 0), epoch).reshape(3, 1, 2, 8)
    for epoch in (0, 1)
  ]
  expected = [orders[0][1], orders[0][2], orders[1][0], orders[1][1]]
  assert np.array_equal(rows, expected)
  assert [thread is threading.main_thread() for *_, thread in asked] == [True] + [False] * 3
  assert state.step == 6
  # The end of the grade is the end of the stream.
  asked.clear()
  taught(ready, ready.begin(), 16, 18)
  ready.batches.ahead.close()
  assert len(asked) == 1


def _members(split):
  return [np.flatnonzero(split.labels < 3), np.flatnonzero(split.labels >= 3)]


@pytest.mark.usefixtures("laid_out")
def test_a_stretch_holds_no_more_than_its_bytes(split, monkeypatch):
  """A batch is 1,536 bytes, and an epoch's last chunk is as long as the others."""
  monkeypatch.setattr(batches, "_CHUNKS_PER_EPOCH", 1)
  team = school.fleet()
  for limit, steps in ((1, 1), (3 * 1536 - 1, 2), (4 * 1536, 4), (1 << 20, 6)):
    monkeypatch.setattr(batches, "_CHUNK_BYTES", limit)
    for where in PLACES:
      loader = loaded(split, team, where)
      ready = prepared(loader, steps)
      for start in range(0, 6, steps):
        with ready.batches.ahead:
          images = ready.batches.ahead((0, start))["images"]
        assert images.shape == (1, steps, 8, *school.SHAPE)
        rows = sampler.epoch_order(ready.seating, _members(split), (0, 0), 0)[start:][:steps]
        assert np.array_equal(images[0, : len(rows)], split.images[rows])


class Watched(Rows):
  """Rows that say how many of them are read at a time."""

  def __getitem__(self, which):
    found = super().__getitem__(which)
    self.most = max(getattr(self, "most", 0), len(found.reshape(-1, *school.SHAPE)))
    return found

  def __array__(self, dtype=None, copy=None):
    raise AssertionError("all images are read at once")


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.usefixtures("laid_out")
def test_a_mapped_set_is_never_read_whole(split, where, monkeypatch):
  monkeypatch.setattr(pmap, "_BLOCK_BYTES", 20 * 192)
  split = Split(Watched(split.images, np.arange(54)), split.labels)
  trained("four", where, split)
  assert 16 <= split.images.most <= 20
  similarity.similar_order(split.images, split.labels, school.CLASSES)
  identity.sample_digest(split)
  figures.channel_statistics(split.images)


@pytest.mark.parametrize("count", [1, 3, 4, 53, 54])
def test_divided_images_are_found(split, count, monkeypatch):
  """Whoever has them, however few there are."""
  monkeypatch.setattr(pmap, "_BLOCK_BYTES", 12 * 192)
  images, team = split.images.take(np.arange(count)), school.fleet(4)
  settled = team.settle(images, divided=True)
  chunk = -(-count // 4)
  assert settled.shape == (4, chunk, *school.SHAPE)
  for number, shard in enumerate(settled.addressable_shards):
    own = images[number * chunk : (number + 1) * chunk]
    assert shard.device == team.devices[number]
    assert np.array_equal(np.asarray(shard.data)[0, : len(own)], own)
  assert np.array_equal(team.settle(images), images[:])
  rows = np.random.default_rng(0).integers(0, count, (4, 3, 2)).astype(np.int32)
  for divided in (False, True):
    found = team.finder(divided)(team.settle(images, divided), team.divide(rows))
    assert found.dtype == np.uint8 and np.array_equal(found, images[rows])
    assert [shard.data.shape[0] for shard in found.addressable_shards] == [1] * 4


@pytest.fixture
def second(monkeypatch):
  """(the fleet of two processes of two devices as the second sees it, what it reads of images).

  This process is both.
  """
  read, get = [], Rows.__getitem__
  monkeypatch.setattr(pmap.Fleet, "_own", [2, 3])
  monkeypatch.setattr(Rows, "__getitem__", lambda self, w: read.append(w) or get(self, w))
  return school.fleet(4), read


def test_a_process_reads_what_its_own_devices_show(split, second):
  team, read = second
  rows = np.random.default_rng(0).integers(0, 54, (4, 3, 2)).astype(np.int32)
  found = loaded(split, team, "streamed").seen("train", rows)
  assert [shard.device for shard in found.addressable_shards] == list(team.devices[2:])
  (asked,) = read
  assert np.array_equal(asked, rows[2:])
  assert np.array_equal(found, split.images[:][rows[2:]])


def test_a_process_reads_what_its_own_devices_keep(split, second, monkeypatch):
  monkeypatch.setattr(pmap, "_BLOCK_BYTES", 12 * 192)
  team, read = second
  loaded(split, team, "sharded")  # in chunks of 14
  shown = np.concatenate([np.ravel(which) for which in read if not isinstance(which, slice)])
  assert set(shown.tolist()) == set(range(28, 54))


@pytest.mark.parametrize(
  "size, limit, devices, mapped, where",
  [
    (1, None, 1, False, "device"),  # a CPU's memory is the host's
    (900 * GIB, None, 4, False, "device"),
    (1, None, 4, True, "streamed"),
    (40 * GIB, 80 * GIB, 1, True, "device"),
    (40 * GIB, 80 * GIB, 1, False, "device"),
    (40 * GIB + 1, 80 * GIB, 1, True, "streamed"),
    (40 * GIB + 1, 80 * GIB, 2, True, "sharded"),
    (160 * GIB, 80 * GIB, 4, False, "sharded"),
    (160 * GIB + 1, 80 * GIB, 4, False, "streamed"),
  ],
)
def test_where_images_live(size, limit, devices, mapped, where):
  assert placement.settle("auto", size, limit, devices, mapped) == where
  for wanted in PLACES:
    assert placement.settle(wanted, size, limit, devices, mapped) == wanted
  with pytest.raises(UserError, match="residence 'shared' .*'sharded'.*auto, device, sharded, str"):
    placement.settle("shared", size, limit, devices, mapped)


def test_what_is_said_of_it(split):
  def said(images, where, devices=2):
    return loaded(Split(images, split.labels), school.fleet(devices), where).said

  assert said(split.images, "device") == said(split.images[:], "auto") == ""
  assert "108 images, 0.00 GB, stay on the host" in said(split.images, "auto")
  assert "divided over 2 devices" in said(split.images[:], "sharded")


# --- the thread ----------------------------------------------------------------------------------


def numbered(count, make=lambda number: number):
  return prefetch.Stream(make, lambda number: number + 1 if number + 1 < count else None)


def threads():
  return [thread for thread in threading.enumerate() if thread.name.startswith("edjax-stream")]


def test_one_ahead_and_no_more():
  made, gate = [], threading.Event()

  def make(number):
    if number:
      assert gate.wait(10)
    made.append(number)
    return number

  with numbered(4, make) as things:
    assert things(0) == 0 and made == [0]  # while 1 waits
    gate.set()
    assert things(1) == 1
    things._waiting.result()
    time.sleep(0.05)
    assert made == [0, 1, 2] and len(threads()) == 1
    assert things(1) == 1  # another than the next is made when it is asked for
    assert things(2) == 2 and things(3) == 3 and things(3) == 3
  assert not threads()


def test_errors_of_the_thread_are_raised_where_they_matter():
  def make(number):
    if number == 1:
      raise OSError(5, "Input/output error")
    return number

  with numbered(3, make) as things:
    assert things(0) == 0
    with pytest.raises(OSError, match="Input/output"):
      things(1)
    assert things(2) == 2
  assert not threads()


def test_an_interrupted_run_leaves_no_thread():
  started, gate = threading.Event(), threading.Event()

  def make(number):
    if number:
      started.set()
      gate.wait(10)
    return number

  with pytest.raises(KeyboardInterrupt), numbered(9, make) as things:
    things(0)
    started.wait(10)
    threading.Timer(0.1, gate.set).start()
    raise KeyboardInterrupt
  assert not threads()
