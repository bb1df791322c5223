"""What docs/house.md says of the rooms is so."""

import ast
import re

from tests import command

TEXT = (command.ROOT / "docs" / "house.md").read_text()


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
  """What a file imports, at its top or later, as "edjax.storage.files"."""
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      assert not node.level, f"{path}: imports are absolute"
      yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_of(path):
  """The rooms that a file imports from."""
  found = {name.split(".")[1] for name in imported(path) if name.startswith("edjax.")}
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
      others = rooms_of(file) - {name}
      assert others <= set(order[number + 1 :]), (str(file), others & set(order[:number]))
      seen += len(others)
  assert seen > 100


def test_one_file_knows_orbax():
  files = (command.ROOT / "edjax").rglob("*.py")
  knowing = [file for file in files if any(name.startswith("orbax") for name in imported(file))]
  assert [str(file.relative_to(command.ROOT)) for file in knowing] == [
    "edjax/storage/checkpoint.py"
  ]
