"""The command: a graduate as a file that runs without edjax.

edjax export runs/digits --format=onnx
edjax export runs/digits --out=student.tflite --licence=Apache-2.0

The file takes bytes (uint8) [n, height, width, channels] of any number of images and returns
probabilities; with --raw it takes float32 that is normalised already and returns logits. It is run
and compared with edjax before it gets its name. A model card, FILE.md, stands beside it.
"""

import argparse
import json
import pathlib
from typing import Any

from edjax import export
from edjax.devices import compilation_cache, processes
from edjax.errors import Parser, UserError, one_line
from edjax.export import card
from edjax.graduate import load


def main(arguments: list[str] | None = None) -> None:
  parser = Parser(
    prog="edjax export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("graduate", help="a run's work directory, or the folder of a network")
  parser.add_argument("--format", choices=export.FORMATS, help="else --out says it by its ending")
  parser.add_argument("--out", metavar="FILE", help="else GRADUATE, with the format's ending")
  parser.add_argument("--raw", action="store_true", help="normalised float32 in, logits out")
  parser.add_argument("--licence", default="", help="of the file, for its model card")
  options = parser.parse_args(arguments)
  path = _target(options.graduate, options.format, options.out)
  student = load(options.graduate)
  compilation_cache.keep_for_user(compilation_cache.AUTO)
  processes.devices()  # or a line that says why there is none
  report = _report(pathlib.Path(options.graduate).expanduser())
  facts = export.write(student, path, options.raw, report, options.licence)
  print(f"{path}: {student.model}, {facts.cost}")
  print(f"{path}: {facts.compared}")
  print(f"{card.beside(path)}: the model card{'' if report else '; no report.json was there'}")


def _target(graduate: str, kind: str | None, out: str | None) -> pathlib.Path:
  """Returns where the file goes; raises UserError if its ending is not the format's."""
  if out is None:
    if kind is None:
      raise UserError(
        f"give --format, one of {', '.join(export.FORMATS)}, or --out=FILE that ends as it does"
      )
    source = pathlib.Path(graduate).expanduser().absolute()
    return source.with_name(f"{source.name}{export.FORMATS[kind].endings[0]}")
  path = pathlib.Path(out).expanduser()
  if kind not in (None, export.format_of(path)):
    endings = " or ".join(export.FORMATS[kind].endings)
    raise UserError(f"--format={kind} writes files that end in {endings}, not {path}")
  return path


def _report(graduate: pathlib.Path) -> dict[str, Any] | None:
  """Returns the report of a graduate's run, which is in its folder or the one above."""
  for folder in (graduate, graduate.absolute().parent):
    try:
      return json.loads((folder / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
      continue
  return None


def run() -> None:
  """Runs the command; what a user can put right ends in one line and exit code 1."""
  with one_line("nothing is written by halves; give the same command again"):
    main()


if __name__ == "__main__":
  run()
