"""Every published variant teaches real digits, alone and in a curriculum, and survives a kill."""

import dataclasses
import functools

import pytest

from configs import digits
from edjax import methods, models, settings
from edjax.recipes import published
from edjax.settings import settle
from edjax.training import loop
from tests import small
from tests.training import resume_test

CHANCE = 0.1


def test_every_method_has_a_variant():
  used = {method for row in published.METHODS.values() for method in row}
  assert used == set(methods.METHODS)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
  return tmp_path_factory.mktemp("teachers")


# Three convolutions, which compile quickly; the teachers are the same, so every method fits them.
PUPIL = dataclasses.replace(
  small.SMALL,
  fragments=tuple(
    functools.partial(small.Layer, channels, stride)
    for channels, stride in ((12, 1), (16, 2), (24, 2))
  ),
  width=24,
)


# At their published weights these outweigh the labels at first; the second's hundreds, on maps that
# nothing normalises, also need smaller steps.
PATIENCE = {"at": 3, "semckd": 3}
RATE = {"semckd": 0.2}


@pytest.mark.slow
@pytest.mark.parametrize("under", ["alone", "ed"])
@pytest.mark.parametrize("variant", published.METHODS)
def test_a_student_learns(variant, under, compiled, cache, tmp_path, monkeypatch):
  """451 test digits, after a few epochs; three grades under education."""
  monkeypatch.setitem(models.MODELS, "pupil", PUPIL)
  config = digits.get_config(variant if under == "alone" else f"{variant},ed")
  config.student.model = "pupil+simkd24" if variant == "simkd" else "pupil"
  config.devices, config.faculty.cache = 1, str(cache)
  for part in (config.faculty.specialist, config.faculty.generalist):
    part.update(model="pupil", epochs=12)
  phases = len(config.grades)
  epochs = {1: (12,), 2: (3, 12), 3: (2, 4, 10), 4: (2, 2, 4, 10)}[phases]
  epochs = tuple(PATIENCE.get(variant, 1) * length for length in epochs)
  rates = tuple(RATE.get(variant, 1) * row.learning_rate for row in config.grades.values())
  settings.set_columns(config, {"epochs": epochs, "learning_rate": rates})
  report = loop.run(settle(config), tmp_path / "run")
  assert len(report["grades"]) == phases and report["student"]["exam_count"] == 451
  assert report["student"]["top1"] > 4 * CHANCE, report["student"]["top1"]


# Projectors, learned variances, a learned temperature, statistics; a memory that is drawn from.
LEARNING = (
  "--config.methods={'ce':{'weight':1.0},'vid':{'weight':0.1},'crd':{'weight':0.5,'negatives':64},"
  "'ofd':{'weight':0.001},'fitnet':{'weight':1.0},'srrl':{'weight':0.1},'ctkd':{'weight':0.5}}",
)


@pytest.mark.slow
def test_projectors_and_memories_survive_a_kill(compiled, tmp_path):
  whole, cache = tmp_path / "whole", f"--config.faculty.cache={tmp_path / 'cache'}"
  resume_test.go(whole, compiled, cache, *LEARNING)
  for moment in (resume_test.in_a_grade, resume_test.at_the_graft):
    run = tmp_path / moment.__name__
    resume_test.kill(run, compiled, moment, cache, *LEARNING)
    said = resume_test.go(run, compiled, cache, *LEARNING)
    assert "student: continuing after step" in said or moment is resume_test.at_the_graft
    resume_test.same(run, whole)
