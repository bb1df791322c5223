"""Any set of labelled images that tensorflow-datasets has prepared, by its name."""

import math
import pathlib

from edjax.data.photographs import reader
from edjax.data.readers import prepared
from edjax.data.splits import Split

PREFIX = "tfds:"  # of the names of such sets
_SMALL = 128  # pixels of a side at most
_IN_MEMORY = 1 << 31  # bytes of images at most


def read(
  name: str,
  directory: pathlib.Path,
  *,
  image_size: int = 0,
  bad_images: str = "error",
  source: str = "auto",
) -> tuple[Split, Split, tuple[str, ...], *tuple[str, ...]]:
  """Reads small images of one size as they are, and takes all others as photographs.

  Args:
    name: "tfds:NAME", of DIR/NAME/VERSION.
    directory: that DIR; caches of photographs are put there.
    image_size, bad_images, source: as in `datasets.load`.

  Returns:
    (train, test, class names), and of photographs a line as `reader.read` returns it.

  Raises:
    UserError: as `prepared.read` and `reader.read` do.
  """
  version = prepared.find(directory, name.removeprefix(PREFIX)) if source != "files" else None
  if version:
    with prepared.reading(version) as found:
      shape, count = found.shape, found.count
    sizes = [side for side in shape if side]
    small = len(sizes) == len(shape) and max(sizes) <= _SMALL
    square = sizes[0] if small and sizes[0] == sizes[1] else 0
    if small and image_size in (0, square):
      if count * math.prod(sizes) <= _IN_MEMORY:
        return prepared.read(version)
      image_size = square
  return reader.read(name, directory, image_size=image_size, bad_images=bad_images, source=source)
