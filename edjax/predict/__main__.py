r"""The command: which classes a graduate sees in pictures.

edjax predict runs/folder photo.jpg holiday/
edjax predict runs/folder photos/test --out=answers.csv --scores=scores.json
find . -name '*.jpg' | edjax predict runs/folder --top=1 --format=jsonl

Of a folder all images are meant, those in folders below it too. Without a PATH, or for -, the paths
are read from standard input, one a line. Pictures of any size are brought in as those that it has
learnt from. Answers go to standard output, all else to standard error. A file that cannot be read
is told there and left out, and the exit code is then 1. Where folders are called as its classes
are, the answers are scored: top-1 with its 95 % interval, and for each class how many of its images
are found (recall) and how many of the answers are right (precision).
"""

import argparse
import collections
import json
import sys
import time

from edjax import graduate
from edjax.data.readers import layouts
from edjax.devices import compilation_cache, processes
from edjax.errors import Parser, UserError, one_line, within
from edjax.graduate import Graduate
from edjax.predict import asking, finding, rows, scoring, terminal
from edjax.predict.asking import Logits
from edjax.predict.finding import File
from edjax.progress import duration
from edjax.report.journal import plain
from edjax.storage.files import replace_file


def main(arguments: list[str] | None = None) -> None:
  """Runs the command; raises UserError, and SystemExit with code 1 if a file has no answer."""
  options = _parser().parse_args(arguments)
  within(options.top, "--top", 1)
  within(options.batch, "--batch", 1)
  network = graduate.load(options.graduate)
  files = _found(options, network)
  compilation_cache.keep_for_user(compilation_cache.AUTO)
  processes.devices()  # or a line that says why there is none
  began = time.monotonic()
  known, bad = _answer(options, network, files)
  if bad == len(files):
    raise UserError(f"there is no answer about any of the {bad:,} files")
  took = f"answered {len(files) - bad:,} of {len(files):,} in {duration(time.monotonic() - began)}"
  terminal.say(f"{took}; {bad:,} are left out, so the exit code is 1" if bad else took)
  if known:
    _score(options, network, files, known)
  if bad:
    sys.exit(1)


def _found(options: argparse.Namespace, network: Graduate) -> list[File]:
  passed: collections.Counter[str] = collections.Counter()
  given = options.paths or [finding.LIST]
  if not options.paths and sys.stdin.isatty():
    raise UserError("no picture is given; name files or folders, or send a list of them")
  files = finding.find(given, terminal.listed, network.class_names, passed)
  if passed:
    terminal.say(f"passed over {layouts.endings(passed)}, no images as far as endings tell")
  if not files:
    raise UserError("the list on standard input is empty; it should hold a path a line")
  if options.scores and not any(file.truth for file in files):
    raise UserError(
      f"no folder is called as a class is ({', '.join(network.class_names[:5])} …): give the one "
      "that holds those of the classes, or leave out --scores"
    )
  return files


def _answer(
  options: argparse.Namespace, network: Graduate, files: list[File]
) -> tuple[list[tuple[File, Logits]], int]:
  """Writes the answers; returns those about files whose class is known, and how many had none."""
  top = min(options.top, len(network.class_names))
  batch = min(options.batch, 1 << (len(files) - 1).bit_length())  # a few need no large one
  known, bad = [], 0
  with (
    terminal.stream(options.out) as stream,
    terminal.bar(len(files), bool(options.out)) as (say, show),
  ):
    write = rows.FORMATS[options.format](stream, top)
    answers = asking.answers(network, [file.path for file in files], batch)
    for number, (file, (logits, why)) in enumerate(zip(files, answers, strict=True)):
      if logits is None:
        bad += 1
        say(f"{file.path}: {why}")
        write(file.path, (), why)
      else:
        write(file.path, asking.likeliest(logits, network.class_names, top), "")
        known += [(file, logits)] if file.truth else []
      show(number + 1)
  return known, bad


def _score(
  options: argparse.Namespace,
  network: Graduate,
  files: list[File],
  known: list[tuple[File, Logits]],
) -> None:
  """Says how right the answers are about files whose class is known, and writes it if asked to."""
  truths, logits = [file.truth for file, _ in known], [row for _, row in known]
  scores = scoring.scores(logits, truths, network.class_names)
  for line in scoring.told(scores):
    terminal.say(line)
  if astray := sum(file.placed and not file.truth for file in files):
    terminal.say(f"not scored, as they lie in no folder of a class: {astray:,}")
  if options.scores:
    content = {"graduate": options.graduate, "not_scored": len(files) - len(known), **scores}
    text = json.dumps(plain(content), indent=2, allow_nan=False) + "\n"
    replace_file(options.scores, text.encode())


def _parser() -> Parser:
  parser = Parser(
    prog="edjax predict",
    description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  parser.add_argument(
    "graduate", metavar="GRADUATE", help="a work directory, or a folder of a network of edjax's"
  )
  parser.add_argument("paths", metavar="PATH", nargs="*", help="a file or a folder; - for a list")
  parser.add_argument("--top", type=int, default=5, metavar="K", help="classes that are told (5)")
  parser.add_argument("--format", choices=list(rows.FORMATS), default="csv", help="of the answers")
  parser.add_argument("--out", default="", metavar="FILE", help="for the answers")
  parser.add_argument("--scores", default="", metavar="FILE", help="for the scores, as JSON")
  parser.add_argument(
    "--batch", type=int, default=64, metavar="N", help="images that it is asked about at once (64)"
  )
  return parser


def run() -> None:
  """Runs the command; what a user can put right ends in one line and exit code 1."""
  with one_line("give the same command again"):
    main()


if __name__ == "__main__":
  run()
