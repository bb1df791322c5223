"""The command `edjax`: `edjax train --config=digits:kd`; `python -m edjax` does the same."""

import importlib
import os
import sys

import edjax
from edjax.errors import UserError, one_line

USAGE = """edjax trains small networks the way a school does.

edjax train --config=NAME[:variants] [--workdir=DIR] [--config.key=value …]
edjax exam --config=NAME[:variants] [--workdir=DIR]      examine a graduate again
edjax predict GRADUATE [PATH …] …                        which classes it sees in pictures
edjax compare RUN … [--format=md|csv|latex] …            runs beside each other; sweeps of them
edjax convert SOURCE TARGET …                            networks from PyTorch's files, and back
edjax export GRADUATE --format=onnx …                    a file that runs without edjax
edjax prepare NAME --data_dir=DIR …                      decode photographs once
edjax simulate --data_dir=DIR …                          draw light curves of a sky that never was
edjax models [NETWORK …] …                               how large networks are
edjax doctor [--data_dir=DIR]                            what is installed, found and missing
edjax --version

NAME is a file that defines get_config, or one of the installed configs: {configs}.
Each command says more with --help. With a config it says the meaning of every setting:
edjax train --config=digits:kd --help
"""


def main(argv: list[str]) -> None:
  """Hands over to a command.

  Args:
    argv: what was typed behind "edjax".

  Raises:
    UserError: for a command that there is not.
  """
  name, rest = (argv[0], argv[1:]) if argv else ("--help", [])
  if name in ("-h", "--help", "help"):
    from edjax import commandline

    print(USAGE.format(configs=", ".join(commandline.installed())), end="")
  elif name in ("-V", "--version"):
    print(f"edjax {edjax.__version__}")
  elif name in _COMMANDS:
    module, before, behind = _COMMANDS[name]
    sys.argv = [f"edjax {name}", *before, *rest, *behind]
    importlib.import_module(module).run()
  else:
    raise UserError(f"unknown command {name!r}; there are {', '.join(_COMMANDS)}")


# name -> (the module whose `run` does it, words before what was typed, words behind)
_COMMANDS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
  "train": ("edjax.main", (), ()),
  "exam": ("edjax.main", (), ("--mode=exam",)),
  "predict": ("edjax.predict.__main__", (), ()),
  "compare": ("edjax.compare.__main__", (), ()),
  "convert": ("edjax.convert.__main__", (), ()),
  "export": ("edjax.export.__main__", (), ()),
  "prepare": ("edjax.data.__main__", ("prepare",), ()),
  "simulate": ("edjax.simulate", (), ()),
  "models": ("edjax.catalogue", (), ()),
  "doctor": ("edjax.doctor", (), ()),
}


def run() -> None:
  """Runs the command; what a user can put right ends in one line and exit code 1."""
  sys.path.insert(0, os.getcwd())  # where networks of one's own are found, as by `python -m`
  with one_line("give the same command again"):
    main(sys.argv[1:])


if __name__ == "__main__":
  run()
