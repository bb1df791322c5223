"""How the command finds a config file, and what it says of flags that cannot be."""

import ast
import difflib
import json
import pathlib
import re
import sys
import textwrap

from absl import flags
from ml_collections.config_flags import config_flags, tuple_parser

from edjax.errors import UserError
from edjax.rows import GradeRow
from edjax.whole import SAME, Whole, change

# What other tools call a setting -> what edjax does.
_ALSO = {
  "arch": "model",
  "architecture": "model",
  "bs": "batch_size",
  "lr": "learning_rate",
  "optimizer": "optimiser",
  "output_dir": "workdir",
  "wd": "weight_decay",
}
CONFIGS = pathlib.Path(__file__).resolve().parent / "configs"  # those that are installed
_loaded = {}  # the config that the flag has read last, and its file, for what is said of it


class ConfigFile(config_flags.ConfigFileFlagParser):
  """Reads a config wherever it is, with its neighbours, and opens all options of its methods.

  Attributes:
    whole: what the config as a whole shall be, before anything else is set.
    columns: settings of all grades, which the config gets before those of a single one.
  """

  whole = Whole()
  columns = {}

  def parse(self, path):
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
    _loaded.update(config=config, file=file)
    return config


class Tuple(tuple_parser.TupleParser):
  """Reads several values as anybody would write them: `1,2`, `(1, 2)`, `[1, 2]`, `a,b`, `1`."""

  def parse(self, argument):
    """Returns a tuple; what is no number, True or False needs no quotes."""
    read = _several(argument) if isinstance(argument, str) else super().parse(argument)
    if None in read:
      raise ValueError("None is no value here; give values, or nothing (=) for none")
    return read


def file():
  """Returns the path of the config's file that the flag has read last."""
  return _loaded["file"]


def usage(command, own, width):
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


def installed():
  """Returns the names of the installed configs."""
  return sorted(path.stem for path in CONFIGS.glob("[a-z]*.py"))


def last_of_each(argv):
  """Returns flags without settings of the config that are given once more behind them.

  The last counts, as of all flags; those of tuples would be put together otherwise.
  """
  counted, coming = {}, iter(enumerate(argv))
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


def of_all(argv):
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


def _unless_none(parser):
  """Returns a parser that reads None, which opens a setting again, and else what `parser` does."""

  class Open(parser):
    def parse(self, argument):
      return None if argument in (None, "None", "none", "null") else super().parse(argument)

  return Open()


def _several(text):
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


def _one(text):
  try:
    return ast.literal_eval(text.strip())
  except (ValueError, SyntaxError):
    return text.strip()


config_flags.register_flag_parser_for_type(tuple, Tuple())
config_flags.register_flag_parser_for_type(int, _unless_none(flags.IntegerParser))
config_flags.register_flag_parser_for_type(float, _unless_none(flags.FloatParser))


def check_open(config):
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


def located(name):
  """Returns the path of a config's file: as given, or an installed one, or by its name alone."""
  given = pathlib.Path(name).expanduser()
  places = [given, CONFIGS.parent / given]
  if given.suffix != ".py":
    places += [folder / f"{name}.py" for folder in (pathlib.Path("configs"), CONFIGS)]
  return next((place for place in places if place.is_file()), given)


def reason(error, argv):
  """Says what is wrong with the flags, without the layers that the error comes wrapped in.

  Args:
    error: what parsing them raised.
    argv: the flags.
  """
  if isinstance(error, (AttributeError, KeyError)):
    text = str(error).encode().decode("unicode_escape")  # the text of a KeyError is a repr of one
    key = re.search(r"\w+", text)[0]
    for given in argv:
      match = re.match(rf"--?(?:no)?config\.((?:.*\.)?{key})(\.|=|$)", given)
      if match:
        return f"{given}: the config has no setting {match[1]!r}{_hint(match[1])}"
  if isinstance(error.__context__, UserError):  # of the whole config, or a column of its grades
    return str(error.__context__)
  wrapped = isinstance(error, OSError) or "Traceback" in str(error)
  while wrapped and (error.__cause__ or error.__context__):
    error = error.__cause__ or error.__context__
  if isinstance(error, ImportError) and (error.name or "").split(".")[0] == "configs":
    return (
      f"cannot load the config: {error}; what edjax's own configs share is imported by "
      "`from edjax.recipes import common, published`"
    )
  if isinstance(error, OSError):
    return "cannot load the config: " + re.sub(r"(?s).*\[Errno \d+\]", "", str(error))
  known = isinstance(error, (flags.Error, ValueError))
  return str(error) if known else f"{type(error).__name__} in the config: {error}"


def _hint(key):
  """Where a setting is that is not at `key`."""
  from edjax import methods as methods_table
  from edjax import workdirs

  config = _loaded.get("config")
  if config is None:
    return ""
  place, _, name = key.rpartition(".")
  if place == "methods" and name in methods_table.METHODS:
    return (
      f"; the method {name!r} is not in use: name a variant that has it, as in "
      f"--config=FILE.py:{name}, or give all methods, as in "
      f"\"--config.methods={{'ce':{{'weight':1.0}},'{name}':{{'weight':1.0}}}}\""
    )
  leaves = [*SAME, *workdirs.flat(config.to_dict())]
  if place == "grades" and name.startswith("grade_"):
    return (
      f"; it has {len(config.grades)} grades: make another one in a config file, or give a value "
      "for each grade to all settings in which they differ, as in --config.grades.epochs=1,2,3"
    )
  if not place.startswith("grades."):  # of all grades at once
    columns = [re.sub(r"^grades\.grade_\d+\.", "grades.", leaf) for leaf in leaves]
    leaves = list(dict.fromkeys(columns))
  wanted = _ALSO.get(name, name)
  if wanted == "workdir":
    return "; it is --workdir"
  near = [leaf for leaf in leaves if leaf.rpartition(".")[2] == wanted]
  near.sort(key=lambda leaf: [*SAME, *_ORDER, leaf.split(".")[0]].index(leaf.split(".")[0]))
  if near:
    first, *others = (f"--config.{leaf}" for leaf in near)
    return f"; it is {first}" + (f" (or {', '.join(others)})" if others else "")
  here = [leaf for leaf in _parents(leaves) if leaf.rpartition(".")[0] == place]
  names = [leaf.rpartition(".")[2] for leaf in here]
  match = difflib.get_close_matches(name, names, 1)
  if match:
    return f" (did you mean {match[0]!r}?)"
  match = difflib.get_close_matches(name, {leaf.rpartition(".")[2] for leaf in leaves}, 1)
  found = [leaf for leaf in leaves if match and leaf.rpartition(".")[2] == match[0]]
  if found:
    return f" (did you mean --config.{found[0]}?)"
  section = f"{place} has" if place else "it has"
  return f"; {section} {', '.join(dict.fromkeys(names))}" if names else ""


_ORDER = ("grades", "student", "recipe", "methods", "data", "faculty")  # what is meant most


def _parents(leaves):
  """The leaves and all that lies above them."""
  paths = {}
  for leaf in leaves:
    parts = leaf.split(".")
    paths |= dict.fromkeys(".".join(parts[: end + 1]) for end in range(len(parts)))
  return list(paths)
