"""Subjects, grades and class orders, and what cannot be said."""

import math
import re

import numpy as np
import pytest

from edjax import curriculum, models, plans, rows
from edjax.errors import UserError, choose
from edjax.recipes import common
from edjax.rows import GradeRow

GRADES = rows.columns(common.base("test", "digits").grades.to_dict()) | {
  "fragments": (1, 2, 3),
  "subjects": (1, 2, 3),
  "teachers": ("specialists",),
  "epochs": (150, 30, 60),
  "learning_rate": (0.1, 0.05, 0.01),
  "reference_grid": (4, 1, 1),
  "reference_relu": (False,),
}


def build(ratios=(1, 1, 1), classes=10, **changes):
  grades = rows.build(rows.from_columns(GRADES | changes))
  return curriculum.build(grades, ratios, classes, num_fragments=3)


@pytest.mark.parametrize(
  "ratios, classes, sizes",
  [
    ((1, 1, 1), 100, [33, 33, 34]),  # the published split
    ((1, 1, 1), 10, [3, 3, 4]),
    ((1,), 10, [10]),
    ((1, 1, 1), 2, [2]),  # a subject of one class has nothing to tell apart
    ((1, 1, 1), 3, [3]),
    ((1, 1, 1), 4, [2, 2]),
    ((1, 1, 1), 5, [2, 3]),
    ((1, 1, 1), 6, [2, 2, 2]),
    ((1, 9), 10, [10]),
    ((2, 1, 1), 100, [50, 25, 25]),
    ((1, 2), 10, [3, 7]),
    ((0.5, 0.25, 0.25), 8, [4, 2, 2]),
  ],
)
def test_subjects_cut_the_places_in_ratios(ratios, classes, sizes):
  subjects = curriculum.subjects_of(ratios, classes)
  assert [len(subject.classes) for subject in subjects] == sizes
  assert [place for subject in subjects for place in subject.classes] == list(range(classes))
  assert [s.name for s in subjects] == [f"subject_{n + 1}" for n in range(len(sizes))]


@pytest.mark.parametrize("ratios", [(1, 0), (1, -1), ()])
def test_ratios_are_positive(ratios):
  with pytest.raises(UserError, match="subjects"):
    curriculum.subjects_of(ratios, 3)


def test_grades_follow_one_another():
  plan = build()
  assert [g.name for g in plan.grades] == ["grade_1", "grade_2", "grade_3"]
  assert [g.fragments for g in plan.grades] == [1, 2, 3]
  assert [g.num_classes for g in plan.grades] == [3, 6, 10]
  assert [g.start_epoch for g in plan.grades] == [0, 150, 180]
  assert [g.learning_rate for g in plan.grades] == [0.1, 0.05, 0.01]
  assert [dict(g.reference) for g in plan.grades] == [
    {"width": 0, "grid": 4, "relu": False},
    {"width": 0, "grid": 1, "relu": False},
    {},  # its head is the network's own
  ]
  assert [g.teachers for g in plan.grades] == [
    ("subject_1",),
    ("subject_1", "subject_2"),
    ("subject_1", "subject_2", "subject_3"),
  ]
  assert plan.num_classes == 10
  assert plan.teachers == ("subject_1", "subject_2", "subject_3")


def test_one_entry_holds_for_every_grade():
  columns = {key: column * 3 if len(column) == 1 else column for key, column in GRADES.items()}
  assert build(**columns) == build()


def test_teachers_by_grade():
  plan = build(teachers=("none", "generalist", "both"))
  assert [g.teachers for g in plan.grades] == [
    (),
    ("generalist",),
    ("subject_1", "subject_2", "subject_3", "generalist"),
  ]
  assert build(teachers=("generalist",)).teachers == ("generalist",)
  assert build(teachers=("none",)).teachers == ()


def test_zero_subjects_are_all():
  plan = build(subjects=(0,))
  assert all(grade.subjects == plan.subjects for grade in plan.grades)


@pytest.mark.parametrize(
  "changes, said",
  [
    ({"epochs": (1, 0, 1)}, "grade 2 of 3 has 0 epochs"),
    ({"fragments": (1, 2, 2)}, "do not cover the network.*2 of 3"),
    ({"fragments": (1, 2, 4)}, "grade 3 of 3 has 4 fragments"),
    ({"fragments": (-1, 2, 3)}, "grade 1 of 3 has -1 fragments"),
    ({"fragments": (0, 2, 3)}, "grade_2 has fewer"),
    ({"fragments": (2, 1, 3)}, "grade_2 has fewer"),
    ({"subjects": (2, 1, 3)}, "grade_2 has fewer"),
    ({"fragments": (2, 2, 3)}, "grade_2 .* keeps its teaching reference; let grades.reference_wid"),
    ({"subjects": (1, 2, 2)}, "sees 6 of 10 classes"),
    ({"subjects": (1, 2, 4)}, "grade 3 of 3 sees 4 subjects, but there are 3"),
    ({"subjects": (-1, 2, 3)}, "grade 1 of 3 sees -1"),
    ({"epochs": (1, 1)}, "grades.epochs has 2 entries, but there are 3"),
    ({"teachers": ("specialist",)}, "grades.teachers is 'specialist'.*none, specialists, gen"),
    ({"frozen": (0, 3, 0)}, "grade 2 of 3 freezes 3 of 2"),
    ({"frozen": (-2,)}, "freezes -2"),
    ({"rehearsal": (0.0,)}, "rehearsal 0.0"),
    ({"rehearsal": (1.5,)}, "rehearsal 1.5"),
    ({"warmup_epochs": (0.0, 31.0, 0.0)}, "warms up for 31 of its 30"),
    ({"warmup_epochs": (-1.0,)}, "warms up for -1 of"),
    ({"final_rate": (-0.1,)}, "final_rate -0.1"),
    ({"final_rate": (2.0,)}, "final_rate 2.0"),
    ({"learning_rate": (0.0,)}, "learning_rate and lower_rate must be positive"),
    ({"lower_rate": (0.0,)}, "learning_rate and lower_rate must be positive"),
  ],
)
def test_what_cannot_be_is_named(changes, said):
  with pytest.raises(UserError, match=said) as caught:
    build(**changes)
  assert "\n" not in str(caught.value)


def test_zero_means_all():
  assert build(fragments=(1, 2, 0), subjects=(1, 2, 0)) == build()


@pytest.mark.parametrize("classes, seen", [(2, [2, 2, 2]), (3, [3, 3, 3]), (5, [2, 5, 5])])
def test_few_classes_make_fewer_subjects_and_say_so(classes, seen):
  plan = build(classes=classes)
  assert [grade.num_classes for grade in plan.grades] == seen
  (note,) = plan.notes
  assert f"{classes} classes make {len(plan.subjects)} subject" in note and "not 3" in note
  assert build(classes=6).notes == ()


def test_one_class_is_no_school():
  with pytest.raises(UserError, match="there is 1 class"):
    build(classes=1)


def test_a_reference_that_stays_may_not_change():
  assert build(fragments=(2, 2, 3), reference_grid=(4, 4, 1)).grades[1].fragments == 2
  assert build(fragments=(3,), reference_grid=(4, 1, 1)).grades[0].fragments == 3  # has none


def test_a_grade_may_name_one_of_several_generalists():
  """A smaller or earlier teacher for lower grades, as schools have them."""
  rowed = [GradeRow(teachers=who) for who in ("generalist_2", "generalist_1", "generalist", "both")]
  plan = curriculum.build(rowed, (1, 1), 10, 3, generalists=2)
  assert [grade.teachers for grade in plan.grades] == [
    ("generalist_2",),
    ("generalist",),
    ("generalist", "generalist_2"),
    ("subject_1", "subject_2", "generalist", "generalist_2"),
  ]
  with pytest.raises(UserError, match="grade 1 of 4 is taught by generalist_2, but there is one"):
    curriculum.build(rowed, (1, 1), 10, 3)
  with pytest.raises(UserError, match="generalist_0"):
    GradeRow(teachers="generalist_0")


def test_ordinary_training_is_one_grade_or_one_per_size():
  subject = curriculum.Subject("subject_2", (0, 1, 2))
  row = GradeRow(epochs=5, learning_rate=0.2, warmup_epochs=1.0)
  plan = curriculum.ordinary(subject, 3, [row])
  (only,) = plan.grades
  assert plan.subjects == only.subjects == (subject,)
  assert (only.fragments, only.epochs, only.learning_rate, only.warmup_epochs) == (3, 5, 0.2, 1.0)
  assert only.teachers == plan.teachers == () and only.frozen == 0
  plan = curriculum.ordinary(subject, 3, plans.sized(row, (16, 24, 32)))
  assert [grade.image_size for grade in plan.grades] == [16, 24, 0]
  assert [grade.fragments for grade in plan.grades] == [3] * 3
  assert plan.grades[2].start_epoch == pytest.approx(5 * 0.3 * (4 + 16 / 9))


def test_images_that_grow_cost_what_whole_ones_do():
  """An image of half the side costs a quarter; the smaller ones get most of the compute."""
  for sizes in ((32,), (20, 32), (16, 24, 32), (8, 16, 24, 32), plans.SIZES):
    grades = plans.sized(GradeRow(epochs=7, warmup_epochs=3.0), sizes)
    work = [row.epochs * (size / sizes[-1]) ** 2 for row, size in zip(grades, sizes, strict=True)]
    assert sum(work) == pytest.approx(7)
    assert [row.image_size for row in grades] == [*sizes[:-1], 0]
    assert [row.warmup_epochs > 0 for row in grades] == [True] + [False] * (len(sizes) - 1)
  assert [row.epochs for row in plans.sized(GradeRow(epochs=10), (16, 24, 32))] == pytest.approx(
    [12, 16 / 3, 4]
  )
  for wrong in ((), (24, 16), (16, 16), (0, 16)):
    with pytest.raises(UserError, match="image_sizes is .*; give sizes, each larger than the one"):
      plans.sized(GradeRow(), wrong)


def test_class_orders():
  assert curriculum.class_order("given", 4, seed=3) == (0, 1, 2, 3)
  assert curriculum.class_order("3, 1,0,2", 4, seed=3) == (3, 1, 0, 2)
  shuffled = [curriculum.class_order("shuffled", 50, seed) for seed in (0, 0, 1)]
  assert shuffled[0] == shuffled[1] != shuffled[2]
  assert all(sorted(order) == list(range(50)) for order in shuffled)
  assert shuffled[0] != tuple(range(50))


@pytest.mark.parametrize(
  "how", ["0,1,2", "0,1,2,2", "0,1,2,4", "0,1,2,x", "", "random", "0,1,2,-3"]
)
def test_an_order_names_every_label_once(how):
  with pytest.raises(UserError, match="class_order.*0 to 3"):
    curriculum.class_order(how, 4, seed=0)


@pytest.mark.parametrize(
  "key, value",
  [
    ("schedule", "cosin"),
    ("target", "all"),
    ("batch_size", 0),
    ("pad", -1),
    ("crops", -1),
    ("resized", 1.0),
    ("resized", -0.1),
    ("momentum", 1.5),
    ("momentum", 1.0),
    ("momentum", -0.1),
    ("momentum", float("nan")),
    ("weight_decay", -1.0),
    ("weight_decay", float("inf")),
    ("weight_decay", float("nan")),
    ("factor", 0.0),
    ("factor", 1.0),
    ("factor", float("nan")),
    ("clip", float("nan")),
    ("ema", 1.0),
    ("ema", -0.1),
    ("ema", float("nan")),
    ("mixup", float("inf")),
    ("dot_delta", -0.1),
    ("specialist_weight", -1.0),
    ("specialist_weight", float("nan")),
    ("milestones", (20, 10)),
    ("milestones", (10, 10)),
    ("milestones", (-5, 10)),
    ("milestones", (0.5,)),
  ],
)
def test_recipes_are_checked(key, value):
  with pytest.raises(UserError, match=re.escape(f"recipe.{key} is {value!r}")) as caught:
    curriculum.Recipe(**{"batch_size": 8, key: value})
  assert "\n" not in str(caught.value)


@pytest.mark.parametrize("optimiser, momentum", [("adamw", 0.9), ("dot", 0.9), ("sgd", 0.0)])
def test_nesterovs_momentum_is_of_sgd(optimiser, momentum):
  known = {"batch_size": 8, "optimiser": optimiser, "momentum": momentum, "dot_delta": 0.0}
  with pytest.raises(UserError, match="recipe.nesterov.*give recipe.nesterov=False"):
    curriculum.Recipe(nesterov=True, **known)
  assert curriculum.Recipe(**known).optimiser == optimiser


@pytest.mark.parametrize(
  "changes",
  [
    {"fragments": 0},
    {"epochs": 0},
    {"learning_rate": math.nan},
    {"learning_rate": math.inf},
    {"lower_rate": -1.0},
    {"lower_rate": math.nan},
    {"final_rate": math.nan},
    {"warmup_epochs": math.nan},
    {"rehearsal": math.nan},
    {"frozen": 4},
    {"reference": (("grid", 0),)},
  ],
)
def test_a_grade_is_checked_whoever_builds_it(changes):
  sound = {"name": "grade_1", "fragments": 3, "subjects": (), "teachers": (), "epochs": 1}
  assert curriculum.Grade(**sound).fragments == 3
  with pytest.raises(UserError, match="grade_1"):
    curriculum.Grade(**sound | changes)


@pytest.mark.parametrize("fragments", [0, 4, 99, -1])
def test_a_network_has_no_more_fragments_than_it_has(fragments):
  with pytest.raises(UserError, match=f"no network of {fragments} fragments.* has 1 to 3"):
    models.pupil(models.body("resnet8"), fragments, 5)


def test_there_is_one_way_to_crop():
  with pytest.raises(UserError, match="recipe.resized and recipe.pad are two ways to crop"):
    curriculum.Recipe(batch_size=8, pad=4, resized=0.08)


def test_choose_hints_at_the_nearest_name():
  table = {"resnet8": 1, "resnet20": 2, "wrn_16_1": 3}
  assert choose(table, "resnet20", "model") == 2
  with pytest.raises(UserError) as caught:
    choose(table, "resnet2", "model")
  message = str(caught.value)
  assert "unknown model 'resnet2' (did you mean 'resnet20'?)" in message
  assert all(name in message for name in table)
  with pytest.raises(UserError) as caught:
    choose(table, "zzz", "model")
  assert "did you mean" not in str(caught.value)


def test_a_curriculum_is_a_constant():
  plan = build()
  assert hash(plan) == hash(build())
  with pytest.raises(AttributeError):
    plan.grades[0].epochs = np.inf
