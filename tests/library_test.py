"""The library as its users call it: no flag, no config, no trace in the caller's process."""

import contextlib
import json
import os
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest

import edjax
from configs import folder
from edjax import graduate, library, plans, settings
from edjax.errors import UserError
from edjax.rows import GradeRow
from tests import command

NAMES = ("ant", "bee", "cat", "dog", "eel", "fox")


def images(count, seed=0):
  """Squares of one brightness per class, with noise: a network tells them apart in a few steps."""
  draw = np.random.default_rng(seed)
  labels = np.arange(count) % len(NAMES)
  noise = draw.normal(0, 4, (count, 6, 6, 1))
  return np.clip(40 * labels[:, None, None, None] + noise, 0, 255).astype(np.uint8), labels


@pytest.fixture(scope="module")
def dataset():
  return edjax.data.from_arrays(*images(240), class_names=NAMES)


def go(dataset, workdir, **options):
  grades = (
    GradeRow(fragments=1, subjects=1, epochs=2, learning_rate=0.1, teachers="generalist"),
    GradeRow(epochs=10, learning_rate=0.1, teachers="generalist"),
  )
  return edjax.distill(
    dataset,
    "tests.small:SMALL",
    "tests.small:SMALL",
    workdir=workdir,
    curriculum=edjax.Curriculum(grades),
    recipe={"batch_size": 16},
    devices=1,
    **options,
  )


@pytest.fixture(scope="module")
def run(dataset, compiled, tmp_path_factory):
  return go(dataset, tmp_path_factory.mktemp("library") / "run", methods={"kd": 0.7, "ce": 0.3})


def test_the_student_learns_and_can_be_asked(run, tmp_path):
  unseen, labels = images(60, seed=1)
  assert run.graduate.names(unseen) == [
    NAMES[column] for column in run.graduate.predict(unseen).argmax(1)
  ]
  right = np.mean(run.graduate.logits(unseen).argmax(1) == labels)
  assert right > 0.5 and run.report["student"]["top1"] > 0.5
  run.graduate.save(tmp_path / "graduate")
  np.testing.assert_array_equal(edjax.load(tmp_path / "graduate")(unseen), run.graduate(unseen))


def test_the_report_is_that_of_the_work_directory(run):
  assert dict(run.report) == json.loads((run.workdir / "report.json").read_text())
  assert repr(run.report).endswith(f"top-1 {run.report['student']['top1']:.4f})")
  framed = run.report._repr_html_()
  assert framed.startswith('<iframe srcdoc="&lt;!') and framed.count("<") == 2


def test_the_same_call_goes_on_and_other_images_are_refused(run, dataset):
  again = go(dataset, run.workdir, methods={"kd": {"weight": 0.7}, "ce": 0.3})
  assert again.report["student"]["sha256"] == run.report["student"]["sha256"]
  other = edjax.data.from_arrays(*images(240, seed=2), class_names=NAMES)
  with pytest.raises(UserError, match="belongs to other data"):
    go(other, run.workdir, methods={"kd": 0.7, "ce": 0.3})
  with pytest.raises(UserError, match=r"methods\.ce\.weight was 0\.3, is now 0\.5"):
    go(dataset, run.workdir, methods={"kd": 0.7, "ce": 0.5})


def test_the_default_school_is_that_of_the_configs(dataset, monkeypatch):
  """Of the same length and rate: grades, one cycle, teachers that see small images first."""
  asked = []

  def run(settings, *_, **__):
    asked.append(settings)
    raise UserError("enough")

  monkeypatch.setattr(library.loop, "run", run)
  with pytest.raises(UserError, match="enough"):
    edjax.distill(dataset, curriculum=edjax.Curriculum.default(30, 0.1))
  (ours,) = asked
  config = settings.settle(folder.get_config("ed"))
  assert ours.grades == config.grades and ours.recipe.schedule == config.recipe.schedule
  for kind in ("generalist", "specialist"):
    teacher, other = getattr(ours.faculty, kind), getattr(config.faculty, kind)
    for key in ("epochs", "image_sizes", "learning_rate", "schedule"):
      assert getattr(teacher, key) == getattr(other, key), (kind, key)


def test_a_graduate_teaches(run, dataset, tmp_path):
  """No teacher is trained where one is given as a path."""
  taught = edjax.distill(
    dataset,
    "tests.small:SMALL",
    run.workdir / "graduate",
    workdir=tmp_path / "run",
    name="taught",
    curriculum=edjax.Curriculum.plain(epochs=1),
    devices=1,
  )
  assert (taught.report["config"], run.report["config"]) == ("taught", "arrays")
  assert len(dataset.train.labels) == 174  # an eighth of them is 21
  assert json.loads((tmp_path / "run" / "config.json").read_text())["recipe"]["batch_size"] == 16
  (teacher,) = taught.report["teachers"]
  assert teacher["top1"] == run.report["student"]["top1"]
  assert not (tmp_path / "run" / "teachers").exists()


def test_a_school_leaves_no_trace_in_the_callers_process(dataset, compiled, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  before = dict(os.environ), jax.config.values.copy(), signal.getsignal(signal.SIGTERM)
  go(dataset, "run", methods={"ce": 1.0})
  assert (dict(os.environ), jax.config.values, signal.getsignal(signal.SIGTERM)) == before
  assert os.listdir(tmp_path) == ["run"]


def test_a_function_is_told_every_row_and_may_end_the_run(run, dataset, tmp_path):
  """The teacher's rows, too. What is raised comes up again, and the same call goes on."""
  rows, methods = [], {"kd": 0.7, "ce": 0.3}

  class Enough(Exception):
    pass

  def watch(row):
    rows.append(row)
    exams = [row for row in rows if row["training"] == "student" and row["kind"] == "exam"]
    if len(exams) == 2:  # the end of the first grade
      raise Enough

  def written():
    places = "teachers/generalist", ""
    journals = [tmp_path / "run" / place / "metrics.jsonl" for place in places]
    return [json.loads(line) for path in journals for line in path.read_text().splitlines()]

  with pytest.raises(Enough):
    go(dataset, tmp_path / "run", methods=methods, on_row=watch)
  assert rows == written() and {row["grade"] for row in rows} == {"grade_1"}
  assert not (tmp_path / "run" / "report.json").exists()
  again = go(dataset, tmp_path / "run", methods=methods, on_row=rows.append, writers=())
  assert rows == written()  # none of them is told twice
  assert again.report["student"]["sha256"] == run.report["student"]["sha256"]


@pytest.mark.parametrize(
  "options, words",
  [
    ({"methods": {"kdd": 1.0}}, "did you mean 'kd'"),
    ({"methods": {"kd": -1.0}}, "methods.kd.weight"),
    ({"recipe": {"momentum": 1.5}}, "recipe.momentum is 1.5"),
    ({"recipe": {"batchsize": 8}}, "there is no setting recipe.batchsize"),
    ({"faculty": {"caches": "here"}}, "there is no setting faculty.caches"),
    ({"faculty": {"generalist": {"epochs": 0}}}, "generalist"),
    ({"seed": -1}, "seed"),
    ({"cut": "depth"}, "tests.small:SMALL cannot be cut by depth"),
  ],
)
def test_mistakes_are_a_line(dataset, tmp_path, options, words):
  with pytest.raises(UserError, match=words) as caught:
    edjax.distill(
      dataset, "tests.small:SMALL", "tests.small:SMALL", workdir=tmp_path / "run", **options
    )
  assert "\n" not in str(caught.value) and not (tmp_path / "run").exists()


def test_what_is_no_data_set(tmp_path):
  with pytest.raises(UserError, match="tuple is no data set"):
    edjax.distill(images(6), workdir=tmp_path / "run")


def test_import_takes_nothing_with_it():
  code = "import sys, edjax; print([m for m in ('jax', 'numpy', 'absl') if m in sys.modules])"
  ended = subprocess.run(
    [sys.executable, "-c", code], cwd=command.ROOT, capture_output=True, text=True, check=True
  )
  assert ended.stdout == "[]\n"


def test_everything_public_is_there():
  for name in edjax.__all__:
    assert getattr(edjax, name) is not None
  assert set(dir(edjax)) >= {*edjax.__all__}
  with contextlib.suppress(AttributeError):
    pytest.fail(f"{edjax.nothing}")
  assert graduate.load is edjax.load and plans.Curriculum is edjax.Curriculum
