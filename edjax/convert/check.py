"""What a network says to images in a folder, to see with one's eyes that it came over whole."""

import os
import pathlib
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from edjax.convert.view import BATCH, asker
from edjax.data import pictures
from edjax.data.photographs import decoding
from edjax.data.readers import layouts
from edjax.devices import processes
from edjax.errors import UserError
from edjax.types import Variables


def check(
  variables: Variables,
  info: dict[str, Any],
  view: dict[str, Any],
  directory: str | os.PathLike[str],
) -> str:
  """Returns text: top-1 on a folder with a sub-folder per class, or a line per image.

  Args:
    variables, info: as from `convert.read`.
    view: {"size", "mean", "std"}, whole and sound, see `edjax.convert.view`.
    directory: of images, or one image. Sub-folders are classes, by name where `info` names the
      classes, else in the order of their names; where text and numbers are not sorted alike, there
      is a line for each, as some tools train by the one and some by the other.

  Raises:
    UserError: if there are no images, or the sub-folders are not the network's classes, or an
      image cannot be read.
  """
  directory = pathlib.Path(directory).expanduser()
  if not directory.exists():
    raise UserError(f"no folder {directory} of images to check with")
  classes = info["classes"] or list(map(str, range(info["num_classes"])))
  folders = layouts.subfolders(directory) if directory.is_dir() else ()
  labelled = {path.name: layouts.images(path) for path in folders}
  plain = [path for path in (directory,) if path.suffix.lower() in layouts.SUFFIXES]
  plain = layouts.images(directory) if directory.is_dir() and not labelled else plain
  files = [path for paths in labelled.values() or [plain] for path in paths]
  if not files:
    raise UserError(f"{directory} holds no images ({', '.join(layouts.SUFFIXES)})")
  answers = _logits(variables, info, view, files).argmax(1)
  if not labelled:
    return "\n".join(
      f"{path.name}: {classes[answer]}" for path, answer in zip(files, answers, strict=True)
    )
  orders = [list(classes)] if info["classes"] else _orders(labelled)
  if not {*labelled} <= {*orders[0]} or len(orders[0]) != len(classes):
    raise UserError(
      f"{directory} has the sub-folders {', '.join(labelled)}, but the network knows "
      f"{len(classes)} classes{': ' + ', '.join(classes) if info['classes'] else ''}"
    )
  lines = []
  for order, how in zip(orders, ("as text", "by number"), strict=False):
    truth = np.array([order.index(name) for name, paths in labelled.items() for _ in paths])
    right = int((truth == answers).sum())
    line = f"top-1 {100 * right / len(files):.2f} % ({right:,} of {len(files):,} images)"
    shown = f" if columns are the sub-folders sorted {how} ({', '.join(order[:4])} …)"
    lines.append(line + shown if len(orders) > 1 else line)
  if len(orders) > 1:
    lines.append("edjax sorts as text; where the other is right, convert with --classes=FILE")
  return "\n".join(lines)


def _orders(names: Iterable[str]) -> Sequence[list[str]]:
  """The orders in which tools sort names: as text (torchvision), numbers by value (timm)."""

  def parts(name: str) -> list[int | str]:  # text and numbers in turn
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]

  orders = sorted(names), sorted(names, key=parts)
  return orders[:1] if orders[0] == orders[1] else orders


def _logits(
  variables: Variables, info: dict[str, Any], view: dict[str, Any], files: list[pathlib.Path]
) -> Float32[np.ndarray, "files classes"]:
  side, channels = view["size"], len(view["mean"])
  processes.devices()  # or a line that says why there is none
  ask = asker(variables, info, view)
  logits = []
  for start in range(0, len(files), BATCH):  # so many are in memory
    images = [_image(path, (side, side, channels)) for path in files[start : start + BATCH]]
    logits.append(ask(np.stack(images), BATCH))
  return np.concatenate(logits)


def _image(
  path: pathlib.Path, shape: tuple[int, int, int]
) -> UInt8[np.ndarray, "height width channels"]:
  try:
    return pictures.bring_in(path, shape)
  except decoding.BadImage as error:
    raise UserError(
      f"cannot read the image {path} ({error}); mend it or take it out of the folder"
    ) from error
