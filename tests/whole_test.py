"""One length, batch size, image size and learning rate of a config as a whole."""

import itertools

import pytest

from edjax import rows, settings, whole
from edjax.errors import UserError
from tests.configs_test import MODULES

DIGITS = "--config=configs/digits.py"


def settled(typed, *flags):
  return settings.to_json(settings.settle(typed(*flags)))


def grades(tree, key):
  return [row[key] for row in rows.in_order(tree["grades"])]


@pytest.mark.parametrize(
  "epochs, total, shared",
  [
    ([5, 10, 25], 40, [5, 10, 25]),
    ([5, 10, 25], 80, [10, 20, 50]),
    ([150, 30, 60], 12, [8, 1, 3]),  # 7.5, 1.5 and 3
    ([1, 1, 100], 3, [1, 1, 1]),
    ([1, 1, 100], 4, [1, 1, 2]),
    ([1, 1, 1], 5, [2, 2, 1]),
    ([30, 30, 180, 180], 10, [1, 1, 4, 4]),
  ],
)
def test_epochs_are_shared_out(epochs, total, shared):
  assert whole.shares(epochs, total) == shared


@pytest.mark.parametrize("epochs", [[5, 10, 25], [1, 1, 100], [7, 7, 7], [1, 2, 300, 4]])
def test_every_share_is_whole_and_next_to_the_exact_one(epochs):
  for total in range(len(epochs), 60):
    given = whole.shares(epochs, total)
    assert sum(given) == total and min(given) >= 1
    exact = [total * each / sum(epochs) for each in epochs]
    if min(exact) >= 1:
      assert all(abs(got - share) < 1 for got, share in zip(given, exact, strict=True))


def test_milestones_stay_where_they_are_in_their_grades():
  assert whole.moved((25, 30, 35), [25, 5, 10], [50, 10, 20]) == (50, 60, 70)
  assert whole.moved((25, 30, 35), [25, 5, 10], [8, 1, 3]) == (8, 9, 10)  # half-way to 12: even
  assert whole.moved((150, 180, 210), [240], [24]) == (15, 18, 21)
  assert whole.moved((150, 180, 210), [240], [4]) == (2, 3, 4)
  assert whole.moved((150, 180, 210), [240], [1]) == (1,)
  assert whole.moved((5, 6, 9), [1, 1, 4], [2, 2, 8]) == (10, 12, 15)
  assert whole.moved((), [5], [10]) == ()


def test_a_length_of_everything(typed):
  was = settled(typed, f"{DIGITS}:paper,dkd")
  now = settled(typed, f"{DIGITS}:paper,dkd", "--config.epochs=80")
  assert grades(now, "epochs") == [2 * each for each in grades(was, "epochs")] == [50, 10, 20]
  assert was["recipe"].pop("milestones") == [25, 30, 35]
  assert now["recipe"].pop("milestones") == [50, 60, 70]
  assert now["methods"]["dkd"].pop("warm_up") == 2 * was["methods"]["dkd"].pop("warm_up") == 40
  for kind in ("specialist", "generalist"):
    assert now["faculty"][kind].pop("epochs") == 2 * was["faculty"][kind].pop("epochs") == 40
  for tree in (was, now):
    for row in tree["grades"].values():
      del row["epochs"]
  assert now == was  # and nothing else


def test_warm_ups_and_milestones_of_teachers(typed):
  flags = ["--config=configs/food101.py:function", "--config.epochs=50"]
  config = typed(*flags)
  assert config.grades.grade_1.epochs == 50
  assert config.grades.grade_1.warmup_epochs == pytest.approx(11.3 / 2)
  assert config.faculty.generalist.milestones == (15, 30, 45)
  assert typed(flags[0], "--config.epochs=1").grades.grade_1.warmup_epochs == pytest.approx(0.113)


def test_a_rate_of_everything(typed):
  was = settled(typed, "--config=configs/cifar100.py:ed")
  now = settled(typed, "--config=configs/cifar100.py:ed", "--config.learning_rate=0.2")
  assert max(grades(now, "learning_rate")) == 0.2
  assert grades(now, "learning_rate") == pytest.approx(
    [4 * each for each in grades(was, "learning_rate")]
  )
  assert now["faculty"]["generalist"]["learning_rate"] == pytest.approx(0.2)


def test_sizes_of_everything(typed):
  flags = ("--config=configs/folder.py", "--config.batch_size=8", "--config.image_size", "64")
  config = typed(*flags)
  assert (config.recipe.batch_size, config.data.image_size) == (8, 64)
  assert not {"epochs", "batch_size", "image_size", "learning_rate"} & set(config)


@pytest.mark.parametrize("name", MODULES)
def test_a_config_as_it_is_stays_so(name):
  for variant in ("", "paper", "function", "ab", "paper,smoke"):
    config, other = (MODULES[name].get_config(variant) for _ in range(2))
    whole.change(config, whole.now(config))
    assert settings.to_json(settings.settle(config)) == settings.to_json(settings.settle(other))


def test_what_is_set_of_one_thing_counts_after_it(typed):
  """In whatever order the flags come."""
  flags = [
    "--config.grades.grade_2.epochs=7",
    "--config.epochs=80",
    "--config.grades.warmup_epochs=1,0,0.5",
    "--config.faculty.specialist.learning_rate=0.01",
    "--config.learning_rate=0.1",
  ]
  for order in itertools.islice(itertools.permutations(flags), 0, None, 40):
    config = typed(DIGITS, *order)
    assert [row.epochs for row in rows.in_order(config.grades)] == [10, 7, 50]
    assert [row.warmup_epochs for row in rows.in_order(config.grades)] == [1, 0, 0.5]
    assert [row.learning_rate for row in rows.in_order(config.grades)] == [0.1] * 3
    assert config.faculty.specialist.learning_rate == 0.01
    assert config.faculty.generalist.learning_rate == pytest.approx(0.1)


@pytest.mark.parametrize(
  "flags, said",
  [
    (["epochs=2"], "^epochs is 2, but there are 3 grades, and each needs one; give more"),
    (["epochs=0"], "^epochs is 0; it must be above 0$"),
    (["epochs=many"], "^epochs is 'many'; give a number$"),
    (["batch_size=1.5"], "^batch_size is 1.5; give a whole number$"),
    (["batch_size=0"], "^batch_size is 0; it must be at least 1$"),
    (["image_size=-1"], "^image_size is -1; it must be at least 0$"),
    (["learning_rate=0"], "^learning_rate is 0; it must be above 0$"),
    (["epochs=12", "grades.epochs=1,2,3"], "config.epochs and --config.grades.epochs say the same"),
    (["batch_size=12", "recipe.batch_size=12"], "--config.recipe.batch_size say the same"),
    (["data.image_size=12", "image_size=12"], "--config.data.image_size say the same"),
    (["learning_rate=1", "grades.learning_rate=1"], "--config.grades.learning_rate say the same"),
  ],
)
def test_what_cannot_be(flags, said, typed):
  with pytest.raises(UserError, match=said):
    typed(DIGITS, *(f"--config.{flag}" for flag in flags))


def test_a_length_that_is_not_whole_is_shared_exactly(typed):
  grades = rows.in_order(typed(DIGITS, "--config.epochs=1.5").grades)
  assert [row.epochs for row in grades] == pytest.approx([1.5 * part / 40 for part in (5, 10, 25)])
  grades = rows.in_order(typed(DIGITS, "--config.epochs=30").grades)
  assert [row.epochs for row in grades] == [4, 7, 19]


def test_the_last_counts_and_none_leaves_it(typed):
  config = typed(DIGITS, "--config.epochs=80", "--config.batch_size=8", "--config.epochs=None")
  assert sum(row.epochs for row in config.grades.values()) == 40
  assert config.recipe.batch_size == 8
  assert typed(DIGITS).recipe.batch_size == 40  # the flags of before are forgotten
