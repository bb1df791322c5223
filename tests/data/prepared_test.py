"""What tensorflow-datasets has prepared, written by itself and read without TensorFlow."""

import functools
import json
import sys

import numpy as np
import pytest

from edjax.data import datasets
from edjax.data.readers import prepared
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
