"""Reading and cutting data sets, on files that each test writes itself."""

import hashlib
import json
import sys
import time

import numpy as np
import pytest
from PIL import Image

from edjax.data import archives, datasets, folder, prepared, splits
from edjax.errors import UserError
from tests.archives import (
  cifar100_files,
  cifar_records,
  colour,
  idx_bytes,
  publish,
  refuse_sockets,
  save,
  write_fashion,
  write_tar,
  write_tree,
)


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
  refuse_sockets(monkeypatch)


def fails(*words, **arguments):
  """Asserts that `load` raises one line that holds all the words, at once."""
  start = time.monotonic()
  with pytest.raises(UserError) as caught:
    datasets.load(**arguments)
  message = str(caught.value)
  assert time.monotonic() - start < 2
  assert "\n" not in message
  for word in words:
    assert str(word) in message, message


def keys(split):
  """The set of a split's images, as bytes."""
  found = {image.tobytes() for image in split.images}
  assert len(found) == len(split.images)
  return found


# --- cutting -------------------------------------------------------------------------------------


@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.5, 0.99])
def test_held_out_is_stratified(fraction):
  sizes = [1, 2, 3, 10, 95, 200]
  labels = np.random.default_rng(0).permutation(np.repeat(np.arange(6), sizes))
  held_out = splits.held_out(labels, fraction)
  for label, size in enumerate(sizes):
    wanted = 0 if size == 1 else min(max(int(fraction * size + 0.5), 1), size - 1)
    assert held_out[labels == label].sum() == wanted


def test_held_out_is_fixed_and_nested():
  labels = np.arange(400) % 4
  small, large = splits.held_out(labels, 0.1), splits.held_out(labels, 0.3)
  assert np.all(large[small]) and large.sum() == 120
  # The rule in plain integers: in each class, the smallest hashes of the index.
  hashes = [plain_hash(i + 231113811) for i in range(400)]
  for label in range(4):
    order = sorted(range(label, 400, 4), key=hashes.__getitem__)
    assert set(order[:10]) == set(np.flatnonzero(small & (labels == label)))


def plain_hash(z):
  mask = 2**64 - 1
  z = z * 0x9E3779B97F4A7C15 & mask
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & mask
  z = (z ^ z >> 27) * 0x94D049BB133111EB & mask
  return z ^ z >> 31


def test_hash_is_splitmix64():
  # First outputs of the reference generator seeded with 0 are the finaliser of its increments.
  assert plain_hash(1) == 0xE220A8397B1DCDAF
  assert plain_hash(2) == 0x6E789E6AA1B965F4


def test_limited_keeps_proportions():
  labels = np.repeat(np.arange(3), [10, 30, 60])
  assert np.bincount(labels[splits.limited(labels, 10)]).tolist() == [1, 3, 6]
  assert np.bincount(labels[splits.limited(labels, 3)]).tolist() == [1, 1, 1]
  assert np.all(splits.limited(labels, 50)[splits.limited(labels, 20)])
  assert splits.limited(labels, 1000).all()
  equal = np.arange(70) % 7
  assert set(np.bincount(equal[splits.limited(equal, 24)])) == {3, 4}


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
  written = write_fashion(tmp_path, suffix, train=200)
  data = datasets.load("fashion_mnist", data_dir=str(tmp_path))
  assert np.array_equal(data.test.images, written["t10k"][..., None])
  assert np.array_equal(data.test.labels, np.arange(20) % 10)
  assert np.bincount(data.validation.labels).tolist() == [2] * 10
  assert np.bincount(data.train.labels).tolist() == [18] * 10
  assert keys(data.train) | keys(data.validation) == {i.tobytes() for i in written["train"]}
  lookup = {image.tobytes(): i % 10 for i, image in enumerate(written["train"])}
  for part in (data.train, data.validation):
    assert [lookup[image.tobytes()] for image in part.images] == part.labels.tolist()
  assert data.class_names[0] == "T-shirt/top" and data.class_names[9] == "Ankle boot"
  assert data.mean == (0.2860,) and data.std == (0.3530,)


def test_validation_depends_on_nothing_but_the_fraction(tmp_path):
  write_fashion(tmp_path, train=200)
  plain = datasets.load("fashion_mnist", data_dir=str(tmp_path))
  limited = datasets.load("fashion_mnist", data_dir=str(tmp_path), train_limit=50)
  assert np.array_equal(plain.validation.images, limited.validation.images)
  assert np.bincount(limited.train.labels).tolist() == [5] * 10
  assert keys(limited.train) < keys(plain.train)
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
  write_fashion(tmp_path)
  path = tmp_path / "train-images-idx3-ubyte"
  path.write_bytes(damage(path.read_bytes()))
  fails(path, *words, name="fashion_mnist", data_dir=str(tmp_path))


def test_damaged_gzip_file(tmp_path):
  write_fashion(tmp_path, ".gz")
  path = tmp_path / "t10k-images-idx3-ubyte.gz"
  content = path.read_bytes()
  middle = len(content) // 2
  flipped = content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]
  for damaged in (content[:middle], flipped, b"<html>"):
    path.write_bytes(damaged)
    fails(path, "fetch the file again", name="fashion_mnist", data_dir=str(tmp_path))


def test_fashion_mnist_files_that_disagree(tmp_path):
  write_fashion(tmp_path)
  arguments = {"name": "fashion_mnist", "data_dir": str(tmp_path)}
  labels = tmp_path / "train-labels-idx1-ubyte"
  labels.write_bytes(idx_bytes(np.zeros(59)))
  fails(labels, "60 images", "59 labels", **arguments)
  labels.write_bytes(idx_bytes(np.full(60, 10)))
  fails("train labels", "10", "10 classes", **arguments)
  labels.unlink()
  fails(tmp_path, labels.name, "all four", **arguments)
  write_fashion(tmp_path, test=0)
  fails("test files hold no image", **arguments)
  write_fashion(tmp_path)
  (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx_bytes(np.zeros((20, 14, 14))))
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
  write_fashion(tmp_path)
  arguments = {"name": "fashion_mnist", "data_dir": str(tmp_path)}
  fails("validation_fraction", "1.0", **arguments, validation_fraction=1.0)
  fails("validation_fraction", "-0.1", **arguments, validation_fraction=-0.1)
  fails("train_limit", "-1", **arguments, train_limit=-1)
  fails("train_limit=9", "10", **arguments, train_limit=9)
  fails("28x28", "image_size=32", **arguments, image_size=32)
  assert datasets.load(**arguments, image_size=28).train.images.shape[1:] == (28, 28, 1)
  fails("'web'", "auto, files, tfds", **arguments, source="web")
  fails("'folder'", "fashion_mnist", name="folder", data_dir=str(tmp_path), source="tfds")


# --- CIFAR ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["files", "folder", "archive"])
def test_cifar100(tmp_path, form, monkeypatch):
  files, (train_images, train_labels), (test_images, test_labels) = cifar100_files()
  if form == "archive":
    archive = tmp_path / "cifar-100-binary.tar.gz"
    write_tar(archive, "cifar-100-binary", files)
    fails(archive, "168,513,733 bytes", "cs.toronto.edu", name="cifar100", data_dir=str(tmp_path))
    publish(monkeypatch, "cifar100", archive)
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
  assert keys(data.train) | keys(data.validation) == {image.tobytes() for image in train_images}
  assert not keys(data.train) & keys(data.validation)
  lookup = {i.tobytes(): n for i, n in zip(train_images, train_labels, strict=True)}
  assert [lookup[image.tobytes()] for image in data.train.images] == data.train.labels.tolist()
  assert data.mean == (0.5071, 0.4867, 0.4408) and data.std == (0.2675, 0.2565, 0.2761)


def test_cifar10(tmp_path, monkeypatch):
  batches = {f"data_batch_{i}.bin": cifar_records(10 + i, 1, 3) for i in range(1, 6)}
  files = {name: content for name, (content, _, _) in batches.items()}
  files["test_batch.bin"], test_images, _ = cifar_records(9, 1, 3)
  files["batches.meta.txt"] = b"airplane\nautomobile\nbird\n\n"
  write_tar(tmp_path / "cifar-10-binary.tar.gz", "cifar-10-batches-bin", files)
  publish(monkeypatch, "cifar10", tmp_path / "cifar-10-binary.tar.gz")
  data = datasets.load("cifar10", data_dir=str(tmp_path), validation_fraction=0)
  assert np.array_equal(data.train.images, np.concatenate([b[1] for b in batches.values()]))
  assert np.array_equal(data.train.labels, np.concatenate([b[2] for b in batches.values()]))
  assert np.array_equal(data.test.images, test_images)
  assert data.class_names == ("airplane", "automobile", "bird")


def test_damaged_cifar(tmp_path, monkeypatch):
  files, _, _ = cifar100_files()
  arguments = {"name": "cifar100", "data_dir": str(tmp_path)}
  archive = tmp_path / "cifar-100-binary.tar.gz"
  write_tar(archive, "cifar-100-binary", {**files, "test.bin": files["test.bin"][:-5]})
  publish(monkeypatch, "cifar100", archive)
  fails(archive, "test.bin", "3074", str(12 * 3074 - 5), **arguments)
  write_tar(archive, "cifar-100-binary", {"train.bin": files["train.bin"]})
  publish(monkeypatch, "cifar100", archive)
  fails(archive, "lacks test.bin, fine_label_names.txt", "binary", **arguments)
  content, whole = archive.read_bytes(), archives.ARCHIVES["cifar100"]
  for damaged in (content[: len(content) // 2], b"<html>", b""):
    archive.write_bytes(damaged)
    monkeypatch.setitem(archives.ARCHIVES, "cifar100", whole)
    fails(archive, f"expected {len(content):,} bytes, found {len(damaged):,}", **arguments)
    publish(monkeypatch, "cifar100", archive)  # damaged where it is published
    fails(archive, "fetch the archive again", **arguments)
  for name, content in files.items():
    (tmp_path / name).write_bytes(content)
  (tmp_path / "train.bin").write_bytes(b"")
  fails(tmp_path / "train.bin", "3074", "0 bytes", **arguments)
  (tmp_path / "train.bin").write_bytes(b"\0\x04" + bytes(3072))
  fails("train labels", "4 classes", **arguments)
  (tmp_path / "test.bin").unlink()
  fails(tmp_path, "lacks test.bin", **arguments)


# --- folders -------------------------------------------------------------------------------------


def test_folder_with_train_and_test(tmp_path):
  write_tree(tmp_path / "train")
  write_tree(tmp_path / "test", count=3)
  write_tree(tmp_path / "val", count=1)
  (tmp_path / "train" / "ant" / "0.png").rename(tmp_path / "train" / "ant" / "0.PNG")
  (tmp_path / "train" / "ant" / ".hidden.png").write_bytes(b"no image")
  (tmp_path / "train" / "ant" / "notes.txt").write_text("no image")
  (tmp_path / "train" / ".cache").mkdir()
  data = datasets.load("folder", data_dir=str(tmp_path), image_size=4)
  assert data.class_names == ("ant", "bee")
  sizes = [len(part.labels) for part in (data.train, data.validation, data.test)]
  assert sizes == [18, 2, 6]
  for part in (data.train, data.validation, data.test):
    assert np.array_equal(part.images[:, 0, 0, 0], part.labels)
    assert np.all(part.images[..., 2] == 7)
  assert not keys(data.train) & keys(data.validation)
  pixels = data.train.images.reshape(-1, 3) / 255
  assert np.allclose(data.mean, pixels.mean(0))
  assert np.allclose(data.std, np.maximum(pixels.std(0), 1 / 255))


@pytest.mark.parametrize("held_out", ["val", "validation"])
def test_folder_with_another_name_for_test(tmp_path, held_out):
  write_tree(tmp_path / "train", count=4)
  write_tree(tmp_path / held_out, count=3)
  data = datasets.load("folder", data_dir=str(tmp_path))
  assert len(data.test.labels) == 6
  assert data.train.images.shape[1:] == (32, 32, 3)


def test_folder_without_a_split(tmp_path):
  write_tree(tmp_path, classes=("bee", "train"))  # a class may be called train
  write_tree(tmp_path, classes=("two",), count=2)
  data = datasets.load("folder", data_dir=str(tmp_path), validation_fraction=0, image_size=4)
  assert data.class_names == ("bee", "train", "two")
  assert np.bincount(data.train.labels).tolist() == [8, 8, 1]
  assert np.bincount(data.test.labels).tolist() == [2, 2, 1]
  # Channel 1 holds the number in the file name: the smallest digests of the paths are the test.
  for label, (name, count) in enumerate((("bee", 10), ("train", 10), ("two", 2))):
    digests = [hashlib.sha256(f"{name}/{i}.png".encode()).hexdigest() for i in range(count)]
    expected = sorted(range(count), key=digests.__getitem__)[: max(1, count // 5)]
    assert sorted(data.test.images[data.test.labels == label, 0, 0, 1]) == sorted(expected)
    rest = data.train.images[data.train.labels == label, 0, 0, 1]
    assert sorted(rest) == sorted(set(range(count)) - set(expected))


def test_folder_wrong_layout(tmp_path):
  arguments = {"name": "folder", "data_dir": str(tmp_path)}
  fails(tmp_path, "0 sub-folders", "DIR/train/<class>/<image>", **arguments)
  write_tree(tmp_path, classes=("ant",))
  fails("1 sub-folders", "at least two classes", **arguments)
  (tmp_path / "bee").mkdir()
  (tmp_path / "bee" / "notes.txt").write_text("no image")
  fails(tmp_path / "bee", "no image", ".png", **arguments)
  save(tmp_path / "bee" / "0.png", colour(1))
  fails(tmp_path / "bee", "one image", **arguments)
  write_tree(tmp_path / "train")
  fails("train/", "test/, val/, validation/", **arguments)
  write_tree(tmp_path / "test", classes=("ant", "cow"))
  fails(tmp_path / "train", tmp_path / "test", "bee, cow", **arguments)


def test_grey_folder_has_one_channel(tmp_path):
  for name in ("ant", "bee"):
    save(tmp_path / name / "0.png", np.full((4, 4), 9, np.uint8))
    save(tmp_path / name / "1.png", np.full((4, 4), 0x0A0A, np.uint16))
    save(tmp_path / name / "2.png", np.full((4, 4), 255, np.uint8), "1")
  data = datasets.load("folder", data_dir=str(tmp_path), image_size=4, validation_fraction=0)
  assert data.train.images.shape == (4, 4, 4, 1)
  assert set(np.unique(np.concatenate([data.train.images, data.test.images]))) == {9, 10, 255}
  save(tmp_path / "ant" / "3.png", colour((1, 2, 3)))
  mixed = datasets.load("folder", data_dir=str(tmp_path), image_size=4, validation_fraction=0)
  found = {tuple(p) for part in (mixed.train, mixed.test) for p in part.images[:, 0, 0].tolist()}
  assert found == {(9, 9, 9), (10, 10, 10), (255, 255, 255), (1, 2, 3)}


def test_read_image_keeps_pixels(tmp_path):
  array = np.random.default_rng(0).integers(0, 256, (6, 6, 3), np.uint8)
  assert np.array_equal(folder.read_image(save(tmp_path / "a.png", array), 6), array)
  assert np.array_equal(folder.read_image(save(tmp_path / "a.BMP", array), 6), array)


def test_read_image_modes(tmp_path):
  clear = np.zeros((4, 4, 4), np.uint8)
  clear[:, 2:] = (10, 20, 30, 255)
  image = folder.read_image(save(tmp_path / "rgba.png", clear), 4)
  assert np.all(image[:, :2] == 255) and np.all(image[:, 2:] == (10, 20, 30))

  palette = Image.new("P", (4, 4), 1)
  palette.putpalette([0, 0, 0, 200, 100, 50])
  palette.save(tmp_path / "p.png")
  assert np.all(folder.read_image(tmp_path / "p.png", 4) == (200, 100, 50))
  palette.save(tmp_path / "clear.gif", transparency=1)
  assert np.all(folder.read_image(tmp_path / "clear.gif", 4) == 255)

  Image.new("CMYK", (4, 4), (0, 255, 255, 0)).save(tmp_path / "cmyk.tif")
  assert np.all(folder.read_image(tmp_path / "cmyk.tif", 4) == (255, 0, 0))
  Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "cmyk.jpg", quality=100)
  error = folder.read_image(tmp_path / "cmyk.jpg", 4).astype(int) - (255, 0, 0)
  assert np.abs(error).max() <= 4

  half = np.full((4, 4, 2), (0, 128), np.uint8)
  Image.fromarray(half, "LA").save(tmp_path / "la.png")
  assert np.all(folder.read_image(tmp_path / "la.png", 4) == 127)

  deep = np.array([[0, 257, 65535, 65534], [128, 129, 385, 386]] * 2, np.uint16)
  expected = np.array([[0, 1, 255, 255], [0, 1, 1, 2]] * 2)
  path = save(tmp_path / "deep.png", deep)
  assert np.array_equal(folder.read_image(path, 4)[..., 0], expected)
  (tmp_path / "deep.pgm").write_bytes(b"P5\n4 4\n65535\n" + deep.astype(">u2").tobytes())
  assert np.array_equal(folder.read_image(tmp_path / "deep.pgm", 4)[..., 0], expected)

  frames = [Image.new("RGB", (4, 4), c) for c in ((250, 0, 0), (0, 250, 0))]
  frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
  assert np.all(folder.read_image(tmp_path / "moving.gif", 4) == (250, 0, 0))


def test_read_image_odd_sizes(tmp_path):
  # 12 wide, 4 high: the middle third is kept, and the short side becomes `size`.
  wide = np.repeat(np.array([[10, 20, 30]], np.uint8), 4, axis=1).repeat(4, axis=0)
  assert np.all(folder.read_image(save(tmp_path / "wide.png", wide), 4) == 20)
  assert np.all(folder.read_image(save(tmp_path / "tall.png", wide.T), 4) == 20)
  noise = np.random.default_rng(0).integers(0, 256, (8, 24, 3), np.uint8)
  for size in (4, 16):
    whole = Image.fromarray(noise).resize((3 * size, size), Image.Resampling.BILINEAR)
    found = folder.read_image(save(tmp_path / "noise.png", noise), size).astype(int)
    assert np.abs(found - np.asarray(whole)[:, size : 2 * size]).max() <= 1
  assert np.all(folder.read_image(save(tmp_path / "dot.png", colour(5, 1, 1)), 8) == 5)


def test_read_image_turns_upright(tmp_path):
  array = np.zeros((8, 8), np.uint8)
  array[:4] = 200  # light at the top
  exif = Image.Exif()
  exif[0x0112] = 6  # to be shown turned clockwise by 90 degrees
  for kind, pixels in (("png", array), ("tif", array.astype(np.uint16) * 257)):
    image = folder.read_image(save(tmp_path / f"turned.{kind}", pixels, exif=exif), 8)[..., 0]
    assert np.all(image[:, 4:] == 200) and np.all(image[:, :4] == 0)


@pytest.mark.parametrize("kind", ["truncated jpg", "truncated png", "html", "empty", "float"])
def test_broken_image_names_the_file(tmp_path, kind):
  write_tree(tmp_path)
  noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
  path = tmp_path / "ant" / {"truncated jpg": "5.jpg", "float": "5.tif"}.get(kind, "5.png")
  if kind == "float":
    save(path, np.zeros((4, 4), np.float32))
  else:
    save(path, noise)
    content = path.read_bytes()
    path.write_bytes({"html": b"<html>", "empty": b""}.get(kind, content[: len(content) // 2]))
  fails(path, "cannot be read as an image", name="folder", data_dir=str(tmp_path))


def test_folder_passes_bad_images_over(tmp_path):
  write_tree(tmp_path / "train")
  write_tree(tmp_path / "test", count=3)
  arguments = {"name": "folder", "data_dir": str(tmp_path), "image_size": 4}
  whole = datasets.load(**arguments, validation_fraction=0)
  broken = tmp_path / "train" / "bee" / "4.png"
  broken.write_bytes(b"<html>")
  fails(broken, "bad_images=skip", **arguments)
  fails("'ignore'", "error, skip", **arguments, bad_images="ignore")
  rest = datasets.load(**arguments, validation_fraction=0, bad_images="skip")
  assert np.array_equal(rest.train.images, np.delete(whole.train.images, 14, axis=0))
  assert np.array_equal(rest.train.labels, np.delete(whole.train.labels, 14))
  assert np.array_equal(rest.test.images, whole.test.images)
  (tmp_path / "test" / "ant" / "0.png").write_bytes(b"")
  fails("test/ant/0.png", "2 among 26", "one in a hundred", **arguments, bad_images="skip")


# --- tensorflow-datasets -------------------------------------------------------------------------


def prepare(tmp_path, images, labels, file_format="array_record"):
  """Prepares a small fashion_mnist of PNG files under tmp_path/data, without TensorFlow."""
  tfds = pytest.importorskip("tensorflow_datasets")
  with tfds.core.registered.skip_registration():

    class FashionMnist(tfds.core.GeneratorBasedBuilder):
      VERSION = tfds.core.Version("3.0.1")

      def _info(self):
        features = {
          "image": tfds.features.Image(shape=(28, 28, 1)),
          "label": tfds.features.ClassLabel(names=["coat", "boot"]),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

      def _split_generators(self, manager):
        return {"train": self._generate_examples(0, 20), "test": self._generate_examples(20, 26)}

      def _generate_examples(self, start, stop):
        for i in range(start, stop):
          path = save(tmp_path / "png" / f"{i}.png", images[i])
          yield i, {"image": str(path), "label": int(labels[i])}

  FashionMnist(data_dir=tmp_path / "data", file_format=file_format).download_and_prepare()
  return tmp_path / "data"


def test_prepared_by_tensorflow_datasets(tmp_path):
  images = np.random.default_rng(2).integers(0, 256, (26, 28, 28), np.uint8)
  labels = np.arange(26) % 2
  directory = prepare(tmp_path, images, labels)
  lookup = {i.tobytes(): n for i, n in zip(images, labels, strict=True)}
  arguments = {"name": "fashion_mnist", "data_dir": str(directory)}
  imported = "tensorflow" in sys.modules
  for source in ("auto", "tfds"):
    data = datasets.load(**arguments, source=source)
    assert [len(p.labels) for p in (data.train, data.validation, data.test)] == [18, 2, 6]
    assert data.class_names == ("coat", "boot")
    parts = (data.train, data.validation, data.test)
    assert set().union(*map(keys, parts)) == set(lookup)
    for part in parts:
      assert part.images.dtype == np.uint8 and part.images.shape[1:] == (28, 28, 1)
      assert [lookup[image.tobytes()] for image in part.images] == part.labels.tolist()
  assert ("tensorflow" in sys.modules) == imported
  fails(directory, "train-images-idx3-ubyte", **arguments, source="files")

  # The published files come first where both are there.
  written = write_fashion(directory, train=100)
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
  fails(version, "pip install 'edjax[tfds]'", **arguments)


# --- statistics ----------------------------------------------------------------------------------


def test_channel_statistics():
  images = np.random.default_rng(3).integers(0, 256, (5, 4, 3, 2), np.uint8)
  images[..., 1] = 51
  mean, std = datasets.channel_statistics(images)
  assert np.allclose(mean, [images[..., 0].mean() / 255, 0.2], atol=1e-12)
  assert np.allclose(std, [images[..., 0].std() / 255, 1 / 255], atol=1e-12)
