"""A run's settings: what depends on others is resolved here, once, after all overrides.

A config leaves such a setting open (None). `complete` gives every option of every method in use a
place in the config, so that the command line can set it; `settle` closes what is open and builds
the `Settings` of the run, and nothing that they are given to has seen a config. What somebody has
set stays as it is.
"""

import copy
import dataclasses
import functools
import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast, get_args

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from edjax import convert, models, pairs, rows
from edjax import methods as methods_table
from edjax.data import datasets
from edjax.errors import UserError
from edjax.sections import Settings

T = TypeVar("T")
Tree = dict[str, Any]  # settings by name, in sections

# method -> options that are open where nobody sets them
_OPEN: dict[str, dict[str, type]] = {"dkd": {"beta": float}, "semckd": {"images": int}}
_OF_TEACHERS = ("model", "optimiser", "weight_decay", "clip")  # that are the student's if open
_NONE = (None, "None", "none")  # as a text is opened on the command line


def may_be_open(key: str) -> bool:
  """Says whether `resolve` closes a setting, as "methods.dkd.beta", that is None."""
  section, *names = key.split(".")
  if section == "methods" and len(names) == 2:
    return names[1] == "weight" or names[1] in _OPEN.get(names[0], ())
  return section == "faculty" and names[-1] in _OF_TEACHERS


def complete(config: ConfigDict) -> None:
  """Gives every option of the methods in use a place in an unlocked config, which it changes.

  An option that nobody has set gets the method's default, or stays open.
  """
  for name, row in config.methods.items():
    if not isinstance(row, ConfigDict):
      continue  # `methods.build` says what is wrong
    for option, (kind, default) in _unset(name, row).items():
      if option in row:
        del row[option]
      row[option] = placeholder(kind) if default is None else default


def _unset(name: str, row: Mapping[str, Any]) -> dict[str, tuple[type, Any]]:
  """Returns {option: (kind, default, or None where it is open)} of those that nobody has set."""
  if name not in methods_table.METHODS and "method" not in row:
    return {}  # `methods.build` says what is wrong
  method = methods_table.kind(name, row)
  options = {"weight": 1.0} | {each.name: each.default for each in dataclasses.fields(method)}
  if getattr(method, "on_logits", False):
    options["standardise"] = False
  opened = _OPEN.get(name, {})
  return {
    option: (
      opened.get(option, type(default)), None if option in row or option in opened else default
    )
    for option, default in options.items()
    if option not in row or row[option] is None
  }  # fmt: skip


def set_columns(config: ConfigDict, columns: dict[str, tuple[Any, ...]]) -> None:
  """Changes a setting of all grades of a config, which it changes: so many grades there are then.

  Args:
    config: a `ConfigDict`.
    columns: {field of `rows.GradeRow`: a tuple of one value per grade, or of one for all}.

  Raises:
    UserError: if there are other numbers of values, or a value is of another kind.
  """
  grades = rows.from_columns(rows.columns(config.grades.to_dict()) | columns)
  locked = config.is_locked
  config.grades = ConfigDict(grades)
  if locked:
    config.grades.lock()


def settle(config: ConfigDict) -> Settings:
  """Returns the `Settings` of a config, after all overrides.

  Args:
    config: a `ConfigDict`, see `edjax/recipes/common.py`.

  Raises:
    UserError: naming a setting that cannot be; or if something depends on which network a file of
      PyTorch's holds, and that cannot be told.
  """
  return from_json(resolve(config.to_dict()))


def to_json(settings: Settings) -> Tree:
  """Returns `Settings` as config.json holds them."""
  tree = dataclasses.asdict(settings) | {"grades": rows.named(settings.grades)}
  return json.loads(json.dumps(tree))


def from_json(tree: Tree) -> Settings:
  """Returns the `Settings` that `to_json` wrote, in this version or an earlier one.

  Raises:
    UserError: naming a setting that there is not, or that cannot be.
  """
  return cast(
    Settings, _built(Settings, tree | {"grades": rows.build(in_rows(tree["grades"]))}, "")
  )


def in_rows(grades: Tree) -> dict[str, Tree]:
  """Returns the grades of a config.json in rows; earlier versions had them in columns."""
  columns = all(isinstance(column, (list, tuple)) for column in grades.values())
  return rows.from_columns(grades) if columns else grades


def _built(section: Any, tree: Tree, where: str) -> Any:
  """Builds a dataclass of sections, whose settings are named with `where` before them."""
  kinds = {field.name: field.type for field in dataclasses.fields(section)}
  required = [f.name for f in dataclasses.fields(section) if f.default is dataclasses.MISSING]
  for key in (*tree, *required):
    if key not in kinds:
      raise UserError(f"there is no setting {where}{key}; there are {', '.join(kinds)}")
    if key not in tree:
      raise UserError(f"{where}{key} is not set")
  values = {}
  for key, value in tree.items():
    if dataclasses.is_dataclass(kinds[key]) and isinstance(value, dict):
      value = _built(kinds[key], value, f"{where}{key}.")
    values[key] = _as_declared(kinds[key], tuple(value) if isinstance(value, list) else value)
  return section(**values)


def _as_declared(kind: Any, value: Any) -> Any:
  """A whole number where any number may be is a float: a fingerprint tells 1 from 1.0."""
  if isinstance(value, tuple) and get_args(kind)[:1] == (float,):
    return tuple(_as_declared(float, each) for each in value)
  return float(value) if kind is float and type(value) is int else value


def resolve(tree: Tree) -> Tree:
  """Returns settings in which nothing is open.

  Args:
    tree: the settings of a config, or of a config.json, nested dicts.
  """
  settings = copy.deepcopy(tree)
  if "name" in settings.get("data", {}):
    which = settings["data"]["name"].replace("/", "_")  # another set, another work directory
    settings["name"] = settings["name"].replace("tfds", which or "tfds", 1)
    settings["dataset"], settings["data"] = datasets.as_asked(settings["dataset"], settings["data"])
  for name, row in settings["methods"].items():
    if isinstance(row, dict):
      row.update({option: default for option, (_, default) in _unset(name, row).items()})
  faculty, recipe, student = settings["faculty"], settings["recipe"], settings["student"]
  like = student["model"].partition("+")[0]
  if settings["methods"].get("fsp", {"weight": 0}).get("weight") != 0:
    like = pairs.FLOW_TEACHERS.get(like, like)
  for part in (faculty["specialist"], faculty["generalist"]):
    _teacher(part, recipe, like)
  teacher = functools.cache(lambda: _general(faculty["generalist"]))  # it may have to be read
  methods = settings["methods"]
  _methods(methods, teacher, student["model"], recipe, _answering(settings))
  if methods.get("simkd", {}).get("weight") and "+simkd" not in student["model"]:
    student["model"] += f"+simkd{models.body(teacher()).width}"
  return settings


def _teacher(part: Tree, recipe: Tree, like: str) -> None:
  """What is open of teachers is the recipe's, and a teacher without a model is `like` that one.

  One with a start is what that is.
  """
  optimiser = "sgd" if recipe["optimiser"] == "dot" else recipe["optimiser"]
  closed = like, optimiser, recipe["weight_decay"], recipe["clip"]
  for key, value in zip(_OF_TEACHERS, closed, strict=True):
    if part.get(key) in _NONE:
      part[key] = value
  if part.get("start"):
    part["model"] = _held(part["start"], part["model"])


def _general(generalist: Tree) -> str:
  """The model of the first generalist: that of the network where one is given."""
  first = generalist["model"].split(",")[0]
  given = generalist["checkpoint"].split(",")[0]
  return _held(given, first) if given else first


def _held(given: str, otherwise: str) -> str:
  """The model of the network in a file or folder; `otherwise` where a folder does not say."""
  if convert.is_file(given):
    return convert.model_of(given)
  path = pathlib.Path(given).expanduser() / "info.json"
  try:
    return json.loads(path.read_text())["model"]
  except (OSError, ValueError, KeyError, TypeError):  # whoever loads it says what is wrong
    return otherwise


def _answering(settings: Tree) -> int:
  """How many teachers answer an image at most."""
  counts = {"none": 0, "specialists": 1, "generalist": settings["faculty"]["generalists"]}
  counts["both"] = counts["generalist"] + 1
  return max(counts.get(row["teachers"], 1) for row in settings["grades"].values())


def _of_pair(
  table: Mapping[tuple[str, str], T], teacher: Callable[[], str], student: str
) -> T | None:
  """Returns what a table has of a pair, or None; asks for the teacher only if that matters."""
  student = student.partition("+")[0]
  paired = any(other == student for _, other in table)
  return table.get((teacher(), student)) if paired else None


def _methods(
  methods: dict[str, Tree], teacher: Callable[[], str], student: str, recipe: Tree, teachers: int
) -> None:
  divided = pairs.DIVIDED.get(recipe["consensus"], lambda count: 1.0)
  for name, row in methods.items():
    if row.get("pairs") == "":
      row["pairs"] = _of_pair(pairs.STAGES, teacher, student) or ""
    for option in [option for option, value in row.items() if value is None]:
      published = {pair: own[name] for pair, own in pairs.PAIRS.items() if name in own}
      known = pairs.OTHERWISE.get(name, {}) | (_of_pair(published, teacher, student) or {})
      if (name, option) == ("semckd", "images"):
        row[option] = recipe["batch_size"]
      else:
        row[option] = known.get(option, 1.0)
        if option == "weight" and teachers > 1:
          row[option] *= (pairs.DIVIDED["confidence"] if name == "camkd" else divided)(teachers)
