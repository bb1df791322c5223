"""Schools whose student is cut by depth: blocks are inserted, frozen and slowed; the run is one."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from edjax import models
from edjax.devices import pmap
from edjax.errors import Stopped, UserError
from edjax.report import figures
from edjax.settings import settle
from edjax.storage import checkpoint
from edjax.training import grade, loop
from tests import school, small
from tests.school import bits
from tests.teachers.banked import close
from tests.training.resume_test import journal, report, same

BODY, BLOCKS = small.DEEP, small.DEEP.blocks
LOW = [("fragment_0", "block_0"), ("fragment_1", "block_0")]  # the lowest fragment
HIGH = ("fragment_1", "block_1")


def desk(count=2, **changes):
  """A grade of the tiny school, taught by a generalist, of a student of so many fragments."""
  made = school.grade(teachers=("generalist",), blocks=BLOCKS, **changes)
  network = models.shallow(BODY, count, school.CLASSES)
  spec = dataclasses.replace(made.spec, network=network.clone(axis_name=pmap.AXIS))
  return dataclasses.replace(made, spec=spec, variables=school.random_like(school.init(network)))


def moved(before, after, collection="params"):
  """{(part, module): the largest change of a leaf}."""
  return {
    (part, module): max(
      np.abs(a - b).max()
      for a, b in zip(*map(jax.tree.leaves, (tree, after[collection][part][module])), strict=True)
    )
    for part, modules in before[collection].items()
    for module, tree in modules.items()
  }


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_frozen_blocks_stay_to_the_bit(precision):
  """Statistics, too; what is above them, in the same parts of the network, learns."""
  made = desk(frozen=1, precision=precision)
  state = made.train(2)
  for collection in ("params", "batch_stats"):
    for path, most in moved(made.variables, state.variables, collection).items():
      assert (most == 0) == (path in LOW), (collection, path)
  kept = [
    jax.tree_util.keystr(path)
    for path in dict(jax.tree_util.tree_leaves_with_path(state.opt_state))
  ]
  assert any("block_1" in path for path in kept) and not any("block_0" in path for path in kept)


def test_slowed_blocks_move_by_the_factor():
  made = desk(momentum=0.0, methods={"ce": {}})
  slowed = desk(momentum=0.0, methods={"ce": {}}, lower=1, lower_rate=0.25)
  full, less = (moved(made.variables, each.train().variables) for each in (made, slowed))
  for path in full:
    np.testing.assert_allclose(less[path], (0.25 if path in LOW else 1.0) * full[path], rtol=1e-3)


def test_a_graft_keeps_momentum_and_inserts_what_then_learns():
  before, after = desk(1), desk(2, carry_momentum=True)
  last = before.train(2)
  state = grade.grow(
    after.spec, after.images.shape, jax.random.key(3), after.variables, after.teachers, last
  )
  old, new = (each.opt_state[1].trace["student"] for each in (last, state))
  for part, module in (*LOW, ("head", "dense")):
    assert bits(new[part][module]) == bits(old[part][module])
    assert bits(state.variables["params"][part][module]) == bits(
      last.variables["params"][part][module]
    )
  assert HIGH[1] not in old[HIGH[0]] and not any(
    map(np.any, jax.tree.leaves(new[HIGH[0]][HIGH[1]]))
  )
  inserted = state.variables["params"][HIGH[0]][HIGH[1]]
  assert not np.any(inserted["bn"]["scale"]) and not np.any(inserted["bn"]["bias"])
  assert np.all(inserted["conv"]["kernel"])
  started = dataclasses.replace(after, variables=jax.device_get(state.variables))
  assert moved(started.variables, started.train(2).variables)[HIGH] > 1e-4


def test_devices_freeze_and_learn_alike():
  made = desk(frozen=1)
  one, four = made.train(2), made.train(2, devices=4)
  jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5), one, four)


def config(**changes):
  """Of two grades without a teacher, in the second of which the lowest fragment rests."""
  columns = {
    "grades.fragments": (1, 0),
    "grades.subjects": (1, 0),
    "grades.frozen": (0, 1),
    "grades.carry_momentum": (True,),
    "grades.epochs": (1, 2),
  }
  chosen = {"student.model": "tests.small:DEEP", "student.cut": "depth", "subjects": (1, 1)}
  return settle(small.config("ce,smoke", **columns | chosen | changes))


@pytest.fixture(scope="module")
def whole(compiled, tmp_path_factory):
  """Returns the work directory of a finished run."""
  place = tmp_path_factory.mktemp("depth") / "run"
  with pytest.MonkeyPatch.context() as patch:
    patch.setitem(models.MODELS, "small", small.SMALL)
    loop.run(config(), place)
  return place


def test_a_run_says_how_the_student_grew(whole):
  told = report(whole)
  first, second = told["grades"]
  assert [row["fragments"] for row in (first, second)] == [
    ["fragment_0"],
    ["fragment_0", "fragment_1"],
  ]
  assert [row["reference"] for row in (first, second)] == [False, False]
  assert (
    told["student"]["cut"] == "depth" and first["macs"] < second["macs"] == told["student"]["macs"]
  )
  assert figures.growth(told["grades"]).count(">head<") == 2
  text = (whole / "report.html").read_text()
  assert "A fragment is a block of every stage" in text and "teaching reference" not in text
  variables, _ = checkpoint.load_variables(whole / "graduate")
  shapes = models.shapes(models.graduate(BODY, 10), (8, 8, 1))
  assert jax.tree.map(np.shape, variables) == jax.tree.map(np.shape, shapes)


def test_a_run_that_was_stopped_above_the_graft_goes_on(whole, small, tmp_path):
  asked = iter([False] * 4 + [True])
  with pytest.raises(Stopped, match="stopped after step 5"):
    loop.run(config(), tmp_path / "run", stop=lambda: next(asked))
  assert journal(tmp_path / "run")[-1]["grade"] == "grade_2"
  loop.run(config(), tmp_path / "run")
  same(tmp_path / "run", whole)


@pytest.mark.slow
def test_four_devices_train_what_one_trains(whole, small, tmp_path):
  loop.run(config(devices=4), tmp_path / "run")
  close(tmp_path / "run", whole)


@pytest.mark.parametrize(
  "changes, words",
  [
    ({"student.model": "small"}, "small cannot be cut by depth"),
    ({"student.cut": "width"}, "student.cut.*stages.*depth"),
    ({"student.model": "tests.small:DEEP+simkd8", "grades.teachers": ("none", "both")}, "grade_1"),
  ],
)
def test_what_cannot_be_is_refused_at_once(changes, words, small):
  with pytest.raises(UserError, match=words):
    config(**changes)


def test_a_student_has_no_more_fragments_than_its_longest_stage(whole, small, tmp_path):
  with pytest.raises(UserError, match="grade 1 of 2 has 3 fragments, but the student has 2"):
    loop.run(config(**{"grades.fragments": (3, 0)}), tmp_path / "run")
