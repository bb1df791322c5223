"""What the official archives of photographs hold: classes, splits and the names of the files.

`food101`, `caltech256` and `tiny_imagenet` take the path of an archive and return a `Listing`,
having read all names and the few text files, but no image.
"""

import dataclasses
import pathlib

from edjax.data import splits
from edjax.data.photographs import archives
from edjax.errors import UserError

CALTECH_TEST_FRACTION = 0.2


@dataclasses.dataclass(frozen=True)
class Listing:
  """The images of an archive: `files` is {"train": ((name in it, label), …), "test": …}."""

  class_names: tuple[str, ...]
  files: dict[str, tuple[tuple[str, int], ...]]


def food101(path: pathlib.Path) -> Listing:
  """Lists Food-101 (Bossard et al., ECCV 2014): 101 dishes, 75,750 and 25,250 images.

  The splits are those published, `meta/train.txt` and `meta/test.txt`; training images carry some
  wrong labels by intent. Classes are sorted as strings: `apple_pie` is 0.
  """
  names, texts = archives.scan(path, lambda name: "/meta/" in name)
  classes = tuple(sorted(_lines(path, texts, "food-101/meta/classes.txt")))
  labels = {name: label for label, name in enumerate(classes)}
  files = {}
  for part in ("train", "test"):
    rows = _lines(path, texts, f"food-101/meta/{part}.txt")
    files[part] = tuple(
      (f"food-101/images/{row}.jpg", labels.get(row.split("/")[0], -1)) for row in rows
    )
  return _checked(path, names, Listing(classes, files))


def caltech256(path: pathlib.Path, clutter: bool = False) -> Listing:
  """Lists Caltech-256 (Griffin, Holub and Perona, CNS-TR-2007-001): 256 classes, 29,780 images.

  No split is published. Of each class a fifth is the test split, by the rule of `splits.by_name` on
  names such as `001.ak47/001_0001.jpg`. Classes are in the order of their numbers, and named
  without them. `257.clutter`, which is no class, is left out unless `clutter`.
  """
  names, _ = archives.scan(path, lambda name: False)
  classes: dict[str, list[str]] = {}
  for name in names:
    # Some folders hold stray files and folders beside the photographs.
    parts = pathlib.PurePosixPath(name).parts
    if len(parts) == 3 and parts[2].lower().endswith(".jpg") and not parts[2].startswith("."):
      if clutter or not parts[1].startswith("257."):
        classes.setdefault(parts[1], []).append(name)
  files: dict[str, list[tuple[str, int]]] = {"train": [], "test": []}
  for label, folder in enumerate(sorted(classes)):
    found = sorted(classes[folder])
    if len(found) < 2:
      raise UserError(f"{path}: {folder} holds one image; fetch the archive again")
    held_out = splits.by_name([name.split("/", 1)[1] for name in found], CALTECH_TEST_FRACTION)
    for name, out in zip(found, held_out, strict=True):
      files["test" if out else "train"].append((name, label))
  class_names = tuple(folder.split(".", 1)[-1] for folder in sorted(classes))
  return _checked(path, names, Listing(class_names, {k: tuple(v) for k, v in files.items()}))


def tiny_imagenet(path: pathlib.Path) -> Listing:
  """Lists Tiny-ImageNet (Stanford CS231n): 200 classes, 100,000 and 10,000 images of 64x64.

  As the field does, the validation images are the test split; those of `test/` have no labels.
  Classes are sorted by WordNet id, as a reader of folders sorts them; a class's name is the first
  of its words, with the id behind it where two classes share one.
  """
  names, texts = archives.scan(path, lambda name: name.endswith(".txt") and "_boxes" not in name)
  root = "tiny-imagenet-200"
  ids = sorted(_lines(path, texts, f"{root}/wnids.txt"))
  labels = {wnid: label for label, wnid in enumerate(ids)}
  train = []
  for name in names:
    parts = pathlib.PurePosixPath(name).parts
    if parts[:2] == (root, "train") and parts[-1].endswith(".JPEG"):
      train.append((name, labels.get(parts[2], -1)))
  rows = [row.split("\t") for row in _lines(path, texts, f"{root}/val/val_annotations.txt")]
  test = [(f"{root}/val/images/{row[0]}", labels.get(row[1], -1)) for row in rows]
  words = dict(row.split("\t", 1) for row in _lines(path, texts, f"{root}/words.txt"))
  first = [words.get(wnid, wnid).split(",")[0].strip() for wnid in ids]
  class_names = tuple(
    word if first.count(word) == 1 else f"{word} ({wnid})"
    for word, wnid in zip(first, ids, strict=True)
  )
  return _checked(path, names, Listing(class_names, {"train": tuple(train), "test": tuple(test)}))


def _lines(path: pathlib.Path, texts: dict[str, bytes], name: str) -> list[str]:
  if name not in texts:
    raise UserError(f"{path} lacks {name}; fetch the archive again")
  text = texts[name].decode("utf-8", errors="replace")
  return [line.strip() for line in text.splitlines() if line.strip()]


def _checked(path: pathlib.Path, names: list[str], listing: Listing) -> Listing:
  there = set(names)
  for part, files in listing.files.items():
    if not files:
      raise UserError(f"{path} holds no image of the {part} split; fetch the archive again")
    for name, label in files:
      if name not in there or label < 0:
        what = "lacks" if name not in there else "states no class of"
        raise UserError(f"{path} {what} {name}; fetch the archive again")
  return listing
