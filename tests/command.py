"""The command as tests give it, inside this process or as a process of its own."""

import dataclasses
import os
import pathlib
import signal
import subprocess
import sys

from absl import app, flags

from edjax import main

ROOT = pathlib.Path(__file__).parent.parent
JOB = "multihost", "coordinator", "num_processes", "process_id"
DIGITS = "--config=configs/digits.py:paper,smoke", "--config.grades.teachers=both"


@dataclasses.dataclass(frozen=True)
class Ended:
  """How a command ended."""

  code: int
  out: str
  err: str


def give(capfd, *arguments):
  """Gives the command in this process, which has imported everything already.

  Args:
    capfd: the fixture.
    *arguments: as in a shell, such as "--config=configs/digits.py:smoke".

  Returns:
    An `Ended`. What would be a traceback in a shell is raised.
  """
  values, argv, path = flags.FLAGS, sys.argv, sys.path[:]
  sys.argv = ["edjax", *map(str, arguments)]  # where config_flags looks for settings
  app._run_init.done = True  # no handlers of absl's: they would outlive the test
  values.unparse_flags()
  capfd.readouterr()
  code = 0
  try:
    main.run()
  except SystemExit as error:
    code = error.code or 0
    if isinstance(code, str):  # what the interpreter does with it
      print(code, file=sys.stderr)
      code = 1
  finally:
    sys.argv, sys.path[:] = argv, path
    for name in [name for name in values if name.startswith("config.")]:
      delattr(values, name)
    for name in ("config", "workdir", "mode", *JOB):
      values[name].unparse()
    values.mark_as_parsed()
  return Ended(code, *capfd.readouterr())


def start(*arguments, **environment):
  """Starts the command as a process on one CPU device; returns the process, its streams piped."""
  return subprocess.Popen(
    [sys.executable, "-m", "edjax.main", *map(str, arguments)],
    cwd=ROOT,
    env=os.environ | {"JAX_NUM_CPU_DEVICES": "1"} | environment,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    # A suite that runs in the background of a shell ignores Ctrl-C, and so would its children.
    preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
  )


def end(process):
  """Waits for a process; returns an `Ended`."""
  out, err = process.communicate(timeout=600)
  return Ended(process.returncode, out, err)


def refused(ended, *words):
  """Asserts that a command ended with one line on standard error that holds all the words."""
  assert ended.code == 1 and ended.out == ""
  assert ended.err.startswith("edjax: ") and ended.err.endswith("\n")
  assert ended.err.count("\n") == 1, ended.err
  for word in words:
    assert str(word) in ended.err, ended.err


def files(folder):
  """{path: bytes} of everything below a folder."""
  return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
