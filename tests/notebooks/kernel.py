"""A notebook as tests run it: from top to bottom in a kernel of its own, with other settings."""

import ast
import json
import os
import sys

import nbclient
import nbformat

from tests import command

FOLDER = command.ROOT / "experiments" / "notebooks"
NOTEBOOKS = sorted(path.stem for path in FOLDER.glob("*.ipynb"))
NAME = "tests.small:SMALL"


def read(name):
  return nbformat.read(FOLDER / f"{name}.ipynb", nbformat.NO_CONVERT)


def cell(book, name):
  return next(each for each in book.cells if each.id == name)


def settings(book):
  """The names that the cell of settings sets."""
  tree = ast.parse(cell(book, "settings").source)
  return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def execute(name, folder, compiled, devices=1, **given):
  """Runs a notebook in a folder with other settings; returns it with its outputs.

  It raises what the first cell raises that fails.
  """
  book = read(name)
  assert given.keys() <= settings(book)
  lines = [f"{key} = {value!r}" for key, value in given.items()]
  cell(book, "settings").source += "\n" + "\n".join(lines)
  environment = os.environ | compiled | {
    "JAX_NUM_CPU_DEVICES": str(devices),
    "OMP_NUM_THREADS": "1",  # of PyTorch, whose threads would wait for each other
    "PYTHONPATH": str(command.ROOT),
    "PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]]),
  }  # fmt: skip
  place = {"metadata": {"path": str(folder)}}
  client = nbclient.NotebookClient(book, timeout=300, kernel_name="python3", resources=place)
  return client.execute(env=environment)


def printed(book, name):
  """What a cell has printed."""
  return "".join(each.get("text", "") for each in cell(book, name).outputs)


def shown(book, name, kind="image/png"):
  """What a cell has shown of a kind."""
  return [each.data[kind] for each in cell(book, name).outputs if kind in each.get("data", {})]


def reported(workdir):
  return json.loads((workdir / "report.json").read_text())


def check_report(book, workdir):
  """The page is shown in a frame of its own, and the costs are told."""
  (page,) = shown(book, "report", "text/html")
  assert page.startswith("<iframe srcdoc=")
  seconds = reported(workdir)["seconds"]
  assert f"{seconds:.0f} s in all" in printed(book, "costs")
  assert f"about {seconds / 3600 * 7:.2f} compute units" in printed(book, "costs")
