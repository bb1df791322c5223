"""What the command says of flags that cannot be: what is wrong, and what was perhaps meant."""

import difflib
import re
from collections.abc import Iterable, Sequence

from absl import flags
from ml_collections import ConfigDict

from edjax.errors import UserError
from edjax.whole import SAME

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
_ORDER = ("grades", "student", "recipe", "methods", "data", "faculty")  # what is meant most


def reason(error: BaseException, argv: Sequence[str], config: ConfigDict | None) -> str:
  """Says what is wrong with the flags, without the layers that the error comes wrapped in.

  Args:
    error: what parsing them raised.
    argv: the flags.
    config: that has been read, if one was.
  """
  if isinstance(error, (AttributeError, KeyError)):
    text = str(error).encode().decode("unicode_escape")  # the text of a KeyError is a repr of one
    key = "".join(re.findall(r"\w+", text)[:1])
    for given in argv:
      match = re.match(rf"--?(?:no)?config\.((?:.*\.)?{key})(\.|=|$)", given)
      if match:
        return f"{given}: the config has no setting {match[1]!r}{_hint(match[1], config)}"
  if isinstance(error.__context__, UserError):  # of the whole config, or a column of its grades
    return str(error.__context__)
  wrapped = isinstance(error, OSError) or "Traceback" in str(error)
  while wrapped and (inner := error.__cause__ or error.__context__):
    error = inner
  if isinstance(error, ImportError) and (error.name or "").split(".")[0] == "configs":
    return (
      f"cannot load the config: {error}; what edjax's own configs share is imported by "
      "`from edjax.recipes import common, published`"
    )
  if isinstance(error, OSError):
    return "cannot load the config: " + re.sub(r"(?s).*\[Errno \d+\]", "", str(error))
  known = isinstance(error, (flags.Error, ValueError))
  return str(error) if known else f"{type(error).__name__} in the config: {error}"


def _hint(key: str, config: ConfigDict | None) -> str:
  """Where a setting is that is not at `key`."""
  from edjax import methods as methods_table
  from edjax import workdirs

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


def _parents(leaves: Iterable[str]) -> list[str]:
  """The leaves and all that lies above them."""
  paths: dict[str, None] = {}
  for leaf in leaves:
    parts = leaf.split(".")
    paths |= dict.fromkeys(".".join(parts[: end + 1]) for end in range(len(parts)))
  return list(paths)
