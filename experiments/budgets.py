"""What a run will cost before it is run, and lengths at which arms of an experiment cost the same.

Cost is multiply-accumulates of training, the student's and those of its teachers' answers.
"""

import dataclasses
import importlib
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from edjax import settings as settings_of
from edjax.compare import arms
from edjax.devices import pmap
from edjax.teachers import acquire, untrained
from edjax.training import loop, preflight
from edjax.training.evaluation import Loader


def settled(config, changes):
  """Returns the `Settings` of a config, as "cifar100:brief,kd", with changes.

  Args:
    config: a file of configs/ and its variants.
    changes: {dotted setting: value}; "grades.epochs" and the like are one value per grade.
  """
  name, _, variants = config.partition(":")
  made = importlib.import_module(f"edjax.configs.{name}").get_config(variants)
  columns = {key: value for key, value in changes.items() if key.startswith("grades.")}
  settings_of.set_columns(made, {key.removeprefix("grades."): columns[key] for key in columns})
  made.update_from_flattened_dict({key: changes[key] for key in changes.keys() - columns})
  return settings_of.settle(made)


def flags(config, changes):
  """Returns the same as arguments of the command."""

  def written(value):
    several = value if isinstance(value, tuple) else (value,)
    return ",".join(f"{each:.8g}" if isinstance(each, float) else str(each) for each in several)

  name, colon, variants = config.partition(":")
  given = [f"--config.{key}={written(value)}" for key, value in changes.items()]
  return [f"--config=configs/{name}.py{colon}{variants}", *given]


def work(settings, dataset):
  """Returns the multiply-accumulates of each grade of a run on a `datasets.Dataset`."""
  plan = loop.planned(settings, len(dataset.class_names))
  study = loop.study_of(settings, plan, pathlib.Path())
  loader = Loader(dataset, pmap.fleet(1, settings.recipe.batch_size))
  teachers = {}
  for name in plan.teachers:
    known = acquire.wanted(name, plan.subjects, study.order).labels
    model = untrained.options(settings.faculty, name).model
    teachers[name] = preflight.abstract(name, model, known, loader.image_shape)
  return preflight.trace(dataclasses.replace(study, teachers=teachers), loader)


def lengths(settings, dataset, macs, shares=()):
  """Returns the epochs of each grade that cost `macs` in all.

  Args:
    settings: a `Settings`.
    dataset: a `datasets.Dataset`.
    macs: multiply-accumulates of learning and answers.
    shares: of them, a grade's; () for epochs in the proportion of `settings`.
  """
  costs = work(settings, dataset)
  shares = shares or [cost / sum(costs) for cost in costs]
  grades = zip(settings.grades, costs, shares, strict=True)
  return tuple(row.epochs * share * macs / cost for row, cost, share in grades)


def paired(ours, theirs):
  """Returns (mean difference, half of its 95 % interval, n) of figures of the same seeds.

  Args:
    ours, theirs: {seed: figure}; seeds that one lacks are left out.
  """
  return dataclasses.astuple(
    arms.paired([ours[seed] - theirs[seed] for seed in {*ours} & {*theirs}])
  )
