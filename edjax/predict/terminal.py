"""Where answers go, and what a person sees meanwhile."""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import TextIO

from edjax.progress import Progress


def say(line: str) -> None:
  """Prints a line to standard error, which is for all but answers."""
  print(line, file=sys.stderr)


def listed() -> list[str]:
  """Returns the lines of standard input, of whatever bytes, but for empty ones."""
  lines = os.fsdecode(sys.stdin.buffer.read()).splitlines()
  return [line for line in lines if line.strip()]


@contextlib.contextmanager
def stream(path: str) -> Iterator[TextIO]:
  """Opens a file, or standard output if the path is "", for text with paths of whatever bytes."""
  if path:
    with open(path, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
      yield file
  else:
    sys.stdout.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]
    yield sys.stdout


@contextlib.contextmanager
def bar(
  total: int, elsewhere: bool
) -> Iterator[tuple[Callable[[str], None], Callable[[int], None]]]:
  """Yields (what says a line, what shows how many of `total` are done).

  A bar is for a terminal, and not for one on which the answers are written.

  Args:
    total: how many pictures there are.
    elsewhere: whether the answers are not written to standard output.
  """
  if not sys.stderr.isatty() or (sys.stdout.isatty() and not elsewhere):
    yield say, lambda done: None
    return
  progress, began = Progress(sys.stderr), time.monotonic()

  def show(done: int) -> None:
    pace = done / max(1e-9, time.monotonic() - began)
    progress.update(
      label="images",
      epoch=None,
      epochs=None,
      step=done,
      steps=total,
      images_per_second=pace,
      seconds_left=(total - done) / pace,
    )

  try:
    yield progress.line, show
  finally:
    progress.close()
