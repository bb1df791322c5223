"""What README, the pages of docs/ and the notebooks show can be typed; what they name is there."""

import argparse
import ast
import configparser
import functools
import importlib
import json
import re
import shlex

import numpy as np
import pytest
from absl import flags

from edjax import __main__ as entry
from edjax import catalogue, doctor, rows, simulate, whole
from edjax.compare import __main__ as compare
from edjax.convert import __main__ as convert
from edjax.data import __main__ as prepare
from edjax.export import __main__ as export
from edjax.predict import __main__ as predict
from edjax.recipes import common
from tests import command


def page_of(path):
  """A page's text; a notebook's code is fenced, as Python and as commands for a shell (`!`)."""
  if path.suffix == ".md":
    return path.read_text()
  parts = []
  for cell in json.loads(path.read_text())["cells"]:
    lines = "".join(cell["source"]).splitlines()
    if cell["cell_type"] == "code":
      shell = [line.strip() for line in lines if line.lstrip().startswith("!")]
      lines = [re.sub(r"^( *)[%!].*", r"\1pass", line) for line in lines]
      lines = ["```python", *lines, "```", *(["```", *shell, "```"] if shell else [])]
    parts += lines
  return "\n".join([*parts, ""])


NOTEBOOKS = sorted((command.ROOT / "experiments" / "notebooks").glob("*.ipynb"))
DOCS = sorted((command.ROOT / "docs").glob("*.md"))
PAGES = {
  page.relative_to(command.ROOT).as_posix(): page_of(page)
  for page in (command.ROOT / "README.md", *DOCS, *NOTEBOOKS)
}
TEXT = "\n".join(PAGES.values())
MAINS = {
  "convert": convert.main,
  "predict": predict.main,
  "compare": compare.main,
  "export": export.main,
  "models": catalogue.main,
  "simulate": simulate.main,
  "doctor": doctor.main,
}
CONFIGS = [path.read_text() for path in sorted((command.ROOT / "configs").glob("*.py"))]
DOTTED = re.compile(r"edjax(\.\w+)+")
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXPERIMENTS = sorted(
  path.stem
  for path in (command.ROOT / "experiments").glob("*.py")
  if "__main__" in path.read_text()
)


def blocks(*languages, text=TEXT):
  """What is fenced as one of the languages; "" is that of commands."""
  return [block for language, block in FENCED.findall(text) if language in languages]


def spans(text=TEXT):
  """The code within sentences."""
  return re.findall(r"`([^`\n]+)`", FENCED.sub("", text))


def commands():
  """[words] of every command in a block, and of those in sentences, without comments."""
  lines = [line for block in blocks("") for line in block.splitlines()]
  lines += [span for span in spans() if re.match(r"(python|edjax) \S|--config[.=]", span)]
  lines += [line for page in CONFIGS for line in page.splitlines() if line.startswith("python -m ")]
  lines = [re.sub(r"^!(\w+=\w+ )*", "", line) for line in lines]  # as a notebook has them
  given = [shlex.split(line, comments=True) for line in lines]
  return [part for words in given if words for part in parts(words)]


def parts(words):
  """The commands of a line that && joins."""
  while "&&" in words:
    yield words[: words.index("&&")]
    words = words[words.index("&&") + 1 :]
  yield words


class Parsed(Exception):
  """The options are as they should be; what comes behind them is not wanted."""


@pytest.fixture
def only_parsed(monkeypatch):
  """Makes a command end as soon as its options are read."""
  for name in ("parse_args", "parse_known_args"):
    read = getattr(argparse.ArgumentParser, name)

    def parse(parser, *arguments, read=read):
      raise Parsed(read(parser, *arguments))

    monkeypatch.setattr(argparse.ArgumentParser, name, parse)
  monkeypatch.syspath_prepend(command.ROOT / "experiments")


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_can_be_typed(words, only_parsed, typed, monkeypatch):
  if words[0] == "srun":  # starts what follows in several processes
    words = words[1:]
  if words[:2] == ["pip", "install"]:
    setup = configparser.ConfigParser()
    setup.read(command.ROOT / "setup.cfg")
    assert words[2] == "-e" and re.fullmatch(r"\.\[(\w+)\]", words[3])
    assert words[3][2:-1] in setup["options.extras_require"]
    return
  if words in (["python", "-m", "pytest"], ["edjax", "--version"]):
    return
  if words[0] == "edjax" and len(words) == 2:  # a command's name
    assert words[1] in entry._COMMANDS
    return
  name, arguments = named(words)
  if name == "train":
    learn(arguments, typed)
    return
  with pytest.raises(Parsed):
    if name in MAINS:
      MAINS[name](arguments)
    elif name == "prepare":
      prepare.main(["prepare", *arguments])
    else:
      assert name in EXPERIMENTS, f"{' '.join(words)}: no test knows how to try it"
      monkeypatch.setattr("sys.argv", [name, *arguments])
      importlib.import_module(name).main()


def named(words):
  """(which command, its arguments), however it is typed."""
  if words[0].startswith("--config"):
    return "train", words
  if words[0] == "edjax":
    assert words[1] in entry._COMMANDS
    return words[1].replace("exam", "train"), words[2:]
  assert words[0] == "python"
  if words[1] == "-m":
    called = {"edjax.main": "train", "edjax.convert": "convert", "edjax.data": "prepare"}
    name = called[words[2]]
    return name, words[4:] if name == "prepare" else words[3:]
  return re.fullmatch(r"experiments/(\w+)\.py", words[1])[1], words[2:]


def learn(arguments, typed):
  """Checks that a config is there and has all settings that are given, with those values."""
  arguments = [each.replace("=N", "=2") for each in arguments]  # a number of the reader's
  arguments = [each for each in arguments if each != "--help"]
  given = [each for each in arguments if each.startswith("--config.")]
  config = [each for each in arguments if each.startswith("--config=")]
  for other in {*arguments} - {*given, *config}:
    flag, _, value = other.removeprefix("--").partition("=")
    flags.FLAGS[flag].parser.parse(value or "true")
  made = typed(*(config or ["--config=configs/cifar100.py"]), *given)
  if config and ":" in config[0]:
    file, variants = re.fullmatch(r"--config=(?:configs/)?(\w+)(?:\.py)?:(.*)", config[0]).groups()
    assert made.name == "_".join([file, *chosen(file, variants)])
  for each in given:
    key, value = each.removeprefix("--config.").split("=", 1)
    read = made.to_dict() | vars(whole.now(made))
    read["grades"] |= rows.columns(read["grades"])
    for name in key.split("."):
      read = read[name]
    words = re.findall(r"\w[\w.:/+]*", value)
    assert words and all(word in str(read) for word in words)


def chosen(name, variants):
  """The variants in the order of their axes, in which a config is named by them."""
  table = importlib.import_module(f"configs.{name}").VARIANTS
  return [v for axis in common.AXES for v in variants.split(",") if v in table[axis]]


@pytest.mark.parametrize("page", PAGES)
def test_what_is_fenced_is_tried(page):
  """Nothing passes as an output or another language but what a test of its own runs."""
  languages = {language for language, _ in FENCED.findall(PAGES[page])}
  own = {"console"} if page == "docs/your-own.md" else set()  # run by its own test
  assert languages <= {"", "python", "bibtex"} | own


def test_there_is_much_to_type():
  trained = [words for words in commands() if words[0].startswith("--config") or "train" in words]
  assert len(commands()) > 45 and len(trained) > 25


VARIANTS = sorted(set(re.findall(r"configs/(\w+)\.py:([\w,]+)", TEXT)))


@pytest.mark.parametrize("name, variants", VARIANTS)
def test_every_variant_that_is_named_builds(name, variants):
  config = importlib.import_module(f"configs.{name}").get_config(variants)
  assert config.name == "_".join([name, *chosen(name, variants)])


def test_every_option_that_is_named_is_there(monkeypatch, capsys):
  """By what the commands and the experiments say of themselves with --help."""
  monkeypatch.syspath_prepend(command.ROOT / "experiments")
  helped = {
    **{name: functools.partial(ask, ["--help"]) for name, ask in MAINS.items()},
    "edjax.data": lambda: prepare.main(["prepare", "--help"]),
  }
  helped |= {name: importlib.import_module(name).main for name in EXPERIMENTS}
  known = set(flags.FLAGS) | {"version"}
  for name, ask in helped.items():
    monkeypatch.setattr("sys.argv", [name, "--help"])
    with pytest.raises(SystemExit) as ended:
      ask()
    said = capsys.readouterr().out
    assert not ended.value.code and said.startswith("usage: "), name
    known |= set(re.findall(r"--(\w+)", said))
  text = "\n".join([*spans(), *blocks("")])
  named = set(re.findall(r"(?:^| )--([a-z]\w+)", text, re.MULTILINE))
  assert len(named) > 12
  assert not named - known


def test_the_lines_of_python_run(compiled, tmp_path, monkeypatch):
  """As README has them, but for smaller networks and one epoch."""
  (block,) = blocks("python", text=PAGES["README.md"])
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


def test_what_python_imports_is_there():
  for block in blocks("python"):
    for node in ast.walk(ast.parse(block)):
      if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "edjax":
        for alias in node.names:
          resolve(f"{node.module}.{alias.name}")
      elif isinstance(node, ast.Attribute) and DOTTED.fullmatch(ast.unparse(node)):
        resolve(ast.unparse(node))
  dotted = {span for span in spans() if DOTTED.fullmatch(span.removesuffix("()"))}
  assert dotted
  for name in dotted:
    resolve(name.removesuffix("()"))


def resolve(name):
  """Imports as much of a dotted name as are modules, and gets the rest."""
  found, *rest = name.split(".")
  value = importlib.import_module(found)
  for part in rest:
    found = f"{found}.{part}"
    value = getattr(value, part) if hasattr(value, part) else importlib.import_module(found)
  return value


@pytest.mark.parametrize("path", (command.ROOT / "experiments").glob("*.py"), ids=lambda p: p.stem)
def test_what_experiments_use_of_edjax_is_there(path):
  """Within functions too, most of which no test runs."""
  tree, called = ast.parse(path.read_text()), {}
  for node in ast.walk(tree):
    if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "edjax":
      for alias in node.names:
        called[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        resolve(f"{node.module}.{alias.name}")
  for node in ast.walk(tree):
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
      if node.value.id in called:
        resolve(f"{called[node.value.id]}.{node.attr}")


def test_every_path_that_is_named_is_there():
  named = set(re.findall(r"\b(?:edjax|tests|experiments|configs|docs)/[\w./-]*\w", TEXT))
  assert len(named) > 40
  assert not [path for path in named if not (command.ROOT / path).exists()]


def anchors(text):
  """What GitHub calls the headings of a page."""
  headings = re.findall(r"^#+ (.+)$", FENCED.sub("", text), re.MULTILINE)
  return {
    re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings
  }


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page):
  for target in re.findall(r"\]\(([^)\s]+)\)", PAGES[page]):
    if re.match(r"https?://", target):
      continue
    path, _, anchor = target.partition("#")
    place = (command.ROOT / page).parent / path if path else command.ROOT / page
    assert place.exists(), target
    if anchor:
      assert anchor in anchors(place.read_text()), target


def test_every_page_is_linked_from_the_first():
  linked = set(re.findall(r"\]\((docs/\w[\w-]*\.md)", PAGES["README.md"]))
  assert linked == {f"docs/{page.name}" for page in DOCS}
  linked = set(re.findall(r"notebooks/(\w+\.ipynb)\)", PAGES["docs/notebooks.md"]))
  assert linked == {page.name for page in NOTEBOOKS}


def test_what_notebooks_install_can_be_installed():
  setup = configparser.ConfigParser()
  setup.read(command.ROOT / "setup.cfg")
  named = re.findall(r"edjax\[([\w,]+)\]", TEXT)
  assert len(named) > 8
  assert {extra for names in named for extra in names.split(",")} <= {
    *setup["options.extras_require"]
  }


def test_readme_is_short():
  lines = PAGES["README.md"].splitlines()
  assert len(lines) <= 160 and max(map(len, lines)) <= 120


def test_the_first_two_blocks_set_up():
  first, second = blocks("", text=PAGES["README.md"])[:2]
  assert first == "pip install -e '.[demo]' && python -m edjax.main --config=configs/digits.py\n"
  assert second == "pip install -e '.[test]' && python -m pytest\n"
