"""Variants of every config: each pair and, with smoke, each triple builds or is refused by axis."""

import importlib
import itertools

import pytest

from edjax import curriculum, models, rows, settings
from edjax.recipes import common, published
from tests.configs_test import CLASSES, MODULES, plan

NAMES = {
  name: {key: axis for axis in common.AXES for key in module.VARIANTS[axis]}
  for name, module in MODULES.items()
}


def made(name, *variants):
  return MODULES[name].get_config(",".join(variants))


def state(config):
  return settings.to_json(settings.settle(config))


@pytest.mark.parametrize("name", CLASSES)
def test_every_pair_and_every_triple_with_smoke(name):
  built = refused = 0
  for pair in itertools.combinations(NAMES[name], 2):
    axes = [NAMES[name][key] for key in pair]
    if axes[0] == axes[1]:
      with pytest.raises(ValueError, match=f"'{pair[0]}' and '{pair[1]}' are both a {axes[0]}"):
        made(name, *pair)
      refused += 1
      continue
    chosen = dict(zip(axes, pair, strict=True))
    try:
      one = made(name, *pair)
    except ValueError as error:
      assert chosen["curriculum"] in ("ce", "paper", "mixed", "specialists"), error
      assert all(repr(key) in str(error) for key in pair)
      refused += 1
      continue
    assert state(one) == state(made(name, *reversed(pair)))
    assert one.name == "_".join([name, *(chosen[axis] for axis in common.AXES if axis in chosen)])
    plan(one, CLASSES[name])
    if "size" not in chosen:
      plan(made(name, *pair, "smoke"), CLASSES[name])
    built += 1
  assert built > refused / 20 and refused


@pytest.mark.parametrize("method", published.METHODS)
def test_a_curriculum_is_taught_by_the_method_that_is_named(method):
  """The grades are the curriculum's own, apart from a phase before, and the method is the row's."""
  if method in published.GENERAL:
    with pytest.raises(ValueError, match=f"{method}.*teachers of all classes.*'paper'"):
      made("cifar100", "paper", method)
    return
  config, paper = made("cifar100", "paper", method), made("cifar100", "paper")
  assert set(config.methods) == set(published.METHODS[method])
  phases = len(config.grades) - len(paper.grades)
  assert phases == (method == "ft")
  for key in ("fragments", "subjects", "epochs"):
    taught, plain = (rows.in_order(each.grades) for each in (config, paper))
    assert [row[key] for row in taught[phases:]] == [row[key] for row in plain]
  assert config.student == paper.student


def test_without_a_curriculum_a_method_is_ordinary_distillation():
  alone, named = made("cifar100", "dkd"), made("cifar100", "kd", "dkd")
  assert state(alone) | {"name": ""} == state(named) | {"name": ""}
  assert rows.columns(alone.grades)["teachers"] == ("generalist",) and alone.name == "cifar100_dkd"
  assert state(made("digits")) | {"name": ""} == state(made("digits", "ed")) | {"name": ""}


def test_no_teacher_no_method():
  for name in CLASSES:
    with pytest.raises(ValueError, match="'ce' has no teacher, so the method 'dkd'"):
      made(name, "dkd", "ce")


def test_nothing_is_left_of_other_variants():
  """A method changes the recipe only as its own row says, whatever the curriculum."""
  for name in CLASSES:
    for method in ("dkd", "at", "sp"):
      for part in ("kd", "ed", "paper"):
        with_method, without = state(made(name, part, method)), state(made(name, part))
        same = ("recipe", "faculty", "student", "grades", "data", "subjects")
        assert all(with_method[key] == without[key] for key in same)


def test_students_rates_under_function_matching():
  """Its peak is 0.01 under every curriculum, and the teachers keep the config's own recipe."""
  for part in ("kd", "ed", "paper"):
    config, plain = made("food101", part, "function"), made("food101", part)
    rates = rows.columns(config.grades)["learning_rate"]
    assert max(rates) == pytest.approx(0.01)
    recipe = settings.settle(config).recipe
    assert (recipe.optimiser, recipe.schedule, recipe.clip) == ("adamw", "cosine", 1.0)
    for kind in ("specialist", "generalist"):
      assert state(config)["faculty"][kind] == state(plain)["faculty"][kind]


def test_simkd_ends_in_whatever_teaches():
  config = made("cifar100", "simkd")
  with config.unlocked():
    config.faculty.generalist.model = "resnet32x4"
  resolved = settings.settle(config)
  assert resolved.student.model == "resnet20+simkd256"
  config = made("digits", "simkd", "ed")
  assert rows.columns(config.grades)["methods"] == ("kd", "kd", "simkd")
  fragments = len(models.body(settings.settle(config).student.model).fragments)
  curriculum.build(rows.build(config.grades.to_dict()), config.subjects, 10, fragments)


def test_configs_are_found_by_their_variants():
  for name in CLASSES:
    assert set(importlib.import_module(f"configs.{name}").VARIANTS) == set(common.AXES)


ONE_SUBJECT = (
  "tess",
  "kepler",
  "et",
  "bulge",
)  # too few classes for an order to say who knows what


def test_the_order_of_classes_is_the_configs_but_for_the_published_curriculum():
  """Without grades too: whose specialists know what, and which column is whose, stays the same."""
  for name in CLASSES:
    own = "given" if name in ("digits", *ONE_SUBJECT) else "similar"
    for variants in ((), ("kd",), ("ce",), ("dkd",), ("ed",)):
      assert made(name, *variants).class_order == own
    assert made(name, "paper").class_order == "given"
