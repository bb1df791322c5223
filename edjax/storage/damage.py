"""Is what was saved damaged, or can it not be read just now?"""

import errno
import os
import pathlib
import re
from collections.abc import Callable
from typing import NoReturn, TypeVar

from edjax.errors import UserError

T = TypeVar("T")

_UNREADABLE = "cannot read {}: {}; nothing is lost: put that right and give the same command again"


class Damage(Exception):
  """What was saved is not there any more; the text says why."""


def whole(folder: pathlib.Path, read: Callable[[], T]) -> T:
  """Returns `read()`, of something that was saved in a folder.

  Orbax raises many kinds of errors for damaged files, and the same for files that cannot be read at
  the moment, some of which it hides. So the files are then read one by one: what cannot be read is
  no damage, and what can be is read again before it is called so.

  Raises:
    Damage: if every file can be read, and yet what was saved is not there.
    UserError: if one cannot be.
  """
  try:
    return read()
  except Exception:
    _read_through(folder)
  try:
    return read()
  except MemoryError:
    raise
  except Exception as error:
    reason = _passing(error)
    if reason:
      raise UserError(_UNREADABLE.format(folder, reason)) from error
    raise Damage((str(error).strip() or type(error).__name__).split("\n")[0][:200]) from error


def _passing(error: BaseException | None) -> str | None:
  """Returns why something could not be read, if that says nothing about its content, or None."""
  while error is not None:
    text = str(error)
    code = error.errno if isinstance(error, OSError) else None
    said = re.search(r"os_error_code='(\d+)'", text)  # tensorstore's
    code = int(said[1]) if said else code
    if code not in (None, errno.ENOENT, errno.ENOTDIR, errno.EISDIR):
      return os.strerror(code)
    if isinstance(error, RuntimeError) and "start new thread" in text:
      return text
    error = error.__cause__ or error.__context__
  return None


def _read_through(folder: pathlib.Path) -> None:
  def refuse(error: OSError) -> NoReturn:
    raise error

  try:
    for parent, _, names in os.walk(folder, onerror=refuse):
      for name in names:
        with open(os.path.join(parent, name), "rb") as file:
          while file.read(1 << 24):
            pass
  except OSError as error:
    raise UserError(
      _UNREADABLE.format(error.filename or folder, error.strerror or error)
    ) from error
