"""What --help says of a config: its variants, and every setting with its value and its meaning.

The meanings are what the dataclasses of the settings, and of the methods, say of their attributes.
"""

import inspect
import pathlib
import re
import runpy
import shlex
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from ml_collections import ConfigDict

from edjax import methods, rows
from edjax.sections import Settings
from edjax.whole import Whole, now

Methods = Mapping[str, Mapping[str, Any]]
_LEFT = 40  # columns of what is explained
# What a config may have of its images, beside what `datasets.load` takes.
_OF_DATA = {
  "name": "where dataset is tfds, which of the sets that tensorflow-datasets has prepared",
}
# What a config has of every method, beside the method's own options.
_OF_METHODS = {
  "weight": "factor of its loss in the sum of all.",
  "standardise": "compare logits of mean 0 and deviation 1.",
  "method": 'where it is, as "package.module:NAME".',
}
# Sections in the order in which they are listed.
_SECTIONS = {
  "whole": "The config as a whole, its teachers included",
  "grades": "Grades: a value for all, or one for each; of one alone: --config.grades.grade_1.…",
  "student": "Student",
  "recipe": "Recipe: how student and teachers learn",
  "methods": "Methods: what the student learns from",
  "data": "Data",
  "faculty": "Teachers",
  "faculty.generalist": "Teachers of all classes",
  "faculty.specialist": "Teachers of a subject; the meanings are the same",
  "checkpoint": "Checkpoints",
  "run": "The run",
}
_AS_BEFORE = "faculty.specialist"  # whose meanings are not said again


def page(
  config: ConfigDict, about: str, variants: Mapping[str, Mapping[str, object]], width: int
) -> str:
  """Returns what --help says of a config.

  Args:
    config: after all overrides.
    about: the docstring of its file.
    variants: {axis: {name: function of a config}}, of which those with a docstring say more.
    width: in columns.
  """
  lines = [*textwrap.wrap(" ".join(about.split("\n\n")[0].split()), width), ""]
  if variants:
    lines += ["Variants, one of each kind, behind a colon: --config=NAME:kd,smoke"]
    for axis, table in variants.items():
      lines += _variants(axis, table, width)
    lines += [""]
  given = config.methods.to_dict()
  for section, settings in parts(config).items():
    lines += textwrap.wrap(_SECTIONS[section], width)
    for key, value in settings.items():
      said = "" if section == _AS_BEFORE else meaning(key, given)
      if said and value is None and "None" not in said:
        said += " None: as other settings say."
      lines += _line(flag(key, value), said, width)
    lines += [""]
  return "\n".join(lines)


def described(file: pathlib.Path) -> tuple[str, Mapping[str, Mapping[str, object]]]:
  """Returns (docstring, variants by axis) of a config's file; what it has not is empty."""
  names = runpy.run_path(str(file))
  return names.get("__doc__") or "", names.get("VARIANTS", {})


def parts(config: ConfigDict) -> dict[str, dict[str, Any]]:
  """Returns {section: {key: value}} of all settings of a config, each once."""
  tree = config.to_dict()
  given = tree["methods"]
  tree["grades"] = rows.columns(tree["grades"])
  found: dict[str, dict[str, Any]] = {section: {} for section in _SECTIONS}
  found["whole"] |= vars(now(config))
  for key, value in _leaves("", tree, given):
    above = key.rpartition(".")[0]
    section = above if above in found else above.partition(".")[0]
    found[section or "run"][key] = value
  return found


def meaning(key: str, given: Methods) -> str:
  """Returns what a setting means, as "recipe.batch_size"; "" where nobody says it.

  Args:
    key: of the setting.
    given: the methods of the config.
  """
  place, _, name = key.rpartition(".")
  return (meanings(Whole) | _said(place, given)).get(name, "")


def meanings(kind: type) -> dict[str, str]:
  """Returns {attribute: what the docstring of a class says of it}."""
  attributes = (inspect.getdoc(kind) or "").partition("Attributes:\n")[2]
  said: dict[str, str] = {}
  for names, text in re.findall(r"^  (\w+(?:, \w+)*): (.*(?:\n    .*)*)", attributes, re.MULTILINE):
    text = re.sub(r"^see `[^`]*`; |[,;]? see `[^`]*`", "", " ".join(text.split())).replace("`", "")
    said |= dict.fromkeys(names.split(", "), text)
  return said


def flag(key: str, value: object) -> str:
  """Returns a setting as it is typed in a shell."""
  text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
  if isinstance(value, tuple) and value[-1:] == ("",):
    text += ","  # or nothing at all would be typed
  return shlex.quote(f"--config.{key}={text}")


def _said(place: str, given: Methods) -> dict[str, str]:
  """Returns {name: meaning} of the settings of a place, as "faculty.generalist"."""
  section, _, name = place.partition(".")
  if section == "methods":
    return _OF_METHODS | meanings(methods.kind(name, given[name])) if name else {}
  kind: Any = rows.GradeRow if section == "grades" else Settings
  for part in place.split(".") if place and kind is Settings else ():
    kind = kind.__dataclass_fields__[part].type
  return meanings(kind) | (_OF_DATA if section == "data" else {})


def _leaves(place: str, tree: Mapping[str, Any], given: Methods) -> Iterator[tuple[str, Any]]:
  """Yields settings in the order of their meanings."""
  order = [*_said(place, given)]
  for name in sorted(tree, key=lambda name: order.index(name) if name in order else len(order)):
    key, value = f"{place}.{name}" if place else name, tree[name]
    if isinstance(value, dict):
      yield from _leaves(key, value, given)
    else:
      yield key, value


def _variants(axis: str, table: Mapping[str, object], width: int) -> Iterator[str]:
  """Those that say something of themselves have a line, and the others are named together."""
  blocks, others = [], []
  for name, each in table.items():
    said = inspect.getdoc(each) if inspect.isfunction(each) else None
    if said:
      blocks.append(f"{name}: {said.splitlines()[0]}")
    else:
      others.append(name)
  for number, block in enumerate([*blocks, ", ".join(others)] if others else blocks):
    first, rest = f"  {'' if number else axis:12}", " " * 14
    yield from textwrap.wrap(block, width, initial_indent=first, subsequent_indent=rest)


def _line(left: str, right: str, width: int) -> list[str]:
  """What is too long on the left has the words below it."""
  wrapped, first = textwrap.wrap(right, width - _LEFT), f"  {left}"
  if len(first) <= _LEFT - 2 and wrapped:
    first = f"{first:{_LEFT}}{wrapped.pop(0)}"
  return [first, *(" " * _LEFT + line for line in wrapped)]
