"""Photographs in small archives of exactly the published layout: listed, prepared, refused."""

import functools
import hashlib
import subprocess
import sys

import numpy as np
import pytest

from edjax.data import __main__ as command_line
from edjax.data.photographs import archives, cache, decoding, reader
from tests import archives as made
from tests import command
from tests.data.decode_test import bad_images, odd_images

pytestmark = pytest.mark.usefixtures("no_network")
fails = functools.partial(made.refuses, made.load)


# --- the layouts ---------------------------------------------------------------------------------


@pytest.mark.parametrize("meta_first", [False, True])
def test_food101(tmp_path, monkeypatch, meta_first):
  path = made.write_food101(tmp_path, meta_first=meta_first)
  made.publish(monkeypatch, "food101", path)
  data = made.load(tmp_path)
  assert data.class_names == made.FOOD == tuple(sorted(made.FOOD))
  rows = [(label, name) for label, name in enumerate(made.FOOD)]
  assert data.train.labels.tolist() == [label for label, _ in rows for _ in range(6)]
  assert data.test.labels.tolist() == [label for label, _ in rows for _ in range(2)]
  made.shows(data.train, *((name, i) for _, name in rows for i in (0, 1, 2, 4, 5, 6)))
  made.shows(data.test, *((name, i) for _, name in rows for i in (3, 7)))
  assert data.train.images.shape == (18, 16, 16, 3) and data.train.images.dtype == np.uint8
  assert data.mean == (0.485, 0.456, 0.406) and data.std == (0.229, 0.224, 0.225)
  assert made.load(tmp_path, image_size=0).test.images.shape == (6, 160, 160, 3)


def test_caltech256(tmp_path, monkeypatch):
  made.publish(monkeypatch, "caltech256", made.write_caltech256(tmp_path))
  data = made.load(tmp_path, "caltech256")
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
  made.shows(data.train, *train)
  made.shows(data.test, *test)
  assert data.train.labels.tolist() == [0] * 8 + [1] * 8 + [2] * 8
  assert data.test.labels.tolist() == [0, 0, 1, 1, 2, 2]
  with_clutter = made.load(tmp_path, "caltech256_clutter")
  assert with_clutter.class_names == ("ak47", "dog", "spider", "clutter")
  assert np.array_equal(with_clutter.train.images[:24], data.train.images)


def test_tiny_imagenet(tmp_path, monkeypatch):
  made.publish(monkeypatch, "tiny_imagenet", made.write_tiny_imagenet(tmp_path))
  data = made.load(tmp_path, "tiny_imagenet", image_size=0)
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
  made.shows(data.test, *(("val", j) for j in range(8)))
  order = list(made.WORDNET)
  assert data.test.labels.tolist() == [ids.index(order[j % 4]) for j in range(8)]
  assert data.mean == (0.4802, 0.4481, 0.3975) and data.std == (0.2302, 0.2265, 0.2262)


def write_tfds(tmp_path):
  """Prepares a small food101 as tensorflow-datasets does; returns the data directory."""
  parts = {}
  for split, part, count in (("train", "train", 8), ("validation", "val", 4)):
    parts[split] = [(tmp_path / f"{part}{i}.jpg", i % 2) for i in range(count)]
    for i, (path, _) in enumerate(parts[split]):
      path.write_bytes(made.jpeg((part, i), height=20 + i, width=30))
  classes = ["apple_pie", "cheesecake"]
  made.write_tfds(tmp_path / "data", "food101", "2.0.0", (None, None, 3), classes, parts)
  return tmp_path / "data"


def test_food101_of_tensorflow_datasets(tmp_path, monkeypatch):
  directory = write_tfds(tmp_path)
  imported = "tensorflow" in sys.modules
  fails(directory / "food-101.tar.gz", directory=directory, source="files")
  for source in ("auto", "tfds"):
    data = made.load(directory, source=source)
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
  data = made.load(directory, "tfds:flowers", image_size=0)
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
  print(error, "edjax.training.loop" in sys.modules, sep="\\n")
"""


@pytest.mark.parametrize("name", ["food101", "caltech256", "tiny_imagenet", "cifar100"])
def test_a_run_without_its_files_ends_before_the_school_is_imported(tmp_path, name):
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


# --- bad images ----------------------------------------------------------------------------------


def test_bad_images_of_an_archive(tmp_path, monkeypatch):
  changed = {("cheesecake", 3): b"<html>404</html>"}
  path = made.write_food101(tmp_path, changed=changed, train=24, test=8)
  made.publish(monkeypatch, "food101", path)
  name = f"{path}:food-101/images/cheesecake/1021.jpg"
  fails(name, "<html>404", "bad_images=skip", directory=tmp_path)
  place = cache.folder(tmp_path, "food101", 16)
  assert not cache.is_ready(place)
  data = made.load(tmp_path, bad_images="skip")
  assert data.test.labels.tolist() == [0] * 8 + [1] * 8 + [2] * 7
  made.shows(
    data.test, *((k, i) for k in made.FOOD for i in range(3, 32, 4) if (k, i) not in changed)
  )
  assert len(data.train.labels) == 72
  (note,) = data.notes
  assert note.startswith("left out 1 that cannot be read: food-101.tar.gz:food-101/images/cheesec")
  assert "<html>404" in note and str(tmp_path) not in note
  (row,) = cache.meta(place)["skipped"]
  assert row["file"] == name and "<html>404" in row["why"]
  assert (row["part"], row["row"]) == ("test", 16)
  assert np.array_equal(made.load(tmp_path).test.images, data.test.images)  # as it was prepared


@pytest.mark.parametrize("decoder", decoding.DECODERS)
def test_every_kind_of_image_in_an_archive(tmp_path, monkeypatch, decoder):
  """What is an image is kept, whatever its kind; what is none is named, or left out and counted."""
  for module in decoding.DECODERS[decoder]:
    pytest.importorskip(module)
  odd = {("apple_pie", i): content for i, content in enumerate(odd_images().values())}
  bad = {kind: (("cheesecake", i), b) for i, (kind, (b, _)) in enumerate(bad_images().items())}
  prepare = functools.partial(reader.prepare, "food101", image_size=16, decoder=decoder)
  for kind, (key, content) in bad.items():
    directory = tmp_path / kind.replace(" ", "_")
    directory.mkdir()
    path = made.write_food101(directory, changed={key: content}, train=9, test=3)
    made.publish(monkeypatch, "food101", path)
    name = f"{path}:food-101/images/cheesecake/{1000 + 7 * key[1]}.jpg"
    made.refuses(prepare, name, "bad_images=skip", directory=directory)
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
  argv = ["prepare", "cifar100", f"--data_dir={tmp_path}"]
  made.refuses(command_line.main, "'cifar100'", "food101, caltech256", argv=argv)
  prepare = reader.prepare
  made.refuses(prepare, "-1", name="food101", directory=tmp_path, image_size=-1)
  made.refuses(prepare, "'fast'", "pillow", name="food101", directory=tmp_path, decoder="fast")
  assert not list(tmp_path.glob("edjax-*"))
