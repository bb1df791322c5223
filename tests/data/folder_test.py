"""Images of one's own, in folders, which each test writes itself."""

import functools
import hashlib

import numpy as np
import pytest
from PIL import Image

from edjax.data import datasets
from edjax.data.readers import folder
from tests import archives as made

pytestmark = pytest.mark.usefixtures("no_network")
fails = functools.partial(made.refuses, datasets.load)


def test_folder_with_train_and_test(tmp_path):
  made.write_tree(tmp_path / "train")
  made.write_tree(tmp_path / "test", count=3)
  made.write_tree(tmp_path / "val", count=1)
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
  assert not made.as_bytes(data.train) & made.as_bytes(data.validation)
  pixels = data.train.images.reshape(-1, 3) / 255
  assert np.allclose(data.mean, pixels.mean(0))
  assert np.allclose(data.std, np.maximum(pixels.std(0), 1 / 255))


@pytest.mark.parametrize("held_out", ["val", "validation"])
def test_folder_with_another_name_for_test(tmp_path, held_out):
  made.write_tree(tmp_path / "train", count=4)
  made.write_tree(tmp_path / held_out, count=3)
  data = datasets.load("folder", data_dir=str(tmp_path))
  assert len(data.test.labels) == 6
  assert data.train.images.shape[1:] == (32, 32, 3)


def test_folder_without_a_split(tmp_path):
  made.write_tree(tmp_path, classes=("bee", "cow"))
  made.write_tree(tmp_path, classes=("two",), count=2)
  data = datasets.load("folder", data_dir=str(tmp_path), validation_fraction=0, image_size=4)
  assert data.class_names == ("bee", "cow", "two")
  assert np.bincount(data.train.labels).tolist() == [8, 8, 1]
  assert np.bincount(data.test.labels).tolist() == [2, 2, 1]
  # Channel 1 holds the number in the file name: the smallest digests of the paths are the test.
  for label, (name, count) in enumerate((("bee", 10), ("cow", 10), ("two", 2))):
    digests = [hashlib.sha256(f"{name}/{i}.png".encode()).hexdigest() for i in range(count)]
    expected = sorted(range(count), key=digests.__getitem__)[: max(1, count // 5)]
    assert sorted(data.test.images[data.test.labels == label, 0, 0, 1]) == sorted(expected)
    rest = data.train.images[data.train.labels == label, 0, 0, 1]
    assert sorted(rest) == sorted(set(range(count)) - set(expected))


def test_folder_wrong_layout(tmp_path):
  arguments = {"name": "folder", "data_dir": str(tmp_path)}
  fails(tmp_path, "0 sub-folders", "DIR/train/<class>/<image>", **arguments)
  made.write_tree(tmp_path, classes=("ant",))
  fails("1 sub-folders", "at least two classes", **arguments)
  (tmp_path / "bee").mkdir()
  (tmp_path / "bee" / "notes.txt").write_text("no image")
  fails(tmp_path / "bee", "no image", ".png", **arguments)
  made.save(tmp_path / "bee" / "0.png", made.colour(1))
  fails(tmp_path / "bee", "one image", **arguments)
  made.write_tree(tmp_path / "train")
  fails("train/", "test/, testing/, val/, valid/, validation/", **arguments)
  made.write_tree(tmp_path / "test", classes=("ant", "cow"))
  fails(tmp_path / "train", tmp_path / "test", "bee, cow", **arguments)


def test_grey_folder_has_one_channel(tmp_path):
  for name in ("ant", "bee"):
    made.save(tmp_path / name / "0.png", np.full((4, 4), 9, np.uint8))
    made.save(tmp_path / name / "1.png", np.full((4, 4), 0x0A0A, np.uint16))
    made.save(tmp_path / name / "2.png", np.full((4, 4), 255, np.uint8), "1")
  data = datasets.load("folder", data_dir=str(tmp_path), image_size=4, validation_fraction=0)
  assert data.train.images.shape == (4, 4, 4, 1)
  assert set(np.unique(np.concatenate([data.train.images, data.test.images]))) == {9, 10, 255}
  made.save(tmp_path / "ant" / "3.png", made.colour((1, 2, 3)))
  mixed = datasets.load("folder", data_dir=str(tmp_path), image_size=4, validation_fraction=0)
  found = {tuple(p) for part in (mixed.train, mixed.test) for p in part.images[:, 0, 0].tolist()}
  assert found == {(9, 9, 9), (10, 10, 10), (255, 255, 255), (1, 2, 3)}


def test_read_image_keeps_pixels(tmp_path):
  array = np.random.default_rng(0).integers(0, 256, (6, 6, 3), np.uint8)
  assert np.array_equal(folder.read_image(made.save(tmp_path / "a.png", array), 6), array)
  assert np.array_equal(folder.read_image(made.save(tmp_path / "a.BMP", array), 6), array)


def test_read_image_modes(tmp_path):
  clear = np.zeros((4, 4, 4), np.uint8)
  clear[:, 2:] = (10, 20, 30, 255)
  image = folder.read_image(made.save(tmp_path / "rgba.png", clear), 4)
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
  path = made.save(tmp_path / "deep.png", deep)
  assert np.array_equal(folder.read_image(path, 4)[..., 0], expected)
  (tmp_path / "deep.pgm").write_bytes(b"P5\n4 4\n65535\n" + deep.astype(">u2").tobytes())
  assert np.array_equal(folder.read_image(tmp_path / "deep.pgm", 4)[..., 0], expected)

  frames = [Image.new("RGB", (4, 4), c) for c in ((250, 0, 0), (0, 250, 0))]
  frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
  assert np.all(folder.read_image(tmp_path / "moving.gif", 4) == (250, 0, 0))


def test_read_image_odd_sizes(tmp_path):
  # 12 wide, 4 high: the middle third is kept, and the short side becomes `size`.
  wide = np.repeat(np.array([[10, 20, 30]], np.uint8), 4, axis=1).repeat(4, axis=0)
  assert np.all(folder.read_image(made.save(tmp_path / "wide.png", wide), 4) == 20)
  assert np.all(folder.read_image(made.save(tmp_path / "tall.png", wide.T), 4) == 20)
  noise = np.random.default_rng(0).integers(0, 256, (8, 24, 3), np.uint8)
  for size in (4, 16):
    whole = Image.fromarray(noise).resize((3 * size, size), Image.Resampling.BILINEAR)
    found = folder.read_image(made.save(tmp_path / "noise.png", noise), size).astype(int)
    assert np.abs(found - np.asarray(whole)[:, size : 2 * size]).max() <= 1
  assert np.all(folder.read_image(made.save(tmp_path / "dot.png", made.colour(5, 1, 1)), 8) == 5)


def test_read_image_turns_upright(tmp_path):
  array = np.zeros((8, 8), np.uint8)
  array[:4] = 200  # light at the top
  exif = Image.Exif()
  exif[0x0112] = 6  # to be shown turned clockwise by 90 degrees
  for kind, pixels in (("png", array), ("tif", array.astype(np.uint16) * 257)):
    image = folder.read_image(made.save(tmp_path / f"turned.{kind}", pixels, exif=exif), 8)[..., 0]
    assert np.all(image[:, 4:] == 200) and np.all(image[:, :4] == 0)


@pytest.mark.parametrize("kind", ["truncated jpg", "truncated png", "html", "empty", "float"])
def test_broken_image_names_the_file(tmp_path, kind):
  made.write_tree(tmp_path)
  noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
  path = tmp_path / "ant" / {"truncated jpg": "5.jpg", "float": "5.tif"}.get(kind, "5.png")
  if kind == "float":
    made.save(path, np.zeros((4, 4), np.float32))
  else:
    made.save(path, noise)
    content = path.read_bytes()
    path.write_bytes({"html": b"<html>", "empty": b""}.get(kind, content[: len(content) // 2]))
  fails(path, "cannot be read as an image", name="folder", data_dir=str(tmp_path))


def test_folder_passes_bad_images_over(tmp_path):
  made.write_tree(tmp_path / "train")
  made.write_tree(tmp_path / "test", count=3)
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
