"""What is not there on a machine, what it runs out of and what is advised, in a line each."""

import configparser
import os
import re
import subprocess
import sys

import jax
import pytest

from edjax.devices import pmap, processes
from edjax.errors import UserError
from tests import command

HIDDEN = "import sys; sys.modules['fcntl'] = None\n"
GIVEN = "import sys; sys.argv = ['edjax', *sys.argv[2:]]\nfrom {0} import {1}; {1}()"


def ended(code, *arguments, **environment):
  """Runs code in a process of its own; returns (exit code, what it wrote on stderr)."""
  done = subprocess.run(
    [sys.executable, "-c", code, "-", *map(str, arguments)],
    env=os.environ | {"PYTHONPATH": str(command.ROOT)} | environment,
    cwd=command.ROOT,
    capture_output=True,
    text=True,
  )
  return done.returncode, done.stderr


def test_a_system_without_locks_is_refused_in_a_line(tmp_path):
  arguments = "--config=configs/digits.py:smoke,ce", f"--workdir={tmp_path / 'run'}"
  code, err = ended(HIDDEN + GIVEN.format("edjax.main", "run"), *arguments)
  assert (
    code == 1 and err.startswith("edjax: runs on Linux and macOS") and len(err.splitlines()) == 1
  )
  assert not (tmp_path / "run").exists()
  assert ended(HIDDEN + "import edjax, edjax.models, edjax.training.loop")[0] == 0


@pytest.mark.parametrize("mode", ["train", "exam"])
def test_a_platform_that_is_not_there_is_a_line(mode, tmp_path):
  arguments = (
    "--config=configs/digits.py:smoke,ce", f"--workdir={tmp_path / 'run'}", f"--mode={mode}"
  )  # fmt: skip
  code, err = ended(GIVEN.format("edjax.main", "run"), *arguments, JAX_PLATFORMS="cuda")
  last = err.splitlines()[-1]
  assert code == 1 and "Traceback" not in err
  assert last.startswith("edjax: JAX_PLATFORMS is 'cuda', but") and "JAX_PLATFORMS=cpu" in last
  assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
  "raised",
  [
    RuntimeError("Unable to initialize backend 'tpu':\n the TPU is already in use by process 7"),
    AssertionError(),
  ],
)
def test_a_device_that_cannot_be_used(raised, monkeypatch):
  def devices():
    raise raised

  monkeypatch.setattr(jax, "devices", devices)
  for ask in (processes.devices, lambda: pmap.fleet(0, 8)):
    with pytest.raises(UserError, match="JAX cannot use the device") as caught:
      ask()
    assert "\n" not in str(caught.value)
    assert " ".join(str(raised).split()) in str(caught.value)


def test_only_extras_that_exist_are_advised():
  read = configparser.ConfigParser()
  read.read(command.ROOT / "setup.cfg")
  known = set(read["options.extras_require"])
  pages = [command.ROOT / "README.md", *(command.ROOT / "docs").glob("*.md")]
  sources = [*pages, *(command.ROOT / "edjax").rglob("*.py")]
  text = "\n".join(source.read_text() for source in sources)
  named = re.findall(r"(?:edjax|'\.|`\.)\[([a-z,]+)\]", text)
  assert len(named) >= 6
  assert {extra for group in named for extra in group.split(",")} <= known
