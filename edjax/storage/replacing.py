"""Where a network may be written: only a network is ever replaced."""

import json
import os
import pathlib
import re

from edjax.errors import UserError

# What orbax writes into a folder of arrays.
_OF_ORBAX = re.compile(
  r"_.*|array_metadatas|commit_success\.txt|d|manifest\.ocdbt|ocdbt\.process_\d+"
)


def absolute(path: str | os.PathLike[str]) -> pathlib.Path:
  """Returns a path without "." and "..", links as they are."""
  return pathlib.Path(os.path.abspath(pathlib.Path(path).expanduser()))


def check_target(directory: str | os.PathLike[str]) -> None:
  """Raises UserError if writing a network to `directory` would cost anything but a network."""
  directory = absolute(directory)
  while True:
    looked_at = _which(directory)
    what = _other_than_a_network(directory)
    if _which(directory) == looked_at:
      break  # else another process has replaced it meanwhile, and cleared away what was seen
  if what:
    raise UserError(
      f"{directory} is there already, and {what}; only a network of edjax's is ever replaced: name "
      "another folder, which need not exist"
    )


def _which(directory: pathlib.Path) -> tuple[int, int] | None:
  """Tells a folder from all that were or will be at its path; None if there is nothing."""
  try:
    status = os.lstat(directory)
  except OSError:
    return None
  return status.st_dev, status.st_ino


def _other_than_a_network(directory: pathlib.Path) -> str:
  """Says what is at a path, if it is neither nothing, nor empty, nor a network and nothing else."""
  if directory.is_symlink():
    return f"is a link to {os.readlink(directory)}"
  if directory == pathlib.Path.home():
    return "is the home folder"
  if directory == pathlib.Path(directory.anchor) or directory.is_mount():
    return "is a whole disk"
  if directory in (absolute("."), *absolute(".").parents):
    return "is the current folder, or holds it"
  if not directory.exists():
    return ""
  if not directory.is_dir():
    return "is a file"
  there = {path.name: path for path in directory.iterdir()}
  other = sorted(name for name in there if name not in ("info.json", "variables"))
  if other:
    return f"holds {', '.join(other[:3])}{' and more' if len(other) > 3 else ''}"
  if not there:
    return ""
  if set(there) != {"info.json", "variables"} or not there["variables"].is_dir():
    return "holds a part of a network only"
  if any(path.is_symlink() for path in there.values()):
    return "holds a link"
  within = {path.name for path in there["variables"].iterdir()}
  other = sorted(name for name in within if not _OF_ORBAX.fullmatch(name))
  if other:
    return f"holds variables/{other[0]}"
  try:
    ours = json.loads(there["info.json"].read_bytes()).keys() >= {"sha256", "digest"}
  except (ValueError, AttributeError):  # damaged; orbax's own files tell
    ours = "manifest.ocdbt" in within
  return "" if ours else "holds an info.json that is none of a network"
