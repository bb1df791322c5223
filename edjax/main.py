"""The command: `python -m edjax.main --config=FILE.py [--workdir=DIR] [--mode=train|exam]`."""

import json
import os
import sys

from absl import app, flags, logging
from ml_collections import config_flags

from edjax.errors import UserError

_CONFIG = config_flags.DEFINE_config_file(
  "config", None, "The run: a file that defines get_config, with :variants.", lock_config=True
)
_WORKDIR = flags.DEFINE_string("workdir", "", "Where to write; runs/<config name> if not given.")
_MODE = flags.DEFINE_enum("mode", "train", ["train", "exam"], "Run the school, or only the exam.")


def main(argv):
  logging.set_verbosity(logging.WARNING)  # the libraries below are talkative
  if len(argv) > 1:
    raise UserError(f"unknown argument {argv[1]!r}; settings are given as --config.key=value")
  if _CONFIG.value is None:
    raise UserError("give a config, such as --config=configs/digits.py")
  from edjax import school  # after the flags, so that a wrong one is reported at once

  config = _CONFIG.value
  workdir = _WORKDIR.value or os.path.join("runs", config.name)
  if _MODE.value == "exam":
    scores = school.exam(config, workdir)
    print(json.dumps({key: scores[key] for key in ("count", "top1", "top5", "nll", "ece")}))
  else:
    school.run(config, workdir)


def run():
  """Runs the command; what a user can put right ends in one line and exit code 1."""
  sys.path.insert(0, os.getcwd())
  try:
    app.run(main, flags_parser=_parse)
  except UserError as error:
    sys.exit(f"edjax: {error}")


def _parse(argv):
  """Parses flags; absl and ml_collections raise several kinds for what is one kind of mistake."""
  try:
    return flags.FLAGS(argv)
  except (flags.Error, AttributeError, KeyError, TypeError, ValueError, OSError) as error:
    raise UserError(" ".join(str(error).split())) from error


if __name__ == "__main__":
  run()
