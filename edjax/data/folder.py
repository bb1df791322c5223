"""Any folder of images, one sub-folder per class.

Two layouts are known: `train/<class>/*` with `test/<class>/*`, and `<class>/*` alone, of which a
fixed fifth becomes the test split.
"""

import concurrent.futures

import numpy as np

from edjax.data import decode, splits
from edjax.data.splits import Split
from edjax.errors import UserError

SUFFIXES = (
  ".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp",
)  # fmt: skip
HELD_OUT = ("test", "val", "validation")
TEST_FRACTION = 0.2
DEFAULT_SIZE = 32
LAYOUT = (
  "expected DIR/train/<class>/<image> and DIR/test/<class>/<image>, or DIR/<class>/<image> with at"
  " least two classes"
)


def read(directory, image_size=0, bad_images="error"):
  """Reads a folder of images.

  If `train/` has sub-folders, it is the training split and the first of `test/`, `val/` and
  `validation/` that exists is the test split; the others are not read. Otherwise every sub-folder
  is a class, and a fifth of its files is its test split, by the rule of `splits.by_name` on paths
  such as `class/image.jpg`, whatever the order on disk.

  Classes are the sorted names of the sub-folders. Images lie directly in them; hidden files and
  folders, and files without one of `SUFFIXES` (in any case), are passed over. Every image becomes
  a square of `image_size` pixels as `decode.square` says. There are three channels, unless every
  image of both splits is plain grey (modes 1, L, I and I;16): then one.

  Args:
    directory: a pathlib.Path.
    image_size: side of the square in pixels; 0 means 32.
    bad_images: "error", or "skip" to leave out at most one in a hundred that cannot be read.

  Returns:
    (train, test, class names).

  Raises:
    UserError: if the layout is another, a class is empty or has too few images, the classes of the
      two splits differ, or an image cannot be read.
  """
  train, test = _find_files(directory)
  names = tuple(train)
  paths = [path for part in (train, test) for name in names for path in part[name]]
  labels = [label for part in (train, test) for label, name in enumerate(names) for _ in part[name]]
  size = image_size or DEFAULT_SIZE
  refusals = decode.Refusals(bad_images, len(paths))
  images, kept, all_grey = np.empty((len(paths), size, size, 3), np.uint8), [], True
  with concurrent.futures.ThreadPoolExecutor() as pool:
    found = pool.map(lambda path: _read_or_refuse(path, size), paths)
    for row, (image, reason) in enumerate(found):
      if reason:
        refusals.add({"file": str(paths[row]), "why": reason})
        continue
      images[len(kept)] = image
      kept.append(row)
      all_grey = all_grey and image.shape[-1] == 1
  images = np.ascontiguousarray(images[: len(kept), ..., :1]) if all_grey else images[: len(kept)]
  whole = Split(images, np.asarray(labels, np.int32)[kept])
  count = int(np.searchsorted(kept, sum(map(len, train.values()))))
  return (
    Split(whole.images[:count], whole.labels[:count]),
    Split(whole.images[count:], whole.labels[count:]),
    names,
  )


def read_image(path, size):
  """Reads one image file as a square of bytes, by the rule of `decode.square`.

  Args:
    path: a pathlib.Path.
    size: side of the square in pixels.

  Returns:
    uint8 [size, size, 1] if the image is plain grey, else [size, size, 3].

  Raises:
    decode.BadImage: if it cannot be read.
  """
  try:
    content = path.read_bytes()
  except OSError as error:
    raise decode.BadImage(error.strerror or str(error)) from error
  return decode.square(content, size)


def _read_or_refuse(path, size):
  """Returns (image, ""), or (None, why not)."""
  try:
    return read_image(path, size), ""
  except decode.BadImage as error:
    return None, str(error)


def _find_files(directory):
  """Returns the training and the test images, each as {class: sorted paths}, same keys."""
  if not (directory / "train").is_dir() or not _subfolders(directory / "train"):
    cuts = {name: _cut(name, paths) for name, paths in _classes(directory).items()}
    return tuple({name: cut[part] for name, cut in cuts.items()} for part in (0, 1))
  held_out = next((directory / name for name in HELD_OUT if (directory / name).is_dir()), None)
  if held_out is None:
    raise UserError(
      f"{directory} has train/ but none of {', '.join(f'{name}/' for name in HELD_OUT)}; {LAYOUT}"
    )
  train, test = _classes(directory / "train"), _classes(held_out)
  if set(train) != set(test):
    odd = sorted(set(train) ^ set(test))
    raise UserError(
      f"{directory / 'train'} and {held_out} must hold the same classes, but only one of them has"
      f" {', '.join(odd[:5])}{' …' if len(odd) > 5 else ''}"
    )
  return train, test


def _classes(directory):
  folders = _subfolders(directory)
  if len(folders) < 2:
    raise UserError(f"{directory} has {len(folders)} sub-folders of images; {LAYOUT}")
  classes = {folder.name: _images(folder) for folder in folders}
  for name, paths in classes.items():
    if not paths:
      raise UserError(
        f"{directory / name} holds no image (a file ending in {', '.join(SUFFIXES)}); add images"
        " or remove the folder"
      )
  return classes


def _subfolders(directory):
  found = [path for path in directory.iterdir() if path.is_dir() and not path.name.startswith(".")]
  return sorted(found, key=lambda path: path.name)


def _images(folder):
  found = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
  wanted = [path for path in found if path.suffix.lower() in SUFFIXES]
  return sorted(wanted, key=lambda path: path.name)


def _cut(name, paths):
  """Returns a class's (training, test) files."""
  if len(paths) < 2:
    raise UserError(
      f"{paths[0].parent} holds one image; a class needs two, one to train on and one to test on"
    )
  test = splits.by_name([f"{name}/{path.name}" for path in paths], TEST_FRACTION)
  return tuple([path for path, out in zip(paths, test, strict=True) if out == k] for k in (0, 1))
