"""What tensorflow-datasets has prepared, written by itself and read without TensorFlow."""

import functools
import json
import sys

import numpy as np
import pytest

from configs import tfds
from edjax.data import datasets
from edjax.data.readers import named, prepared
from edjax.settings import settle
from edjax.training import loop
from tests import archives as made

pytestmark = pytest.mark.usefixtures("no_network")
fails = functools.partial(made.refuses, datasets.load)


def test_prepared_by_tensorflow_datasets(tmp_path):
  images = np.random.default_rng(2).integers(0, 256, (26, 28, 28), np.uint8)
  labels = np.arange(26) % 2
  rows = [
    (made.save(tmp_path / "png" / f"{i}.png", image), label)
    for i, (image, label) in enumerate(zip(images, labels, strict=True))
  ]
  directory, parts = tmp_path / "data", {"train": rows[:20], "test": rows[20:]}
  made.write_tfds(directory, "fashion_mnist", "3.0.1", (28, 28, 1), ["coat", "boot"], parts)
  lookup = {i.tobytes(): n for i, n in zip(images, labels, strict=True)}
  arguments = {"name": "fashion_mnist", "data_dir": str(directory)}
  imported = "tensorflow" in sys.modules
  for source in ("auto", "tfds"):
    data = datasets.load(**arguments, source=source)
    assert [len(p.labels) for p in (data.train, data.validation, data.test)] == [18, 2, 6]
    assert data.class_names == ("coat", "boot")
    parts = (data.train, data.validation, data.test)
    assert set().union(*map(made.as_bytes, parts)) == set(lookup)
    for part in parts:
      assert part.images.dtype == np.uint8 and part.images.shape[1:] == (28, 28, 1)
      assert [lookup[image.tobytes()] for image in part.images] == part.labels.tolist()
  assert ("tensorflow" in sys.modules) == imported
  fails(directory, "train-images-idx3-ubyte", **arguments, source="files")

  # The published files come first where both are there.
  written = made.write_fashion(directory, train=100)
  assert np.array_equal(datasets.load(**arguments).test.images, written["t10k"][..., None])
  assert datasets.load(**arguments, source="tfds").class_names == ("coat", "boot")

  shard = next(directory.glob("fashion_mnist/3.0.1/*test.array_record*"))
  shard.unlink()
  fails(shard.parent, "prepare the data set again", **arguments, source="tfds")


def test_newest_prepared_version_is_found(tmp_path):
  assert prepared.find(tmp_path, "cifar100") is None
  for version in ("3.0.2", "10.0.0", "9.1.0"):
    folder_path = tmp_path / "cifar100" / version
    folder_path.mkdir(parents=True)
    (folder_path / "dataset_info.json").write_text("{}")
    (folder_path / "cifar100-train.array_record-00000-of-00001").write_bytes(b"")
  assert prepared.find(tmp_path, "cifar100") == tmp_path / "cifar100" / "10.0.0"
  assert prepared.find(tmp_path, "cifar10") is None


def test_prepared_data_that_cannot_be_read(tmp_path, monkeypatch):
  pytest.importorskip("tensorflow_datasets")
  arguments = {"name": "fashion_mnist", "data_dir": str(tmp_path), "source": "tfds"}
  fails(tmp_path, "fashion_mnist/<version>", "array_record", **arguments)
  version = tmp_path / "fashion_mnist" / "3.0.1"
  version.mkdir(parents=True)
  (version / "dataset_info.json").write_text(json.dumps({"name": "fashion_mnist"}))
  (version / "fashion_mnist-train.tfrecord-00000-of-00001").write_bytes(b"")
  fails(tmp_path, "array_record", **arguments)
  (version / "fashion_mnist-train.array_record-00000-of-00001").write_bytes(b"")
  fails(version, "cannot be read", **arguments)
  monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
  fails(version, "pip install tensorflow-datasets", **arguments)


# --- by name -------------------------------------------------------------------------------------


def grey(tmp_path, counts, labels=None):
  """{split: [(path, label)]} of grey images of 8 pixels, and {pixels: label}; two classes."""
  draw, parts, lookup = np.random.default_rng(3), {}, {}
  for split, count in counts.items():
    parts[split] = []
    for i in range(count):
      image, label = draw.integers(0, 256, (8, 8), np.uint8), (labels or {}).get(split, i % 2)
      parts[split].append((made.save(tmp_path / split / f"{i}.png", image), label))
      lookup[image.tobytes()] = split, label
  return parts, lookup


def write(tmp_path, parts, **options):
  """Prepares the set "beans"; returns options of `load` that name it."""
  made.write_tfds(tmp_path / "data", "beans", "0.1.0", (8, 8, 1), ["good", "bad"], parts, **options)
  return {"name": "tfds:beans", "data_dir": str(tmp_path / "data"), "validation_fraction": 0}


@pytest.mark.parametrize(
  "counts, examined",
  [
    ({"train": 20, "validation": 6, "test": 4}, "test"),
    ({"train": 20, "validation": 6}, "validation"),
    ({"train": 20, "validation": 6, "test": 4}, "validation"),
  ],
)
def test_which_split_is_examined(counts, examined, tmp_path):
  """One whose labels are not told is not, as ImageNet's."""
  untold = {"test": -1} if "test" in counts and examined != "test" else {}
  parts, lookup = grey(tmp_path, counts, untold)
  data = datasets.load(**write(tmp_path, parts))
  for split, name in ((data.train, "train"), (data.test, examined)):
    assert split.images.shape == (counts[name], 8, 8, 1) and split.images.dtype == np.uint8
    found = [lookup[image.tobytes()] for image in split.images]
    assert found == [(name, label) for label in split.labels.tolist()]
  assert data.class_names == ("good", "bad") and len(data.mean) == 1


@pytest.mark.parametrize("size", [0, 12])
def test_a_fifth_is_held_out_of_a_set_that_is_not_cut(size, tmp_path):
  """Of each class, as it is or as photographs of another size; always the same."""
  parts, lookup = grey(tmp_path, {"train": 30})
  given = write(tmp_path, parts)
  data, again = (datasets.load(**given, image_size=size) for _ in range(2))
  assert np.bincount(data.test.labels).tolist() == [3, 3]
  assert np.bincount(data.train.labels).tolist() == [12, 12]
  np.testing.assert_array_equal(data.test.images, again.test.images)
  if size:
    assert data.train.images.shape == (24, 12, 12, 3)
    assert not made.as_bytes(data.train) & made.as_bytes(data.test)
  else:
    assert made.as_bytes(data.train) | made.as_bytes(data.test) == set(lookup)


def test_large_sets_are_mapped_at_their_own_size(tmp_path, monkeypatch):
  parts, lookup = grey(tmp_path, {"train": 8, "test": 2})
  monkeypatch.setattr(named, "_IN_MEMORY", 10 * 64 - 1)
  data = datasets.load(**write(tmp_path, parts))
  assert (tmp_path / "data" / "edjax-tfds-beans-8").is_dir()
  images = np.asarray(data.train.images)
  assert [lookup[image[..., 0].tobytes()] for image in images] == [
    ("train", label) for label in data.train.labels
  ]


def test_what_is_learnt_from_what(tmp_path):
  """As the set says it; without a word there must be one of each."""
  parts, lookup = grey(tmp_path, {"train": 8, "test": 2})
  names = {"keys": ("scan", "kind"), "others": ("coarse", "rater")}
  data = datasets.load(**write(tmp_path, parts, **names, learnt=("scan", "kind")))
  assert {lookup[image.tobytes()] for image in data.train.images} == {("train", 0), ("train", 1)}
  (tmp_path / "other").mkdir()
  unsaid = write(tmp_path / "other", parts, **names)
  fails("scan are images", "coarse, kind, rater classes", "beans", **unsaid)


def test_sets_without_a_split_to_train_on(tmp_path):
  parts, _ = grey(tmp_path, {"test": 4})
  fails("no split 'train'", "but test", **write(tmp_path, parts))


def test_sets_that_are_not_there(tmp_path):
  line = "tfds.builder('roses', data_dir='DIR', file_format='array_record').download_and_prepare()"
  fails(tmp_path / "roses", line, name="tfds:roses", data_dir=str(tmp_path))
  version = tmp_path / "roses" / "1.0.0"
  version.mkdir(parents=True)
  (version / "roses-train.tfrecord-00000-of-00001").write_bytes(b"")
  fails("TFRecord files", line, name="tfds:roses", data_dir=str(tmp_path))
  fails("--config.data.name=NAME", name="tfds:", data_dir=str(tmp_path))


def test_a_school_of_a_set_by_its_name(small, tmp_path):
  parts, _ = grey(tmp_path, {"train": 80, "test": 10})
  config = tfds.get_config("ce,smoke")
  config.data.name, config.data_dir = "beans", write(tmp_path, parts)["data_dir"]
  config.student.model, config.devices = "small", 1
  settings = settle(config)
  assert (settings.name, settings.dataset) == ("beans_ce_smoke", "tfds:beans")
  report = loop.run(settings, tmp_path / "run")
  assert report["dataset"] == "tfds:beans" and report["classes"] == ["good", "bad"]
