"""Any folder of images, one sub-folder per class.

Two layouts are known: `train/<class>/*` with `test/<class>/*`, and `<class>/*` alone, of which a
fixed fifth becomes the test split.
"""

import concurrent.futures
import hashlib

import numpy as np
from PIL import Image, ImageOps

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


def read(directory, image_size=0):
  """Reads a folder of images.

  If `train/` has sub-folders, it is the training split and the first of `test/`, `val/` and
  `validation/` that exists is the test split; the others are not read. Otherwise every sub-folder
  is a class, and the fifth (rounded, at least one, never all) of its files whose relative paths
  have the smallest SHA-256 are its test images, whatever the order on disk.

  Classes are the sorted names of the sub-folders. Images lie directly in them; hidden files and
  folders, and files without one of `SUFFIXES` (in any case), are passed over. Every image becomes
  a square of `image_size` pixels as `read_image` says. There are three channels, unless every
  image of both splits is plain grey (modes 1, L, I and I;16): then one.

  Args:
    directory: a pathlib.Path.
    image_size: side of the square in pixels; 0 means 32.

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
  images, all_grey = np.empty((len(paths), size, size, 3), np.uint8), True
  with concurrent.futures.ThreadPoolExecutor() as pool:
    for i, image in enumerate(pool.map(lambda path: read_image(path, size), paths)):
      images[i] = image
      all_grey = all_grey and image.shape[-1] == 1
  if all_grey:
    images = np.ascontiguousarray(images[..., :1])
  count = sum(map(len, train.values()))
  whole = Split(images, np.asarray(labels, np.int32))
  return (
    Split(whole.images[:count], whole.labels[:count]),
    Split(whole.images[count:], whole.labels[count:]),
    names,
  )


def read_image(path, size):
  """Reads one image file as a square of bytes.

  The first frame is turned upright by its EXIF orientation. Its short side is resized to `size`
  (bilinear, antialiased) and the middle of its long side kept. 16-bit grey is divided by 257,
  anything transparent is laid on white, palettes, CMYK and other colour spaces become RGB.

  Args:
    path: a file that Pillow opens.
    size: side of the square in pixels.

  Returns:
    uint8 [size, size, 1] if the image is plain grey, else [size, size, 3].

  Raises:
    UserError: naming the file, if Pillow cannot read it.
  """
  try:
    with Image.open(path) as image:
      square = ImageOps.fit(
        _to_bytes(ImageOps.exif_transpose(image)), (size, size), Image.Resampling.BILINEAR
      )
  except Exception as error:  # Pillow's plugins raise nearly any kind for a damaged file.
    reason = " ".join(str(error).split()) or type(error).__name__
    raise UserError(
      f"{path}: cannot be read as an image ({reason}); replace or remove it"
    ) from error
  return np.asarray(square).reshape(size, size, -1)


def _to_bytes(image):
  """Returns the image in mode L or RGB."""
  if image.mode.startswith("I"):
    # 16-bit files open as I;16 or, like PGM, as 32-bit I; Pillow's own conversion would clip.
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
      raise ValueError("integer pixels outside 0..65535")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))
  if image.mode == "F":
    raise ValueError("floating-point pixels have no stated range")
  if image.has_transparency_data:
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")
  return image.convert("L" if image.mode in ("1", "L") else "RGB")


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
  """Returns a class's (training, test) files by the digest rule of `read`."""
  if len(paths) < 2:
    raise UserError(
      f"{paths[0].parent} holds one image; a class needs two, one to train on and one to test on"
    )
  digest = {path: hashlib.sha256(f"{name}/{path.name}".encode()).digest() for path in paths}
  count = max(1, int(TEST_FRACTION * len(paths) + 0.5))
  test = set(sorted(paths, key=digest.get)[:count])
  return [path for path in paths if path not in test], [path for path in paths if path in test]
