r"""The command: a network from PyTorch's files to edjax's folders, and back.

python -m edjax.convert resnet110.pth teachers/resnet110
python -m edjax.convert runs/cifar100/graduate graduate.safetensors --names=repdistiller
python -m edjax.convert resnet110.pth resnet110.safetensors

A file is read whatever its ending; a target with an ending becomes a file, one without a folder.
The network, its number of classes and the names of its layers are recognised by its tensors. Where
a file holds weights and their running average the weights are taken, which a line says;
--key=state_dict_ema takes the others. --check then shows the network images: a folder with a
sub-folder per class gives its top-1, any other the most likely class of every image. A network of
edjax's knows how images are shown to it. Of another, --check assumes the usual, and tells in a
line; what is given is kept with the network:

python -m edjax.convert my.pth teachers/my --size=32 --mean=0.5,0.5,0.5 --std=1,1,1

So are the names of its classes, a file with one a line in the order of the network's columns, which
need not be edjax's (sub-folders 1, 10, 2 in the order of their names): --classes=names.txt
"""

import argparse
import os
import pathlib
from typing import Any

import jax

from edjax import convert
from edjax.convert import view
from edjax.convert.check import check
from edjax.convert.files import ENDINGS
from edjax.errors import Parser, UserError, one_line
from edjax.types import Variables


def main(arguments: list[str] | None = None) -> None:
  parser = Parser(
    prog="python -m edjax.convert",
    description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  parser.add_argument("source", help="a file of torch.save or safetensors, or a folder of edjax's")
  parser.add_argument(
    "target", help=f"a file that ends in {', '.join(ENDINGS)}, or a folder, which has no ending"
  )
  parser.add_argument("--model", help="a row of edjax.models.MODELS, where the tensors leave doubt")
  parser.add_argument("--num_classes", type=int)
  parser.add_argument("--names", choices=convert.SCHEMES, help="whose names the file's layers have")
  parser.add_argument(
    "--key", help="where in a file the network is, such as state_dict_ema; . is the top"
  )
  parser.add_argument("--check", metavar="IMAGE_DIR", help="images to look at")
  parser.add_argument("--size", type=int, help="pixels on a side of an image")
  channels = "per channel, of pixels from 0 to 1"
  parser.add_argument("--mean", type=numbers, metavar="R,G,B", help=channels)
  parser.add_argument("--std", type=numbers, metavar="R,G,B", help=channels)
  parser.add_argument("--classes", metavar="FILE", help="their names, one a line, in column order")
  options = parser.parse_args(arguments)
  convert.check_target(options.target)
  into_file = convert.is_file(options.target)
  variables, info, scheme = convert.read(
    options.source,
    options.model,
    options.num_classes,
    None if into_file else options.names,
    key=options.key,
    tell=print,
  )
  scheme = scheme or (options.names or convert.first_scheme(info["model"]) if into_file else None)
  given = {key: getattr(options, key) for key in ("size", "mean", "std")}
  seen, assumed = view.complete(info, scheme, given)
  if options.check or any(value is not None for value in given.values()):
    view.check(variables, info, seen)
    info |= view.kept(seen, given)
  if options.classes:
    info["classes"] = class_names(options.classes, info)
  written = convert.write(options.target, variables, info, options.names if into_file else None)
  print(f"{options.source}: {_described(info, variables, scheme)}")
  print(f"{options.target}: written{f' with {written} names' if written else ''}")
  told = options.classes or any(value is not None for value in given.values())
  if told and not convert.has_notes(options.target):
    print(f"{options.target}: keeps no size, mean, std and classes; a folder or .safetensors does")
  if options.check:
    print(view.said(assumed, scheme) + check(variables, info, seen, options.check))


def class_names(path: str | os.PathLike[str], info: dict[str, Any]) -> list[str]:
  """Reads the names of a network's classes.

  Raises:
    UserError: if they are not as many as its columns, or two are the same.
  """
  try:
    text = pathlib.Path(path).expanduser().read_text("utf-8-sig")
  except UnicodeDecodeError as error:
    raise UserError(f"{path} is no text; write one name of a class a line") from error
  names = [line.strip() for line in text.splitlines() if line.strip()]
  columns = info.get("num_classes") or len(info["classes"])
  twice = sorted({name for name in names if names.count(name) > 1})
  if len(names) != columns or twice:
    raise UserError(
      f"{path} names {len(names)} classes{f', twice {twice[0]}' if twice else ''}, but the network "
      f"has {columns}; write one name a line, in the order of its columns"
    )
  return names


def numbers(text: str) -> tuple[float, ...]:
  """Reads an option such as 0.5,0.4,0.3."""
  return tuple(map(float, text.split(",")))


def _described(info: dict[str, Any], variables: Variables, scheme: str | None) -> str:
  classes = info.get("num_classes") or len(info["classes"])
  params = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
  names = f", {scheme} names" if scheme else ""
  return f"{info['model']}, {classes} classes, {params:,} parameters{names}"


def run() -> None:
  """Runs the command; what a user can put right ends in one line and exit code 1."""
  with one_line("nothing is written by halves; give the same command again"):
    main()


if __name__ == "__main__":
  run()
