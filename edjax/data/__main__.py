"""The command: `python -m edjax.data prepare NAME --data_dir=DIR [--size=PIXELS] …`."""

import sys

from edjax.data import datasets
from edjax.data.photographs import decoding, reader
from edjax.errors import Parser, one_line
from edjax.progress import Progress


def main(argv: list[str]) -> None:
  """Runs the command with the given arguments; raises UserError."""
  options = _parser().parse_args(argv)
  progress = Progress()
  try:
    place, meta = reader.prepare(
      options.name,
      datasets.directory_of(options.name, options.data_dir),
      options.size,
      options.bad_images,
      source=options.source,
      decoder=options.decoder,
      progress=progress,
    )
  finally:
    progress.close()
  counts, size = meta["images"], meta["size"]
  print(
    f"{place}: {counts['train']:,} images for training and {counts['test']:,} for the exam, of"
    f" {size}x{size} pixels, {len(meta['skipped'])} of them passed over, decoded by"
    f" {meta['decoder']}; {sum(counts.values()) * size * size * 3 / 1e9:.2f} GB"
  )


def _parser() -> Parser:
  parser = Parser(prog="python -m edjax.data", description=__doc__)
  commands = parser.add_subparsers(required=True, metavar="prepare")
  prepare = commands.add_parser(
    "prepare", help="decode photographs once, to what runs map into memory; continues by itself"
  )
  prepare.add_argument("name", metavar="NAME", help=f"{', '.join(reader.ALBUMS)} or tfds:NAME")
  prepare.add_argument("--data_dir", required=True, metavar="DIR", help="where the archive is")
  prepare.add_argument(
    "--size", type=int, default=0, help="side of the squares in pixels; 0: the data set's usual"
  )
  prepare.add_argument("--bad_images", default="error", choices=list(decoding.POLICIES))
  prepare.add_argument("--source", default="auto", choices=datasets.SOURCES)
  prepare.add_argument(
    "--decoder", default="", choices=list(decoding.DECODERS), help="the fastest one if not given"
  )
  return parser


def run() -> None:
  """Runs the command; what a user can put right ends in one line and exit code 1."""
  with one_line("the same command continues"):
    main(sys.argv[1:])


if __name__ == "__main__":
  run()
