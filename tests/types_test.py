"""That all says its type, a checker finds nothing wrong, and methods take the shapes they say."""

import ast
import configparser
import pathlib
import subprocess
import sys

import pytest

from edjax import methods
from tests.models import families_test

ROOT = pathlib.Path(__file__).parent.parent
TRACED = {"methods": methods.METHODS, "models": families_test.FAMILIES}


def files():
  """The files that setup.cfg lets the checker look at: all of edjax."""
  settings = configparser.ConfigParser()
  settings.read(ROOT / "setup.cfg")
  for name in settings["mypy"]["packages"].replace(",", " ").split():
    path = ROOT / name.replace(".", "/")
    yield from sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]


def lacking(tree):
  """Names of functions, arguments and dataclass fields of a module that say no type."""
  for node in ast.walk(tree):
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
      said = node.args
      arguments = [*said.posonlyargs, *said.args, *said.kwonlyargs, said.vararg, said.kwarg]
      for argument in filter(None, arguments):
        if argument.annotation is None and argument.arg not in ("self", "cls"):
          yield f"{node.name}({argument.arg})"
      if node.returns is None:
        yield f"{node.name}()"
    # A bare value in a dataclass would be no field; a name is a method by another one.
    if isinstance(node, ast.ClassDef) and any(
      "dataclass" in ast.unparse(mark) for mark in node.decorator_list
    ):
      for line in node.body:
        if isinstance(line, ast.Assign) and not isinstance(line.value, ast.Name):
          yield f"{node.name}.{ast.unparse(line.targets[0])}"


@pytest.mark.parametrize("path", list(files()), ids=lambda path: str(path.relative_to(ROOT)))
def test_everything_says_its_type(path):
  assert not list(lacking(ast.parse(path.read_text())))


def test_what_says_no_type_is_found():
  source = "@dataclasses.dataclass\nclass A:\n  x = 1\n  def f(self, y, *z: int): ...\n"
  assert list(lacking(ast.parse(source))) == ["A.x", "f(y)", "f()"]


def test_the_checker_finds_nothing():
  said = subprocess.run(
    [sys.executable, "-m", "mypy"], cwd=ROOT, capture_output=True, text=True, timeout=300
  )
  assert said.returncode == 0, said.stdout + said.stderr


@pytest.mark.parametrize(
  "package",
  [pytest.param(name, marks=pytest.mark.slow if name == "models" else ()) for name in TRACED],
)
def test_functions_take_and_return_the_shapes_they_say(package):
  said = subprocess.run(
    [sys.executable, "-m", f"tests.{package}.shapes"],
    cwd=ROOT,
    capture_output=True,
    text=True,
    timeout=300,
  )
  assert said.returncode == 0, said.stderr[-3000:]
  assert said.stdout.split() == list(TRACED[package])
