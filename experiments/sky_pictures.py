r"""Simulated events beside real ones of the same label.

python experiments/sky_pictures.py --data_dir=DIR --sky=DIR --out=FILE.png [--seed=0]

--data_dir is that of `tess`, --sky of `et`. Drawn at random from the parts that are learnt from:
four of each label, and of each its views of the orbit, the dip and the next dip.
"""

import argparse
import pathlib
import sys

import numpy as np
from matplotlib.figure import Figure

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from edjax.data import datasets
from edjax.data.readers import curves, tess

EACH = 4


def main():
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--data_dir", required=True)
  parser.add_argument("--sky", required=True)
  parser.add_argument("--out", type=pathlib.Path, required=True)
  parser.add_argument("--seed", type=int, default=0)
  options = parser.parse_args()
  sides = {
    "simulated": datasets.load("et", data_dir=options.sky).train,
    "real": datasets.load("tess", data_dir=options.data_dir).train,
  }
  picture(sides, np.random.default_rng(options.seed)).savefig(options.out)


def picture(sides, draw):
  """Returns a figure: a row per event, its views side by side, first the ones, then the others."""
  figure = Figure(figsize=(14, 1.1 * EACH * len(tess.CLASSES)), dpi=100, layout="constrained")
  axes = figure.subplots(EACH * len(tess.CLASSES), 2 * len(tess.VIEWS), sharex=True, sharey=True)
  for side, (said, split) in enumerate(sides.items()):
    first = side * len(tess.VIEWS)
    for label, name in enumerate(tess.CLASSES):
      for row, event in enumerate(draw.choice(np.flatnonzero(split.labels == label), EACH)):
        own = axes[label * EACH + row, first : first + len(tess.VIEWS)]
        views = np.asarray(split.images[event, 0], float) * curves.SPAN / 255 + curves.LOW
        for column, each in enumerate(own):
          each.plot(views[:, column], color=("#d55e00", "#0072b2")[side], linewidth=0.7)
          each.set_axis_off()
        own[0].set_title(f"{said}, {name}", fontsize=8, loc="left", pad=1)
  return figure


if __name__ == "__main__":
  main()
