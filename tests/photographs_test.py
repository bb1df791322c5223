"""Photographs in small archives of exactly the published layout: listing, preparing, mapping."""

import dataclasses
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
from edjax.data import archives, cache, datasets, decode, filling, photographs
from edjax.errors import UserError
from tests import archives as made
from tests import command
from tests.decode_test import bad_images, odd_images


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
  made.refuse_sockets(monkeypatch)


@pytest.fixture
def food(tmp_path, monkeypatch):
  """The path of a small food-101.tar.gz that passes for the published one."""
  path = made.write_food101(tmp_path)
  made.publish(monkeypatch, "food101", path)
  return path


def load(directory, name="food101", **options):
  return datasets.load(
    name, data_dir=str(directory), **{"image_size": 16, "validation_fraction": 0} | options
  )


def fails(*words, call=load, **arguments):
  """Asserts that a call raises one line that holds all the words, at once."""
  start = time.monotonic()
  with pytest.raises(UserError) as caught:
    call(**arguments)
  assert time.monotonic() - start < 2
  message = str(caught.value)
  assert "\n" not in message
  for word in words:
    assert str(word) in message, message


def shows(split, *expected):
  """Asserts that a split's images have these keys' colours, in this order, and nothing else."""
  images = np.asarray(split.images).astype(int)
  assert images.shape == (len(expected), *images.shape[1:])
  for image, key in zip(images, expected, strict=True):
    assert np.abs(image - made.shade(*key)).max() <= 6


def contents(place):
  return {path.name: path.read_bytes() for path in place.iterdir() if path.name != "lock"}


# --- the layouts ---------------------------------------------------------------------------------


@pytest.mark.parametrize("meta_first", [False, True])
def test_food101(tmp_path, monkeypatch, meta_first):
  path = made.write_food101(tmp_path, meta_first=meta_first)
  made.publish(monkeypatch, "food101", path)
  data = load(tmp_path)
  assert data.class_names == made.FOOD == tuple(sorted(made.FOOD))
  rows = [(label, name) for label, name in enumerate(made.FOOD)]
  assert data.train.labels.tolist() == [label for label, _ in rows for _ in range(6)]
  assert data.test.labels.tolist() == [label for label, _ in rows for _ in range(2)]
  shows(data.train, *((name, i) for _, name in rows for i in (0, 1, 2, 4, 5, 6)))
  shows(data.test, *((name, i) for _, name in rows for i in (3, 7)))
  assert data.train.images.shape == (18, 16, 16, 3) and data.train.images.dtype == np.uint8
  assert data.mean == (0.485, 0.456, 0.406) and data.std == (0.229, 0.224, 0.225)
  assert load(tmp_path, image_size=0).test.images.shape == (6, 160, 160, 3)


def test_caltech256(tmp_path, monkeypatch):
  made.publish(monkeypatch, "caltech256", made.write_caltech256(tmp_path))
  data = load(tmp_path, "caltech256")
  assert data.class_names == ("ak47", "dog", "spider")
  train, test = [], []
  for folder in made.CALTECH[:3]:
    digest = {
      i: hashlib.sha256(f"{folder}/{folder[:3]}_{i:04}.jpg".encode()).hexdigest()
      for i in range(1, 11)
    }
    held_out = sorted(digest, key=digest.get)[:2]
    train += [(folder, i) for i in range(1, 11) if i not in held_out]
    test += [(folder, i) for i in sorted(held_out)]
  shows(data.train, *train)
  shows(data.test, *test)
  assert data.train.labels.tolist() == [0] * 8 + [1] * 8 + [2] * 8
  assert data.test.labels.tolist() == [0, 0, 1, 1, 2, 2]
  with_clutter = load(tmp_path, "caltech256_clutter")
  assert with_clutter.class_names == ("ak47", "dog", "spider", "clutter")
  assert np.array_equal(with_clutter.train.images[:24], data.train.images)


def test_tiny_imagenet(tmp_path, monkeypatch):
  made.publish(monkeypatch, "tiny_imagenet", made.write_tiny_imagenet(tmp_path))
  data = load(tmp_path, "tiny_imagenet", image_size=0)
  ids = sorted(made.WORDNET)
  assert data.class_names == ("goldfish", "crane (n02012849)", "Egyptian cat", "crane (n03126707)")
  assert data.train.images.shape == (24, 64, 64, 3)
  found = {(int(label), tuple(image[9, 9])) for image, label in zip(
    np.asarray(data.train.images).astype(int), data.train.labels, strict=True
  )}  # fmt: skip
  for label, wnid in enumerate(ids):
    for i in range(6):
      shade = made.shade(wnid, i)
      assert any(label == k and np.abs(np.subtract(c, shade)).max() <= 6 for k, c in found)
  shows(data.test, *(("val", j) for j in range(8)))
  order = list(made.WORDNET)
  assert data.test.labels.tolist() == [ids.index(order[j % 4]) for j in range(8)]
  assert data.mean == (0.4802, 0.4481, 0.3975) and data.std == (0.2302, 0.2265, 0.2262)


def write_tfds(tmp_path, name="food101"):
  """Prepares a small food101 as tensorflow-datasets does; returns the data directory."""
  tfds = pytest.importorskip("tensorflow_datasets")
  with tfds.core.registered.skip_registration():

    class Food101(tfds.core.GeneratorBasedBuilder):
      VERSION = tfds.core.Version("2.0.0")

      def _info(self):
        features = {
          "image": tfds.features.Image(),
          "label": tfds.features.ClassLabel(names=["apple_pie", "cheesecake"]),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

      def _split_generators(self, manager):
        parts = {"train": ("train", 8), "validation": ("val", 4)}
        return {split: self._generate_examples(*part) for split, part in parts.items()}

      def _generate_examples(self, part, count):
        for i in range(count):
          path = tmp_path / f"{part}{i}.jpg"
          path.write_bytes(made.jpeg((part, i), height=20 + i, width=30))
          yield i, {"image": str(path), "label": i % 2}

  Food101(data_dir=tmp_path / "data", file_format="array_record").download_and_prepare()
  return tmp_path / "data"


def test_food101_of_tensorflow_datasets(tmp_path, monkeypatch):
  directory = write_tfds(tmp_path)
  imported = "tensorflow" in sys.modules
  fails(directory / "food-101.tar.gz", directory=directory, source="files")
  for source in ("auto", "tfds"):
    data = load(directory, source=source)
    assert data.class_names == ("apple_pie", "cheesecake")
    for split, part, count in ((data.train, "train", 8), (data.test, "val", 4)):
      colours = np.asarray(split.images).astype(int)[:, 8, 8]
      numbers = [
        min(range(count), key=lambda i: np.abs(colour - made.shade(part, i)).sum())
        for colour in colours
      ]
      assert sorted(numbers) == list(range(count))
      assert split.labels.tolist() == [i % 2 for i in numbers]
      assert np.abs(colours - [made.shade(part, i) for i in numbers]).max() <= 6
  assert ("tensorflow" in sys.modules) == imported
  fails("source='files'", "remove it", directory=directory, source="files")
  meta = cache.meta(cache.folder(directory, "food101", 16))
  assert meta["source"] == {"tfds": "food101/2.0.0"}


def test_whatever_tensorflow_datasets_has_prepared(tmp_path):
  directory = write_tfds(tmp_path)
  (directory / "food101").rename(directory / "flowers")
  fails("tfds:roses", directory / "roses", "array_record", directory=directory, name="tfds:roses")
  data = load(directory, "tfds:flowers", image_size=0)
  assert data.train.images.shape == (8, 160, 160, 3) and data.test.labels.shape == (4,)
  assert (directory / "edjax-tfds-flowers-160" / "meta.json").exists()


# --- what is there and what is not ---------------------------------------------------------------


@pytest.mark.parametrize(
  "name, archive, size, md5, page",
  [
    ("food101", "food-101.tar.gz", "4,996,278,331", "85eeb15f", "data.vision.ee.ethz.ch"),
    ("caltech256", "256_ObjectCategories.tar", "1,183,006,720", "67b4f42c", "data.caltech.edu"),
    ("tiny_imagenet", "tiny-imagenet-200.zip", "248,100,043", "90528d7c", "cs231n.stanford.edu"),
  ],
)
def test_a_missing_archive(tmp_path, name, archive, size, md5, page):
  fails(tmp_path / archive, size, md5, page, directory=tmp_path, name=name)
  fails(archive, size, page, "--config.data_dir=DIR", directory="", name=name)
  fails(tmp_path / "no", archive, size, page, directory=tmp_path / "no", name=name)


def test_the_command_without_an_archive(tmp_path):
  ended = subprocess.run(
    [sys.executable, "-m", "edjax.data", "prepare", "food101", f"--data_dir={tmp_path}"],
    capture_output=True, text=True, cwd=command.ROOT, check=False,
  )  # fmt: skip
  assert ended.returncode == 1
  (line,) = ended.stderr.splitlines()
  assert str(tmp_path / "food-101.tar.gz") in line and "4,996,278,331 bytes" in line
  assert not list(tmp_path.iterdir())


_WITHOUT_FILES = """
import sys
from edjax import main
sys.argv[1:] = [f"--config=configs/{sys.argv[1]}.py", "--config.data_dir=" + sys.argv[2]]
try:
  main.run()
except SystemExit as error:
  print(error, "jax" in sys.modules, sep="\\n")
"""


@pytest.mark.parametrize("name", ["food101", "caltech256", "tiny_imagenet", "cifar100"])
def test_a_run_without_its_files_ends_before_jax_is_imported(tmp_path, name):
  ended = subprocess.run(
    [sys.executable, "-c", _WITHOUT_FILES, name, str(tmp_path)],
    capture_output=True, text=True, cwd=command.ROOT, check=True,
  )  # fmt: skip
  message, imported = ended.stdout.splitlines()
  row = archives.ARCHIVES[name]
  assert message.startswith("edjax: ") and imported == "False" and not ended.stderr
  for word in (tmp_path, row.name, f"{row.size:,} bytes", row.page):
    assert str(word) in message


def test_an_archive_that_is_not_the_published_one(tmp_path, food):
  whole = food.read_bytes()
  for content, words in (
    (whole[:-100], [f"expected {len(whole):,} bytes", f"found {len(whole) - 100:,}"]),
    (b"<html>" + whole[6:], ["expected MD5 " + archives.ARCHIVES["food101"].md5, "found "]),
    (b"", ["found 0"]),
  ):
    food.write_bytes(content)
    fails(food, *words, "example.org", directory=tmp_path)
    assert not cache.folder(tmp_path, "food101", 16).exists()


@pytest.mark.parametrize("writer", [made.write_food101, made.write_caltech256])
def test_an_archive_damaged_inside(tmp_path, monkeypatch, writer):
  path = writer(tmp_path)
  name = "food101" if path.name.startswith("food") else "caltech256"
  content = path.read_bytes()
  inside = content.find(b"001_0005.jpg") + 600 if name == "caltech256" else len(content) // 2
  for damaged in (content[:inside], b"<html>" * 200, b""):
    path.write_bytes(damaged)
    made.publish(monkeypatch, name, path)
    fails(path, "fetch the archive again", directory=tmp_path, name=name)


def test_archives_that_lack_what_they_list(tmp_path, monkeypatch):
  path = made.write_food101(tmp_path, changed={("cheesecake", 2): None})
  made.publish(monkeypatch, "food101", path)
  fails(path, "lacks food-101/images/cheesecake/1014.jpg", directory=tmp_path)
  made.write_tar_in_order(path, [("food-101/meta/classes.txt", b"apple_pie\n")], "w:gz")
  made.publish(monkeypatch, "food101", path)
  fails(path, "lacks food-101/meta/train.txt", directory=tmp_path)
  path = made.write_caltech256(tmp_path, folders=("001.ak47",), count=1)
  made.publish(monkeypatch, "caltech256", path)
  fails(path, "001.ak47 holds one image", directory=tmp_path, name="caltech256")
  path = made.write_tiny_imagenet(tmp_path, val=0)
  made.publish(monkeypatch, "tiny_imagenet", path)
  fails(path, "no image of the test split", directory=tmp_path, name="tiny_imagenet")


# --- the cache -----------------------------------------------------------------------------------


def test_the_command(tmp_path, food, capsys):
  command_line.main(["prepare", "food101", f"--data_dir={tmp_path}", "--size=16"])
  out, err = capsys.readouterr()
  place = tmp_path / "edjax-food101-16"
  assert out.startswith(f"{place}: 18 images for training and 6 for the exam, of 16x16 pixels, 0")
  assert "preparing food101 · ━━━━━━━━━━ 100%" in err and "epoch" not in err
  meta = json.loads((place / "meta.json").read_text())
  assert meta["source"]["md5"] == hashlib.md5(food.read_bytes()).hexdigest()
  assert meta["images"] == {"train": 18, "test": 6} and meta["skipped"] == []
  assert meta["decoder"] == decode.best() and {"edjax", "numpy", "pillow"} <= set(meta["versions"])
  # From now on the archive is not needed, and nothing is written.
  food.unlink()
  before = {path: path.stat().st_mtime_ns for path in place.iterdir()}
  command_line.main(["prepare", "food101", f"--data_dir={tmp_path}", "--size=16"])
  assert capsys.readouterr().err == ""
  data = load(tmp_path)
  assert capsys.readouterr().err == ""
  assert before == {path: path.stat().st_mtime_ns for path in place.iterdir()}
  assert np.array_equal(data.train.images, np.load(place / "train.npy"))


def test_a_cache_is_mapped_and_not_read(tmp_path, food):
  data = load(tmp_path, validation_fraction=0.3, train_limit=6)
  source = data.train.images._source
  assert isinstance(source, np.memmap) and not source.flags.writeable
  assert data.validation.images._source is source
  everything = np.load(tmp_path / "edjax-food101-16" / "train.npy")
  sizes = [len(part.labels) for part in (data.train, data.validation)]
  assert sizes == [6, 6]
  for part in (data.train, data.validation):
    rows = [next(i for i, e in enumerate(everything) if np.array_equal(e, m)) for m in part.images]
    assert [i // 6 for i in rows] == part.labels.tolist()
  whole = load(tmp_path).train.images
  assert np.shares_memory(np.asarray(whole), whole._source)  # no second copy of what is all there
  assert np.array_equal(whole[3], everything[3])
  assert np.array_equal(whole[[5, 1]], everything[[5, 1]])
  assert np.array_equal(whole[2:9:3], everything[2:9:3])


def test_the_kernel_is_told_what_will_be_read(tmp_path, food, monkeypatch):
  images = load(tmp_path).train.images
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
  load(tmp_path)
  place = cache.folder(tmp_path, "food101", 16)
  first = contents(place)
  shutil.rmtree(place)
  monkeypatch.setattr(filling.os, "sched_getaffinity", lambda _: set(range(7)), raising=False)
  monkeypatch.setattr(filling, "_BATCH_FILES", 1)
  load(tmp_path)
  assert contents(place) == first


_KILLED = """
import itertools, json, os, pathlib, sys, time
from edjax.data import archives, decode, filling, photographs
archives.ARCHIVES["food101"] = archives.Archive(*json.loads(sys.argv[2]))
filling.SAVE_SECONDS, filling._BATCH_FILES = 0, 2
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
seconds, square = itertools.chain(8 * [0.05], itertools.repeat(3600)), decode.square
decode.square = lambda *arguments: (time.sleep(next(seconds)), square(*arguments))[1]
photographs.prepare("food101", pathlib.Path(sys.argv[1]), 16)
"""


def test_a_killed_run_is_continued(tmp_path, food, monkeypatch):
  load(tmp_path)
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
  square, decoded = decode.square, []
  monkeypatch.setattr(decode, "square", lambda *a: decoded.append(a) or square(*a))
  load(tmp_path)
  assert 6 <= done <= 8 and len(decoded) == 24 - done
  assert contents(place) == expected


def test_another_kind_of_run_is_not_continued(tmp_path, food):
  place = cache.folder(tmp_path, "food101", 16)
  load(tmp_path)
  expected = contents(place)
  meta = cache.meta(place)
  (place / "meta.json").unlink()
  state = {key: meta[key] for key in ("format", "dataset", "source", "size", "decoder", "images")}
  (place / "progress.json").write_text(json.dumps(state | {"done": 24, "skipped": []}))
  load(tmp_path)  # of the same kind: nothing is left to do
  assert contents(place) == expected
  for change in ({"decoder": "other"}, {"source": {"md5": "other"}}, {"format": 0}):
    (place / "meta.json").unlink()
    (place / "train.npy").write_bytes(expected["train.npy"][:-1] + b"x")
    (place / "progress.json").write_text(json.dumps(state | {"done": 24, "skipped": []} | change))
    load(tmp_path)
    assert contents(place) == expected
  (place / "meta.json").unlink()
  (place / "progress.json").write_text(json.dumps(state | {"done": 24, "skipped": []}))
  (place / "test.npy").unlink()
  load(tmp_path)
  assert contents(place) == expected


def test_two_processes_do_not_prepare_at_once(tmp_path, food):
  place = cache.folder(tmp_path, "food101", 16)
  place.mkdir()
  with open(place / "lock", "w") as other:
    fcntl.flock(other, fcntl.LOCK_EX)
    thread = threading.Thread(target=load, args=(tmp_path,))
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
    thread = threading.Thread(target=load, args=(tmp_path,))
    thread.start()
    thread.join(0.3)
    (place / "meta.json").write_bytes(meta + b"\n")
  thread.join(20)
  assert (place / "meta.json").read_bytes() == meta + b"\n"


@pytest.mark.parametrize("damage", ["short", "format", "labels", "no labels", "no json"])
def test_a_damaged_cache(tmp_path, food, damage):
  load(tmp_path)
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
  shows(load(tmp_path).test, *((name, i) for name in made.FOOD for i in (3, 7)))


def test_a_disk_that_fills_up(tmp_path, food, monkeypatch):
  load(tmp_path)
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
  load(tmp_path)
  assert contents(place) == expected


_LIMITED = """
import json, pathlib, resource, sys
from edjax.data import __main__, archives
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
  assert len(load(tmp_path).train.labels) == 18


# --- bad images ----------------------------------------------------------------------------------


def test_bad_images_of_an_archive(tmp_path, monkeypatch):
  changed = {("cheesecake", 3): b"<html>404</html>"}
  path = made.write_food101(tmp_path, changed=changed, train=24, test=8)
  made.publish(monkeypatch, "food101", path)
  name = f"{path}:food-101/images/cheesecake/1021.jpg"
  fails(name, "<html>404", "bad_images=skip", directory=tmp_path)
  place = cache.folder(tmp_path, "food101", 16)
  assert not cache.is_ready(place)
  data = load(tmp_path, bad_images="skip")
  assert data.test.labels.tolist() == [0] * 8 + [1] * 8 + [2] * 7
  shows(data.test, *((k, i) for k in made.FOOD for i in range(3, 32, 4) if (k, i) not in changed))
  assert len(data.train.labels) == 72
  (row,) = cache.meta(place)["skipped"]
  assert row["file"] == name and "<html>404" in row["why"]
  assert (row["part"], row["row"]) == ("test", 16)
  assert np.array_equal(load(tmp_path).test.images, data.test.images)  # as it was prepared


@pytest.mark.parametrize("decoder", decode.DECODERS)
def test_every_kind_of_image_in_an_archive(tmp_path, monkeypatch, decoder):
  """What is an image is kept, whatever its kind; what is none is named, or left out and counted."""
  for module in decode.DECODERS[decoder]:
    pytest.importorskip(module)
  odd = {("apple_pie", i): content for i, content in enumerate(odd_images().values())}
  bad = {kind: (("cheesecake", i), b) for i, (kind, (b, _)) in enumerate(bad_images().items())}
  prepare = functools.partial(photographs.prepare, "food101", image_size=16, decoder=decoder)
  for kind, (key, content) in bad.items():
    directory = tmp_path / kind.replace(" ", "_")
    directory.mkdir()
    path = made.write_food101(directory, changed={key: content}, train=9, test=3)
    made.publish(monkeypatch, "food101", path)
    name = f"{path}:food-101/images/cheesecake/{1000 + 7 * key[1]}.jpg"
    fails(name, "bad_images=skip", call=prepare, directory=directory)
  path = made.write_food101(tmp_path, changed=odd | dict(bad.values()), train=180, test=60)
  made.publish(monkeypatch, "food101", path)
  place, meta = prepare(directory=tmp_path, bad_images="skip")
  assert [row["file"].rsplit("/", 2)[1:] for row in meta["skipped"]] == [
    ["cheesecake", f"{1000 + 7 * i}.jpg"] for i in range(len(bad))
  ]
  train, test, _ = cache.read(place)
  assert len(train.labels) + len(test.labels) == 720 - len(bad)
  assert len(train.images) == len(train.labels) and len(test.images) == len(test.labels)


def test_too_many_bad_images(tmp_path, monkeypatch):
  changed = {("cheesecake", i): b"" for i in (1, 2)}
  path = made.write_food101(tmp_path, changed=changed)
  made.publish(monkeypatch, "food101", path)
  fails("1014.jpg", "2 among 24", "one in a hundred", directory=tmp_path, bad_images="skip")
  assert not cache.is_ready(cache.folder(tmp_path, "food101", 16))


def test_arguments(tmp_path, food):
  fails("'ignore'", "error, skip", directory=tmp_path, bad_images="ignore")
  fails("source='tfds'", "food101", directory=tmp_path, name="caltech256", source="tfds")
  arguments = {"call": command_line.main, "argv": ["prepare", "cifar100", f"--data_dir={tmp_path}"]}
  fails("'cifar100'", "food101, caltech256", **arguments)
  prepare = photographs.prepare
  fails("-1", call=prepare, name="food101", directory=tmp_path, image_size=-1)
  fails("'fast'", "pillow", call=prepare, name="food101", directory=tmp_path, decoder="fast")
  assert not list(tmp_path.glob("edjax-*"))
