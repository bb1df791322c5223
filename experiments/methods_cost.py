r"""What a training step costs with each distillation algorithm, beside ordinary distillation's.

python experiments/methods_cost.py --data_dir=DIR [--config=fashion_mnist:brief] [--methods=at,crd]
  [--steps=10] [--rounds=5] [--out=FILE.md]

Student, teachers, batch and images are the config's; the teachers are random, which costs the same.
Timed is the grade in which the whole student learns, its first phase for methods that have one.
Rounds of a method and of KD alternate in one process, and the ratio of the medians is what counts,
as machines are shared.
"""

import argparse
import dataclasses
import importlib
import pathlib
import statistics
import sys
import time

import jax

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from edjax import curriculum, methods, models, settings
from edjax.data import datasets
from edjax.devices import pmap, xla
from edjax.recipes import published
from edjax.study import Study
from edjax.teachers import faculty
from edjax.training.evaluation import Loader
from edjax.training.grade import ReadyGrade

_WARM = 3  # steps before the clock starts; the first compiles


def main():
  xla.quicken_cpus()
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--data_dir", default="")
  parser.add_argument("--config", default="fashion_mnist:brief", help="file in configs/, variants")
  parser.add_argument("--methods", default=",".join(published.METHODS))
  parser.add_argument("--steps", type=int, default=10)
  parser.add_argument("--rounds", type=int, default=5)
  parser.add_argument("--out", type=pathlib.Path, help="where the table goes besides the screen")
  options = parser.parse_args()
  loader = _loader(options)
  lines = ["| method | ms per step | KD in the same rounds | KD = 1 |", "|---|---|---|---|"]
  print("\n".join(lines))
  usual = _round("kd", loader, options)
  for name in options.methods.split(","):
    own = _round(name, loader, options)
    times = [(own(), usual()) for _ in range(options.rounds)]
    ours, theirs = (1e3 * statistics.median(column) for column in zip(*times, strict=True))
    lines.append(f"| {name} | {ours:.1f} | {theirs:.1f} | {ours / theirs:.2f} |")
    print(lines[-1], flush=True)
  if options.out:
    options.out.write_text("\n".join(lines) + "\n")


def _config(options, *variants):
  file, _, arg = options.config.partition(":")
  names = [name for name in (*arg.split(","), *variants) if name]
  made = importlib.import_module(f"configs.{file}").get_config(",".join(names))
  return settings.settle(made)


def _loader(options):
  config = _config(options)
  dataset = datasets.load(config.dataset, data_dir=options.data_dir, **vars(config.data))
  return Loader(dataset, pmap.fleet(1, config.recipe.batch_size))


def _round(name, loader, options):
  """Compiles a method's grade; returns a function that times its steps, in seconds per step."""
  config = _config(options, name)
  count = len(loader.dataset.class_names)
  fragments = models.fragments(config.student.model, config.student.cut)
  plan = curriculum.build(
    config.grades,
    config.subjects,
    count,
    fragments,
    config.faculty.generalists,
    config.student.cut,
  )
  study = Study(
    label=name,
    **vars(config.student),
    curriculum=plan,
    order=tuple(range(count)),
    teachers={teacher: _teacher(teacher, config, loader) for teacher in plan.teachers},
    recipe=config.recipe,
    methods=methods.build(config.methods),
    seed=0,
    directory=pathlib.Path(),
    every_seconds=0.0,
    keep=1,
  )
  term = ReadyGrade(study, loader, 0, 0)
  state = term.begin()
  state = jax.block_until_ready(term.teach(state, 0, 0, _WARM))

  def seconds():
    nonlocal state
    began = time.perf_counter()
    state = jax.block_until_ready(term.teach(state, 0, _WARM, _WARM + options.steps))
    return (time.perf_counter() - began) / options.steps

  return seconds


def _teacher(name, config, loader):
  classes = tuple(range(len(loader.dataset.class_names)))
  teacher = faculty.Teacher(name, config.faculty.generalist.model, classes, {})
  variables = models.begin(teacher.network, jax.random.key(0), loader.image_shape)
  return dataclasses.replace(teacher, variables=jax.device_get(variables))


if __name__ == "__main__":
  main()
