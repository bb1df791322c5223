"""Which pictures are meant by what was given, and which class their folders say they are of."""

import collections
import dataclasses
import os
import pathlib
from collections.abc import Callable, Collection, Iterable

from edjax.data.readers import layouts
from edjax.errors import UserError

LIST = "-"  # stands for a list of paths


@dataclasses.dataclass(frozen=True)
class File:
  """A file that should be a picture.

  Attributes:
    path: as it was given, or below the folder that was.
    truth: the class that its folders name, or "".
    placed: whether it was found in a folder that was given.
  """

  path: str
  truth: str = ""
  placed: bool = False


def find(
  given: Iterable[str],
  listed: Callable[[], Iterable[str]],
  classes: Collection[str],
  passed: collections.Counter[str],
) -> list[File]:
  """Finds the pictures that are meant.

  Args:
    given: paths of files, whatever their endings, and of folders, of which all images are meant,
      those further down too, by the order of their paths; or `LIST`.
    listed: returns the paths that `LIST` stands for.
    classes: names of classes. The first folder, downwards from one that is given, that is called so
      tells the truth about what is in it.
    passed: counts by ending the files in folders that are taken for no images.

  Raises:
    UserError: for a folder without images.
  """
  found = []
  for path in given:
    if path == LIST:
      rest = (other for other in listed() if other != LIST)
      found += find(rest, listed, classes, passed)
    elif os.path.isdir(path):
      found += _within(path, classes, passed)
    else:
      found.append(File(path))
  return found


def _within(
  directory: str, classes: Collection[str], passed: collections.Counter[str]
) -> list[File]:
  top = pathlib.Path(directory)
  images = [path.relative_to(top) for path in layouts.below(top, passed)]
  if not images:
    raise UserError(
      f"{directory} holds no image (a file ending in {', '.join(layouts.SUFFIXES)}); give another"
      " folder, or files by their names"
    )
  truths = (next((part for part in image.parts[:-1] if part in classes), "") for image in images)
  return [
    File(os.path.join(directory, image), truth, placed=True)
    for image, truth in zip(images, truths, strict=True)
  ]
