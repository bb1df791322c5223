r"""The command: finished runs beside each other, as a table and a picture.

edjax compare runs/digits_kd runs/digits_ed
edjax compare runs/sweep --baseline=digits_kd --format=latex --out=table.tex --picture=table.png
edjax compare --sweep=runs/sweep --config=digits --vary=variant=kd,ed --seeds=3 --jobs=2

Runs that differ in nothing but their seed are a line: mean and standard deviation of the test top-1
of the last epoch. Differences to the baseline, the first line if none is named, are of runs with
the same seed, the same teachers and the same data, with a 95 % interval (Student's t). Compute is
that of the student and of its teachers' answers. Where a pair of networks is a published one, its
figure at 240 epochs stands beside.

With --sweep runs are made first: every choice of --vary with every seed, each in a folder of its
own. Those that have ended are not made again, and the same command goes on with those that were
stopped. What begins with --config. is for all of them.
"""

import argparse
import pathlib
import sys

from edjax.compare import arms, picture, sweep, table
from edjax.errors import Parser, UserError, one_line, within
from edjax.report import runs
from edjax.storage.files import replace_file


def main(arguments: list[str] | None = None) -> None:
  """Runs the command; raises UserError."""
  options, words = _parser().parse_known_args(arguments)
  given = [*options.runs]
  if strange := [word for word in words if not (options.sweep and word.startswith("--config."))]:
    raise UserError(f"unknown option {strange[0]!r}; edjax compare --help lists what there is")
  if options.sweep:
    _sweep(options, words)
    given.append(options.sweep)
  if not given:
    raise UserError("no run is given; name work directories, or folders of them")
  every = arms.arms(runs.found(given))
  baseline = arms.called(every, options.baseline) if options.baseline else every[0]
  text = table.FORMATS[options.format](table.lines(every, baseline))
  if options.out:
    replace_file(options.out, text.encode())
  else:
    print(text, end="")
  if options.picture:
    picture.save(every, baseline, options.picture)


def _sweep(options: argparse.Namespace, words: list[str]) -> None:
  if not options.config:
    raise UserError("--sweep is of a config; name it with --config")
  within(options.seeds, "--seeds", 1)
  within(options.jobs, "--jobs", 1)
  axes = dict(map(_axis, options.vary))
  axes.setdefault("seed", [*map(str, range(options.seeds))])
  asked = sweep.runs(options.config, axes, words)
  sweep.run_all(asked, pathlib.Path(options.sweep), options.jobs, _say)


def _axis(text: str) -> tuple[str, list[str]]:
  key, equals, values = text.partition("=")
  if not equals or not all(values.split(",")):
    raise UserError(f"--vary is {text!r}; give a setting and its values, as batch_size=32,64")
  return key, values.split(",")


def _say(line: str) -> None:
  print(line, file=sys.stderr, flush=True)


def _parser() -> Parser:
  parser = Parser(
    prog="edjax compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("runs", metavar="RUN", nargs="*", help="a work directory, or folder of them")
  parser.add_argument("--baseline", default="", metavar="LINE", help="by its name in the table")
  parser.add_argument("--format", choices=list(table.FORMATS), default="md", help="of the table")
  parser.add_argument("--out", default="", metavar="FILE", help="for the table")
  parser.add_argument("--picture", default="", metavar="FILE", help=".png, .svg or .pdf")
  parser.add_argument("--sweep", default="", metavar="DIR", help="make runs there first")
  parser.add_argument("--config", default="", metavar="NAME", help="of a sweep")
  parser.add_argument(
    "--vary", action="append", default=[], metavar="KEY=A,B",
    help="values that a setting takes in a sweep; variant=A,B for variants of the config",
  )  # fmt: skip
  parser.add_argument("--seeds", type=int, default=3, metavar="N", help="of a sweep, from 0 (3)")
  parser.add_argument("--jobs", type=int, default=1, metavar="N", help="runs at a time (1)")
  return parser


def run() -> None:
  """Runs the command; what a user can put right ends in one line and exit code 1."""
  with one_line("give the same command again"):
    main()


if __name__ == "__main__":
  run()
