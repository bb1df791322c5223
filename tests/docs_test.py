"""What README and the pages of docs/ show can be typed, and what they name is there."""

import importlib
import re

import numpy as np
import pytest

from edjax import rows
from edjax.recipes import common
from tests import command

PAGES = [command.ROOT / "README.md", *sorted((command.ROOT / "docs").glob("*.md"))]
TEXT = "\n".join(page.read_text() for page in PAGES)
BLOCKS = re.findall(r"^```\w*\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
LINES = [line.split("  #")[0] for block in BLOCKS for line in block.splitlines()]


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
