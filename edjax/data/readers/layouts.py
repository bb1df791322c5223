"""Which files under a folder are images of which class, of which split, and what is passed over.

Splits are known by the names of folders, in any case: `train` or `training`, and held out the first
that exists of `test`, `testing`, `val`, `valid` and `validation`. Folders so called are never
classes. Without them every sub-folder is a class, and a fifth of its images is the test split.
"""

import collections
import dataclasses
import os
import pathlib
from collections.abc import Callable, Mapping

from PIL import Image, features

from edjax.data import splits
from edjax.errors import UserError

_Files = dict[str, list[pathlib.Path]]  # by class

TRAIN = ("train", "training")
HELD_OUT = ("test", "testing", "val", "valid", "validation")
TEST_FRACTION = 0.2
LAYOUT = (
  "expected DIR/train/<class>/<image> and DIR/test/<class>/<image>, or DIR/<class>/<image> with at"
  " least two classes"
)
_ENDINGS = (
  ".apng", ".bmp", ".dib", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png",
  ".pnm", ".ppm", ".tga", ".tif", ".tiff",
)  # fmt: skip
_OPTIONAL = {"avif": (".avif",), "jpg_2000": (".j2k", ".jp2"), "webp": (".webp",)}
_HARMLESS = ("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx")
_TINY = "val_annotations.txt"  # how Tiny-ImageNet labels its validation images


def suffixes() -> tuple[str, ...]:
  """Returns the endings of files that are taken for images, those that this Pillow reads."""
  Image.init()
  more = [ending for part, own in _OPTIONAL.items() if features.check(part) for ending in own]
  return tuple(sorted(e for e in (*_ENDINGS, *more) if e in Image.registered_extensions()))


SUFFIXES = suffixes()


@dataclasses.dataclass
class Tally:
  """What was found on the way.

  Attributes:
    passed: files that are passed over, by ending.
    deeper: images in folders below a class's own.
    astray: images that lie beside the folders of classes.
    remarks: on folders that are not read.
  """

  passed: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
  deeper: int = 0
  astray: int = 0
  remarks: list[str] = dataclasses.field(default_factory=list)


def find(directory: pathlib.Path) -> tuple[tuple[_Files, _Files], Tally]:
  """Finds the images of all classes.

  Images in folders below a class's own are the class's too, as torchvision's ImageFolder has it.
  Hidden files and folders, and what desktops leave (`Thumbs.db`, `desktop.ini`, …), are ignored;
  other files are counted. A folder whose only content is one folder with the layout stands for it.

  Returns:
    ((training images, test images), each {class: sorted paths} with the same keys, `Tally`).

  Raises:
    UserError: if the layout is another, a class has too few images, or the classes of the splits
      differ.
  """
  tally, folders = Tally(), subfolders(directory)
  parts = [folder for folder in folders if folder.name.lower() in TRAIN + HELD_OUT]
  if parts:
    return _split(directory, folders, parts, tally), tally
  if len(folders) == 1 and not _has_images(folders[0]) and len(subfolders(folders[0])) > 1:
    found, tally = find(folders[0])
    tally.remarks.insert(0, f"it is {folders[0].name}/ that was read")
    return found, tally
  cuts = {name: _cut(directory, paths) for name, paths in _classes(directory, tally).items()}
  train, test = ({name: cut[part] for name, cut in cuts.items()} for part in (0, 1))
  return (train, test), tally


def _split(
  directory: pathlib.Path, folders: list[pathlib.Path], parts: list[pathlib.Path], tally: Tally
) -> tuple[_Files, _Files]:
  """Returns (training, test) images of a folder that has folders of splits."""
  train = _one(directory, [part for part in parts if part.name.lower() in TRAIN])
  if not subfolders(train):
    tables = sorted(path.name for at in (directory, train) for path in at.glob("*.[cCtT][sS][vV]"))
    labels = f"; labels in {tables[0]} are not read" if tables else ""
    files = sum(path.is_file() for path in train.iterdir())
    raise UserError(f"{train} holds {files} files and no folder of a class{labels}; {LAYOUT}")
  ranked = sorted(
    (part for part in parts if part != train), key=lambda path: HELD_OUT.index(path.name.lower())
  )
  annotated = [part for part in ranked if (part / _TINY).is_file()]
  if not ranked:
    names = ", ".join(f"{name}/" for name in HELD_OUT)
    raise UserError(
      f"{directory} has {train.name}/ but none of {names}; {LAYOUT}; or give {train} itself, of"
      " which a fifth is then held out"
    )
  held_out = (annotated or ranked)[0]
  unread = [f"{path.name}/" for path in folders if path not in (train, held_out)]
  if unread:
    tally.remarks.append(f"{', '.join(unread)} not read, {held_out.name}/ is the test split")
  first = _classes(train, tally)
  second = _annotated(held_out, tally) if annotated else _classes(held_out, tally)
  if set(first) != set(second):
    odd = sorted(set(first) ^ set(second))
    raise UserError(
      f"{train} and {held_out} must hold the same classes, but only one of them has"
      f" {', '.join(odd[:5])}{' …' if len(odd) > 5 else ''}"
    )
  return first, {name: second[name] for name in first}


def _one(directory: pathlib.Path, found: list[pathlib.Path]) -> pathlib.Path:
  if len(found) == 1:
    return found[0]
  held = ", ".join(f"{path.name}/" for path in found)
  what = f"{held}, of which one can be the training split" if found else "no train/"
  raise UserError(
    f"{directory} has {what}; folders called {', '.join(TRAIN + HELD_OUT)} are splits and never"
    f" classes; {LAYOUT}"
  )


def _annotated(folder: pathlib.Path, tally: Tally) -> _Files:
  """Returns Tiny-ImageNet's validation images by class."""
  classes: _Files = {}
  for line in (folder / _TINY).read_text(errors="replace").splitlines():
    name, label, *_ = [*line.split("\t"), ""]
    if label:
      classes.setdefault(label, []).append(folder / "images" / name)
  if not classes:
    raise UserError(f"{folder / _TINY} labels no image: its lines must be FILE, a tab, CLASS")
  tally.remarks.append(f"the labels of {folder.name}/ are those of {_TINY}")
  return {name: sorted(paths) for name, paths in classes.items()}


def _classes(directory: pathlib.Path, tally: Tally) -> _Files:
  folders = subfolders(directory)
  if len(folders) < 2:
    raise UserError(f"{directory} has {len(folders)} sub-folders of images; {LAYOUT}")
  tally.astray += sum(path.suffix.lower() in SUFFIXES for path in _files(directory))
  found: _Files = {}
  passed: dict[str, collections.Counter[str]] = {}
  for folder in folders:
    passed[folder.name] = collections.Counter()
    found[folder.name] = images(folder, passed[folder.name], tally)
    tally.passed += passed[folder.name]
  full = [name for name, paths in found.items() if paths]
  for name in found:
    if name not in full:
      only = directory / full[0] if len(full) == 1 else None
      if only and len(subfolders(only)) > 1 and not _has_images(only):
        raise UserError(
          f"{directory / name} holds no image; the folders of classes seem to be in {only}: give"
          " that as --config.data_dir"
        )
      there = f", but {endings(passed[name])}" if passed[name] else ""
      raise UserError(
        f"{directory / name} holds no image{there} (a file ending in {', '.join(SUFFIXES)}); add"
        " images or remove the folder"
      )
  return found


def images(
  folder: pathlib.Path, passed: collections.Counter[str] | None = None, tally: Tally | None = None
) -> list[pathlib.Path]:
  """Finds the images of a class, those in folders below its own too.

  Args:
    passed: counts by ending what is no image, if given.
    tally: the `Tally` that counts images in deeper folders, if given.

  Returns:
    Paths, sorted.

  Raises:
    UserError: if a folder of a split is below.
  """
  tally = tally or Tally()

  def check(folders: list[str]) -> None:
    for name in folders:
      if name.lower() in TRAIN + HELD_OUT:
        raise UserError(
          f"{folder} stands where a class should, and holds {name}/, which is a split; {LAYOUT}"
        )

  found = below(folder, collections.Counter() if passed is None else passed, check)
  tally.deeper += sum(path.parent != folder for path in found)
  return found


def below(
  folder: pathlib.Path,
  passed: collections.Counter[str],
  check: Callable[[list[str]], None] = lambda folders: None,
) -> list[pathlib.Path]:
  """Finds all images in a folder and in those below it, whatever they are called.

  Args:
    passed: counts by ending what is no image.
    check: is told the names of the folders in each folder, and may refuse them.

  Returns:
    Paths, sorted.
  """
  found, seen = [], set()
  for place, folders, files in os.walk(folder, followlinks=True):
    real = os.path.realpath(place)
    if real in seen:  # a link that leads back
      folders.clear()
      continue
    seen.add(real)
    folders[:] = sorted(name for name in folders if not _ignored(name))
    check(folders)
    for name in files:
      path = pathlib.Path(place, name)
      if _ignored(name) or not path.is_file():
        continue
      if path.suffix.lower() in SUFFIXES:
        found.append(path)
      else:
        passed[path.suffix.lower()] += 1
  return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def endings(counts: Mapping[str, int]) -> str:
  """Says how many files have which ending: "2 .heic, 1 without an ending"."""
  rows = sorted(counts.items(), key=lambda row: (-row[1], row[0]))
  return ", ".join(f"{count:,} {ending or 'without an ending'}" for ending, count in rows)


def _ignored(name: str) -> bool:
  return name.startswith(".") or name.lower() in _HARMLESS


def subfolders(directory: pathlib.Path) -> list[pathlib.Path]:
  """Returns the folders in a folder, sorted by name, without hidden ones."""
  found = [path for path in directory.iterdir() if path.is_dir() and not _ignored(path.name)]
  return sorted(found, key=lambda path: path.name)


def _files(directory: pathlib.Path) -> list[pathlib.Path]:
  return [path for path in directory.iterdir() if path.is_file() and not _ignored(path.name)]


def _has_images(directory: pathlib.Path) -> bool:
  return any(path.suffix.lower() in SUFFIXES for path in _files(directory))


def _cut(
  directory: pathlib.Path, paths: list[pathlib.Path]
) -> tuple[list[pathlib.Path], list[pathlib.Path]]:
  """Returns a class's (training, test) files."""
  if len(paths) < 2:
    raise UserError(
      f"{paths[0].parent} holds one image; a class needs two, one to train on and one to test on"
    )
  names = [path.relative_to(directory).as_posix() for path in paths]
  test = splits.by_name(names, TEST_FRACTION)
  train, held_out = (
    [path for path, out in zip(paths, test, strict=True) if out == k] for k in (0, 1)
  )
  return train, held_out
