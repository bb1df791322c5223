"""A setting that does nothing under the others is said in a line; what does something is not."""

import itertools

import pytest

from configs import digits
from edjax import curriculum, idle, models, settings
from edjax.recipes import common
from tests import command
from tests.configs_test import CLASSES, MODULES


def notes(config, num_classes=10):
  config = settings.settle(config)
  student = config.student
  plan = curriculum.build(
    config.grades,
    config.subjects,
    num_classes,
    models.fragments(student.model, student.cut),
    config.faculty.generalists,
    student.cut,
  )
  return idle.notes(config, plan)


def changed(arg, changes):
  config = digits.get_config(arg)
  with config.unlocked():
    columns = {key.removeprefix("grades."): changes[key] for key in changes if "grades." in key}
    settings.set_columns(config, columns)
    config.update_from_flattened_dict({k: v for k, v in changes.items() if "grades." not in k})
  return notes(config)


DEEP = {"student.model": "resnet20"}  # which may be cut by depth
# (setting, its value, variants and settings under which it does nothing, those where it does)
ROWS = [
  ("data.validation_fraction", 0.2, ("kd", {"dataset": "tess"}), ("kd", {})),
  ("data.validation_fraction", 0.2, ("kd", {"dataset": "tess"}),
   ("kd", {"dataset": "tess", "data.split": "stars"})),
  ("recipe.milestones", (3, 5), ("kd", {}), ("kd", {"recipe.schedule": "steps"})),
  ("recipe.rise", 0.5, ("kd", {}), ("kd", {"recipe.schedule": "cycle"})),
  ("recipe.rise", 0.5, ("kd", {}), ("kd", {"faculty.generalist.schedule": "cycle"})),
  ("recipe.factor", 0.2, ("kd", {}), ("paper", {})),
  ("recipe.factor", 0.2, ("kd", {"recipe.schedule": "steps"}),
   ("kd", {"faculty.generalist.schedule": "steps", "faculty.generalist.milestones": (3,)})),
  ("recipe.dot_delta", 0.05, ("kd", {}), ("dot", {})),
  ("recipe.crops", 8, ("kd", {"recipe.pad": 0}), ("kd", {})),
  ("recipe.crops", 8, ("kd", {"recipe.pad": 0}), ("kd", {"recipe.pad": 0, "recipe.flip": True})),
  ("recipe.crops", 8, ("kd", {"recipe.pad": 0}), ("kd", {"recipe.pad": 0, "recipe.resized": 0.5})),
  ("recipe.magnitude", 5, ("kd", {}), ("kd", {"recipe.randaugment": 2})),
  ("recipe.specialist_weight", 2.0, ("kd", {}), ("ed", {})),
  ("recipe.specialist_weight", 2.0, ("paper", {}), ("kd", {"grades.teachers": ("both",)})),
  ("recipe.target", "seen", ("kd", {}), ("paper", {})),
  ("recipe.consensus", "entropy", ("kd", {}), ("kd", {"faculty.generalists": 3})),
  ("recipe.consensus", "entropy", ("paper", {}), ("ed", {})),
  ("grades.final_rate", (0.5,), ("paper", {}), ("kd", {})),
  ("grades.final_rate", (0.5,), ("kd", {"recipe.schedule": "cycle"}), ("kd", {})),
  ("grades.warmup_epochs", (0.5,), ("kd", {"recipe.schedule": "cycle"}), ("kd", {})),
  ("grades.teacher_size", (4.0,), ("ce", {}), ("kd", {})),
  ("grades.lower_rate", (0.5,), ("kd", {}), ("ed", {})),
  ("grades.lower_rate", (0.5,), ("kd", {}), ("kd", {"student.start": "a"})),
  ("grades.rehearsal", (0.5,), ("kd", {}), ("ed", {})),
  ("grades.rehearsal", (0.5,), ("ed", {"grades.subjects": (0,)}), ("paper", {})),
  ("grades.carry_momentum", (True,), ("kd", {}), ("ed", {})),
  ("student.keep_statistics", True, ("kd", {}), ("kd", {"student.start": "a"})),
  ("student.cut", "depth", ("kd", {}), ("kd", {"grades.frozen": (1,), **DEEP})),
  ("student.cut", "depth", ("kd", {}), ("paper", DEEP)),
  ("grades.reference_width", (8,), ("kd", {}), ("ed", {})),
  ("grades.reference_grid", (4,), ("kd", {}), ("ed", {})),
  ("grades.reference_relu", (False,), ("kd", {}), ("ed", {})),
  ("faculty.generalists", 3, ("paper", {}), ("kd", {})),
  ("faculty.generalist.checkpoint", "a", ("paper", {}), ("paper", {"class_order": "easiest"})),
  ("faculty.specialist.checkpoint", ("a", "b", "c"), ("kd", {}), ("paper", {})),
  ("faculty.generalist.start", "a", ("paper", {}), ("paper", {"class_order": "easiest"})),
  ("faculty.specialist.start", "a", ("kd", {}), ("paper", {})),
  ("faculty.generalist.mean", (0.5,), ("kd", {}), ("kd", {"faculty.generalist.checkpoint": "a"})),
  ("faculty.generalist.mean", (0.5,), ("kd", {}), ("kd", {"faculty.generalist.start": "a"})),
  ("faculty.generalist.std", (0.5,), ("kd", {}), ("kd", {"faculty.generalist.checkpoint": "a"})),
  ("faculty.specialist.mean", (0.5,), ("paper", {}),
   ("paper", {"faculty.specialist.checkpoint": ("a", "b", "c")})),
  ("faculty.specialist.std", (0.5,), ("paper", {}),
   ("paper", {"faculty.specialist.checkpoint": ("a", "b", "c")})),
  *(
    (f"faculty.{kind}.{name}", value, (arg, {}), (arg, {f"faculty.{kind}.start": "a"}))
    for name, value in (("frozen_epochs", 2.0), ("body_rate", 0.5), ("keep_statistics", True))
    for kind, arg in (("generalist", "kd"), ("specialist", "paper"))
  ),
  ("faculty.bank_fill", "up_front", ("kd", {}), ("kd", {"faculty.bank": "float32"})),
]  # fmt: skip


@pytest.mark.parametrize("key, value, nothing, something", ROWS)
def test_what_has_no_effect(key, value, nothing, something):
  (line,) = changed(nothing[0], nothing[1] | {key: value})
  assert line.startswith(f"--config.{key}=") and " has no effect: " in line and "\n" not in line
  assert not changed(*nothing)
  assert not [line for line in changed(something[0], something[1] | {key: value}) if key in line]


def test_a_student_cut_by_depth_has_no_teaching_reference():
  lines = changed("paper", {"student.cut": "depth"} | DEEP)
  assert [line.partition("=")[0] for line in lines] == [
    "--config.grades.reference_grid", "--config.grades.reference_relu",
  ]  # fmt: skip


def test_every_row_is_tried():
  assert [row[0] for row in idle.ROWS] == list(dict.fromkeys(row[0] for row in ROWS))


@pytest.mark.parametrize("name", CLASSES)
def test_no_variant_sets_anything_in_vain(name):
  made, axes = 0, [("", *MODULES[name].VARIANTS[axis]) for axis in common.AXES]
  for chosen in itertools.product(*axes):
    try:
      config = MODULES[name].get_config(",".join(filter(None, chosen)))
    except ValueError:
      continue  # a method that the curriculum has nobody for
    assert not notes(config, CLASSES[name]), chosen
    made += 1
  assert made > 50


def test_a_run_says_so(capfd, tmp_path):
  """At the start, before anything is trained: a teacher that is not there ends it."""
  ended = command.give(
    capfd, "--config=configs/digits.py:kd,smoke", f"--workdir={tmp_path}",
    "--config.recipe.milestones=3,5", f"--config.faculty.generalist.checkpoint={tmp_path / 'a'}",
  )  # fmt: skip
  assert ended.code == 1
  said = ended.out + ended.err
  assert "--config.recipe.milestones=3,5 has no effect: recipe.schedule 'steps' alone" in said
