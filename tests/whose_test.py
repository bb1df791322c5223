"""Runs in a work directory: whose it is, of which data, and what is left when one ends early."""

import contextlib
import dataclasses
import errno
import json
import pathlib
import shutil
import signal
import time

import jax
import jax.numpy as jnp
import pytest

from configs import digits
from edjax import settings, workdirs
from edjax.data import datasets
from edjax.errors import Stopped, UserError, one_line
from edjax.settings import settle
from edjax.storage import checkpoint, files
from edjax.training import loop
from tests import command
from tests.small import config
from tests.workdirs_test import WAS, begin, one_pixel


def digest(workdir):
  return json.loads((workdir / "report.json").read_text())["student"]["sha256"]


def others(monkeypatch):
  """Lets the digits come with one other pixel."""
  load = datasets.load

  def loaded(*arguments, **options):
    data = load(*arguments, **options)
    return dataclasses.replace(data, train=one_pixel(data.train))

  monkeypatch.setattr(datasets, "load", loaded)


def test_all_of_a_run_says_of_which_data_it_is(finished):
  known = datasets.load("digits", **config().data).identity
  ordered = known | {"class_order": list(range(10))}
  assert json.loads((finished / "data.json").read_text()) == ordered
  assert json.loads((finished / "graduate" / "info.json").read_text())["data"] == known
  with checkpoint.Store(finished / "checkpoints") as store:
    assert store.newest()[2]["data"] == ordered
  assert not (finished / "lock").exists()


@pytest.mark.parametrize("lost", [None, "data.json"])
def test_a_run_on_other_images_is_refused(lost, small, finished, tmp_path, monkeypatch):
  """By the work directory, or else by its checkpoints."""
  shutil.copytree(finished, tmp_path / "run")
  if lost:
    (tmp_path / "run" / lost).unlink()
  others(monkeypatch)
  before = command.files(tmp_path / "run" / "graduate")
  with pytest.raises(UserError, match="belongs to other data: the .* train images"):
    loop.run(settle(config()), tmp_path / "run")
  assert command.files(tmp_path / "run" / "graduate") == before


def test_a_teacher_of_other_images_is_refused(small, tmp_path, monkeypatch):
  workdir = tmp_path / "run"
  loop.run(settle(config("kd,smoke")), workdir)
  for name in ("data.json", "report.json", "report.html"):
    (workdir / name).unlink()
  shutil.rmtree(workdir / "checkpoints")
  others(monkeypatch)
  with pytest.raises(UserError, match="teacher in .*generalist/network belongs to other data"):
    loop.run(settle(config("kd,smoke")), workdir)


def test_an_exam_takes_other_images_of_the_same_classes(small, finished, monkeypatch):
  load = datasets.load

  def loaded(*arguments, **options):
    data = load(*arguments, **options)
    return dataclasses.replace(data, test=one_pixel(data.test))

  monkeypatch.setattr(datasets, "load", loaded)
  assert loop.exam(settle(config()), finished)["count"] == 451


def test_a_run_that_is_asked_to_stop_saves_and_goes_on(small, finished, tmp_path):
  asked = []

  def stop():
    asked.append(1)
    return len(asked) == 2

  chosen = config(**{"checkpoint.every_seconds": 1e9})
  with pytest.raises(Stopped, match="student: stopped after step 2"):
    loop.run(settle(chosen), tmp_path / "run", stop=stop)
  assert not (tmp_path / "run" / "lock").exists()
  with checkpoint.Store(tmp_path / "run" / "checkpoints") as store:
    assert store.newest()[0] == 2
  loop.run(settle(chosen), tmp_path / "run")
  assert digest(tmp_path / "run") == digest(finished)


def test_sigterm(compiled, tmp_path):
  """As machines that are taken back send it; the same command goes on."""
  given = (
    "--config=configs/digits.py:ce,smoke",
    "--config.student.model=tests.small:SMALL",
    "--config.grades.epochs=4",
    "--config.checkpoint.every_seconds=1000",
  )
  process = command.start(*given, f"--workdir={tmp_path}", **compiled)
  while process.poll() is None and not (tmp_path / "metrics.jsonl").exists():
    time.sleep(0.001)
  process.send_signal(signal.SIGTERM)
  ended = command.end(process)
  assert ended.code == 143 and "Traceback" not in ended.err
  assert "edjax: student: stopped after step" in ended.err.splitlines()[-1]
  assert "the same command continues" in ended.err.splitlines()[-1]
  ended = command.end(command.start(*given, f"--workdir={tmp_path}", **compiled))
  assert ended.code == 0, ended.err
  assert "continuing after step" in ended.err


def test_rows_of_a_run_without_checkpoints_are_kept(small, finished, tmp_path, capfd):
  shutil.copytree(finished, tmp_path / "run")
  shutil.rmtree(tmp_path / "run" / "checkpoints")
  rows = (tmp_path / "run" / "metrics.jsonl").read_bytes()
  loop.run(settle(config()), tmp_path / "run")
  assert (tmp_path / "run" / "metrics_before.jsonl").read_bytes() == rows
  assert "no sound checkpoint is left" in capfd.readouterr().err
  assert digest(tmp_path / "run") == digest(finished)


def test_a_school_leaves_its_callers_programs_and_handlers_alone(small, tmp_path):
  traced, before = [], signal.getsignal(signal.SIGTERM)

  @jax.jit
  def mine(x):
    traced.append(1)
    return x + 1

  mine(jnp.ones(3))
  loop.run(settle(config()), tmp_path / "run")
  mine(jnp.ones(3))
  assert len(traced) == 1 and signal.getsignal(signal.SIGTERM) is before


SINCE = ("source", "mean", "std", "check", "optimiser", "weight_decay", "clip", "standardise")
SINCE_OF_RECIPE = ("randaugment", "magnitude", "rise")


@pytest.mark.parametrize(
  ("now", "words"),
  [
    ({}, ""),
    ({"faculty.check": False}, ""),
    ({"data.mean": (0.4,)}, "data.mean was 'not set', is now"),
    ({"student.model": "resnet14", "student.cut": "depth"}, "student.cut was 'stages', is now"),
    ({"data.source": "files"}, "data.source was 'auto', is now 'files'"),
    ({"faculty.generalist.clip": 1.0}, "faculty.generalist.clip was 0.0, is now 1.0"),
    ({"recipe.randaugment": 2}, "recipe.randaugment was 'not set', is now 2"),
    ({"recipe.magnitude": 5}, "recipe.magnitude was 9, is now 5"),
    ({"methods.kd.standardise": True}, "methods.kd.standardise was False, is now True"),
  ],
)
def test_a_config_of_an_earlier_version_lacks_what_there_was_not(now, words, small, tmp_path):
  begin(tmp_path / "run", WAS.identity)
  student = {key: now[key] for key in ("student.model",) if key in now}
  before = settings.to_json(settings.settle(config("kd,smoke", **student)))
  parts = before["data"], before["faculty"], *before["methods"].values()
  for part in (*parts, before["faculty"]["specialist"], before["faculty"]["generalist"]):
    for key in SINCE:
      part.pop(key, None)
  for key in SINCE_OF_RECIPE:
    del before["recipe"][key]
  del before["student"]["cut"]
  (tmp_path / "run" / "config.json").write_text(json.dumps(before))
  asked = settings.to_json(settings.settle(config("kd,smoke", **now)))
  with pytest.raises(UserError, match=words) if words else contextlib.nullcontext():
    workdirs.check(tmp_path / "run", asked, WAS.identity)


@pytest.mark.parametrize(
  ("epochs", "words"),
  [((5, 10, 25), ""), ((5, 9, 25), "grades.grade_2.epochs was 9.0, is now 10.0")],
)
def test_a_config_of_an_earlier_version_has_its_grades_in_columns(epochs, words, tmp_path):
  """As 7f2a900 wrote those of configs/digits.py."""
  begin(tmp_path / "run", WAS.identity)
  asked = settings.to_json(settings.settle(digits.get_config()))
  columns = {
    "carry_momentum": [False], "epochs": epochs, "final_rate": [0.0], "fragments": [1, 2, 0],
    "frozen": [0], "learning_rate": [0.05], "lower_rate": [1.0], "methods": [""],
    "reference_grid": [1], "reference_relu": [True], "reference_width": [0], "rehearsal": [1.0],
    "subjects": [1, 2, 0], "teachers": ["specialists", "specialists", "both"],
    "warmup_epochs": [0.0],
  }  # fmt: skip
  (tmp_path / "run" / "config.json").write_text(json.dumps(asked | {"grades": columns}))
  with pytest.raises(UserError, match=words) if words else contextlib.nullcontext():
    workdirs.check(tmp_path / "run", asked, WAS.identity)


def test_one_that_another_run_has_just_begun_is_refused(small, finished, tmp_path, monkeypatch):
  """It was free when it was looked at, and is not when its lock is taken."""
  held = files.held

  def later(path, warn):
    shutil.copytree(finished, path.parent, dirs_exist_ok=True)
    return held(path, warn)

  monkeypatch.setattr(files, "held", later)
  with pytest.raises(UserError, match="belongs to another config: seed was 0, is now 1"):
    loop.run(settle(config(seed=1)), tmp_path / "run")
  theirs, left = (command.files(each).values() for each in (finished, tmp_path / "run"))
  assert sorted(left) == sorted(theirs)


def test_a_checkpoint_that_does_not_fit_is_named(small, finished, tmp_path, monkeypatch):
  newest = checkpoint.Store.newest

  def without(store):
    step, arrays, meta = newest(store)
    return step, {path: leaf for path, leaf in arrays.items() if path != "step"}, meta

  shutil.copytree(finished, tmp_path / "run")
  monkeypatch.setattr(checkpoint.Store, "newest", without)
  with pytest.raises(UserError, match="the checkpoint in .*step is missing.*--workdir"):
    loop.run(settle(config()), tmp_path / "run")


def test_a_full_disk_at_any_file_ends_in_a_line_and_the_run_goes_on(small, finished, tmp_path):
  workdir, replace, write = tmp_path / "run", files.os.replace, pathlib.Path.write_text
  for name in ("config.json", "data.json", "info.json", "report.json", "report.html"):

    def replaced(one, other, name=name):
      if pathlib.Path(other).name == name:
        raise OSError(errno.ENOSPC, "No space left on device")
      replace(one, other)

    def written(path, *arguments, name=name, **options):
      if path.name == name:
        raise OSError(errno.EIO, "Input/output error")
      return write(path, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
      patch.setattr(files.os, "replace", replaced)
      patch.setattr(pathlib.Path, "write_text", written)
      with one_line("it goes on"):
        loop.run(settle(config()), workdir)
    said = str(ended.value.code)
    assert said.startswith("edjax: cannot ") and "the same command" in said and "\n" not in said
    assert ("No space left" in said and name in said) or "Input/output error" in said
    assert not [path for path in workdir.rglob("*") if path.suffix in (".tmp", ".unfinished")]
  loop.run(settle(config()), workdir)
  assert digest(workdir) == digest(finished)
  one, other = (json.loads((each / "data.json").read_text()) for each in (workdir, finished))
  assert one == other
