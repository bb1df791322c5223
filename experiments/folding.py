r"""How much quicker a frozen network is with its normalisations folded, in one run.

python experiments/folding.py [--models=resnet20,…] [--batch=64] [--side=32] [--rounds=15]

Inference of random weights, as it is and folded, alternating; the ratio of the medians counts.
"""

import argparse
import pathlib
import statistics
import sys
import time

import jax
import jax.numpy as jnp

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from edjax import models
from edjax.devices import xla
from edjax.models.analysis.folding import fold


def main():
  xla.quicken_cpus()
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--models", default="resnet20,resnet8x4,wrn_16_2,vgg8,mobilenetv2_half")
  parser.add_argument("--batch", type=int, default=64)
  parser.add_argument("--side", type=int, default=32)
  parser.add_argument("--rounds", type=int, default=15)
  options = parser.parse_args()
  print(f"jax {jax.__version__} on {jax.devices()[0].device_kind}, batch {options.batch}")
  for name in options.models.split(","):
    whole, folded = _milliseconds(name, options)
    print(f"{name}: {whole:.1f} ms, folded {folded:.1f} ms, {whole / folded:.2f} times as fast")


def _milliseconds(name, options):
  shape = (options.side, options.side, 3)
  images = jnp.ones((options.batch, *shape))
  network = models.graduate(models.body(name), 100)
  pairs = [(network, models.begin(network, jax.random.key(0), shape))]
  pairs.append(fold(*pairs[0], shape))
  asks = [jax.jit(lambda v, x, n=n: n.apply(v, x).logits) for n, _ in pairs]
  times = [[], []]
  for number in range(options.rounds + 1):  # the first compiles
    for taken, ask, (_, variables) in zip(times, asks, pairs, strict=True):
      began = time.perf_counter()
      jax.block_until_ready(ask(variables, images))
      if number:
        taken.append(time.perf_counter() - began)
  return [1e3 * statistics.median(taken) for taken in times]


if __name__ == "__main__":
  main()
