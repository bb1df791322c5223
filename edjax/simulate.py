"""The command: `edjax simulate --data_dir=DIR [--events=N] [--objects=planet,blended] …`."""

import pathlib
import sys

from edjax.data import simulation
from edjax.errors import Parser, UserError, choose, one_line
from edjax.et import objects
from edjax.et.source import Sky
from edjax.progress import Progress


def main(argv: list[str]) -> None:
  """Runs the command with the given arguments; raises UserError."""
  options = _parser().parse_args(argv)
  usual = Sky()
  chosen = options.objects.split(",")
  for name in chosen:
    choose(objects.CLASSES, name, "--objects")
  if options.events < 100 or options.red < 0:
    raise UserError("--events must be 100 or more, --red no less than 0")
  sky = Sky(red=options.red, mixture={name: usual.mixture[name] for name in chosen})
  progress = Progress()
  try:
    place = pathlib.Path(options.data_dir).expanduser()
    stated = simulation.prepare(place, sky, options.events, options.seed, progress.line)
  finally:
    progress.close()
  for part, counts in stated["counts"].items():
    print(f"{place}: {part}, {', '.join(f'{count:,} {name}' for name, count in counts.items())}")


def _parser() -> Parser:
  usual = Sky()
  parser = Parser(prog="edjax simulate", description=__doc__)
  parser.add_argument("--data_dir", required=True, metavar="DIR", help="where it is written")
  parser.add_argument("--events", type=int, default=16_000, help="of all parts together")
  parser.add_argument("--seed", type=int, default=0)
  parser.add_argument(
    "--objects", default=",".join(usual.mixture), help="classes of what there is to be seen"
  )
  parser.add_argument(
    "--red", type=float, default=usual.red, help="slow noise, in the white noise of half an hour"
  )
  return parser


def run() -> None:
  """Runs the command; what a user can put right ends in one line and exit code 1."""
  with one_line("the same command begins anew"):
    main(sys.argv[1:])


if __name__ == "__main__":
  run()
