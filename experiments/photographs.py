r"""Photographs from archive to graduate: how fast, and in how much memory, on this machine.

python experiments/photographs.py --out=DIR [--images=20000] [--size=64] [--batch=64] [--rounds=7]

Generates an archive of Food-101's layout (101 classes, three of four images for training, JPEGs of
about 512×384 pixels and 50 KB), prepares it, and sends the smallest networks to the school of
configs/food101.py:kd for one epoch, streamed. Each stage is a process of its own: "decode" decodes
a few photographs again and again on one core; "laid_out" copies batches from the cache, as
streaming does, and learns nothing; "paces" trains without a teacher, in alternating rounds streamed
and resident, and compares the bits that come of it. Prints one row of JSON; what it wrote to DIR is
not removed, and used again.

"anon" is the most memory of its own that a process had at any time (RssAnon of /proc/self/status,
looked at every 5 ms): pages of the mapped cache are the kernel's, who takes them back as it likes.
"""

import argparse
import hashlib
import io
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tarfile
import time

import numpy as np
from PIL import Image

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from configs import food101
from edjax.data.photographs import archives, decoding, reader
from edjax.devices import xla
from experiments import memory

_CLASSES = 101
_GIB = 1 << 30


def main():
  xla.quicken_cpus()
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--out", type=pathlib.Path, required=True)
  parser.add_argument("--images", type=int, default=20_000)
  parser.add_argument("--size", type=int, default=64, help="side in pixels of what is trained on")
  parser.add_argument("--batch", type=int, default=64)
  parser.add_argument("--rounds", type=int, default=7, help="of a twentieth of an epoch each")
  parser.add_argument("--stage", choices=_STAGES, help=argparse.SUPPRESS)
  options = parser.parse_args()
  options.out.mkdir(parents=True, exist_ok=True)
  if options.stage:
    with memory.Watch() as watch:
      row = _STAGES[options.stage](options)
    print(json.dumps(row | watch.peaks()))
    return
  stages = {}
  for stage in _STAGES:
    command = [sys.executable, __file__, *sys.argv[1:], f"--stage={stage}"]
    ended = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    stages[stage] = json.loads(ended.stdout.splitlines()[-1])
  row = {
    "images": options.images,
    "size": options.size,
    "batch": options.batch,
    "cores": len(os.sched_getaffinity(0)),
    "machine": _processor(),
    **stages,
  }
  print(json.dumps(row))


def _generate(options):
  """Writes the archive, in the order and with the names of the published one."""
  path = options.out / "food-101.tar.gz"
  if path.exists():
    return {"archive_gib": path.stat().st_size / _GIB}
  names = [f"dish_{number:03}" for number in range(_CLASSES)]
  draw, parts = np.random.default_rng(0), {"train": [], "test": []}
  unfinished = path.with_suffix(".part")
  with tarfile.open(unfinished, "w:gz", compresslevel=1) as archive:
    for label, name in enumerate(names):
      for number in range(label, options.images, _CLASSES):
        key = f"{name}/{number}"
        parts["test" if number // _CLASSES % 4 == 3 else "train"].append(key)
        _add(archive, f"images/{key}.jpg", _photograph(draw, label))
    for part, lines in {"classes": names, "labels": names, **parts}.items():
      _add(archive, f"meta/{part}.txt", "\n".join(lines).encode())
  unfinished.rename(path)
  return {"archive_gib": path.stat().st_size / _GIB}


def _add(archive, name, content):
  member = tarfile.TarInfo(f"food-101/{name}")
  member.size = len(content)
  archive.addfile(member, io.BytesIO(content))


def _photograph(draw, label):
  """Returns a JPEG of coloured clouds, by class, with grain."""
  width, height = [(512, 384), (512, 384), (512, 512), (384, 512), (512, 340)][draw.integers(5)]
  tint = np.random.default_rng(label).integers(40, 216, (3, 4, 3))
  clouds = np.clip(tint + draw.normal(0, 30, tint.shape), 0, 255).astype(np.uint8)
  smooth = np.asarray(Image.fromarray(clouds).resize((width, height), Image.Resampling.BICUBIC))
  grain = draw.integers(-20, 21, (height, width, 1), np.int16)
  file = io.BytesIO()
  image = Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8))
  image.save(file, "JPEG", quality=75)
  return file.getvalue()


def _decode(options, side=224, images=150):
  """Decodes some photographs on one core to the size that ImageNet's networks take."""
  draw, decoder = np.random.default_rng(0), decoding.best()
  files = [_photograph(draw, number % _CLASSES) for number in range(images)]
  rates = []
  for _ in range(options.rounds):
    spent = time.process_time()
    for content in files:
      decoding.square(content, side, decoder)
    rates.append(images / (time.process_time() - spent))
  return {"decoder": decoder, "side": side, "per_cpu_second": round(statistics.median(rates))}


def _prepare(options):
  """Verifies the archive and decodes it to a cache, through the public path."""
  path = options.out / "food-101.tar.gz"
  with open(path, "rb") as file:
    digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
  archives.ARCHIVES["food101"] = archives.Archive(
    path.name, path.stat().st_size, digest, "nowhere: it is generated"
  )
  began, spent = time.perf_counter(), time.process_time()
  place, meta = reader.prepare("food101", options.out, options.size)
  seconds, spent = time.perf_counter() - began, time.process_time() - spent
  images = sum(meta["images"].values())
  return {
    "decoder": meta["decoder"],
    "seconds": round(seconds, 1),
    "images_per_second": round(images / seconds, 1),
    "images_per_cpu_second": round(images / spent, 1),
    "cache_gib": round(sum(file.stat().st_size for file in place.iterdir()) / _GIB, 3),
  }


def _go_to_school(options):
  """Trains a teacher and its student; returns the pace of the student's grade.

  "seconds" are those of the whole run: the teacher's training, the student's grade, and the rest.
  """
  from edjax.settings import settle
  from edjax.training import loop

  config = food101.get_config("kd,smoke")
  with config.unlocked():
    config.residence, config.data_dir = "streamed", str(options.out)
    config.data.update(image_size=options.size, train_limit=0)
    config.recipe.batch_size, config.devices = options.batch, 1
  report = loop.run(settle(config), options.out / "school")
  return {
    "images_per_second": round(report["grades"][-1]["images_per_second"], 1),
    "top1": report["student"]["top1"],
    **{
      key: round(report[key], 1)
      for key in ("seconds", "seconds_teachers", "seconds_student", "seconds_between")
    },
  }


def _paces(options):
  """Trains the same network in turns; returns the median images per second of each residence."""
  from edjax import curriculum, methods
  from edjax.data import datasets
  from edjax.devices import pmap
  from edjax.storage import trees
  from edjax.study import Study
  from edjax.training import grade
  from edjax.training.evaluation import Loader

  dataset = datasets.load("food101", data_dir=str(options.out), image_size=options.size)
  everything = curriculum.Subject("everything", tuple(range(_CLASSES)))
  study = Study(
    label="student",
    model="resnet8_half",
    curriculum=curriculum.ordinary(everything, 3, 1, 0.1),
    order=everything.classes,
    teachers={},
    recipe=curriculum.Recipe(batch_size=options.batch, pad=4, flip=True),
    methods=methods.build({"ce": {"weight": 1.0}}),
    seed=0,
    directory=options.out,
    every_seconds=0.0,
    keep=1,
  )
  terms, states, rates = {}, {}, {}
  for where in ("streamed", "device"):
    loader = Loader(dataset, pmap.fleet(1, options.batch), where)
    terms[where] = grade.ReadyGrade(study, loader, 0, 0)
    states[where], rates[where] = terms[where].begin(), []
  stretch = terms["device"].batches.chunk
  for number in range(options.rounds + 1):  # the first compiles
    for where, ready in terms.items():
      first, began = number * stretch, time.perf_counter()
      states[where] = ready.teach(states[where], 0, first, first + stretch)
      states[where].step.block_until_ready()
      rates[where].append(stretch * options.batch / (time.perf_counter() - began))
  for ready in terms.values():
    ready.batches.ahead.close()
  digests = {trees.sha256(state.variables) for state in states.values()}
  medians = {where: round(statistics.median(taken[1:]), 1) for where, taken in rates.items()}
  return medians | {"rounds": options.rounds, "steps": stretch, "same_bits": len(digests) == 1}


def _lay_out(options):
  """Lays batches out as a streamed run does, and learns nothing."""
  from edjax.data import datasets
  from edjax.devices import pmap
  from edjax.training.evaluation import Loader

  dataset = datasets.load("food101", data_dir=str(options.out), image_size=options.size)
  loader = Loader(dataset, pmap.fleet(1, options.batch), "streamed")
  order = np.random.default_rng(0).permutation(len(dataset.train.labels)).astype(np.int32)
  stretch = min(len(order), (1 << 26) // loader.image_bytes)
  rates = []
  for number in range(options.rounds + 1):  # the first wakes the devices
    rows = np.roll(order, number * stretch)[None, :stretch]
    began = time.perf_counter()
    loader.seen("train", rows).block_until_ready()
    rates.append(stretch / (time.perf_counter() - began))
  return {"images_per_second": round(statistics.median(rates[1:])), "rounds": options.rounds}


_STAGES = {
  "decode": _decode,
  "generate": _generate,
  "prepare": _prepare,
  "laid_out": _lay_out,
  "paces": _paces,
  "school": _go_to_school,
}


def _processor():
  for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
    if line.startswith("model name"):
      return line.partition(":")[2].strip()
  return platform.processor()


if __name__ == "__main__":
  main()
