"""What --help says: every setting of every config, as it is typed, and what it means."""

import dataclasses
import shlex

import pytest

from edjax import manual, rows, settings, workdirs
from tests import command
from tests.configs_test import MODULES

pytestmark = pytest.mark.filterwarnings("ignore:the load_module")  # ml_collections'


@dataclasses.dataclass
class Small:
  """A class.

  Attributes:
    one: as of `Other`, see
      `other.Other`; 0: none.
    two, three_3: see `other.Other`; "": none: at all.

  Further words: not of an attribute.
  """


def test_what_a_docstring_says_of_attributes():
  assert manual.meanings(Small) == {
    "one": "as of Other; 0: none.",
    "two": '"": none: at all.',
    "three_3": '"": none: at all.',
  }
  assert manual.meanings(rows.GradeRow).keys() == rows.GradeRow.__dataclass_fields__.keys()


def everything(config):
  """{key: value} of what is listed, and of what there is: grades in columns."""
  listed = manual.parts(config)
  whole = listed.pop("whole")
  keys = [key for section in listed.values() for key in section]
  assert len(set(keys)) == len(keys)
  tree = config.to_dict()
  tree["grades"] = rows.columns(tree["grades"])
  return whole, {key: value for section in listed.values() for key, value in section.items()}, tree


@pytest.mark.parametrize("name", MODULES)
def test_every_setting_of_every_config_is_listed_with_a_meaning(name):
  table = MODULES[name].VARIANTS
  for variant in ("", *table["curriculum"], *table["method"]):
    config = MODULES[name].get_config(variant)
    whole, listed, tree = everything(config)
    assert listed == workdirs.flat(tree)
    given = config.methods.to_dict()
    assert not [key for key in (*whole, *listed) if not manual.meaning(key, given)]


@pytest.mark.parametrize("variant", ["", "paper,smoke", "ft", "semckd,ed", "camkd"])
def test_what_is_listed_is_typed_so(variant, typed):
  """With every setting given as it is listed, the run is the same."""
  file = f"--config=configs/fashion_mnist.py:{variant}"
  config = typed(file)
  whole, listed, _ = everything(config)
  flags = [flag for key, value in listed.items() for flag in shlex.split(manual.flag(key, value))]
  assert len(flags) == len(listed)
  same = typed(file, *flags)
  assert settings.to_json(settings.settle(same)) == settings.to_json(settings.settle(config))
  spread = typed(file, *(manual.flag(key, value) for key, value in whole.items()))
  assert settings.to_json(settings.settle(spread)) == settings.to_json(settings.settle(config))


def test_a_page_as_wide_as_the_screen():
  module = MODULES["fashion_mnist"]
  page = manual.page(module.get_config("dkd,ed"), module.__doc__, module.VARIANTS, 80)
  wide = [line for line in page.splitlines() if len(line) > 80]
  assert all(line.startswith("  --config.") and " " not in line.strip() for line in wide)
  words = " ".join(page.split())
  assert all(name in words for table in module.VARIANTS.values() for name in table)
  assert "--config.methods.dkd.beta=None weight of NCKD. None: as other settings say." in words
  assert "growth: Growth only: all classes from the start, one generalist" in words


def test_help_of_a_config_as_it_is_typed(capfd, place):
  given = ("--config=configs/digits.py:kd", "--config.recipe.batch_size=20", "--config.epochs=8")
  for arguments in ((*given, "--help"), ("-h", *given)):
    said = command.give(capfd, *arguments)
    assert said.code == 0 and not said.err
    assert "--config.recipe.batch_size=20  " in said.out and "images per step" in said.out
    assert "--config.grades.epochs=8.0  " in said.out and "Digits: 1,797 scanned" in said.out
  assert not (place / "runs").exists()
  command.refused(command.give(capfd, *given, "--config.nope=1", "--help"), "no setting 'nope'")


def test_help_without_a_config(capfd, monkeypatch):
  monkeypatch.setenv("COLUMNS", "80")
  said = command.give(capfd, "--help")
  assert said.code == 0 and "--config=digits:kd --help" in said.out
  assert max(map(len, said.out.splitlines())) <= 80
  for name in ("config", "workdir", "mode", *command.JOB):
    assert f"  --{name} " in said.out
  assert all(name in said.out for name in MODULES)


def test_a_config_of_ones_own_without_variants(tmp_path, capfd):
  (tmp_path / "my.py").write_text(
    "from edjax.recipes import common\n"
    "def get_config(arg=''):\n"
    "  return common.base('mine', 'digits').lock()\n"
  )
  said = command.give(capfd, f"--config={tmp_path / 'my.py'}", "--help")
  assert said.code == 0 and "Variants" not in said.out and "--config.name=mine" in said.out
