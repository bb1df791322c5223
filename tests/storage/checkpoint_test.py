"""What is written comes back to the bit, or not at all: damage of every kind is passed over."""

import builtins
import errno
import json
import logging
import os
import pathlib
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

from edjax.errors import UserError
from edjax.storage import checkpoint, trees
from tests import command, school
from tests.school import bits

META = {"grade": 1, "grades": [{"name": "grade_1", "top1": 0.1}], "best": None, "seconds": 1.5}


def state(seed=0):
  """All kinds of leaves a state has, one of them large."""
  draw = np.random.default_rng(seed)
  return {
    "step": jnp.int32(seed),
    "params": {"head": {"kernel": jnp.asarray(draw.normal(size=(200, 100)), jnp.float32)}},
    "odd": [jnp.float32([-0.0, np.inf, np.nan]), jnp.ones(3, jnp.bfloat16)],
    "opt_state": (jnp.int32(3), {"a/b": jnp.arange(4)}),
  }


@pytest.fixture(scope="module")
def written(tmp_path_factory):
  """A folder with steps 10 and 20, made of seeds 1 and 2."""
  folder = tmp_path_factory.mktemp("store") / "checkpoints"
  with checkpoint.Store(folder, keep=2) as store:
    store.save(10, state(1), META | {"grade": 0})
    store.save(20, state(2), META)
  return folder


@pytest.fixture
def folder(written, tmp_path):
  return shutil.copytree(written, tmp_path / "checkpoints")


def newest(folder):
  with checkpoint.Store(folder) as store:
    return store.newest()


def steps_in(folder):
  return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit())


def biggest(folder):
  return max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def test_what_was_saved_comes_back_to_the_bit(folder):
  step, arrays, meta = newest(folder)
  assert (step, meta) == (20, META)
  restored = trees.unflatten(state(7), arrays)
  assert jax.tree.structure(restored) == jax.tree.structure(state(2))
  assert bits(restored) == bits(state(2))
  assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(restored))


def test_the_state_of_a_grade_comes_back_to_the_bit(tmp_path):
  before = school.grade(grown=2).state(school.fleet(4))
  with checkpoint.Store(tmp_path / "checkpoints") as store:
    store.save(1, before, META)
    store.wait()
    _, arrays, _ = store.newest()
  after = trees.unflatten(jax.eval_shape(lambda: before), arrays)
  assert bits(after) == bits(before)
  assert jax.tree.structure(after) == jax.tree.structure(before)


def test_an_empty_folder_has_no_newest(tmp_path):
  assert newest(tmp_path / "checkpoints") is None


@pytest.mark.parametrize("keep", [1, 3])
def test_keep_bounds_what_is_on_disk(tmp_path, keep):
  folder = tmp_path / "checkpoints"
  with checkpoint.Store(folder, keep=keep) as store:
    for step in range(1, 6):
      store.save(step, {"a": jnp.arange(3) + step}, {})
  assert steps_in(folder) == [1, 2, 3, 4, 5][-keep:]
  assert newest(folder)[1]["a"].tolist() == [5, 6, 7]


def test_saving_does_not_hold_on_to_what_changes(tmp_path):
  """A state may be donated to the next step as soon as `save` returns."""
  before = {"a": jnp.arange(100_000, dtype=jnp.float32)}
  expected = bits(before)
  advance = jax.jit(lambda tree: jax.tree.map(lambda leaf: leaf * -1 - 1, tree), donate_argnums=0)
  with checkpoint.Store(tmp_path / "checkpoints") as store:
    store.save(1, before, {})
    jax.block_until_ready(advance(before))
    store.wait()
    _, arrays, _ = store.newest()
  assert bits(arrays) == expected


def spoil(path, how):
  """Flips a bit of a file, cuts it to half, empties or removes it."""
  content = bytearray(path.read_bytes())
  if how == "removed":
    path.unlink()
    return
  if how == "flipped" and content:
    content[len(content) // 2] ^= 1
  path.write_bytes({"cut": content[: len(content) // 2], "emptied": b""}.get(how, content))


def flip(step):
  spoil(biggest(step), "flipped")


def truncate(step):
  spoil(biggest(step), "cut")


def remove(step):
  spoil(biggest(step), "removed")


def alter_meta(step):
  (path,) = (step / "meta").glob("metadata*")
  meta = json.loads(path.read_text())
  path.write_text(json.dumps(meta | {"grade": meta["grade"] + 1}))


def remove_meta(step):
  shutil.rmtree(step / "meta")


def empty(step):
  for path in step.rglob("*"):
    if path.is_file():
      path.write_bytes(b"")


DAMAGE = (flip, truncate, remove, alter_meta, remove_meta, empty)


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda f: f.__name__)
def test_damage_is_passed_over_for_the_step_before(folder, caplog, damage):
  damage(folder / "20")
  with caplog.at_level(logging.WARNING):
    step, arrays, meta = newest(folder)
  assert step == 10 and meta == META | {"grade": 0}
  assert bits(trees.unflatten(state(0), arrays)) == bits(state(1))
  warned = [r.getMessage() for r in caplog.records if str(folder / "20") in r.getMessage()]
  assert any("damaged" in message and "\n" not in message for message in warned)
  caplog.clear()
  assert newest(folder)[0] == 10
  assert str(folder / "20") not in caplog.text  # it is not met again


def test_training_goes_on_after_damage(folder):
  flip(folder / "20")
  with checkpoint.Store(folder) as store:
    assert store.newest()[0] == 10
    store.save(20, state(5), META)
    store.wait()
    step, arrays, _ = store.newest()
  assert step == 20
  assert bits(trees.unflatten(state(0), arrays)) == bits(state(5))


def test_nothing_sound_is_nothing(folder, caplog):
  flip(folder / "10")
  truncate(folder / "20")
  assert newest(folder) is None
  assert str(folder / "10") in caplog.text and str(folder / "20") in caplog.text


def test_half_written_steps_are_not_steps(folder):
  shutil.copytree(folder / "20", folder / "30.orbax-checkpoint-tmp-1234")
  remove(folder / "30.orbax-checkpoint-tmp-1234")
  shutil.copytree(folder / "20", folder / "30.orbax-checkpoint-tmp")
  with checkpoint.Store(folder) as store:
    # At once: a later clearing away would take what is being written under the same name.
    assert not list(folder.glob("*tmp*"))
    step, _, meta = store.newest()
    assert step == 20 and meta == META
    store.save(30, state(3), META)
  assert newest(folder)[0] == 30


def full(*_, **__):
  raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_a_user_error(folder, monkeypatch):
  with checkpoint.Store(folder) as store:
    monkeypatch.setattr(ocp.CheckpointManager, "save", full)
    with pytest.raises(UserError, match="No space left on device") as caught:
      store.save(30, state(3), META)
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)
    monkeypatch.setattr(ocp.CheckpointManager, "wait_until_finished", full)
    with pytest.raises(UserError, match="No space left on device"):
      store.wait()
    monkeypatch.undo()
  assert newest(folder)[0] == 20


def test_flatten_names_every_leaf():
  flat = trees.flatten({"variables": {"params": {"head": jnp.ones(2)}}, "step": jnp.int32(4)})
  assert set(flat) == {"variables/params/head", "step"}
  assert flat["step"] == 4 and flat["variables/params/head"].dtype == np.float32


def test_unflatten_lists_everything_that_is_wrong():
  like = {"a": jnp.zeros(2), "b": jnp.zeros(3), "c": jnp.zeros(4), "d": jnp.zeros(1)}
  arrays = {
    "b": np.zeros(2, np.float32),
    "c": np.zeros(4, np.int32),
    "d": np.zeros(1, np.float32),
    "e": np.zeros(1),
  }
  with pytest.raises(ValueError) as caught:
    trees.unflatten(like, arrays)
  said = str(caught.value).split("; ")
  assert sorted(said) == [
    "a is missing",
    "b is float32[2], not float32[3]",
    "c is int32[4], not float32[4]",
    "e is not expected",
  ]


def test_digests_tell_trees_equal_to_the_bit():
  tree = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": {"c": np.int32(1)}}
  digest = trees.sha256(tree)
  assert len(digest) == 64
  assert trees.sha256({"b": tree["b"], "a": tree["a"]}) == digest
  assert trees.sha256(jax.tree.map(jnp.asarray, tree)) == digest
  assert trees.sha256({"a": np.asfortranarray(tree["a"]), "b": tree["b"]}) == digest
  one_bit = tree["a"].copy()
  one_bit.view(np.uint32)[1, 2] ^= 1
  others = [
    {"a": one_bit, "b": tree["b"]},
    {"a": tree["a"].reshape(3, 2), "b": tree["b"]},
    {"a": tree["a"].view(np.int32), "b": tree["b"]},
    {"x": tree["a"], "b": tree["b"]},
    {"a": tree["a"], "b": {"c": np.int32(2)}},
    {"a": tree["a"]},
    {"a": tree["a"][:1], "b": tree["b"]},
  ]
  digests = {trees.sha256(other) for other in others}
  assert len(digests) == len(others) and digest not in digests


# --- what is no damage ---------------------------------------------------------------------------


def raising(error):
  def restore(*_, **__):
    raise error

  return restore


PASSING = {
  "too many open files": OSError(errno.EMFILE, "Too many open files"),
  "stale": OSError(errno.ESTALE, "Stale file handle"),
  "input/output": OSError(errno.EIO, "Input/output error"),
  "denied": PermissionError(errno.EACCES, "Permission denied"),
  "cannot allocate": OSError(errno.ENOMEM, "Cannot allocate memory"),
  "input/output error": ValueError(
    "UNKNOWN: Error reading file \"x/0\" [os_error_code='5'] [source locations='a.cc:1']"
  ),
  "start new thread": RuntimeError("can't start new thread"),
}


def closed(monkeypatch, error):
  """Lets no file of a checkpoint or a network be opened."""

  def opened(path, *arguments, **options):
    if isinstance(path, (str, os.PathLike)) and {"20", "network"} & {*pathlib.Path(path).parts}:
      raise OSError(error.errno, error.strerror, str(path))
    return plain(path, *arguments, **options)

  plain = builtins.open
  monkeypatch.setattr(builtins, "open", opened)


@pytest.mark.parametrize(
  ("words", "opens"),
  [(words, opens) for words, error in PASSING.items() for opens in (True, False)
   if opens or isinstance(error, OSError)],
)  # fmt: skip
def test_a_passing_error_is_no_damage(words, opens, folder, tmp_path, monkeypatch):
  """Whether orbax alone meets it, or whoever opens a file: it ends the run, and all stays there."""
  checkpoint.save_variables(tmp_path / "network", state(1)["params"], {})
  before = command.files(tmp_path)
  with monkeypatch.context() as patch:
    patch.setattr(ocp.CheckpointManager, "restore", raising(PASSING[words]))
    patch.setattr(ocp.Checkpointer, "restore", raising(PASSING[words]))
    if not opens:
      closed(patch, PASSING[words])
    for read, place in (
      (lambda: newest(folder), folder / "20"),
      (lambda: checkpoint.load_variables(tmp_path / "network"), tmp_path / "network"),
    ):
      reason = ": " if opens else f"/.*: {PASSING[words].strerror}; "
      with pytest.raises(UserError, match=f"cannot read {place}{reason}") as caught:
        read()
      assert words in str(caught.value).lower() and "\n" not in str(caught.value)
      assert "damaged" not in str(caught.value)
  assert command.files(tmp_path) == before
  assert newest(folder)[0] == 20


def test_an_error_that_has_passed_when_it_is_looked_at_is_none(folder, monkeypatch):
  """Orbax hides why it could not read its metadata."""
  plain, met = ocp.CheckpointManager.restore, []

  def fails_once(*arguments, **options):
    met.append(1)
    if len(met) == 1:
      raise AttributeError("'NoneType' object has no attribute 'tree'")
    return plain(*arguments, **options)

  monkeypatch.setattr(ocp.CheckpointManager, "restore", fails_once)
  assert newest(folder)[0] == 20


def test_no_file_can_be_opened(folder):
  """As the system says it; orbax then takes files for missing that are there."""
  before = command.files(folder)
  code = """
import resource
import sys
from edjax.storage import checkpoint, trees
from edjax.errors import UserError
store = checkpoint.Store(sys.argv[1])
with open(sys.argv[1] + "/20/_CHECKPOINT_METADATA") as file:
  limit = file.fileno() + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[1]
  resource.setrlimit(resource.RLIMIT_NOFILE, limit)
  try:
    store.newest()
  except UserError as error:
    print(error)
"""
  ended = subprocess.run(
    [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True
  )
  assert f"cannot read {folder / '20'}: Too many open files" in ended.stdout
  assert command.files(folder) == before and newest(folder)[0] == 20


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_what_says_nothing_of_a_file_is_no_damage(error, folder, monkeypatch):
  with monkeypatch.context() as patch:
    patch.setattr(ocp.CheckpointManager, "restore", raising(error()))
    with pytest.raises(error):
      newest(folder)
  assert newest(folder)[0] == 20


# --- every file, every fault ---------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # tensorstore's
@pytest.mark.parametrize("how", ["flipped", "cut", "emptied", "removed"])
def test_every_file_of_a_network_and_a_checkpoint(how, folder, tmp_path):
  """The same bits, or a line that names the folder, or the step before; and it can be put right."""
  place, tree = tmp_path / "network", state(1)["params"]
  checkpoint.save_variables(place, tree, {"model": "x"})
  copy, good = tmp_path / "copy", bits(tree)
  for path in [path for path in place.rglob("*") if path.is_file()]:
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(place, copy)
    spoil(copy / path.relative_to(place), how)
    try:
      assert bits(checkpoint.load_variables(copy)[0]) == good, path
    except UserError as error:
      assert str(copy) in str(error) and "\n" not in str(error)
    if how != "removed":
      checkpoint.save_variables(copy, tree, {"model": "x"})
      assert bits(checkpoint.load_variables(copy)[0]) == good, path
  steps = {10: bits(state(1)), 20: bits(state(2))}
  for path in [path for path in (folder / "20").rglob("*") if path.is_file()]:
    shutil.rmtree(copy)
    shutil.copytree(folder, copy)
    spoil(copy / path.relative_to(folder), how)
    step, arrays, _ = newest(copy)
    assert bits(trees.unflatten(state(0), arrays)) == steps[step], path
