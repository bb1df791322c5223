"""How the command finds a config file and reads flags, and what --help says of them."""

import ast
import json
import pathlib
import re
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from absl import flags
from ml_collections import ConfigDict
from ml_collections.config_flags import config_flags, tuple_parser

from edjax.errors import UserError
from edjax.rows import GradeRow
from edjax.whole import SAME, Whole, change

_NONE = (None, "None", "none", "null")
CONFIGS = pathlib.Path(__file__).resolve().parent / "configs"  # those that are installed


class ConfigFile(config_flags.ConfigFileFlagParser):
  """Reads a config wherever it is, with its neighbours, and opens all options of its methods.

  Attributes:
    whole: what the config as a whole shall be, before anything else is set.
    columns: settings of all grades, which the config gets before those of a single one.
    config, file: what has been read last, for what is said of it; None before.
  """

  whole = Whole()
  columns: dict[str, tuple[Any, ...]] = {}
  config: ConfigDict | None = None
  file: pathlib.Path | None = None

  def parse(self, path: str) -> ConfigDict:
    """Returns the locked config of `path`, a file or a config's name, and `:variants`."""
    from edjax import settings  # JAX takes seconds to import, and --help has no need of it

    name, colon, arg = path.partition(":")
    file = located(name)
    # `from configs import …` finds the file's own neighbours.
    folder = str(file.resolve().parent.parent)
    if file.parent.name == "configs" and folder not in sys.path:
      sys.path.append(folder)
    config = super().parse(f"{file}{colon}{arg}")
    if hasattr(config, "unlocked") and "methods" in config:
      with config.unlocked():
        settings.complete(config)
    if self.columns:
      settings.set_columns(config, self.columns)
    change(config, self.whole)
    if self.columns:  # they stay as they were typed, however long the school is
      settings.set_columns(config, self.columns)
    self.config, self.file = config, file
    return config


class OpenInteger(flags.IntegerParser):
  """Reads a whole number, or None, which opens a setting again."""

  def parse(self, argument: Any) -> Any:
    """Returns the number, or None."""
    return None if argument in _NONE else super().parse(argument)


class OpenFloat(flags.FloatParser):
  """Reads a number, or None, which opens a setting again."""

  def parse(self, argument: Any) -> Any:
    """Returns the number, or None."""
    return None if argument in _NONE else super().parse(argument)


class Tuple(tuple_parser.TupleParser):
  """Reads several values as anybody would write them: `1,2`, `(1, 2)`, `[1, 2]`, `a,b`, `1`."""

  def parse(self, argument: Any) -> tuple[Any, ...]:
    """Returns a tuple; what is no number, True or False needs no quotes."""
    read = _several(argument) if isinstance(argument, str) else super().parse(argument)
    if None in read:
      raise ValueError("None is no value here; give values, or nothing (=) for none")
    return read


def usage(command: str, own: Mapping[str, str], width: int) -> str:
  """Returns what --help says of the command without a config.

  Args:
    command: how it is called.
    own: {its flag: what it is for}.
    width: in columns.
  """
  called = f"{command} --config=NAME[:variants] [--workdir=DIR] [--config.key=value …]"
  lines = [*textwrap.wrap(called, width, subsequent_indent="  ", break_on_hyphens=False), ""]
  for name, text in own.items():
    first, rest = f"  --{name:16}", " " * 20
    lines += textwrap.wrap(text, width, initial_indent=first, subsequent_indent=rest)
  lines += ["", *textwrap.wrap(f"Installed configs: {', '.join(installed())}.", width), ""]
  lines += ["The variants of a config, and all its settings with their meaning:", ""]
  lines += [f"  {command} --config=digits:kd --help", ""]
  return "\n".join(lines)


def installed() -> list[str]:
  """Returns the names of the installed configs."""
  return sorted(path.stem for path in CONFIGS.glob("[a-z]*.py"))


def last_of_each(argv: Sequence[str]) -> list[str]:
  """Returns flags without settings of the config that are given once more behind them.

  The last counts, as of all flags; those of tuples would be put together otherwise.
  """
  counted: dict[int | str, list[str]] = {}
  coming = iter(enumerate(argv))
  for place, given in coming:
    match = re.match(r"--?(config\.[\w.]+)(=?)", given)
    if not match:
      counted[place] = [given]
      continue
    value = argv[place + 1 : place + 2]
    apart = not match[2] and value and not value[0].startswith("-")
    if apart:
      next(coming)
    counted.pop(match[1], None)
    counted[match[1]] = [given, *value] if apart else [given]
  return [part for parts in counted.values() for part in parts]


def of_all(argv: Iterable[str]) -> tuple[list[str], Whole, dict[str, tuple[Any, ...]]]:
  """Takes what is of a whole config, or of all its grades, out of what was typed.

  Returns:
    (the other flags, `Whole`, {"epochs": (3, 6, 15)} of `--config.grades.epochs=3,6,15`); of
      several of a kind the last.

  Raises:
    UserError: for two that say the same, or a value of another kind.
  """
  left, given, columns, coming = [], {}, {}, iter(argv)
  for flag in coming:
    match = re.fullmatch(r"--?config\.(grades\.)?(\w+)(?:=(.*))?", flag, re.DOTALL)
    known = GradeRow if match and match[1] else Whole
    if not match or match[2] not in known.__dataclass_fields__:
      left.append(flag)
      continue
    text = next(coming, "") if match[3] is None else match[3]
    if known is GradeRow:
      columns[match[2]] = _several(text)
    else:
      given[match[2]] = _one(text)
  whole = Whole(**given)
  also = {f"grades.{name}" for name in columns}
  also |= {match[1] for flag in left if (match := re.match(r"--?config\.([\w.]+)", flag))}
  for name in given:
    if SAME[name] in also:
      raise UserError(f"--config.{name} and --config.{SAME[name]} say the same; give one of them")
  return left, whole, columns


def _several(text: str) -> tuple[Any, ...]:
  text = text.strip()
  for read in (ast.literal_eval, json.loads):
    try:
      value = read(text)
    except (ValueError, SyntaxError):
      continue
    if not isinstance(value, str) or text[:1] in "'\"":
      return tuple(value) if isinstance(value, (tuple, list)) else (value,)
  if text[:1] + text[-1:] in ("()", "[]"):
    text = text[1:-1]
  parts = text.split(",")
  if not parts[-1].strip():
    parts.pop()  # nothing at all, or the comma behind a single value
  return tuple(map(_one, parts))


def _one(text: str) -> Any:
  try:
    return ast.literal_eval(text.strip())
  except (ValueError, SyntaxError):
    return text.strip()


config_flags.register_flag_parser_for_type(tuple, Tuple())
config_flags.register_flag_parser_for_type(int, OpenInteger())
config_flags.register_flag_parser_for_type(float, OpenFloat())


def check_open(config: ConfigDict) -> None:
  """Checks that only what is closed from other settings is None.

  Args:
    config: a `ConfigDict`, after all overrides.

  Raises:
    UserError: naming a setting that has to be something.
  """
  from edjax import settings, workdirs

  for key, value in workdirs.flat(config.to_dict()).items():
    if value is None and not settings.may_be_open(key):
      raise UserError(f"{key} is None, but nothing else says what it would be; give it a value")


def located(name: str) -> pathlib.Path:
  """Returns the path of a config's file: as given, or an installed one, or by its name alone."""
  given = pathlib.Path(name).expanduser()
  places = [given, CONFIGS.parent / given]
  if given.suffix != ".py":
    places += [folder / f"{name}.py" for folder in (pathlib.Path("configs"), CONFIGS)]
  return next((place for place in places if place.is_file()), given)
