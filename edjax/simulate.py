"""The command: `edjax simulate --data_dir=DIR [--subject=lenses] [--objects=planet,blended] …`."""

import dataclasses
import pathlib
import sys

from edjax.data import simulation
from edjax.data.readers import simulated
from edjax.devices import compilation_cache
from edjax.errors import Parser, UserError, choose, one_line
from edjax.progress import Progress


def main(argv: list[str]) -> None:
  """Runs the command with the given arguments; raises UserError."""
  options = _parser().parse_args(argv)
  usual = choose(simulation.SUBJECTS, options.subject, "--subject").sky
  chosen = options.objects.split(",") if options.objects else [*usual.mixture]
  for name in chosen:
    choose(usual.mixture, name, "--objects")
  red = usual.red if options.red is None else options.red
  if options.events < 100 or red < 0:
    raise UserError("--events must be 100 or more, --red no less than 0")
  compilation_cache.keep_for_user(compilation_cache.AUTO)
  mixture = {name: usual.mixture[name] for name in chosen}
  sky = dataclasses.replace(usual, red=red, mixture=mixture)
  progress = Progress()
  try:
    place = pathlib.Path(options.data_dir).expanduser()
    stated = simulation.prepare(
      place, options.subject, sky, options.events, options.seed, progress.line
    )
  finally:
    progress.close()
  for part, counts in stated["counts"].items():
    print(f"{place}: {part}, {', '.join(f'{count:,} {name}' for name, count in counts.items())}")


def _parser() -> Parser:
  parser = Parser(prog="edjax simulate", description=__doc__)
  parser.add_argument("--data_dir", required=True, metavar="DIR", help="where it is written")
  parser.add_argument(
    "--subject", default=simulated.FIRST, help=f"{' or '.join(simulation.SUBJECTS)}"
  )
  parser.add_argument("--events", type=int, default=16_000, help="of all parts together")
  parser.add_argument("--seed", type=int, default=0)
  parser.add_argument("--objects", help="classes of what there is to be seen, if not all")
  parser.add_argument(
    "--red", type=float, help="slow noise, in the white noise of half an hour, if not the usual"
  )
  return parser


def run() -> None:
  """Runs the command; what a user can put right ends in one line and exit code 1."""
  with one_line("the same command begins anew"):
    main(sys.argv[1:])


if __name__ == "__main__":
  run()
