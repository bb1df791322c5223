"""What a finished run leaves behind, and what another command may do with it."""

import base64
import calendar
import io
import json
import pathlib
import re
import shutil
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import edjax
from configs import digits
from edjax import models
from edjax.data import datasets
from edjax.recipes import common
from edjax.report import baselines, scores
from edjax.settings import settle
from edjax.storage import checkpoint
from edjax.training import loop
from tests import archives, command, programs
from tests.command import DIGITS, files, refused
from tests.configs_test import check_run

pytestmark = [
  pytest.mark.usefixtures("place"),
  pytest.mark.filterwarnings("ignore:the load_module"),  # ml_collections'
]
SMALL = "tests.small:SMALL"
SCHOOL = (
  *DIGITS,
  f"--config.student.model={SMALL}",
  f"--config.faculty.specialist.model={SMALL}",
  f"--config.faculty.generalist.model={SMALL}",
)
_MAPS = pathlib.Path("/proc/self/maps")


@pytest.fixture(scope="module")
def exams():
  """What the exams of `smoke` are compiled of, see `programs.of_exams`."""
  return []


@pytest.fixture(scope="module")
def smoke(compiled, exams, tmp_path_factory):
  """A finished run of digits with specialists and a generalist, which tests leave as it is.

  Returns:
    (work directory, report, config), the config that of `SCHOOL`.
  """
  workdir = tmp_path_factory.mktemp("smoke") / "run"
  config = digits.get_config("paper,smoke")
  common.every(config, teachers="both")
  for part in (config.student, config.faculty.specialist, config.faculty.generalist):
    part.model = SMALL
  with programs.of_exams(exams):
    return workdir, loop.run(settle(config), workdir), config


def test_the_exam_of_a_network_is_compiled_once_in_a_school(smoke, exams):
  """Of pupils, graduate and teachers, in training and for the report."""
  # Specialists of 4, 3 and 3 classes, two pupils, and one whole network: generalist and graduate.
  assert len(exams) == len(set(exams)) == 5


@pytest.mark.skipif(not _MAPS.exists(), reason="Linux says how many mappings a process has")
def test_a_caller_can_clear_all_programs(compiled, tmp_path):
  """So that it may run any number of schools; each keeps hundreds of mappings."""
  config, kept, counts = digits.get_config("ce,smoke"), [], []
  config.student.model = SMALL
  for number in range(2):
    loop.run(settle(config), tmp_path / str(number))
    kept.append(len(_MAPS.read_text().splitlines()))
    jax.clear_caches()
    counts.append(len(_MAPS.read_text().splitlines()))
  assert max(counts) < counts[0] + 100
  assert kept[1] > counts[0] + 200  # it is the clearing that makes the difference


def test_digits(smoke):
  workdir, report, config = smoke
  check_run(workdir, report, config, 451)
  assert {path.name for path in (workdir / "teachers").iterdir()} == {
    "subject_1", "subject_2", "subject_3", "generalist",
  }  # fmt: skip
  # The exam once more, by hand.
  data = datasets.load("digits", **config.data)
  variables, info = checkpoint.load_variables(workdir / "graduate")
  network = models.graduate(models.body(info["model"]), 10)
  views = (data.test.images / np.float32(255) - np.float32(data.mean[0])) / np.float32(data.std[0])
  logits = np.asarray(network.apply(variables, jnp.asarray(views)).logits)
  right = logits.argmax(1) == data.test.labels
  second, first = np.sort(logits, axis=1)[:, -2:].T
  close = first - second < 1e-4  # where another order of summation may answer otherwise
  assert close.sum() <= 5
  assert abs(451 * report["student"]["top1"] - right.sum()) <= close.sum() + 1e-6
  for name, labels in report["subjects"].items():
    own = np.isin(data.test.labels, labels)
    stated = own.sum() * report["grades"][-1]["top1_by_subject"][name]
    assert abs(stated - right[own].sum()) <= close[own].sum() + 1e-6


def test_the_report_says_how_the_run_was_made(smoke):
  workdir, report, config = smoke
  ran, text = report["run"], (workdir / "report.html").read_text()
  assert ran["settings"] == json.loads((workdir / "config.json").read_text())
  assert ran["workdir"] == str(workdir) and ran["workdir"] in text
  assert time.time() - calendar.timegm(time.strptime(ran["finished"], "%Y-%m-%d %H:%M UTC")) < 900
  assert ran["data_digest"] in text and "recipe.batch_size" in text and "temperature 4.0" in text


def test_the_training_of_the_teachers_is_part_of_the_cost(smoke):
  workdir, report, _ = smoke
  infos = [json.loads(path.read_text()) for path in workdir.glob("teachers/*/network/info.json")]
  assert len(infos) == 4
  parts = [sum(info[f"training_{what}"] for info in infos) for what in ("macs", "seconds")]
  assert (report["teacher_training_macs"], report["seconds_teachers"]) == pytest.approx(parts)
  grades = report["grades"]
  assert report["train_macs"] == sum(row["train_macs"] for row in grades) + parts[0]
  assert report["seconds"] > sum(row["seconds"] for row in grades) + parts[1]
  assert report["student"]["interval"][0] < report["student"]["top1"]
  for row in (*grades, *report["teachers"]):
    assert row["count"] >= 100 and row["interval"][0] <= row["top1"] <= row["interval"][1]


@pytest.mark.parametrize(
  "changes, words",
  [
    (["--config.seed=1"], ["seed was 0, is now 1"]),
    (["--config.recipe.pad=2"], ["recipe.pad was 1, is now 2"]),
    (["--config.methods={'ce':{'weight':0.3}}"], ["methods.kd.", "is now 'not set'"]),
  ],
)
def test_a_work_directory_of_another_config(changes, words, smoke, capfd):
  workdir = smoke[0]
  before = files(workdir)
  ended = command.give(capfd, *SCHOOL, f"--workdir={workdir}", *changes)
  refused(ended, workdir, "another config", *words, "another --workdir")
  assert files(workdir) == before


def test_a_damaged_config(smoke, capfd, place):
  workdir = place / "copy"
  shutil.copytree(smoke[0], workdir, ignore=shutil.ignore_patterns("checkpoints", "teachers"))
  (workdir / "config.json").write_text('{"seed": 0')
  refused(command.give(capfd, *SCHOOL, f"--workdir={workdir}"), "config.json", "damaged")


def test_exam(smoke, capfd):
  workdir, report, _ = smoke
  before = files(workdir)
  ended = command.give(capfd, *SCHOOL, f"--workdir={workdir}", "--mode=exam")
  assert ended.code == 0 and ended.err == ""
  scores = json.loads(ended.out)
  assert scores["count"] == 451
  for key in ("top1", "interval", "top5", "nll", "ece"):
    assert scores[key] == report["student"][key]
  assert files(workdir) == before


def test_exam_of_another_data_set(smoke, capfd, place):
  archives.write_tree(place / "data", ("ant", "bee"), 5)
  given = "--config=configs/folder.py", "--config.data_dir=data", "--mode=exam"
  refused(
    command.give(capfd, *given, f"--workdir={smoke[0]}"),
    "10 classes (0, 1, 2",
    "2 classes (ant, bee)",
  )


@pytest.mark.parametrize(
  "setting, taken, words",
  [
    ("generalist", ["subject_1"], ["answers for 3 classes (0, 1, 2)", "needs 10 classes"]),
    ("specialist", ["subject_1"] * 3, ["subject_2", "(0, 1, 2)", "needs 3 classes (3, 4, 5)"]),
  ],
)
def test_a_teacher_of_other_classes(setting, taken, words, smoke, capfd):
  places = [f"{smoke[0]}/teachers/{name}/network" for name in taken]
  given = (
    f"--config.faculty.{setting}.checkpoint={places[0] if len(places) == 1 else tuple(places)}"
  )
  refused(command.give(capfd, *SCHOOL, given), places[0], *words)


def test_a_damaged_teacher(smoke, capfd, place):
  shutil.copytree(smoke[0] / "teachers" / "generalist" / "network", place / "network")
  for path in (place / "network").rglob("d/*"):  # not every file is in use
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
  given = "--config.faculty.generalist.checkpoint=network"
  refused(command.give(capfd, *SCHOOL, given), place / "network", "damaged")


def test_the_report_shows_the_surest_mistakes_of_its_graduate(smoke):
  workdir, report, _ = smoke
  test, student = datasets.load("digits").test, edjax.load(workdir)
  probabilities = student.predict(test.images)
  wrong = np.flatnonzero(probabilities.argmax(1) != test.labels)
  told = report["student"]["surest_mistakes"]
  surest = np.sort(probabilities[wrong].max(1))[::-1][:12]
  assert [row["probability"] for row in told] == pytest.approx(surest, rel=1e-4)
  page = (workdir / "report.html").read_text(encoding="utf-8").partition("Surest mistakes")[2]
  sources = re.findall(r'<img src="data:image/png;base64,([^"]*)"', page)
  for row, source in zip(told, sources, strict=True):
    answer, place = student.class_names.index(row["answer"]), row["image"]
    assert row["probability"] == pytest.approx(probabilities[place, answer], rel=1e-4)
    assert row["truth"] == student.class_names[test.labels[place]] != row["answer"]
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(source))))
    assert (shown == test.images[place, ..., 0]).all()


def test_the_report_says_what_its_graduate_costs(smoke):
  workdir, report, _ = smoke
  student = json.loads((workdir / "report.json").read_text())["student"]
  assert student["bytes"] == sum(map(len, files(workdir / "graduate").values()))
  assert [row["images"] for row in student["latency"]] == [1, 32]
  for row in student["latency"]:
    assert row["milliseconds"] > 0 and 1 <= row["runs"] <= 30
    assert row["device"].startswith(jax.devices()[0].device_kind)
  page = (workdir / "report.html").read_text(encoding="utf-8")
  assert f"{student['bytes'] / 1000:,.0f} kB" in page


def test_a_finished_run_finds_a_simpler_one_beside_it(smoke, tmp_path):
  _, report, _ = smoke
  simple = report | {"teachers": [], "grades": report["grades"][-1:]}
  (tmp_path / "ce").mkdir()
  (tmp_path / "ce" / "report.json").write_text(json.dumps(simple))
  (row,) = baselines.beside(tmp_path / "mine", report)
  assert row["run"] == "ce" and row["top1"] == report["student"]["top1"]
  assert row["difference"] == 0 and sum(row["interval"]) == pytest.approx(0)
  right = scores.unpacked(report["student"]["right"], row["count"])
  assert right.mean() == pytest.approx(row["top1"])
