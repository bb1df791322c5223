"""Data sets in the layouts in which they are published, made up and small."""

import gzip
import io
import struct
import tarfile

import numpy as np
from PIL import Image


def idx_bytes(array):
  """Returns an array as an IDX file of unsigned bytes."""
  header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
  return header + array.astype(np.uint8).tobytes()


def write_fashion(directory, suffix="", train=60, test=20):
  """Writes the four files; returns the images by part. Labels are the index modulo 10."""
  rng, images = np.random.default_rng(1), {}
  for part, count in (("train", train), ("t10k", test)):
    images[part] = rng.integers(0, 256, (count, 28, 28), np.uint8)
    for kind, array in (
      ("images-idx3", images[part]),
      ("labels-idx1", np.arange(count) % 10),
    ):
      content = idx_bytes(array)
      path = directory / f"{part}-{kind}-ubyte{suffix}"
      path.write_bytes(gzip.compress(content) if suffix else content)
  return images


def cifar_records(count, label_bytes, classes):
  """Returns (bytes, images [n, 32, 32, 3], labels), written pixel by pixel from the definition."""
  images = np.random.default_rng(count).integers(0, 256, (count, 32, 32, 3), np.uint8)
  labels = np.arange(count) % classes
  content = bytearray()
  for image, label in zip(images, labels, strict=True):
    content += bytes([99] * (label_bytes - 1) + [label])  # 99: a coarse label to be passed over
    for channel in range(3):
      content += image[:, :, channel].tobytes()
  return bytes(content), images, labels


def cifar100_files(classes=4, train=40, test=12):
  """Returns ({file name: bytes}, (train images, labels), (test images, labels))."""
  train, train_images, train_labels = cifar_records(train, 2, classes)
  test, test_images, test_labels = cifar_records(test, 2, classes)
  names = "".join(f"class {i}\n" for i in range(classes)).encode()
  files = {"train.bin": train, "test.bin": test, "fine_label_names.txt": names}
  return files, (train_images, train_labels), (test_images, test_labels)


def write_tar(path, root, files):
  """Writes {file name: bytes} as a gzipped archive with one folder."""
  with tarfile.open(path, "w:gz") as archive:
    for name, content in files.items():
      member = tarfile.TarInfo(f"{root}/{name}")
      member.size = len(content)
      archive.addfile(member, io.BytesIO(content))


def save(path, array, mode=None, **options):
  """Writes an array as an image file; returns its path."""
  path.parent.mkdir(parents=True, exist_ok=True)
  image = Image.fromarray(np.asarray(array))
  (image if mode is None else image.convert(mode)).save(path, **options)
  return path


def colour(value, height=4, width=4):
  """Returns an image of one colour."""
  return np.full((height, width, 3), value, np.uint8)


def write_tree(root, classes=("ant", "bee"), count=10):
  """Writes root/<class>/<number>.png; the colours tell which image it is."""
  for label, name in enumerate(classes):
    for i in range(count):
      save(root / name / f"{i}.png", colour((label, i, 7)))
