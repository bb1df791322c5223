"""Writes the tables of networks into docs/networks.md.

python experiments/tables.py

Parameters and multiply-accumulates are read off the shapes of every row of `edjax.models.MODELS`,
for the images and the number of classes that the network is published for, or made for; nothing is
computed.
"""

import argparse
import itertools
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from edjax import models
from edjax.models.analysis.macs import network_macs
from edjax.report.drawing import big

PAGE = pathlib.Path(__file__).parent.parent / "docs" / "networks.md"
PLACE = re.compile(r"(<!-- networks[^>]*-->\n).*(<!-- end of networks -->)", re.DOTALL)
_IMAGENET = (
  "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "mobilenetv1", "mobilenetv2",
  "shufflenetv2_imagenet", "efficientnet_b0", "efficientnet_lite0", "deit_tiny",
  "deit_small",
)  # fmt: skip
_CURVES = ("curve_small", "curve")
_SIDE_BY_SIDE = 3


def main():
  argparse.ArgumentParser(description=__doc__.split("\n")[0]).parse_args()
  written = PLACE.sub(lambda found: found[1] + tables() + found[2], PAGE.read_text())
  PAGE.write_text(written)


def tables():
  """Returns Markdown: networks for small images, then those for ImageNet's."""
  small = [name for name in models.MODELS if name not in _IMAGENET]
  return (
    "For 32×32 pixels and 100 classes (`…_option_a`: 10; `curve…`: 201 points, 8 channels, "
    f"3 classes):\n\n{_table(small)}\n"
    f"For 224×224 pixels and 1,000 classes:\n\n{_table(_IMAGENET)}\n"
  )


def _table(names):
  columns = -(-len(names) // _SIDE_BY_SIDE)
  lines = [
    "|" + " network | parameters | MACs |" * _SIDE_BY_SIDE,
    "|" + "---|---:|---:|" * _SIDE_BY_SIDE,
  ]
  stacks = [names[n * columns : (n + 1) * columns] for n in range(_SIDE_BY_SIDE)]
  for row in itertools.zip_longest(*stacks):
    lines.append("|" + "".join(f" {_cells(name)} |" if name else " | | |" for name in row))
  return "\n".join(lines) + "\n"


def _cells(name):
  parameters, macs = size(name)
  return f"`{name}` | {big(parameters)} | {big(macs)}"


def size(name):
  """Returns the parameters of a network and its multiply-accumulates for one image."""
  image, classes = (32, 32, 3), 10 if "option_a" in name else 100
  if name in _IMAGENET:
    image, classes = (224, 224, 3), 1000
  elif name in _CURVES:
    image, classes = (1, 201, 8), 3
  network = models.graduate(models.body(name), classes)
  return models.parameters(network, image), network_macs(network, image)


if __name__ == "__main__":
  main()
