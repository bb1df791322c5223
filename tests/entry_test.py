"""The command `edjax` and what is installed with it."""

import importlib.metadata
import subprocess
import sys

import pytest

import edjax
from edjax import __main__ as entry
from edjax import commandline
from edjax.errors import UserError
from tests import command


def said(*arguments, cwd):
  """What `python -m edjax` prints in a folder where no checkout is."""
  root = str(command.ROOT)
  code = f"import sys; sys.path.insert(0, {root!r}); from edjax import __main__ as m; m.run()"
  return subprocess.run(
    [sys.executable, "-c", code, *arguments], cwd=cwd, capture_output=True, text=True, check=False
  )


def test_version_and_help(capsys):
  entry.main(["--version"])
  assert capsys.readouterr().out == f"edjax {edjax.__version__}\n"
  entry.main([])
  out = capsys.readouterr().out
  for path in (command.ROOT / "configs").glob("*.py"):
    assert path.stem == "__init__" or path.stem in out
  assert all(f"edjax {name}" in out for name in entry._COMMANDS)


def test_an_unknown_command():
  with pytest.raises(UserError, match="unknown command 'trian'; there are train"):
    entry.main(["trian"])


@pytest.mark.parametrize(
  "arguments, words",
  [
    (["train", "--config=digits:nope"], "unknown variant 'nope'"),
    (["exam", "--config=digits:ce,smoke"], "--mode=exam"),
    (["convert", "nothing.pth", "out"], "nothing.pth"),
    (["predict", "nowhere", "a.png"], "nowhere holds no network"),
    (["compare", "nowhere"], "nowhere holds no report.json"),
    (["prepare", "food101", "--data_dir=nowhere"], "no folder nowhere"),
  ],
)
def test_each_command_ends_in_its_own_line(arguments, words, tmp_path):
  ended = said(*arguments, cwd=tmp_path)
  assert ended.returncode == 1 and words in ended.stderr
  assert ended.stderr.startswith("edjax: ") and ended.stderr.count("\n") == 1


def test_configs_are_part_of_the_package():
  assert (commandline.CONFIGS / "digits.py").samefile(command.ROOT / "configs" / "digits.py")
  from edjax.configs import digits

  assert digits.get_config("kd").name == "digits_kd"


def test_the_entry_point_is_this_command():
  scripts = importlib.metadata.entry_points(group="console_scripts", name="edjax")
  assert [script.load() for script in scripts] in (
    [],
    [entry.run],
  )  # an older installation has none
