"""The command: `python -m edjax.main --config=configs/digits.py [--workdir=DIR] [--mode=train]`."""

import contextlib
import json
import logging
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType

from absl import app, flags
from absl import logging as absl_logging
from ml_collections import ConfigDict, config_flags

from edjax import commandline, hints
from edjax.data import datasets
from edjax.devices import xla
from edjax.errors import UserError, one_line

_HELP = ("-h", "-help", "--help")
_ARGV: list[str] = []  # the flags that are being parsed, but for those that `of_all` takes out
_CONFIG = config_flags.DEFINE_config_file(
  "config",
  None,
  "The run: a file that defines get_config, or the name of an installed config, with :variants.",
  sys_argv=_ARGV,
)
_PARSER = commandline.ConfigFile("config")
flags.FLAGS["config"].parser = _PARSER
_WORKDIR = flags.DEFINE_string(
  "workdir", "", "Where to write; runs/<config name> if not given, or -2, -3 … of other runs'."
)
_MODE = flags.DEFINE_enum("mode", "train", ["train", "exam"], "Run the school, or only the exam.")
_MULTIHOST = flags.DEFINE_bool("multihost", False, "This is one of several processes that train.")
_COORDINATOR = flags.DEFINE_string("coordinator", None, "With --multihost: host:port of process 0.")
_COUNT = flags.DEFINE_integer(
  "num_processes", None, "With --multihost: how many processes there are."
)
_ID = flags.DEFINE_integer("process_id", None, "With --multihost: which one this is, from 0.")
_JOB = (_COORDINATOR, _COUNT, _ID)
_OWN = (_WORKDIR, _MODE, _MULTIHOST, *_JOB)


def main(argv: list[str]) -> None:
  absl_logging.set_verbosity(absl_logging.WARNING)
  logging.getLogger("absl").setLevel(logging.CRITICAL)  # orbax, whose errors are reported below
  if len(argv) > 1:
    raise UserError(f"unknown argument {argv[1]!r}; settings are given as --config.key=value")
  if _CONFIG.value is None:
    raise UserError("give a config, such as --config=configs/digits.py")
  config, mode = _CONFIG.value, _MODE.value
  workdir = _WORKDIR.value
  if _MULTIHOST.value:
    from edjax.devices import processes

    with processes.join(_COORDINATOR.value, _COUNT.value, _ID.value):
      settings = config.to_dict() | {"data_dir": "", "workdir": workdir, "mode": mode}
      processes.agree("the command", lambda: settings)
      _run(config, workdir, mode)
    return
  for given in _JOB:
    if given.value is not None:
      raise UserError(f"--{given.name} is for several processes; give --multihost too")
  name, how = datasets.as_asked(config.dataset, config.data)
  datasets.require(name, data_dir=config.data_dir, **how)
  _run(config, workdir, mode)


def _run(config: ConfigDict, workdir: str, mode: str) -> None:
  # After the flags and the files: they take seconds to import.
  from edjax import settings, workdirs
  from edjax.devices import compilation_cache, pmap, processes
  from edjax.training import loop

  compilation_cache.keep_for_user(config.compilation_cache)
  processes.devices()  # or a line that says why there is none
  # What a teacher's folder says is asked by the first process, which alone must have it.
  settled = processes.tell(lambda: settings.settle(config))
  if mode == "exam":
    if not workdir:
      workdir = processes.tell(lambda: str(workdirs.examined(settings.to_json(settled))))
      processes.alone(lambda: print(f"examined: {workdir}", file=sys.stderr))
    scores = loop.exam(settled, workdir)
    figures = {key: scores[key] for key in ("count", "top1", "interval", "top5", "nll", "ece")}
    for group, row in scores["positives"].items():
      figures |= {f"{group} {key}": value for key, value in row.items() if key != "curve"}
    processes.alone(lambda: print(json.dumps(figures)))
    return
  pmap.keep_freed_memory()
  with _terminated() as stop:
    command = shlex.join(["python", "-m", "edjax.main", *sys.argv[1:]])
    loop.run(settled, workdir or None, command, stop)


@contextlib.contextmanager
def _terminated() -> Iterator[Callable[[], bool]]:
  """Notes SIGTERM, which machines send that are taken back; yields `() -> bool`.

  A second one ends the process at once, as it does everywhere else.
  """
  noted = []

  def note(number: int, frame: FrameType | None) -> None:
    noted.append(True)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)

  before = signal.signal(signal.SIGTERM, note)
  try:
    yield lambda: bool(noted)
  finally:
    signal.signal(signal.SIGTERM, before)


def run() -> None:
  """Runs the command; what a user can put right ends in one line and exit code 1."""
  sys.path.insert(0, os.getcwd())
  xla.quicken_cpus()
  with one_line("the same command continues from the last checkpoint"):
    app.run(main, flags_parser=_parse)


def _parse(argv: list[str]) -> list[str]:
  """Parses flags; absl, ml_collections and config files raise many kinds of errors."""
  asked = [given for given in argv[1:] if given in _HELP]
  argv = [given for given in argv if given not in asked]
  try:
    argv = commandline.last_of_each(flags.FLAGS.read_flags_from_files(argv))
    _ARGV[:], _PARSER.whole, _PARSER.columns = commandline.of_all(argv)
    rest = flags.FLAGS(_ARGV)
    # A file that could not be read says so when it is first asked something.
    if _CONFIG.value is not None and "name" not in _CONFIG.value:
      raise UserError("the config has no name")
    if _CONFIG.value is not None:
      commandline.check_open(_CONFIG.value)
    if asked:
      print(_help(), end="")
      sys.exit(0)
    return rest
  except Exception as error:
    raise UserError(" ".join(hints.reason(error, argv, _PARSER.config).split())) from error


def _help() -> str:
  """Says what there is to type: the settings of the config, or without one the flags."""
  width = min(100, shutil.get_terminal_size().columns)
  if _CONFIG.value is not None and _PARSER.file:
    from edjax import manual  # JAX takes seconds to import

    return manual.page(_CONFIG.value, *manual.described(_PARSER.file), width)
  own = {holder.name: flags.FLAGS[holder.name].help for holder in (_CONFIG, *_OWN)}
  command = sys.argv[0] if sys.argv[0].startswith("edjax ") else "python -m edjax.main"
  return commandline.usage(command, own, width)


if __name__ == "__main__":
  run()
