"""Reading data sets from their published files, which each test writes itself, small."""

import functools
import sys

import numpy as np
import pytest

from edjax.data import datasets, figures
from edjax.data.photographs import archives
from tests import archives as made

pytestmark = pytest.mark.usefixtures("no_network")
fails = functools.partial(made.refuses, datasets.load)


# --- digits --------------------------------------------------------------------------------------


def test_digits():
  load_digits = pytest.importorskip("sklearn.datasets").load_digits
  data = datasets.load("digits")
  parts = (data.train, data.validation, data.test)
  assert sum(len(part.labels) for part in parts) == 1797
  assert data.class_names == tuple("0123456789")
  for part in parts:
    assert part.images.shape[1:] == (8, 8, 1)
    assert part.images.dtype == np.uint8 and part.labels.dtype == np.int32
  # Every published image is in exactly one part, with its label and its grey values scaled.
  found = [
    (int(label), image.tobytes())
    for part in parts
    for image, label in zip(part.images, part.labels, strict=True)
  ]
  official = load_digits()
  expected = [
    (int(label), np.floor(image * 255 / 16 + 0.5).astype(np.uint8).tobytes())
    for image, label in zip(official.images, official.target, strict=True)
  ]
  assert sorted(found) == sorted(expected)
  # Stratified: a quarter of each class, then a tenth of the rest.
  sizes = np.bincount(official.target)
  test = np.floor(sizes / 4 + 0.5)
  assert np.array_equal(np.bincount(data.test.labels), test)
  assert np.array_equal(np.bincount(data.validation.labels), np.floor((sizes - test) / 10 + 0.5))
  pixels = data.train.images / 255
  assert np.allclose(data.mean, pixels.mean()) and np.allclose(data.std, pixels.std())


def test_digits_without_scikit_learn(monkeypatch):
  monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
  fails("pip install 'edjax[demo]'", name="digits")


# --- Fashion-MNIST -------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_fashion_mnist(tmp_path, suffix):
  written = made.write_fashion(tmp_path, suffix, train=200)
  data = datasets.load("fashion_mnist", data_dir=str(tmp_path))
  assert np.array_equal(data.test.images, written["t10k"][..., None])
  assert np.array_equal(data.test.labels, np.arange(20) % 10)
  assert np.bincount(data.validation.labels).tolist() == [2] * 10
  assert np.bincount(data.train.labels).tolist() == [18] * 10
  assert made.as_bytes(data.train) | made.as_bytes(data.validation) == {
    i.tobytes() for i in written["train"]
  }
  lookup = {image.tobytes(): i % 10 for i, image in enumerate(written["train"])}
  for part in (data.train, data.validation):
    assert [lookup[image.tobytes()] for image in part.images] == part.labels.tolist()
  assert data.class_names[0] == "T-shirt/top" and data.class_names[9] == "Ankle boot"
  assert data.mean == (0.2860,) and data.std == (0.3530,)


def test_validation_depends_on_nothing_but_the_fraction(tmp_path):
  made.write_fashion(tmp_path, train=200)
  plain = datasets.load("fashion_mnist", data_dir=str(tmp_path))
  limited = datasets.load("fashion_mnist", data_dir=str(tmp_path), train_limit=50)
  assert np.array_equal(plain.validation.images, limited.validation.images)
  assert np.bincount(limited.train.labels).tolist() == [5] * 10
  assert made.as_bytes(limited.train) < made.as_bytes(plain.train)
  whole = datasets.load("fashion_mnist", data_dir=str(tmp_path), validation_fraction=0)
  assert whole.validation.images.shape == (0, 28, 28, 1)
  assert whole.validation.labels.shape == (0,) and whole.validation.labels.dtype == np.int32
  assert len(whole.train.labels) == 200


def truncated(content):
  return content[:-1]


def longer(content):
  return content + b"\0"


def other_type(content):
  return content[:2] + b"\x0d" + content[3:]


def other_rank(content):
  return content[:3] + b"\x01" + content[4:]


def only_four(content):
  return content[:4]


def nothing(content):
  return b""


@pytest.mark.parametrize(
  "damage, words",
  [
    (truncated, ["60x28x28", "47056", "47055"]),
    (longer, ["47056", "47057"]),
    (other_type, ["00000803", "00000d03"]),
    (other_rank, ["00000803", "00000801"]),
    (only_four, ["16 bytes", "4 bytes"]),
    (nothing, ["0 bytes"]),
  ],
)
def test_damaged_idx_file(tmp_path, damage, words):
  made.write_fashion(tmp_path)
  path = tmp_path / "train-images-idx3-ubyte"
  path.write_bytes(damage(path.read_bytes()))
  fails(path, *words, name="fashion_mnist", data_dir=str(tmp_path))


def test_damaged_gzip_file(tmp_path):
  made.write_fashion(tmp_path, ".gz")
  path = tmp_path / "t10k-images-idx3-ubyte.gz"
  content = path.read_bytes()
  middle = len(content) // 2
  flipped = content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]
  for damaged in (content[:middle], flipped, b"<html>"):
    path.write_bytes(damaged)
    fails(path, "fetch the file again", name="fashion_mnist", data_dir=str(tmp_path))


def test_fashion_mnist_files_that_disagree(tmp_path):
  made.write_fashion(tmp_path)
  arguments = {"name": "fashion_mnist", "data_dir": str(tmp_path)}
  labels = tmp_path / "train-labels-idx1-ubyte"
  labels.write_bytes(made.idx_bytes(np.zeros(59)))
  fails(labels, "60 images", "59 labels", **arguments)
  labels.write_bytes(made.idx_bytes(np.full(60, 10)))
  fails("train labels", "10", "10 classes", **arguments)
  labels.unlink()
  fails(tmp_path, labels.name, "all four", **arguments)
  made.write_fashion(tmp_path, test=0)
  fails("test files hold no image", **arguments)
  made.write_fashion(tmp_path)
  (tmp_path / "t10k-images-idx3-ubyte").write_bytes(made.idx_bytes(np.zeros((20, 14, 14))))
  fails("(28, 28, 1)", "(14, 14, 1)", **arguments)


def test_missing_data(tmp_path):
  fails(
    "--config.data_dir=DIR", "train-images-idx3-ubyte", "t10k-labels-idx1-ubyte",
    "dataset-fashion-mnist", "/usr/share/datasets/fashion-mnist", name="fashion_mnist",
  )  # fmt: skip
  fails(
    tmp_path, "t10k-images-idx3-ubyte", "zalandoresearch", "array_record",
    name="fashion_mnist", data_dir=str(tmp_path),
  )  # fmt: skip
  fails(tmp_path / "no", "train.bin", name="cifar100", data_dir=str(tmp_path / "no"))
  fails("cifar-100-binary.tar.gz", "cs.toronto.edu", name="cifar100", data_dir=str(tmp_path))
  fails("cifar-10-binary.tar.gz", "cs.toronto.edu", name="cifar10", data_dir=str(tmp_path))
  fails("--config.data_dir=DIR", "<class>", name="folder")
  fails("cifar100", "did you mean", name="cifar_100")


def test_arguments_out_of_range(tmp_path):
  made.write_fashion(tmp_path)
  arguments = {"name": "fashion_mnist", "data_dir": str(tmp_path)}
  fails("validation_fraction", "1.0", **arguments, validation_fraction=1.0)
  fails("validation_fraction", "-0.1", **arguments, validation_fraction=-0.1)
  fails("train_limit", "-1", **arguments, train_limit=-1)
  fails("train_limit=9", "10", **arguments, train_limit=9)
  fails("28x28", "set data.image_size to 0", **arguments, image_size=32)
  assert datasets.load(**arguments, image_size=28).train.images.shape[1:] == (28, 28, 1)
  fails("'web'", "auto, files, tfds", **arguments, source="web")
  fails("'folder'", "fashion_mnist", name="folder", data_dir=str(tmp_path), source="tfds")


# --- CIFAR ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["files", "folder", "archive"])
def test_cifar100(tmp_path, form, monkeypatch):
  files, (train_images, train_labels), (test_images, test_labels) = made.cifar100_files()
  if form == "archive":
    archive = tmp_path / "cifar-100-binary.tar.gz"
    made.write_tar(archive, "cifar-100-binary", files)
    fails(archive, "168,513,733 bytes", "cs.toronto.edu", name="cifar100", data_dir=str(tmp_path))
    made.publish(monkeypatch, "cifar100", archive)
  else:
    place = tmp_path if form == "files" else tmp_path / "cifar-100-binary"
    place.mkdir(exist_ok=True)
    for name, content in files.items():
      (place / name).write_bytes(content)
  before = sorted(tmp_path.rglob("*"))
  data = datasets.load("cifar100", data_dir=str(tmp_path))
  assert sorted(tmp_path.rglob("*")) == before
  assert np.array_equal(data.test.images, test_images)
  assert np.array_equal(data.test.labels, test_labels)
  assert data.class_names == ("class 0", "class 1", "class 2", "class 3")
  assert np.bincount(data.train.labels).tolist() == [9] * 4
  assert np.bincount(data.validation.labels).tolist() == [1] * 4
  assert made.as_bytes(data.train) | made.as_bytes(data.validation) == {
    image.tobytes() for image in train_images
  }
  assert not made.as_bytes(data.train) & made.as_bytes(data.validation)
  lookup = {i.tobytes(): n for i, n in zip(train_images, train_labels, strict=True)}
  assert [lookup[image.tobytes()] for image in data.train.images] == data.train.labels.tolist()
  assert data.mean == (0.5071, 0.4867, 0.4408) and data.std == (0.2675, 0.2565, 0.2761)


def test_cifar10(tmp_path, monkeypatch):
  batches = {f"data_batch_{i}.bin": made.cifar_records(10 + i, 1, 3) for i in range(1, 6)}
  files = {name: content for name, (content, _, _) in batches.items()}
  files["test_batch.bin"], test_images, _ = made.cifar_records(9, 1, 3)
  files["batches.meta.txt"] = b"airplane\nautomobile\nbird\n\n"
  made.write_tar(tmp_path / "cifar-10-binary.tar.gz", "cifar-10-batches-bin", files)
  made.publish(monkeypatch, "cifar10", tmp_path / "cifar-10-binary.tar.gz")
  data = datasets.load("cifar10", data_dir=str(tmp_path), validation_fraction=0)
  assert np.array_equal(data.train.images, np.concatenate([b[1] for b in batches.values()]))
  assert np.array_equal(data.train.labels, np.concatenate([b[2] for b in batches.values()]))
  assert np.array_equal(data.test.images, test_images)
  assert data.class_names == ("airplane", "automobile", "bird")


def test_damaged_cifar(tmp_path, monkeypatch):
  files, _, _ = made.cifar100_files()
  arguments = {"name": "cifar100", "data_dir": str(tmp_path)}
  archive = tmp_path / "cifar-100-binary.tar.gz"
  made.write_tar(archive, "cifar-100-binary", {**files, "test.bin": files["test.bin"][:-5]})
  made.publish(monkeypatch, "cifar100", archive)
  fails(archive, "test.bin", "3074", str(12 * 3074 - 5), **arguments)
  made.write_tar(archive, "cifar-100-binary", {"train.bin": files["train.bin"]})
  made.publish(monkeypatch, "cifar100", archive)
  fails(archive, "lacks test.bin, fine_label_names.txt", "binary", **arguments)
  content, whole = archive.read_bytes(), archives.ARCHIVES["cifar100"]
  for damaged in (content[: len(content) // 2], b"<html>", b""):
    archive.write_bytes(damaged)
    monkeypatch.setitem(archives.ARCHIVES, "cifar100", whole)
    fails(archive, f"expected {len(content):,} bytes, found {len(damaged):,}", **arguments)
    made.publish(monkeypatch, "cifar100", archive)  # damaged where it is published
    fails(archive, "fetch the archive again", **arguments)
  for name, content in files.items():
    (tmp_path / name).write_bytes(content)
  (tmp_path / "train.bin").write_bytes(b"")
  fails(tmp_path / "train.bin", "3074", "0 bytes", **arguments)
  (tmp_path / "train.bin").write_bytes(b"\0\x04" + bytes(3072))
  fails("train labels", "4 classes", **arguments)
  (tmp_path / "test.bin").unlink()
  fails(tmp_path, "lacks test.bin", **arguments)


# --- statistics ----------------------------------------------------------------------------------


def test_channel_statistics():
  images = np.random.default_rng(3).integers(0, 256, (5, 4, 3, 2), np.uint8)
  images[..., 1] = 51
  mean, std = figures.channel_statistics(images)
  assert np.allclose(mean, [images[..., 0].mean() / 255, 0.2], atol=1e-12)
  assert np.allclose(std, [images[..., 0].std() / 255, 1 / 255], atol=1e-12)


def test_a_class_without_training_images_never_reaches_the_trainer(tmp_path):
  files, *_ = made.cifar100_files()
  for name, content in files.items():
    (tmp_path / name).write_bytes(content + (b"class 4\n" if name.endswith(".txt") else b""))
  fails("no training image of class 4", name="cifar100", data_dir=str(tmp_path))
