"""A run's settings: what depends on others is resolved here, once, after all overrides.

A config leaves such a setting open (None). `complete` gives every option of every method in use a
place in the config, so that the command line can set it; `resolve` closes what is open. What
somebody has set stays as it is.
"""

import dataclasses
import functools
import json
import pathlib

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from edjax import convert, models, rows
from edjax import methods as methods_table

# (teacher, student) -> {method: what is published for this pair}. β of DKD and the ImageNet pairs
# are of mdistiller's configs, the weights of ReviewKD on CIFAR-100 of its authors' script.
PAIRS = {
  ("resnet56", "resnet20"): {"dkd": {"beta": 2.0}, "reviewkd": {"weight": 0.6}},
  ("resnet110", "resnet32"): {"dkd": {"beta": 2.0}, "reviewkd": {"weight": 1.0}},
  ("resnet110", "resnet20"): {"dkd": {"beta": 2.0}},  # edjax's own: as for its neighbours above
  ("resnet32x4", "resnet8x4"): {"dkd": {"beta": 8.0}, "reviewkd": {"weight": 5.0}},
  ("resnet32x4", "shufflenetv1"): {"dkd": {"beta": 8.0}, "reviewkd": {"weight": 5.0}},
  ("resnet32x4", "shufflenetv2"): {"dkd": {"beta": 8.0}, "reviewkd": {"weight": 8.0}},
  ("wrn_40_2", "wrn_16_2"): {"dkd": {"beta": 6.0}, "reviewkd": {"weight": 5.0}},
  ("wrn_40_2", "wrn_40_1"): {"dkd": {"beta": 6.0}, "reviewkd": {"weight": 5.0}},
  ("wrn_40_2", "shufflenetv1"): {"dkd": {"beta": 8.0}, "reviewkd": {"weight": 5.0}},
  ("vgg13", "vgg8"): {"dkd": {"beta": 6.0}},
  ("vgg13", "mobilenetv2_half"): {"dkd": {"beta": 6.0}},
  ("resnet50_cifar", "mobilenetv2_half"): {"dkd": {"beta": 8.0}},
  ("resnet34", "resnet18"): {"dkd": {"beta": 0.5}, "reviewkd": {"weight": 1.0}},
  ("resnet50", "resnet18"): {"dkd": {"beta": 0.5}, "reviewkd": {"weight": 1.0}},  # as of resnet34
  ("resnet50", "mobilenetv1"): {"dkd": {"beta": 2.0}, "reviewkd": {"weight": 8.0}},
}
# (teacher, student) with unlike numbers of stages -> which belong together: those of equal size
STAGES = {("resnet18_cifar", "shufflenetv2"): "1:2,2:3,3:4"}
# method -> {option: what it is for other pairs}
OTHERWISE = {
  "dkd": {"beta": 8.0},
  "reviewkd": {"weight": 5.0},
  "kd": {"weight": 1.0},
  "camkd": {"weight": 50.0},
}
# student -> a teacher with as many channels stage by stage, which FSP compares one with the other;
# for other students it is their own body. Mostly the literature's pairs.
FLOW_TEACHERS = {
  "resnet8": "resnet20",
  "resnet14": "resnet110",
  "resnet20": "resnet110",
  "resnet32": "resnet110",
  "resnet44": "resnet110",
  "resnet56": "resnet110",
  "resnet8x4": "resnet32x4",
  "resnet18": "resnet34",
  "vgg8": "vgg13",
  "wrn_16_2": "wrn_40_2",
}
# recipe.consensus -> by how much CA-MKD's authors count less of M teachers than edjax, whose shares
# add up to 1: they divide by M once more.
DIVIDED = {
  "entropy": lambda teachers: (teachers - 1) / teachers,
  "confidence": lambda teachers: 1 / teachers,
}
# method -> options that are open where nobody sets them
_OPEN = {"dkd": {"beta": float}, "semckd": {"images": int}}
_OF_TEACHERS = ("model", "optimiser", "weight_decay", "clip")  # that are the student's if open
_NONE = (None, "None", "none")  # as a text is opened on the command line


def may_be_open(key):
  """Says whether `resolve` closes a setting, as "methods.dkd.beta", that is None."""
  section, *names = key.split(".")
  if section == "methods" and len(names) == 2:
    return names[1] == "weight" or names[1] in _OPEN.get(names[0], ())
  return section == "faculty" and names[-1] in _OF_TEACHERS


def complete(config):
  """Gives every option of the methods in use a place in an unlocked config, which it changes.

  An option that nobody has set gets the method's default, or stays open.
  """
  for name, row in config.methods.items():
    method = methods_table.METHODS.get(name)
    if method is None or not isinstance(row, ConfigDict):
      continue  # `methods.build` says what is wrong
    options = {field.name: field.default for field in dataclasses.fields(method)}
    options = {"weight": 1.0} | options
    if getattr(method, "on_logits", False):
      options["standardise"] = False
    opened = _OPEN.get(name, {})
    for option, default in options.items():
      if option in row and row[option] is not None:
        continue
      kind = opened.get(option, type(default))
      if option in row or option in opened:
        if option in row:
          del row[option]
        row[option] = placeholder(kind)
      else:
        row[option] = default


def set_columns(config, columns):
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


def resolve(config):
  """Returns a locked copy of a config in which nothing is open.

  Args:
    config: a `ConfigDict`, see `configs/common.py`, after all overrides.

  Raises:
    UserError: if something depends on which network a file of PyTorch's holds, and that cannot be
      told.
  """
  config = ConfigDict(config.to_dict())
  complete(config)
  settings = config.to_dict()
  faculty, recipe, student = settings["faculty"], settings["recipe"], settings["student"]
  like = student["model"].partition("+")[0]
  if settings["methods"].get("fsp", {"weight": 0}).get("weight") != 0:
    like = FLOW_TEACHERS.get(like, like)
  for part in (faculty["specialist"], faculty["generalist"]):
    _teacher(part, recipe, like)
  teacher = functools.cache(lambda: _general(faculty["generalist"]))  # it may have to be read
  methods = settings["methods"]
  _methods(methods, teacher, student["model"], recipe, _answering(settings))
  if methods.get("simkd", {}).get("weight") and "+simkd" not in student["model"]:
    student["model"] += f"+simkd{models.body(teacher()).width}"
  return ConfigDict(settings).lock()


def _teacher(part, recipe, like):
  """What is open of teachers is the recipe's, and a teacher without a model is `like` that one."""
  optimiser = "sgd" if recipe["optimiser"] == "dot" else recipe["optimiser"]
  closed = like, optimiser, recipe["weight_decay"], recipe["clip"]
  for key, value in zip(_OF_TEACHERS, closed, strict=True):
    if part.get(key) in _NONE:
      part[key] = value


def _general(generalist):
  """The model of the generalists: that of the network where one is given."""
  given = generalist["checkpoint"].split(",")[0]
  if given and convert.is_file(given):
    return convert.model_of(given)
  path = pathlib.Path(given).expanduser() / "info.json"
  try:
    return json.loads(path.read_text())["model"] if given else generalist["model"]
  except (OSError, ValueError, KeyError, TypeError):  # whoever loads it says what is wrong
    return generalist["model"]


def _answering(settings):
  """How many teachers answer an image at most."""
  counts = {"none": 0, "specialists": 1, "generalist": settings["faculty"]["generalists"]}
  counts["both"] = counts["generalist"] + 1
  return max(counts.get(row["teachers"], 1) for row in settings["grades"].values())


def _of_pair(table, teacher, student):
  """Returns what a table has of a pair, or None; asks for the teacher only if that matters."""
  student = student.partition("+")[0]
  paired = any(other == student for _, other in table)
  return table.get((teacher(), student)) if paired else None


def _methods(methods, teacher, student, recipe, teachers):
  divided = DIVIDED.get(recipe["consensus"], lambda count: 1.0)
  for name, row in methods.items():
    if row.get("pairs") == "":
      row["pairs"] = _of_pair(STAGES, teacher, student) or ""
    for option in [option for option, value in row.items() if value is None]:
      published = {pair: known[name] for pair, known in PAIRS.items() if name in known}
      known = OTHERWISE.get(name, {}) | (_of_pair(published, teacher, student) or {})
      if (name, option) == ("semckd", "images"):
        row[option] = recipe["batch_size"]
      else:
        row[option] = known.get(option, 1.0)
        if option == "weight" and teachers > 1:
          row[option] *= (DIVIDED["confidence"] if name == "camkd" else divided)(teachers)
