"""Folders as people and other tools leave them: what is read, what is refused, what is said."""

import functools

import numpy as np
import pytest
from PIL import Image

from edjax.data import datasets
from edjax.data.readers import layouts
from tests import archives as made

pytestmark = pytest.mark.usefixtures("no_network")
fails = functools.partial(made.refuses, datasets.load, name="folder")


def load(directory, **options):
  return datasets.load(
    "folder",
    data_dir=str(directory),
    **{"image_size": 4, "validation_fraction": 0} | options,
  )


def counts(data):
  return [np.bincount(part.labels).tolist() for part in (data.train, data.test)]


@pytest.mark.parametrize("train", ["train", "Train", "training", "TRAINING"])
@pytest.mark.parametrize("held_out", ["valid", "Test", "testing", "VAL", "Validation"])
def test_splits_have_many_names(tmp_path, train, held_out):
  made.write_tree(tmp_path / train, count=4)
  made.write_tree(tmp_path / held_out, count=3)
  assert counts(load(tmp_path)) == [[4, 4], [3, 3]]


def test_the_first_of_several_is_held_out_and_the_rest_named(tmp_path):
  for name, count in (("train", 4), ("valid", 2), ("val", 1), ("testing", 3), ("spare", 2)):
    made.write_tree(tmp_path / name, count=count)
  data = load(tmp_path)
  assert counts(data) == [[4, 4], [3, 3]]
  (note,) = data.notes
  assert "spare/, val/, valid/ not read, testing/ is the test split" in note


@pytest.mark.parametrize("names", [("train", "test"), ("Training", "validation"), ("train", "x")])
def test_splits_of_files_are_no_classes(tmp_path, names):
  for name in names:
    for i in range(3):
      made.save(tmp_path / name / f"{i}.png", made.colour(i))
  (tmp_path / "train.csv").write_text("image,label\n0.png,cat\n")
  arguments = {"data_dir": str(tmp_path)}
  fails(names[0], "3 files", "labels in train.csv are not read", "<class>/<image>", **arguments)


@pytest.mark.parametrize("names", [("bee", "test"), ("val", "valid"), ("train", "Training")])
def test_names_of_splits_are_never_classes(tmp_path, names):
  made.write_tree(tmp_path, classes=names)
  fails(tmp_path, "never classes", "<class>/<image>", data_dir=str(tmp_path))


def test_splits_below_classes_are_refused(tmp_path):
  for name in ("ant", "bee"):
    made.write_tree(tmp_path / name, classes=("train", "test"))
  fails(tmp_path / "ant", "holds test/, which is a split", data_dir=str(tmp_path))


def test_a_folder_around_the_folder(tmp_path):
  made.write_tree(tmp_path / "download" / "train", count=4)
  made.write_tree(tmp_path / "download" / "valid", count=3)
  made.write_tree(tmp_path / "__MACOSX", count=1)
  data = load(tmp_path)
  assert counts(data) == [[4, 4], [3, 3]] and "download/" in data.notes[0]
  made.write_tree(tmp_path / "elsewhere" / "set", count=5)
  assert counts(load(tmp_path / "elsewhere")) == [[4, 4], [1, 1]]


def test_all_that_pillow_reads_is_read_and_the_rest_is_counted(tmp_path):
  made.write_tree(tmp_path / "train", count=4)
  made.write_tree(tmp_path / "test", count=2)
  ant = tmp_path / "train" / "ant"
  kinds = {".jfif": "JPEG", ".JPE": "JPEG", ".tga": "TGA", ".pnm": "PPM"}
  kinds |= {".avif": "AVIF"} if ".avif" in layouts.SUFFIXES else {}
  for ending, kind in kinds.items():
    Image.new("RGB", (8, 8), (9, 9, 9)).save(ant / f"more{ending}", kind)
  for name in ("a.heic", "b.HEIC", "notes.txt", "LICENCE"):
    (ant / name).write_text("no image")
  for name in ("Thumbs.db", "desktop.ini", ".DS_Store", "._0.png"):
    (ant / name).write_text("no image")
  made.save(tmp_path / "train" / "ant" / ".ipynb_checkpoints" / "0.png", made.colour(0))
  made.save(tmp_path / "train" / "ant" / "deep" / "er" / "0.png", made.colour(0))
  made.save(tmp_path / "train" / "lost.png", made.colour(0))
  (ant / "deep" / "back").symlink_to(ant)
  data = load(tmp_path)
  assert counts(data) == [[5 + len(kinds), 4], [2, 2]]
  (note,) = data.notes
  for words in (
    f"read {13 + len(kinds)} images of 2 classes: ant {7 + len(kinds)}, bee 6 (13 .png, 1 .",
    "1 of them from folders below",
    "passed over 2 .heic, 1 .txt, 1 without an ending",
    "passed over 1 images outside the folders of classes",
  ):
    assert words in note.replace(" without an ending, 1 .txt", " .txt, 1 without an ending"), note


def test_plain_folders_are_read_in_the_old_order(tmp_path):
  made.write_tree(tmp_path)
  assert len(load(tmp_path).notes) == 1
  assert load(tmp_path).notes[0] == "read 20 images of 2 classes: ant 10, bee 10 (20 .png)"


def test_tiny_imagenet_unpacked(tmp_path):
  """As its archive unpacks: labels of `val/` in a file, none of `test/`."""
  root = tmp_path / "tiny-imagenet-200"
  for label, wnid in enumerate(("n01", "n02")):
    for i in range(3):
      made.save(root / "train" / wnid / "images" / f"{wnid}_{i}.JPEG", made.colour(200 * label))
    (root / "train" / wnid / f"{wnid}_boxes.txt").write_text("0 0 1 1")
  rows = [("val_0.JPEG", "n02"), ("val_1.JPEG", "n01"), ("val_2.JPEG", "n02")]
  for name, wnid in rows:
    made.save(root / "val" / "images" / name, made.colour(200 * (wnid == "n02")))
  made.save(root / "test" / "images" / "test_0.JPEG", made.colour(0))
  (root / "val" / "val_annotations.txt").write_text(
    "".join(f"{name}\t{wnid}\t0\t0\t1\t1\n" for name, wnid in rows)
  )
  for directory in (root, tmp_path):
    data = load(directory)
    assert data.class_names == ("n01", "n02") and counts(data) == [[3, 3], [1, 2]]
    assert np.array_equal(data.test.images[:, 0, 0, 0] > 100, data.test.labels == 1)
    assert "val_annotations.txt" in data.notes[0] and "test/ not read" in data.notes[0]
  (root / "val" / "val_annotations.txt").write_text("")
  fails("val_annotations.txt", "labels no image", data_dir=str(root))
  made.refuses(
    datasets.load, root, "unpacked", "tiny-imagenet-200.zip", name="tiny_imagenet",
    data_dir=str(tmp_path),
  )  # fmt: skip
  made.refuses(datasets.load, root, "unpacked", name="tiny_imagenet", data_dir=str(root))


def test_images_beside_other_folders(tmp_path):
  """Food-101 and others unpack to images/CLASS and folders of texts."""
  made.write_tree(tmp_path / "food-101" / "images")
  (tmp_path / "food-101" / "meta").mkdir()
  (tmp_path / "food-101" / "meta" / "train.txt").write_text("ant/0")
  fails(tmp_path / "food-101" / "images", "--config.data_dir", data_dir=str(tmp_path / "food-101"))
  made.refuses(
    datasets.load, "food-101", "unpacked", "food-101.tar.gz", name="food101",
    data_dir=str(tmp_path),
  )  # fmt: skip


def test_what_is_skipped_is_counted_and_named(tmp_path):
  made.write_tree(tmp_path / "train", count=200)
  made.write_tree(tmp_path / "test", count=3)
  for number in (5, 6, 7, 8):
    (tmp_path / "train" / "bee" / f"{number}.png").write_bytes(b"<html>")
  (note,) = load(tmp_path, bad_images="skip").notes
  assert note.startswith("read 402 images") and "left out 4 that cannot be read" in note
  assert "train/bee/5.png (no known image format" in note and "and 1 more" in note
  assert str(tmp_path) not in note


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_class_without_images_left_is_an_error(tmp_path, part):
  made.write_tree(tmp_path / "train", count=100)
  made.write_tree(tmp_path / "test", count=3)
  for place in ("train", "test"):
    (tmp_path / place / "cow").mkdir()
    made.save(tmp_path / place / "cow" / "0.png", made.colour(3))
  (tmp_path / part / "cow" / "0.png").write_bytes(b"")
  arguments = {"data_dir": str(tmp_path), "bad_images": "skip"}
  fails("no image of class 'cow'", f"{part}/cow/0.png", "the file is empty", **arguments)


@pytest.mark.parametrize("name, seen", [
  ("cifar100", "cifar-100-python"), ("cifar100", "cifar-100-python.tar.gz"),
  ("cifar10", "cifar-10-batches-py"), ("cifar10", "cifar-10-python.tar.gz"),
])  # fmt: skip
def test_pickles_are_refused_by_name(tmp_path, name, seen):
  (tmp_path / seen).touch()
  wanted = "cifar-100-binary.tar.gz" if name == "cifar100" else "cifar-10-binary.tar.gz"
  made.refuses(
    datasets.load, tmp_path / seen, "never opened", wanted, name=name, data_dir=str(tmp_path)
  )


@pytest.mark.parametrize("inner", ["FashionMNIST/raw", "raw"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_fashion_mnist_where_torchvision_puts_it(tmp_path, inner, suffix):
  (tmp_path / inner).mkdir(parents=True)
  images = made.write_fashion(tmp_path / inner, suffix)
  data = datasets.load("fashion_mnist", data_dir=str(tmp_path), validation_fraction=0)
  assert np.array_equal(data.train.images[..., 0], images["train"])
