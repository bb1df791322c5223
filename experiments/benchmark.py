r"""Training speed of the compiled step beside plain PyTorch, eager and channels_last, in one run.

python experiments/benchmark.py [--pairs=resnet110-resnet20,…] [--steps=10] [--rounds=3] [--json=F]

Same networks, batch, images (random bytes of CIFAR-100's shape), augmentation, loss on both sides;
float32; teachers are random, which costs the same. Rounds of edjax and PyTorch alternate, and the
ratio of the medians is what counts: machines are shared and noisy. Needs the extra [test].
"""

import argparse
import json
import pathlib
import platform
import statistics
import sys
import time

import jax
import numpy as np
import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from edjax import curriculum, methods, models, parallel  # noqa: E402
from edjax.classroom import Classroom  # noqa: E402
from edjax.data.datasets import Dataset, Split  # noqa: E402
from edjax.faculty import Teacher  # noqa: E402
from edjax.term import Study, prepare  # noqa: E402
from tests.reference import resnet, training  # noqa: E402

_CLASSES, _IMAGES = 100, 4_096
_TORCH = {
  "resnet8x4": lambda classes: resnet.ResNet(8, (32, 64, 128, 256), classes),
  "resnet20": lambda classes: resnet.ResNet(20, classes=classes),
  "resnet32x4": lambda classes: resnet.ResNet(32, (32, 64, 128, 256), classes),
  "resnet110": lambda classes: resnet.ResNet(110, classes=classes),
}


def main():
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--pairs", default="resnet110-resnet20,resnet32x4-resnet8x4")
  parser.add_argument("--schools", default="kd,ed", help="kd: a generalist; ed: three specialists")
  parser.add_argument("--steps", type=int, default=10)
  parser.add_argument("--rounds", type=int, default=3)
  parser.add_argument("--batch", type=int, default=64)
  parser.add_argument("--devices", type=int, default=1, help="of edjax; on a CPU see README")
  parser.add_argument("--json", type=pathlib.Path)
  options = parser.parse_args()
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (_IMAGES, 32, 32, 3), dtype=np.uint8)
  labels = np.arange(_IMAGES, dtype=np.int32) % _CLASSES
  print(f"{platform.processor() or platform.machine()}, jax {jax.__version__} on "
        f"{jax.devices()[0].device_kind}, torch {torch.__version__}")  # fmt: skip
  rows = []
  for pair in options.pairs.split(","):
    for school in options.schools.split(","):
      rows.append(_compare(pair, school, images, labels, options))
      print(json.dumps(rows[-1]), flush=True)
  if options.json:
    options.json.write_text(json.dumps(rows, indent=2) + "\n")


def _compare(pair, school, images, labels, options):
  teacher, student = pair.split("-")
  subjects = curriculum.subjects_of((1, 1, 1) if school == "ed" else (1,), _CLASSES)
  ours = _edjax_round(teacher, student, subjects, images, labels, options)
  times = {"edjax": [], "torch": []}
  for _ in range(options.rounds):
    times["edjax"].append(ours())
    times["torch"].append(_torch_round(teacher, student, subjects, images, labels, options))
  seconds = {side: statistics.median(values) for side, values in times.items()}
  return {
    "pair": f"{teacher} → {student}",
    "school": school,
    "batch": options.batch,
    "edjax_images_per_second": round(options.batch / seconds["edjax"], 1),
    "torch_images_per_second": round(options.batch / seconds["torch"], 1),
    "ratio": round(seconds["torch"] / seconds["edjax"], 3),
    "rounds": options.rounds,
    "steps": options.steps,
  }


def _edjax_round(teacher, student, subjects, images, labels, options):
  """Compiles the last grade of a school; returns a function that times a stretch of its steps."""
  split = Split(images, labels)
  names = tuple(str(label) for label in range(_CLASSES))
  dataset = Dataset("random", names, split, split, split, (0.5,) * 3, (0.25,) * 3)
  room = Classroom(dataset, parallel.fleet(options.devices, options.batch))
  faculty = {}
  for subject in subjects:
    network = models.graduate(models.body(teacher), len(subject.classes))
    init = jax.jit(network.init, compiler_options={"xla_backend_optimization_level": 0})
    variables = jax.device_get(init(jax.random.key(0), np.zeros((1, 32, 32, 3), np.float32)))
    faculty[subject.name] = Teacher(subject.name, teacher, subject.classes, variables)
  grade = curriculum.Grade("grade", 3, subjects, tuple(faculty), epochs=1)
  study = Study(
    label="benchmark",
    model=student,
    curriculum=curriculum.Curriculum(subjects, (grade,)),
    order=tuple(range(_CLASSES)),
    teachers=faculty,
    recipe=curriculum.Recipe(options.batch, pad=4, flip=True),
    methods=methods.build({"ce": {"weight": 0.3}, "kd": {"weight": 0.7}}),
    seed=0,
    directory=pathlib.Path(),
    every_seconds=0.0,
    keep=0,
  )
  term = prepare(study, room, 0, 0)
  state = jax.block_until_ready(term.teach(term.begin(), 0, 0, 2))

  def round_():
    nonlocal state
    began = time.perf_counter()
    state = jax.block_until_ready(term.teach(state, 0, 2, 2 + options.steps))
    return (time.perf_counter() - began) / options.steps

  return round_


def _torch_round(teacher, student, subjects, images, labels, options):
  device = "cuda" if torch.cuda.is_available() else "cpu"
  teachers = [
    training.Teacher(_TORCH[teacher](len(s.classes)), torch.tensor(s.classes)) for s in subjects
  ]
  return training.seconds_per_step(
    _TORCH[student](_CLASSES),
    teachers,
    torch.from_numpy(images),
    torch.from_numpy(labels).long(),
    steps=options.steps,
    device=device,
    batch=options.batch,
    warmup=2,
    window=options.steps,
  )


if __name__ == "__main__":
  main()
