"""One device or four, one step per dispatch or many: the same training."""

import dataclasses
import functools
import re

import jax
import numpy as np
import pytest

from edjax.data.augment.pipeline import Augment
from edjax.devices import pmap
from edjax.errors import UserError
from edjax.training import step
from tests import school
from tests.school import bits

AUGMENTED = Augment(school.AUGMENT.mean, school.AUGMENT.std, pad=2, flip=True)
STEPS = 6


@dataclasses.dataclass(frozen=True)
class Accelerators(pmap.Fleet):
  """Host devices that pass for others, so that one dispatch runs a whole chunk."""

  on_cpu = False


FLEETS = {
  "one": lambda: school.fleet(1),
  "four": lambda: school.fleet(4),
  "chunked": lambda: Accelerators(school.fleet(1).devices),
}


@functools.cache
def desk():
  return school.grade(augment=AUGMENTED, rate=0.02)


@functools.cache
def trainer(name):
  """(fleet, trainer), compiled once for all tests of this file."""
  team = FLEETS[name]()
  return team, desk().trainer(team)


def train(name, *chunks):
  """The state on the host after chunks of steps, each within an epoch; epochs are alike."""
  team, run = trainer(name)
  state, first = desk().state(team), 0
  for length in chunks:
    state = run(state, first, first + length)
    first = (first + length) % STEPS
  return jax.device_get(state)


def test_the_desk_has_steps_enough():
  assert desk().seating.steps == STEPS and desk().seating.seats == (3, 3, 2)


@pytest.mark.parametrize("name", ["one", "chunked"])
def test_a_grade_compiles_once(name, caplog):
  """Whatever the lengths of the chunks, and although later states come from the step itself."""
  team = FLEETS[name]()
  small = school.grade(grown=1, teachers=("generalist",), batch=12)
  traces = []

  def counted(*arguments):
    traces.append(len(arguments))
    return step.train_step(*arguments)

  run = small.trainer(team, counted)
  state = small.state(team)
  with jax.log_compiles():
    state = run(state, 0, 1)
    compiled = len(traces)
    for first, last in ((1, 3), (3, 5), (0, 5), (2, 3)):
      state = run(state, first, last)
    jax.block_until_ready(state)
  assert state.step == 11 and len(traces) == compiled
  assert len(re.findall(r"Finished XLA compilation of .+ in ", caplog.text)) == 1


@pytest.mark.parametrize("name", ["one", "chunked"])
def test_chunks_do_not_change_a_bit(name):
  whole = train(name, STEPS)
  assert whole.step == STEPS and whole.sums["images"] == 8 * STEPS
  assert bits(train(name, 1, 2, 3)) == bits(whole)
  assert bits(whole.variables) != bits(train(name, 1).variables)


@pytest.mark.parametrize("name", ["four", "chunked"])
def test_fleets_train_alike(name):
  """With crops and flips drawn per image, specialists at their own seats, and batch statistics."""
  one, other = (train(fleet, *[STEPS] * 4) for fleet in ("one", name))
  assert one.step == 24
  assert jax.tree.structure(one) == jax.tree.structure(other)
  jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5), one, other)
  start = desk().variables["params"]["head"]["dense"]["kernel"]
  assert np.abs(one.variables["params"]["head"]["dense"]["kernel"] - start).max() > 1e-2


@pytest.mark.parametrize("name", FLEETS)
def test_the_state_is_donated(name):
  team, run = trainer(name)
  state = desk().state(team)
  parameters = jax.tree.leaves(state.variables["params"]) + jax.tree.leaves(state.opt_state)
  run(state, 0, 1)
  assert all(leaf.is_deleted() for leaf in parameters)


def test_what_was_read_before_a_donation_stays():
  team, run = trainer("one")
  state = run(desk().state(team), 0, 1)
  read = jax.device_get(state)
  before = bits(read)
  jax.block_until_ready(run(state, 1, STEPS))
  assert bits(read) == before


@pytest.mark.parametrize("devices", [1, 4])
def test_exams_keep_the_order_of_the_images(devices):
  network, variables = school.pupil(1, 2)
  images, _ = school.pictures()
  team = school.fleet(devices)
  ask = team.examiner(functools.partial(step.exam_step, network, school.AUGMENT))
  rows = np.random.default_rng(0).permutation(len(images))[:16].astype(np.int32)
  got = ask(team.replicate(variables), team.divide(images[rows.reshape(devices, -1)]))
  mean, std = (np.array(x)[None, None, None] for x in (school.AUGMENT.mean, school.AUGMENT.std))
  views = ((images[rows] / 255 - mean) / std).astype(np.float32)
  assert isinstance(got, np.ndarray) and got.shape == (16, 2)
  np.testing.assert_allclose(got, network.apply(variables, views).logits, rtol=1e-4, atol=1e-5)


def test_replicate_and_divide():
  team = school.fleet(4)
  tree = {"a": np.arange(8).reshape(4, 2)}
  copies = team.replicate(tree)["a"].addressable_shards
  assert [shard.device for shard in copies] == list(team.devices)
  assert all((np.asarray(shard.data) == tree["a"]).all() for shard in copies)
  for number, shard in enumerate(team.divide(tree)["a"].addressable_shards):
    assert shard.device == team.devices[number]
    assert np.asarray(shard.data).tolist() == tree["a"][number : number + 1].tolist()


def test_fleets_are_chosen():
  assert pmap.fleet(0, 8).size == 4 and pmap.fleet(2, 8).size == 2
  assert pmap.fleet(1, 7).devices == (jax.devices()[0],)
  assert pmap.fleet(0, 8).on_cpu


@pytest.mark.parametrize(
  "count, batch, said",
  [
    (5, 20, "devices is 5, but there are 4"),
    (-1, 20, "devices is -1"),
    (4, 6, "batch_size 6 does not divide over 4 devices; use a multiple of 4"),
    (0, 7, "batch_size 7 does not divide over 4"),
  ],
)
def test_impossible_fleets(count, batch, said):
  with pytest.raises(UserError, match=said):
    pmap.fleet(count, batch)
