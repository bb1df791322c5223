"""A student's average over its steps: what it is, what a graft does to it, who is examined."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from edjax import models
from edjax.devices import pmap
from edjax.models.reused import reusing
from edjax.settings import settle
from edjax.storage import checkpoint, trees
from edjax.teachers import untrained
from edjax.training import grade, loop
from tests import school, small
from tests.school import bits
from tests.training import depth_test
from tests.training.resume_test import report

EMA = 0.2
PLAIN = {"grown": 1, "teachers": (), "methods": {"ce": {}}, "rate": 0.1}
AFTER = {"grown": 2, "teachers": (), "methods": {"ce": {}}}


def test_it_is_the_weighted_sum_of_what_the_student_was():
  """Written out in float64 over the states of a training that keeps no average."""
  plain, team, steps = school.grade(**PLAIN), school.fleet(), 6
  run, state, was = plain.trainer(team), plain.state(team), [plain.variables]
  for step in range(steps):
    state = run(state, step, step + 1)
    was.append(jax.device_get(state.variables))
  assert state.average == {}
  keeps = [min(EMA, (1 + step) / (10 + step)) for step in range(steps)]
  assert keeps[:3] == [1 / 10, 2 / 11, EMA]
  shares = [1.0, *(1 - keep for keep in keeps)]
  shares = [share * np.prod(keeps[number:]) for number, share in enumerate(shares)]
  assert np.isclose(sum(shares), 1)
  sums = jax.tree.map(
    lambda *leaves: sum(s * leaf.astype(float) for s, leaf in zip(shares, leaves, strict=True)),
    *was,
  )
  got = school.grade(**PLAIN, ema=EMA).train(steps)
  # Training itself is the same; in another program XLA may round a last bit otherwise.
  close = functools.partial(np.testing.assert_allclose, rtol=1e-6, atol=1e-7)
  jax.tree.map(close, got.variables, was[-1])
  assert got.examined is got.average and set(got.average) == {"params", "batch_stats"}
  check = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
  jax.tree.map(check, got.average, sums)
  apart = jax.tree.map(lambda a, b: np.abs(a - b).max(), got.average, got.variables)
  assert all(most > 1e-4 for most in jax.tree.leaves(apart))


def test_devices_average_alike_and_what_rests_stays_to_the_bit():
  made = school.grade(**AFTER, frozen=1, ema=0.999)
  one, four = made.train(3), made.train(3, devices=4)
  jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5), one, four)
  for collection, parts in made.variables.items():
    for part, tree in parts.items():
      rests = part == "fragment_0"
      assert (bits(one.average[collection][part]) == bits(tree)) == rests, (collection, part)


def grown(after, last):
  """The state with which a grade begins after that state of the grade before."""
  about = after.spec, after.images.shape, jax.random.key(3), after.variables, after.teachers
  return grade.grow(*about, last)


def grafted(before, after):
  """(a last state of a grade, that with which the next one begins)."""
  last = before.state()
  last = dataclasses.replace(last, average=jax.tree.map(np.negative, last.average))
  return last, grown(after, last)


def test_over_a_graft_what_was_there_keeps_its_average():
  """The new fragment's begins as its value, and so does that of the new head."""
  last, state = grafted(school.grade(**PLAIN, ema=EMA), school.grade(**AFTER, ema=EMA))
  for collection, parts in state.average.items():
    for part, tree in parts.items():
      value = state.variables[collection][part]
      if part == "fragment_0":
        assert bits(tree) == bits(last.average[collection][part]) != bits(value)
      else:
        assert bits(tree) == bits(value)


def test_new_classes_begin_as_their_values():
  few, more = (school.grade(**PLAIN, seen=seen, ema=EMA) for seen in (2, 3))
  last, state = grafted(few, more)
  now, was, value = (
    tree["params"]["head"]["dense"]["kernel"]
    for tree in (state.average, last.average, state.variables)
  )
  np.testing.assert_array_equal(now[:, :4], was)
  np.testing.assert_array_equal(now[:, 4:], value[:, 4:])
  assert not np.array_equal(now[:, :4], value[:, :4])


def test_inserted_blocks_begin_as_their_values():
  last, state = grafted(depth_test.desk(1, ema=EMA), depth_test.desk(2, ema=EMA))
  part, module = depth_test.HIGH
  for collection in ("params", "batch_stats"):
    inserted = state.average[collection][part][module]
    assert bits(inserted) == bits(state.variables[collection][part][module])
    for part_, module_ in depth_test.LOW:
      kept = state.average[collection][part_][module_]
      assert bits(kept) == bits(last.average[collection][part_][module_])
  assert not np.any(state.average["params"][part][module]["bn"]["scale"])  # they change nothing


def test_a_reused_classifier_is_the_teachers_in_the_average_too():
  """That of this grade's generalist: another one taught in the grade before."""
  student = models.graduate(reusing(school.BODY, 8), school.CLASSES)
  made = school.grade(
    ("generalist",), reuses=True, ema=EMA, network=student.clone(axis_name=pmap.AXIS),
    teacher_network=lambda classes: models.graduate(school.BODY, classes),
  )  # fmt: skip
  made = dataclasses.replace(made, variables=school.random_like(school.init(student)))
  before = dataclasses.replace(made, teachers=jax.tree.map(np.negative, made.teachers))
  last = grown(before, before.state())
  state = grown(made, last)
  head, value = (tree["params"]["head"] for tree in (state.average, state.variables))
  assert bits(head) == bits(value) != bits(last.average["params"]["head"])


def settings(**changes):
  """Of two grades, the second of which adds fragments and classes."""
  grades = {"fragments": (1, 0), "subjects": (1, 0), "epochs": (1,), "reference_grid": (1,)}
  columns = {f"grades.{name}": column for name, column in grades.items()}
  return settle(small.config(**columns | {"subjects": (1, 1), "recipe.ema": 0.9} | changes))


@pytest.fixture
def whole(small, tmp_path):
  """The work directory of a finished run."""
  loop.run(settings(), tmp_path / "run")
  return tmp_path / "run"


def kept(workdir, name):
  """{path: array} of a part of the state in the last checkpoint of the student."""
  with checkpoint.Store(workdir / "checkpoints") as store:
    _, arrays, _ = store.newest()
  return {path.removeprefix(name): leaf for path, leaf in arrays.items() if path.startswith(name)}


def test_the_graduate_is_the_average(whole):
  """So are its digest and the exams, as is said."""
  told, (variables, _) = report(whole), checkpoint.load_variables(whole / "graduate")
  average, last = kept(whole, "average/"), kept(whole, "variables/")
  assert trees.sha256(variables) == trees.sha256(average) == told["student"]["sha256"]
  assert average.keys() == last.keys() and trees.sha256(average) != trees.sha256(last)
  found = loop.exam(settings(), whole)
  assert found["nll"] == pytest.approx(told["student"]["nll"], rel=1e-6)
  assert found["top1"] == told["grades"][-1]["top1"]
  assert sum("average (ema 0.9)" in note for note in told["notes"]) == 1


def test_without_it_there_is_none(finished):
  assert not kept(finished, "average") and kept(finished, "variables/")
  assert not any("average" in note for note in report(finished)["notes"])


def test_teachers_have_none(small, tmp_path):
  """So they are those of a run without it, in a cache as well."""
  known = []
  for ema in (0.0, 0.9):
    chosen = settings(**{"recipe.ema": ema})
    about = chosen.faculty, chosen.recipe, loop._dataset(chosen), chosen.data, chosen.checkpoint
    search = untrained.Search(*about, tmp_path)
    study = untrained.study(search, untrained.Wanted("generalist", 0, tuple(range(10))))
    assert study.recipe.ema == 0
    known.append(untrained.known_by(search, study))
  assert known[0] == known[1] and "ema" not in known[0]["recipe"]
