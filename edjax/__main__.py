"""The command `edjax`: `edjax train --config=digits:kd`; `python -m edjax` does the same."""

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
    sys.argv = [f"edjax {name}", *rest]
    _COMMANDS[name]()
  else:
    raise UserError(f"unknown command {name!r}; there are {', '.join(_COMMANDS)}")


def _train() -> None:
  from edjax import main as command

  command.run()


def _exam() -> None:
  from edjax import main as command

  sys.argv.append("--mode=exam")
  command.run()


def _predict() -> None:
  from edjax.predict import __main__ as command

  command.run()


def _compare() -> None:
  from edjax.compare import __main__ as command

  command.run()


def _convert() -> None:
  from edjax.convert import __main__ as command

  command.run()


def _export() -> None:
  from edjax.export import __main__ as command

  command.run()


def _prepare() -> None:
  from edjax.data import __main__ as command

  sys.argv.insert(1, "prepare")
  command.run()


def _models() -> None:
  from edjax import catalogue as command

  command.run()


def _doctor() -> None:
  from edjax import doctor as command

  command.run()


_COMMANDS = {
  "train": _train,
  "exam": _exam,
  "predict": _predict,
  "compare": _compare,
  "convert": _convert,
  "export": _export,
  "prepare": _prepare,
  "models": _models,
  "doctor": _doctor,
}


def run() -> None:
  """Runs the command; what a user can put right ends in one line and exit code 1."""
  with one_line("give the same command again"):
    main(sys.argv[1:])


if __name__ == "__main__":
  run()
