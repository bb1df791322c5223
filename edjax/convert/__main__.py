r"""The command: a network from PyTorch's files to edjax's folders, and back.

python -m edjax.convert resnet110.pth teachers/resnet110
python -m edjax.convert runs/cifar100/graduate graduate.safetensors --names=repdistiller
python -m edjax.convert resnet110.pth resnet110.safetensors

The endings say in which direction. The network, its number of classes and the names of its layers
are recognised by its tensors. --check then shows the network images: a folder with a sub-folder per
class gives its top-1, any other the most likely class of every image. A network of edjax's knows
how images are shown to it. Of another the usual is assumed, and told in a line; to say it better:

python -m edjax.convert my.pth teachers/my --check=images --size=32 --mean=0.5,0.5,0.5 --std=1,1,1
"""

import argparse
import sys

import jax

from edjax import convert
from edjax.convert.check import check
from edjax.errors import UserError


def main(arguments=None):
  parser = argparse.ArgumentParser(
    prog="python -m edjax.convert",
    description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  parser.add_argument(
    "source", help="a file (.pth, .pt, .tar, .safetensors) or a folder of edjax's"
  )
  parser.add_argument("target", help="the other of the two, or a file for a file")
  parser.add_argument("--model", help="a row of edjax.models.MODELS, where the tensors leave doubt")
  parser.add_argument("--num_classes", type=int)
  parser.add_argument("--names", choices=convert.SCHEMES, help="whose names the file's layers have")
  parser.add_argument("--check", metavar="IMAGE_DIR", help="images to look at")
  parser.add_argument("--size", type=int, help="of --check: pixels on a side of an image")
  channels = "of --check: per channel, of pixels from 0 to 1"
  parser.add_argument("--mean", type=numbers, metavar="R,G,B", help=channels)
  parser.add_argument("--std", type=numbers, metavar="R,G,B", help=channels)
  options = parser.parse_args(arguments)
  view = {"size": options.size, "mean": options.mean, "std": options.std}
  if not options.check and any(value is not None for value in view.values()):
    raise UserError("--size, --mean and --std say how --check shows images; give it a folder")
  into_file = convert.is_file(options.target)
  variables, info, scheme = convert.read(
    options.source, options.model, options.num_classes, None if into_file else options.names
  )
  written = convert.write(options.target, variables, info, options.names if into_file else None)
  print(f"{options.source}: {_described(info, variables, scheme)}")
  print(f"{options.target}: written{f' with {written} names' if written else ''}")
  if options.check:
    print(check(variables, info, scheme or written, options.check, **view))


def numbers(text):
  """Reads an option such as 0.5,0.4,0.3."""
  return tuple(map(float, text.split(",")))


def _described(info, variables, scheme):
  classes = info.get("num_classes") or len(info["classes"])
  params = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
  names = f", {scheme} names" if scheme else ""
  return f"{info['model']}, {classes} classes, {params:,} parameters{names}"


def run():
  """Runs the command; what a user can put right ends in one line and exit code 1."""
  try:
    main()
  except UserError as error:
    sys.exit(f"edjax: {error}")


if __name__ == "__main__":
  run()
