"""Data sets in the layouts in which they are published, made up and small."""

import gzip
import hashlib
import io
import json
import struct
import tarfile
import time
import zipfile

import numpy as np
import pytest
from PIL import Image

from edjax.data import datasets
from edjax.data.photographs import archives
from edjax.errors import UserError


def publish(monkeypatch, name, path):
  """Makes a small archive the published one, as far as `archives.ARCHIVES` knows."""
  content = path.read_bytes()
  row = archives.Archive(path.name, len(content), hashlib.md5(content).hexdigest(), "example.org")
  monkeypatch.setitem(archives.ARCHIVES, name, row)


def refuses(call, *words, **arguments):
  """Asserts that a call raises one line that holds all the words, at once."""
  start = time.monotonic()
  with pytest.raises(UserError) as caught:
    call(**arguments)
  assert time.monotonic() - start < 2
  message = str(caught.value)
  assert "\n" not in message
  for word in words:
    assert str(word) in message, message


def load(directory, name="food101", **options):
  """Loads all of a set of photographs, at 16 pixels."""
  return datasets.load(
    name, data_dir=str(directory), **{"image_size": 16, "validation_fraction": 0} | options
  )


def as_bytes(split):
  """The set of a split's images, as bytes."""
  found = {image.tobytes() for image in split.images}
  assert len(found) == len(split.images)
  return found


def shows(split, *expected):
  """Asserts that a split's images have these keys' colours, in this order, and nothing else."""
  images = np.asarray(split.images).astype(int)
  assert images.shape == (len(expected), *images.shape[1:])
  for image, key in zip(images, expected, strict=True):
    assert np.abs(image - shade(*key)).max() <= 6


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


def write_tar_in_order(path, members, mode):
  """Writes [(name, bytes)] as an archive; None for the bytes makes a folder."""
  with tarfile.open(path, mode) as archive:
    for name, content in members:
      member = tarfile.TarInfo(name)
      member.size = len(content or b"")
      member.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
      archive.addfile(member, io.BytesIO(content or b""))


def shade(*key):
  """Returns the colour that stands for an image: three bytes, far from those of most others."""
  return tuple(hashlib.sha256(repr(key).encode()).digest()[:3])


def jpeg(key, height=24, width=32, **options):
  """Returns a JPEG file of one colour, `shade(*key)`."""
  file = io.BytesIO()
  image = Image.fromarray(np.full((height, width, 3), shade(*key), np.uint8))
  image.save(file, "JPEG", **{"quality": 95, "subsampling": 0} | options)
  return file.getvalue()


FOOD = ("apple_pie", "cheese_plate", "cheesecake")


def write_food101(directory, classes=FOOD, train=6, test=2, changed=(), meta_first=False):
  """Writes food-101.tar.gz as it is published; returns its path.

  Image i of a class is `jpeg((class, i))`, and one in four is of the test split; `changed` maps
  (class, i) to other bytes, or to None to leave an image out.
  """
  changed, images, parts = dict(changed), [], {"train": [], "test": []}
  for name in classes:
    images.append((f"food-101/images/{name}", None))
    for i in range(train + test):
      number = 1000 + 7 * i
      content = changed.get((name, i), jpeg((name, i)))
      if content is not None:
        images.append((f"food-101/images/{name}/{number}.jpg", content))
      parts["test" if i % 4 == 3 and i // 4 < test else "train"].append(f"{name}/{number}")
  # The published list of classes is in another order than their labels are here.
  texts = {"classes": reversed(classes), "labels": [n.replace("_", " ") for n in classes], **parts}
  meta = [("food-101/meta", None)]
  meta += [
    (f"food-101/meta/{name}.txt", "\n".join(lines).encode() + b"\n")
    for name, lines in texts.items()
  ]
  meta += [("food-101/meta/train.json", b"{}"), ("food-101/README.txt", b"Food-101")]
  members = meta + images if meta_first else images + meta
  path = directory / "food-101.tar.gz"
  write_tar_in_order(path, [("food-101", None), *members], "w:gz")
  return path


CALTECH = ("001.ak47", "056.dog", "198.spider", "257.clutter")


def write_caltech256(directory, folders=CALTECH, count=10):
  """Writes 256_ObjectCategories.tar as it is published, strays included; returns its path.

  Image i, from 1, of a folder is `jpeg((folder, i))`.
  """
  root, members = "256_ObjectCategories", [("256_ObjectCategories", None)]
  for folder in folders:
    members.append((f"{root}/{folder}", None))
    for i in range(count, 0, -1):
      members.append((f"{root}/{folder}/{folder[:3]}_{i:04}.jpg", jpeg((folder, i))))
  members += [
    (f"{root}/056.dog/greg", None),
    (f"{root}/056.dog/greg/vision309", None),
    (f"{root}/056.dog/greg/vision309/056_0001.jpg", b"astray"),
    (f"{root}/198.spider/RENAME2", b"astray"),
    (f"{root}/198.spider/._198_0001.jpg", b"astray"),
  ]
  path = directory / "256_ObjectCategories.tar"
  write_tar_in_order(path, members, "w")
  return path


WORDNET = {
  "n02124075": "Egyptian cat",
  "n01443537": "goldfish, Carassius auratus",
  "n02012849": "crane",
  "n03126707": "crane",
}


def write_tiny_imagenet(directory, ids=tuple(WORDNET), train=6, val=2, size=64):
  """Writes tiny-imagenet-200.zip as it is published; returns its path.

  Training image i of a class is `jpeg((id, i))`; validation image j is of class j modulo their
  number and `jpeg(("val", j))`.
  """
  root, path = "tiny-imagenet-200", directory / "tiny-imagenet-200.zip"
  with zipfile.ZipFile(path, "w") as archive:
    archive.mkdir(root)
    words = "".join(f"{wnid}\t{WORDNET.get(wnid, wnid)}\n" for wnid in sorted(ids))
    archive.writestr(f"{root}/words.txt", words + "n00001740\tentity\n")
    archive.writestr(f"{root}/wnids.txt", "\n".join(ids))
    for wnid in ids:
      archive.writestr(f"{root}/train/{wnid}/{wnid}_boxes.txt", f"{wnid}_0.JPEG\t0\t0\t62\t62\n")
      for i in range(train):
        archive.writestr(f"{root}/train/{wnid}/images/{wnid}_{i}.JPEG", jpeg((wnid, i), size, size))
    rows = ""
    for j in range(val * len(ids)):
      archive.writestr(f"{root}/val/images/val_{j}.JPEG", jpeg(("val", j), size, size))
      rows += f"val_{j}.JPEG\t{ids[j % len(ids)]}\t0\t32\t44\t62\n"
      archive.writestr(f"{root}/test/images/test_{j}.JPEG", jpeg(("test", j), size, size))
    archive.writestr(f"{root}/val/val_annotations.txt", rows)
  return path


def write_tfds(
  directory, name, version, shape, classes, parts, keys=("image", "label"), others=(), learnt=None
):
  """Prepares a data set as tensorflow-datasets does, without TensorFlow.

  Args:
    shape: of the images; None where they are of several.
    parts: {split: [(path of an image, label)]}.
    keys: names of these two.
    others: names of further features that are classes.
    learnt: which is to be learnt from which, as the set's description may say.
  """
  tfds = pytest.importorskip("tensorflow_datasets")
  set_name, set_version = name, version
  with tfds.core.registered.skip_registration():

    class Made(tfds.core.GeneratorBasedBuilder):
      name = set_name
      VERSION = tfds.core.Version(set_version)

      def _info(self):
        features = {
          keys[0]: tfds.features.Image(shape=shape),
          keys[1]: tfds.features.ClassLabel(names=classes),
          **{other: tfds.features.ClassLabel(num_classes=2) for other in others},
        }
        return tfds.core.DatasetInfo(
          builder=self,
          features=tfds.features.FeaturesDict(features),
          supervised_keys=learnt,
        )

      def _split_generators(self, manager):
        return {split: self._generate_examples(rows) for split, rows in parts.items()}

      def _generate_examples(self, rows):
        for i, (path, label) in enumerate(rows):
          yield i, dict(zip(keys, (str(path), int(label)), strict=True)) | dict.fromkeys(others, 1)

  Made(data_dir=directory, file_format="array_record").download_and_prepare()


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


# --- light curves --------------------------------------------------------------------------------


def _varint(number):
  number %= 1 << 64  # negative ones
  low = [number >> 7 * place & 127 for place in range(max(1, -(-number.bit_length() // 7)))]
  return bytes([byte | 128 for byte in low[:-1]] + low[-1:])


def _field(number, content):
  return _varint(8 * number + 2) + _varint(len(content)) + content


def tf_example(values, packed=True):
  """The bytes of a `tf.train.Example` of {name: texts, floats or whole numbers}."""
  entries = b""
  for name, value in values.items():
    value = np.asarray(value)
    if value.dtype.kind == "S":
      kind, several = 1, b"".join(_field(1, text) for text in value.tolist())
    elif value.dtype.kind == "f":
      texts = [struct.pack("<f", number) for number in value.tolist()]
      apart = b"".join(_varint(8 + 5) + text for text in texts)
      kind, several = 2, _field(1, b"".join(texts)) if packed else apart
    else:
      texts = [_varint(number) for number in value.tolist()]
      apart = b"".join(_varint(8) + text for text in texts)
      kind, several = 3, _field(1, b"".join(texts)) if packed else apart
    feature = _field(kind, several)
    entries += _field(1, _field(1, name.encode()) + _field(2, feature))
  return _field(1, entries)


def crc32c(text):
  """Bit by bit, as the polynomial has it."""
  state = 0xFFFFFFFF
  for byte in text:
    state ^= byte
    for _ in range(8):
      state = state >> 1 ^ (0x82F63B78 if state & 1 else 0)
  return state ^ 0xFFFFFFFF


def tf_record(texts):
  """The bytes of a TFRecord file."""

  def masked(text):
    crc = crc32c(text)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) % (1 << 32))

  heads = [struct.pack("<Q", len(text)) for text in texts]
  return b"".join(
    head + masked(head) + text + masked(text) for head, text in zip(heads, texts, strict=True)
  )


def tess_event(star, label, seed=0):
  """What the published files say of an event, in their units."""
  draw = np.random.default_rng(seed)
  views = {"global_view": 201, "local_view": 61, "secondary_view": 61}
  return {
    "tic_id": [star],
    "Disposition": [label],
    **{name: draw.uniform(-1, 1, size).astype(np.float32) for name, size in views.items()},
    "Duration": np.float32([0.1]),
    "Period": np.float32([10.0]),
    "SN": np.float32([100.0]),
    "depth_change": np.float32([1e25]),
    "Qingress": np.float32([0.25]),
    "Sectors": [2],
  }


def write_tess(folder, train=40, out=8):
  """Writes TESS events in ten files; every star has two events of a kind, one after the other."""
  number = 0
  for part, files, count in (("train", 8, train // 8), ("val", 1, out), ("test", 1, out)):
    for file in range(files):
      events = []
      for _ in range(count):
        label = [b"J", b"EB", b"PC"][number // 2 % 3]
        events.append(tf_example(tess_event(number // 2, label, number)))
        number += 1
      (folder / f"{part}-{file:05}-of-{files:05}").write_bytes(tf_record(events))


def write_kepler(folder, count=60):
  """Writes Kepler's objects; every star has two, one after the other."""
  draw = np.random.default_rng(0)
  folded = draw.uniform(0, 1, (count, 1, 201)).astype(np.float32)
  np.savez(folder / "dataset.npz", X=folded, y=np.arange(count) // 2 % 2)
  np.savez(
    folder / "koi_of_row.npz",
    kepid=np.arange(count) // 2,
    period=np.full(count, 100.0),
    duration_h=np.full(count, 24.0),
    model_snr=np.full(count, 10.0),
  )


def write_sky(folder, count=40, out=12, subject="transits"):
  """Writes a simulated sky: of its classes in turn, what they look like made up."""
  classes, channels = (3, 8) if subject == "transits" else (4, 9)
  draw = np.random.default_rng(0)
  for part, events in (("train", count), ("validation", out), ("test", out)):
    pictures = draw.integers(0, 256, (events, 1, 201, channels), np.uint8)
    np.save(folder / f"{part}.npy", pictures)
    np.save(folder / f"{part}_labels.npy", np.arange(events, dtype=np.int32) % classes)
  said = {"subject": subject, "sky": {"mixture": {"planet": 1.0}, "red": 0.3}}
  (folder / "sky.json").write_text(json.dumps(said))
