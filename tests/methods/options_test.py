"""Options of methods, and numbers of a run, that cannot be."""

import math
import pathlib

import pytest

from edjax import methods
from edjax.errors import UserError, within
from edjax.methods import base
from edjax.study import Study


@pytest.mark.parametrize(
  "name, option, value",
  [
    ("kd", "temperature", math.nan),
    ("kd", "temperature", math.inf),
    ("kd", "temperature", 0.0),
    ("kd", "temperature", "hot"),
    ("kd", "weight", math.nan),
    ("kd", "weight", -0.5),
    ("ab", "margin", math.inf),
    ("crd", "width", 1.5),
    ("dist", "beta", math.inf),
    ("dkd", "beta", "much"),
    ("dkd", "warm_up", -1.0),
    ("mlld", "temperatures", (4.0, math.inf)),
    ("rkd", "gather", 2),
    ("reviewkd", "warmup", math.nan),
    ("at", "pairs", 11),
    ("at", "form", "most"),
  ],
)
def test_options_that_cannot_be_are_named(name, option, value):
  with pytest.raises(UserError) as caught:
    methods.build({name: {option: value}})
  assert f"methods.{name}.{option}" in str(caught.value) and "\n" not in str(caught.value)


def test_whole_numbers_are_numbers():
  ((_, weight, method),) = methods.build({"kd": {"weight": 1, "temperature": 4}})
  assert (weight, method.temperature) == (1, 4)
  assert [name for name, _, _ in methods.build({name: {} for name in methods.METHODS})] == list(
    methods.METHODS
  )


@pytest.mark.parametrize("pairs", ["1:1,1:2", "2:2,2:2", "2:3,1:1,2:2"])
@pytest.mark.parametrize("read", [base.same_stages, base.last_stage])
def test_no_pair_of_maps_is_dropped(pairs, read):
  maps = tuple(range(4))
  with pytest.raises(UserError, match=f"methods.at.pairs is '{pairs}'.*once"):
    read("at", maps, maps, pairs)
  assert base.same_stages("at", maps, maps, "1:2,2:2") == {"map_1": (1, 2), "map_2": (2, 2)}


@pytest.mark.parametrize("pairs", ["1", "1:x", "1:2:3", "1:1,", ":"])
def test_what_is_no_pair_of_maps_is_an_error_of_the_user(pairs):
  maps = tuple(range(4))
  with pytest.raises(UserError, match="methods.at.pairs is .*; write it as '1:1,2:3'"):
    base.same_stages("at", maps, maps, pairs)


def test_pairs_of_maps_may_be_given_in_any_order():
  maps, shuffled = tuple(range(4)), "3:3,1:2"
  assert list(base.same_stages("at", maps, maps, shuffled).items()) == [
    ("map_1", (1, 2)),
    ("map_3", (3, 3)),
  ]
  assert base.last_stage("at", maps, maps, shuffled) == {"map_3": (3, 3)}
  assert base.depth_weights("at", maps, maps, shuffled) == {"map_1": 0.5, "map_3": 1.0}


@pytest.mark.parametrize(
  "key, changes",
  [
    ("seed", {"seed": -1}),
    ("seed", {"seed": 2**32}),
    ("checkpoint.keep", {"keep": 0}),
    ("checkpoint.every_seconds", {"every_seconds": -1.0}),
    ("checkpoint.every_seconds", {"every_seconds": math.nan}),
  ],
)
def test_a_study_is_checked(key, changes):
  sound = {
    "label": "student", "model": "resnet8", "curriculum": None, "order": (), "teachers": {},
    "recipe": None, "methods": (), "seed": 0, "directory": pathlib.Path(), "every_seconds": 0.0,
    "keep": 1,
  }  # fmt: skip
  assert Study(**sound).keep == 1
  with pytest.raises(UserError, match=f"^{key} is"):
    Study(**sound | changes)


def test_bounds_are_said():
  within(1, "a.b", least=1, below=2)
  with pytest.raises(UserError, match=r"^a.b is 2; it must be at least 1 and below 2$"):
    within(2, "a.b", least=1, below=2)
  for value in (math.nan, True, "1", None):
    with pytest.raises(UserError, match=r"^a.b is .*; it must be a finite number$"):
      within(value, "a.b")
