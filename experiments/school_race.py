r"""A whole school raced against the same work in plain PyTorch, start to end, in one run.

python experiments/school_race.py [--pair=resnet110-resnet20] [--schools=ed,kd] [--images=2048]
  [--epochs=2] [--bank=float32] [--devices=1]

A school of three fragments and three specialists ("ed", the lowest fragment frozen at last), and
plain distillation ("kd"). The grades of both sides alternate, so that a noisy machine meets both
alike; edjax's compilation is timed with its first step and stated apart. Epochs are per grade, see
`sides`. With a bank, empty at first, a teacher of edjax's answers no view twice, and what that is
worth depends on the epochs: 240 show an image in 125 of its 162 views. Prints one JSON row per
school as it ends. Needs the extra [test].
"""

import argparse
import json
import pathlib
import sys
import tempfile
import time

import jax
import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from edjax import progress
from edjax.devices import xla
from edjax.teachers import bank
from experiments import sides
from tests.reference import training


def main():
  xla.quicken_cpus()
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--pair", default="resnet110-resnet20", help="of CIFAR ResNets")
  parser.add_argument("--schools", default="ed,kd")
  parser.add_argument("--images", type=int, default=2048)
  parser.add_argument("--epochs", type=int, default=2, help="of every grade")
  parser.add_argument("--batch", type=int, default=64)
  parser.add_argument("--bank", default="", help="float32 or bfloat16, for edjax alone")
  parser.add_argument("--devices", type=int, default=0, help="of edjax; 0: all there are")
  options = parser.parse_args()
  for school in options.schools.split(","):
    with tempfile.TemporaryDirectory() as folder:
      print(json.dumps(_race(school, options, pathlib.Path(folder))), flush=True)


def _race(school, options, folder):
  images, labels = sides.pixels(options.images, 32)
  ready = sides.terms(
    options.pair,
    school,
    images,
    labels,
    epochs=options.epochs,
    batch=options.batch,
    devices=options.devices,
    bank=bank.Settings(options.bank, "lazily", folder, folder) if options.bank else None,
  )
  opponents = sides.torch_grades(options.pair, school, labels)
  compiling, ours, theirs, answered, state = [], [], [], 0, None
  for number, (make, teachers, shown) in enumerate(opponents):
    began = time.perf_counter()
    term = ready(number)
    if term.bank:
      term.bank.open(progress.Progress(), {})
    state = jax.block_until_ready(term.teach(term.begin(state), 0, 0, 1))
    made = time.perf_counter()
    for epoch in range(options.epochs):
      state = term.teach(state, epoch, int(epoch == 0), term.seating.steps)
    jax.block_until_ready(state)
    ended = time.perf_counter()
    answered += term.bank.macs() if term.bank else term.macs_per_step["teachers"] * term.steps
    compiling.append(made - began)
    ours.append((ended - made) * term.steps / (term.steps - 1))
    seconds = training.seconds_per_step(
      make(),
      teachers,
      torch.from_numpy(images[shown]),
      torch.from_numpy(labels[shown]).long(),
      steps=term.steps,
      device="cpu",
      batch=options.batch,
      warmup=1,
      window=term.steps,
    )
    theirs.append(seconds * term.steps)
  return {
    "pair": options.pair,
    "school": school,
    "images": options.images,
    "epochs_per_grade": options.epochs,
    "edjax_seconds": [round(s, 1) for s in ours],
    "torch_seconds": [round(s, 1) for s in theirs],
    "bank": options.bank,
    "edjax_teacher_tmac": round(answered / 1e12, 3),
    "edjax_compile_seconds": [round(s, 1) for s in compiling],
    "ratio": round(sum(theirs) / sum(ours), 3),
    "ratio_with_compilation": round(sum(theirs) / (sum(ours) + sum(compiling)), 3),
  }


if __name__ == "__main__":
  main()
