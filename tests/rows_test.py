"""Grades as rows and as columns; what a row cannot say."""

import dataclasses

import pytest

from edjax import rows
from edjax.errors import UserError

TWO = (
  rows.GradeRow(fragments=1, epochs=3, teachers="none"),
  rows.GradeRow(epochs=4, teachers="none", learning_rate=1),
)


def test_rows_and_columns_say_the_same():
  named = rows.named(TWO)
  columns = rows.columns(named)
  assert columns["epochs"] == (3, 4) and columns["teachers"] == ("none",)
  assert columns["learning_rate"] == (0.1, 1.0)
  assert rows.from_columns(columns) == named
  assert rows.build(named) == TWO


def test_ten_grades_are_in_the_order_of_their_numbers():
  """A ConfigDict has them in that of the alphabet."""
  many = tuple(rows.GradeRow(epochs=number) for number in range(1, 13))
  named = dict(sorted(rows.named(many).items()))
  assert list(named)[:3] == ["grade_1", "grade_10", "grade_11"]
  assert rows.build(named) == many


@pytest.mark.parametrize(
  "changes, said",
  [
    ({"epochs": 0}, "grade 2 of 2 has 0 epochs"),
    ({"subjects": 1.5}, "grade 2 of 2: subjects is 1.5; give a whole number"),
    ({"epochs": True}, "grade 2 of 2: epochs is True; give a number"),
    ({"epochs": 0.0}, "grade 2 of 2 has 0 epochs; it needs more than 0"),
    ({"image_size": -4}, "grade 2 of 2 has image_size -4; give pixels, a share below 1, or 0"),
    ({"carry_momentum": 1}, "carry_momentum is 1; give True or False"),
    ({"methods": ("kd",)}, "methods is .*; give a text"),
    ({"learning_rate": "0.1"}, "learning_rate is '0.1'; give a number"),
    ({"teachers": "nobody"}, "grades.teachers is 'nobody'"),
    ({"rate": 0.1}, "grades.grade_2 has no setting 'rate'; it has fragments, subjects"),
  ],
)
def test_what_a_row_cannot_say_is_named(changes, said):
  named = rows.named(TWO)
  named["grade_2"] = named["grade_2"] | changes
  with pytest.raises(UserError, match=said):
    rows.build(named)


@pytest.mark.parametrize("names", [(), ("grade_2",), ("grade_1", "grade_3"), ("first", "second")])
def test_rows_have_their_names(names):
  with pytest.raises(UserError, match="let its rows be grade_1, grade_2"):
    rows.build({name: dataclasses.asdict(TWO[0]) for name in names})


def test_a_whole_number_is_a_number():
  """So that a setting can be typed that has a fraction, where a config's own has none."""
  assert isinstance(TWO[1].learning_rate, float)
  assert isinstance(rows.from_columns({"warmup_epochs": (1,)})["grade_1"]["warmup_epochs"], float)
