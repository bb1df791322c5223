"""The one kind of error that a user can cause, how a choice is checked, and an end asked for."""

import argparse
import contextlib
import dataclasses
import difflib
import logging
import math
import os
import signal
import sys
from collections.abc import Collection, Iterator, Mapping
from types import FrameType
from typing import Any, NoReturn, TypeVar, get_args, get_origin

T = TypeVar("T")


class UserError(ValueError):
  """Something the user can put right: `main` prints it as one line and exits with code 1.

  The message says what is wrong, where, and what to do; it holds no newline.
  """


class Foreign(UserError):
  """What is asked for belongs to another run, or to other data.

  Attributes:
    reason: whose it is; the message says what to do as well.
  """

  def __init__(self, reason: str, advice: str) -> None:
    super().__init__(f"{reason}; {advice}")
    self.reason = reason


class Stopped(Exception):
  """A run that was asked to stop has saved a checkpoint, from which the same command continues."""


class Parser(argparse.ArgumentParser):
  """A parser of options that ends as every other error does, with one line."""

  def error(self, message: str) -> NoReturn:
    raise UserError(f"{message}; {self.prog} --help lists what there is")


@contextlib.contextmanager
def one_line(interrupted: str) -> Iterator[None]:
  """Ends the process with one line and exit code 1 where a user can put right what went wrong.

  Args:
    interrupted: what is said of Ctrl-C, and of being asked to stop.
  """
  _hide_late_readers()
  try:
    _check_system()
    with _half_made_hidden(), _flushed():
      yield
  except UserError as error:
    sys.exit(f"edjax: {error}")
  except Stopped as stopped:
    print(f"edjax: {stopped}; {interrupted}", file=sys.stderr)
    sys.exit(128 + signal.SIGTERM)
  except MemoryError:
    sys.exit("edjax: memory is short; free some and give the same command again")
  except BrokenPipeError:
    # Python flushes again when it ends, and would complain.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit("edjax: nobody reads the output any more")
  except OSError as error:
    where = error.filename or "a file"
    why = error.strerror or error
    sys.exit(
      f"edjax: cannot read or write {where}: {why}; put that right and give the same command again"
    )
  except KeyboardInterrupt:
    sys.exit(f"edjax: interrupted; {interrupted}")
  except RuntimeError as error:
    if "RESOURCE_EXHAUSTED" not in str(error):
      raise
    sys.exit(
      f"edjax: a device is out of memory ({' '.join(str(error).split())[:120]}); give a smaller "
      "--config.recipe.batch_size (to predict, --batch) or --config.residence=streamed, or more "
      "devices or memory"
    )


def _check_system() -> None:
  """Work directories, networks and caches are locked by what Linux and macOS have."""
  try:
    import fcntl  # noqa: F401
  except ImportError as error:
    raise UserError("runs on Linux and macOS; on Windows use its Linux (WSL)") from error


@contextlib.contextmanager
def _flushed() -> Iterator[None]:
  """Writes out what was printed where it can still be caught that nobody reads it any more."""
  try:
    yield
  except SystemExit:
    sys.stdout.flush()
    raise
  sys.stdout.flush()


def _hide_late_readers() -> None:
  """Keeps back the tracebacks of tensorstore's threads that read on in a folder that is damaged.

  Orbax has ended the loop by then that they would report to, or asks them nothing any more, which
  asyncio logs; and the damage has been told.
  """
  before = sys.unraisablehook
  if getattr(before, "hides_late_readers", False):
    return

  def hook(unraisable: "sys.UnraisableHookArgs") -> None:
    error = unraisable.exc_value
    if not (isinstance(error, RuntimeError) and str(error) == "Event loop is closed"):
      before(unraisable)

  def unasked(record: logging.LogRecord) -> bool:
    error = record.exc_info and record.exc_info[1]
    return not (isinstance(error, ValueError) and "Error reading " in str(error))

  hook.hides_late_readers = True  # type: ignore[attr-defined]
  sys.unraisablehook = hook
  logging.getLogger("asyncio").addFilter(unasked)


@contextlib.contextmanager
def _half_made_hidden() -> Iterator[None]:
  """Keeps back what Python says of objects that Ctrl-C leaves half made.

  The interruption comes between any two lines, an event loop's constructor among them, whose
  destructor then misses what was not set yet and is said to have failed.
  """
  if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
    yield  # it is ignored, as in the background of a shell, or another's
    return

  def note(number: int, frame: FrameType | None) -> None:
    sys.unraisablehook = lambda unraisable: None
    signal.default_int_handler(number, frame)

  signal.signal(signal.SIGINT, note)
  try:
    yield
  finally:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def choose(table: Mapping[str, T], name: str, kind: str) -> T:
  """Returns `table[name]`.

  Args:
    table: a literal dict such as `MODELS`.
    name: the key a user asked for.
    kind: what the table holds, in the singular ("model"), for the message.

  Raises:
    UserError: if there is no such key; the message names the nearest one and all choices.
  """
  if name in table:
    return table[name]
  raise UserError(f"unknown {kind} {name!r}{_offer(name, table)}")


def one_of(value: object, choices: Collection[object], key: str) -> None:
  """Checks a setting that has few values.

  Args:
    value: what a user chose.
    choices: the values.
    key: the setting's name ("recipe.schedule"), for the message.

  Raises:
    UserError: if the value is none of them; the message names the nearest one and all.
  """
  if value not in choices:
    raise UserError(f"{key} is {value!r}{_offer(value, choices)}")


def within(
  value: Any,
  key: str,
  least: float = -math.inf,
  most: float = math.inf,
  *,
  above: float = -math.inf,
  below: float = math.inf,
) -> None:
  """Checks a setting that is a number.

  Args:
    value: what a user gave.
    key: the setting's name ("recipe.momentum"), for the message.
    least, most: bounds that are allowed.
    above, below: bounds that are not.

  Raises:
    UserError: if the value is no finite number within all of them; the message names them.
  """
  numeric = isinstance(value, (int, float)) and not isinstance(value, bool)
  if numeric and math.isfinite(value) and least <= value <= most and above < value < below:
    return
  bounds = {"at least": least, "above": above, "at most": most, "below": below}
  said = " and ".join(f"{how} {bound:g}" for how, bound in bounds.items() if math.isfinite(bound))
  raise UserError(f"{key} is {value!r}; it must be {said or 'a finite number'}")


def typed(settings: Any, where: str = "") -> None:
  """Checks that what a dataclass holds is of the kinds that its fields say.

  Looks at texts, numbers, True or False, and tuples of them. A whole number is a number.

  Args:
    settings: the dataclass.
    where: what its fields' names begin with ("recipe."), for the message.

  Raises:
    UserError: naming the first that is of another kind.
  """
  for field in dataclasses.fields(settings):
    value, kind = getattr(settings, field.name), field.type
    several = get_origin(kind) is tuple
    kind = get_args(kind)[0] if several else kind
    if kind not in _KINDS:
      continue
    right = isinstance(value, tuple) if several else True
    if not right or not all(is_a(kind, each) for each in (value if several else [value])):
      wanted = f"a tuple of such as {_KINDS[kind]}" if several else _KINDS[kind]
      raise UserError(f"{where}{field.name} is {value!r}; give {wanted}")


def is_a(kind: Any, value: object) -> bool:
  """Says whether a value is of a kind: int, float, bool or str. True is no number."""
  if isinstance(value, bool) or kind is bool:
    return kind is bool and isinstance(value, bool)
  return isinstance(value, (int, float) if kind is float else kind)


_KINDS: dict[Any, str] = {
  int: "a whole number",
  float: "a number",
  bool: "True or False",
  str: "a text",
}


def _offer(name: object, choices: Collection[object]) -> str:
  near = difflib.get_close_matches(str(name), [str(choice) for choice in choices], n=1)
  hint = f" (did you mean {near[0]!r}?)" if near else ""
  return f"{hint}; choose one of {', '.join(str(choice) or repr(choice) for choice in choices)}"
