r"""Training speed of the compiled step beside plain PyTorch, eager and channels_last, in one run.

python experiments/benchmark.py [--pairs=resnet110-resnet20,…] [--steps=10] [--rounds=3] [--json=F]
  [--compiled] [--workers=2] [--memory]
python experiments/benchmark.py --race --data_dir=DIR --teacher=FOLDER …

The last grade of a school, see `sides`; its last fragment's step is the longest. Rounds of edjax
and PyTorch alternate, and the ratio of the medians is what counts: machines are shared and noisy.
The share of the machine's peak counts the multiply-accumulates of teachers, student and gradients
against a large matrix product of PyTorch's, measured before every pair. With --memory no pace is
measured, but the most memory that a side takes, compiling included: beyond what importing both
takes, and in a process of its own. With --race it is the time to an accuracy, see `race`. Needs the
extra [test].
"""

import argparse
import concurrent.futures
import json
import multiprocessing
import pathlib
import platform
import statistics
import sys
import time

import jax
import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from edjax.devices import xla
from experiments import memory, race, sides
from tests.reference import training


def main():
  if "--race" in sys.argv:
    sys.argv.remove("--race")
    race.main()
    return
  xla.quicken_cpus()
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument(
    "--pairs", default="resnet110-resnet20,resnet32x4-resnet8x4,wrn_40_2-wrn_16_2"
  )
  parser.add_argument("--schools", default="kd,ed", help="kd: a generalist; ed: three specialists")
  parser.add_argument("--steps", type=int, default=10)
  parser.add_argument("--rounds", type=int, default=3)
  parser.add_argument("--batch", type=int, default=64)
  parser.add_argument("--side", type=int, default=32, help="of the images")
  parser.add_argument("--images", type=int, default=4096)
  parser.add_argument("--devices", type=int, default=1, help="of edjax; on a CPU see docs/speed.md")
  parser.add_argument("--compiled", action="store_true", help="PyTorch's side by torch.compile")
  parser.add_argument("--workers", type=int, help="of a DataLoader on PyTorch's side")
  parser.add_argument("--memory", action="store_true", help="measure that, in place of speed")
  parser.add_argument("--race", action="store_true", help="see race.py, whose options it takes")
  parser.add_argument("--json", type=pathlib.Path)
  options = parser.parse_args()
  images, labels = sides.pixels(options.images, options.side)
  print(f"{platform.processor() or platform.machine()}, jax {jax.__version__} on "
        f"{jax.devices()[0].device_kind}, torch {torch.__version__}")  # fmt: skip
  measure, rows = _weigh if options.memory else _compare, []
  for pair in options.pairs.split(","):
    for school in options.schools.split(","):
      rows.append(measure(pair, school, images, labels, options))
      print(json.dumps(rows[-1]), flush=True)
  if options.json:
    options.json.write_text(json.dumps(rows, indent=2) + "\n")


def _compare(pair, school, images, labels, options):
  began = time.perf_counter()
  ours, macs = _edjax(pair, school, images, labels, options)
  compiled = time.perf_counter() - began
  theirs, peak = _torch(pair, school, images, labels, options), _peak(_device())
  times = {"edjax": [], "torch": []}
  for _ in range(options.rounds):
    times["edjax"].append(ours())
    times["torch"].append(theirs())
  seconds = {side: statistics.median(values) for side, values in times.items()}
  return {
    **_what(pair, school, options),
    **{f"{side}_images_per_second": round(options.batch / seconds[side], 1) for side in seconds},
    **{f"{side}_share_of_peak": round(2 * macs / seconds[side] / peak, 3) for side in seconds},
    "ratio": round(seconds["torch"] / seconds["edjax"], 3),
    "edjax_start_seconds": round(compiled, 1),
    "rounds": options.rounds,
    "steps": options.steps,
  }


def _what(pair, school, options):
  torch_by = f"compiled={options.compiled}, workers={options.workers}"
  sizes = {"batch": options.batch, "side": options.side}
  return {"pair": pair, "school": school, **sizes, "torch": torch_by}


def _weigh(pair, school, images, labels, options):
  """Returns the most memory that each side takes, in a process of its own."""
  row = _what(pair, school, options)
  with concurrent.futures.ProcessPoolExecutor(
    1, multiprocessing.get_context("spawn"), max_tasks_per_child=1
  ) as pool:
    for side in ("edjax", "torch"):
      weighed = pool.submit(_own_memory, side, pair, school, images, labels, options)
      row[f"{side}_memory_gib"] = weighed.result()
  return row


def _own_memory(side, *arguments):
  xla.quicken_cpus()
  with memory.Watch() as before:
    pass
  with memory.Watch() as watch:
    if side == "edjax":
      _edjax(*arguments)[0]()
    else:
      _torch(*arguments)()
  return round(watch.peaks()["anon_gib"] - before.peaks()["anon_gib"], 2)


def _edjax(pair, school, images, labels, options):
  """Compiles a school's last grade.

  Returns:
    A function that times a chunk of its steps, and the multiply-accumulates of a step.
  """
  epochs = {"epochs": 1, "batch": options.batch, "devices": options.devices}
  last = len(sides.schools(pair, school, 1)[1]) - 1
  term = sides.terms(pair, school, images, labels, **epochs)(last)
  state = jax.block_until_ready(term.teach(term.begin(), 0, 0, 2))

  def round_():
    nonlocal state
    began = time.perf_counter()
    state = jax.block_until_ready(term.teach(state, 0, 2, 2 + options.steps))
    return (time.perf_counter() - began) / options.steps

  return round_, sum(term.macs_per_step.values())


def _torch(pair, school, images, labels, options):
  """As `_edjax`, of plain PyTorch; returns the function alone."""
  make, teachers, _ = list(sides.torch_grades(pair, school, labels))[-1]
  network = make()

  def round_():
    return training.seconds_per_step(
      network,
      teachers,
      torch.from_numpy(images),
      torch.from_numpy(labels).long(),
      steps=options.steps,
      device=_device(),
      batch=options.batch,
      warmup=2,
      window=options.steps,
      compiled=options.compiled,
      workers=options.workers,
    )

  return round_


def _device():
  return "cuda" if torch.cuda.is_available() else "cpu"


def _peak(device, side=2048, rounds=5):
  """Returns the floating-point operations per second of a product of large float32 matrices."""
  matrix = torch.ones(side, side, device=device)
  times = []
  for _ in range(rounds):
    began = time.perf_counter()
    (matrix @ matrix)[0, 0].item()
    times.append(time.perf_counter() - began)
  return 2 * side**3 / min(times)


if __name__ == "__main__":
  main()
