"""The command `edjax models`: the networks that a config can name, and how large they are.

edjax models
edjax models resnet20 my_network:BODY --size=64 --classes=12

Parameters and MACs (multiply-accumulates of one image) are read off the shapes of the layers, for
images and classes as many as are given; nothing is computed. Fragments are what grades graft: those
of a network that is cut at its stages, and of one that is cut by depth, where it can be.
"""

import argparse
from collections.abc import Iterator, Sequence

import flax

from edjax import models
from edjax.errors import Parser, one_line, within
from edjax.models.analysis.macs import network_macs
from edjax.report.drawing import big


def main(arguments: list[str] | None = None) -> None:
  """Runs the command; raises UserError."""
  options = _parser().parse_args(arguments)
  for name in ("size", "channels", "classes"):
    within(getattr(options, name), f"--{name}", 1)
  size, channels = options.size, options.channels
  print(f"for {size}×{size} pixels, {channels} channels, {options.classes:,} classes:")
  for line in lines(options.names or list(models.MODELS), (size, size, channels), options.classes):
    print(line, flush=True)  # the deepest take a second


def lines(names: Sequence[str], image_shape: tuple[int, int, int], classes: int) -> Iterator[str]:
  """Yields the lines of a table, each as soon as it is known.

  Args:
    names: of networks, as a config has them.
    image_shape: (height, width, channels).
    classes: columns of the logits.

  Raises:
    UserError: for a network that there is not.
  """
  bodies = {name: models.body(name) for name in names}
  width = max(map(len, names))
  yield f"{'network':{width}}  fragments  by depth    parameters    MACs"
  for name, body in bodies.items():
    deep = max(body.blocks.counts) if body.blocks else "–"
    head = f"{name:{width}}  {len(body.fragments):9}  {deep:>8}  "
    network = models.graduate(body, classes)
    try:
      count, macs = models.parameters(network, image_shape), network_macs(network, image_shape)
    except (flax.errors.FlaxError, TypeError, ValueError, ZeroDivisionError):
      yield f"{head}does not take such images"
    else:
      yield f"{head}{count:12,}  {big(macs):>6}"


def _parser() -> Parser:
  parser = Parser(
    prog="edjax models",
    description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  parser.add_argument("names", metavar="NETWORK", nargs="*", help="all of edjax's if none is given")
  parser.add_argument("--size", type=int, default=32, help="pixels on a side of an image (32)")
  parser.add_argument("--channels", type=int, default=3, help="3 for colours, 1 for grey (3)")
  parser.add_argument("--classes", type=int, default=100, help="(100)")
  return parser


def run() -> None:
  """Runs the command; what a user can put right ends in one line and exit code 1."""
  with one_line("give the same command again"):
    main()
