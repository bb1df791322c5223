"""What README says of the house is so, and what it shows can be typed."""

import ast
import importlib
import re

import numpy as np
import pytest

from edjax import rows
from edjax.recipes import common
from tests import command

TEXT = (command.ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```\w*\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
LINES = [line.split("  #")[0] for block in BLOCKS for line in block.splitlines()]


def rooms():
  """The files and folders of the table, in its order, as "edjax/main.py"."""
  table = TEXT[TEXT.index("| room | holds |") :].split("\n\n")[0]
  named = []
  for row in table.splitlines()[2:]:
    for name in re.findall(r"`((?:edjax/)?\w+(?:\.py|/))`", row):
      path = name if name.startswith("edjax/") else f"edjax/{name}"
      if (command.ROOT / path).exists():
        named.append(path)
      else:  # a file within the folder that the row is about
        assert (command.ROOT / named[-1] / name).exists(), name
  return named


def imported(path):
  """The rooms that a file imports, at its top or later."""
  found = set()
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
      assert not node.level, f"{path}: imports are absolute"
      names = [f"{node.module}.{alias.name}" for alias in node.names]
    else:
      continue
    found |= {name.split(".")[1] for name in names if name.startswith("edjax.")}
  return {room(name) for name in found if room(name)}


def room(name):
  folder, file = f"edjax/{name}/", f"edjax/{name}.py"
  return next((path for path in (folder, file) if (command.ROOT / path).exists()), None)


def test_every_room_is_in_the_table_once():
  top = command.ROOT / "edjax"
  there = [f"edjax/{path.name}" for path in top.glob("*.py") if path.name != "__init__.py"]
  there += [f"edjax/{path.parent.name}/" for path in top.glob("*/__init__.py")]
  assert sorted(rooms()) == sorted(there)


def test_a_room_imports_only_from_rooms_further_down():
  order, seen = rooms(), 0
  for number, name in enumerate(order):
    place = command.ROOT / name
    for file in place.glob("**/*.py") if place.is_dir() else [place]:
      others = imported(file) - {name}
      assert others <= set(order[number + 1 :]), (str(file), others & set(order[:number]))
      seen += len(others)
  assert seen > 100


def test_every_path_that_is_named_is_there():
  named = set(re.findall(r"\b(?:edjax|tests|experiments|configs)/[\w./]*\w", TEXT))
  assert len(named) > 40
  assert not [path for path in named if not (command.ROOT / path).exists()]


VARIANTS = sorted(set(re.findall(r"configs/(\w+)\.py:([\w,]+)", TEXT)))


@pytest.mark.parametrize("name, variants", VARIANTS)
def test_every_variant_that_is_shown_builds(name, variants):
  config = importlib.import_module(f"configs.{name}").get_config(variants)
  assert config.name == "_".join([name, *chosen(name, variants)])


def chosen(name, variants):
  """The variants in the order of their axes, in which a config is named by them."""
  table = importlib.import_module(f"configs.{name}").VARIANTS
  return [v for axis in common.AXES for v in variants.split(",") if v in table[axis]]


def shown():
  """[(config, *settings)] of every line of a code block, and of what is shown in the text."""
  found = []
  for line in [*LINES, *re.findall(r"`([^`\n]+)`", TEXT)]:
    config = re.search(r"--config=(\S+)", line)
    given = re.findall(r"--config\.[\w.]+=(?:\"[^\"]*\"|[^\s\"]+)", line)
    if config or given:
      found.append((config[1] if config else "configs/cifar100.py", *given))
  return found


@pytest.mark.parametrize("config, given", [(config, given) for config, *given in shown()])
def test_what_is_shown_can_be_typed(config, given, typed):
  given = [each.replace('"', "").replace("=N", "=2") for each in given]
  made = typed(f"--config={config}", *given)
  for each in given:
    key, value = each.removeprefix("--config.").split("=", 1)
    read = made.to_dict()
    read["grades"] |= rows.columns(read["grades"])
    for name in key.split("."):
      read = read[name]
    words = re.findall(r"\w[\w.:/+]*", value)
    assert words and all(word in str(read) for word in words)


def test_there_is_much_to_type():
  assert len(shown()) > 20 and sum(len(given) for _, *given in shown()) > 25


def test_the_lines_of_python_run(compiled, tmp_path, monkeypatch):
  """As they are, but for smaller networks and one epoch."""
  (block,) = [block for block in BLOCKS if "edjax.distill" in block]
  for shown, small in (
    ('"resnet20"', '"tests.small:SMALL"'),
    ('"resnet56"', '"tests.small:SMALL"'),
    ("epochs=24", "epochs=1"),
  ):
    assert shown in block
    block = block.replace(shown, small)
  monkeypatch.chdir(tmp_path)
  x = np.random.default_rng(0).integers(0, 256, (600, 6, 6, 1), np.uint8)
  known = {"x": x, "y": np.arange(600) % 6, "names": list("abcdef")}
  exec(block, known)
  np.testing.assert_array_equal(known["student"](x), known["run"].graduate.predict(x))
  assert known["run"].report["classes"] == list("abcdef")
