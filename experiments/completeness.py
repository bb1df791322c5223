r"""Which share of planets does a graduate keep, and what else does it take for one, by S/N?

python experiments/completeness.py --dataset=tess --data_dir=DIR --out=FILE [--parts=test] RUN …

Each RUN is a work directory of the config `tess` or `et`, --dataset the exam: the real events of
`tess`, or those of a simulated sky (`et`). A planet is kept if the graduate's answer is "planet
candidate" and not another class. S/N is that of the exam's own channel, to 4 %. In a sky that the
RUNs have not learnt from, the part `train` is an exam as well, the largest.

Writes --out, a row per run, part and interval of S/N: planets, how many of these were kept, others
by their class, how many of these were taken for planets. Prints mean and sample standard deviation
of the shares over the runs, by part.
"""

import argparse
import json
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from runs import spread

import edjax
from edjax.data import datasets
from edjax.data.readers import curves, tess

EDGES = (0, 10, 15, 20, 30, 50, 100, np.inf)
_SIGNAL = len(tess.VIEWS) + 2  # the channel, see `tess.scalars`


def main():
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--dataset", choices=("tess", "et"), required=True)
  parser.add_argument("--data_dir", required=True)
  parser.add_argument("--out", type=pathlib.Path, required=True)
  parser.add_argument("--parts", default="validation,test")
  parser.add_argument("runs", nargs="+", metavar="RUN")
  options = parser.parse_args()
  parts = options.parts.split(",")
  known, rows = datasets.load(options.dataset, data_dir=options.data_dir), []
  for run in options.runs:
    graduate = edjax.load(run)
    for part in parts:
      exam = getattr(known, part)
      images = np.asarray(exam.images)
      found = intervals(graduate.logits(images).argmax(1), exam.labels, signal(images))
      named = {"run": pathlib.Path(run).name, "exam": options.dataset, "part": part}
      rows += [named | row for row in found]
  options.out.write_text("".join(json.dumps(row) + "\n" for row in rows))
  for part in parts:
    for line in summary([row for row in rows if row["part"] == part]):
      print(f"{part}, {line}")


def signal(images):
  """Returns the S/N of events [n], from their bytes [n, 1, places, channels]."""
  value = curves.LOW + images[:, 0, 0, _SIGNAL] * (curves.SPAN / 255)
  return 10 ** (value + 1)


def intervals(said, labels, snr):
  """Yields a row for each interval of S/N that has an event.

  Args:
    said, labels: classes of `tess` [n].
    snr: [n].
  """
  planet = tess.CLASSES.index("PC")
  for low, high in zip(EDGES, EDGES[1:], strict=False):
    inside = (snr >= low) & (snr < high)
    counts, taken = (
      {name: int((own & (labels == label)).sum()) for label, name in enumerate(tess.CLASSES)}
      for own in (inside, inside & (said == planet))
    )
    planets, kept = counts.pop("PC"), taken.pop("PC")
    if inside.any():
      ends = {"low": low, "high": high if np.isfinite(high) else None}
      yield ends | {"planets": planets, "kept": kept, "others": counts, "taken": taken}


def summary(rows):
  """Yields a line for every interval that has a planet."""
  rows = [row for row in rows if row["planets"]]
  for low, high in dict.fromkeys((row["low"], row["high"]) for row in rows):
    own = [row for row in rows if row["low"] == low]
    kept = [row["kept"] / row["planets"] for row in own]
    others = sum(own[0]["others"].values())
    taken = [sum(row["taken"].values()) / others for row in own if others]
    what = f"S/N {low} or more" if high is None else f"S/N {low} to {high}"
    yield (
      f"{what}: {np.mean(kept):.3f} ± {spread(kept):.3f} of {own[0]['planets']} planets kept, "
      + (f"{np.mean(taken):.4f} ± {spread(taken):.4f}" if taken else "none")
      + f" of {others:,} others taken (n = {len(own)} runs)"
    )


if __name__ == "__main__":
  main()
