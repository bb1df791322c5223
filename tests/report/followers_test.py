"""What follows a journal: tables per epoch, TensorBoard's events, a function of the caller's."""

import csv
import json
import re
import shutil
import sys
from unittest import mock

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from edjax.errors import Stopped, UserError
from edjax.report import followers
from edjax.report.followers import Csv, Events, Followers
from edjax.sections import WRITERS
from edjax.settings import settle
from edjax.training import loop
from tests import command
from tests.small import config

TIMES = [f"2026-11-27T05:51:0{second}.250+00:00" for second in range(6)]


def train(step, grade, epoch, loss, kd, **more):
  row = {"training": "student", "step": step, "grade": grade, "time": TIMES[step % 6]}
  row |= {"kind": "train", "epoch": epoch, "learning_rate": 0.1 / step, "loss": loss, "top1": 0.5}
  return row | {"images_per_second": None, "losses": {"kd": kd, "ce": loss - kd}} | more


# Two epochs of a grade, the second of which is looked at after two steps and after one; then a
# grade of another length, whose second epoch is broken off, and that has no exam.
ROWS = [
  train(3, "grade_1", 1.0, loss=2.0, kd=1.5),
  {"training": "student", "step": 3, "grade": "grade_1", "kind": "exam", "split": "validation"}
  | {"count": 50, "top1": 0.25, "nll": 1.75},
  train(5, "grade_1", 5 / 3, loss=1.0, kd=0.5, images_per_second=100.0),
  train(6, "grade_1", 2.0, loss=4.0, kd=2.0, images_per_second=400.0, top1=0.2),
  train(8, "grade_2", 1.0, loss=0.5, kd=0.25),
  train(9, "grade_2", 1.5, loss=0.25, kd=0.125),
]


def table(directory):
  with open(directory / "results.csv", newline="") as file:
    return list(csv.DictReader(file))


def events(directory, viewer=None):
  """{name: [(time, step, value)]} as TensorBoard reads them, or as a viewer that read before."""
  read = (viewer or EventAccumulator(str(directory / "tensorboard"))).Reload()
  return {
    name: [(event.wall_time, event.step, event.value) for event in read.Scalars(name)]
    for name in read.Tags()["scalars"]
  }


def test_a_row_per_epoch(tmp_path):
  made = Csv(tmp_path, ["kd", "ce"])
  for row in ROWS:
    made.write(row)
  assert len(table(tmp_path)) == 3  # the last is still under way
  made.close()
  first, second, third, fourth = table(tmp_path)
  places = [(r["step"], r["grade"], r["epoch"], r["time"]) for r in (first, second, third, fourth)]
  assert places == [
    ("3", "grade_1", "1", TIMES[3]),
    ("6", "grade_1", "2", TIMES[0]),
    ("8", "grade_2", "1", TIMES[2]),
    ("9", "grade_2", "1.5", TIMES[3]),
  ]
  assert (first["train/loss"], first["train/loss_kd"], first["train/loss_ce"]) == (
    "2",
    "1.5",
    "0.5",
  )
  exam = ("validation/top1", "validation/nll", "validation/count")
  assert [first[name] for name in exam] == ["0.25", "1.75", "50"]
  assert [second[name] for name in exam] == ["", "", ""]
  # Two steps of loss 1 and one of loss 4; 300 images in the time of 200 / 100 + 100 / 400.
  assert (second["train/loss"], second["train/loss_kd"], second["train/top1"]) == ("2", "1", "0.4")
  assert float(second["train/images_per_second"]) == pytest.approx(300 / 2.25, rel=1e-5)
  assert float(second["train/learning_rate"]) == pytest.approx(0.1 / 6, rel=1e-5)
  assert first["train/images_per_second"] == ""


def test_rows_of_earlier_versions_have_no_time_and_no_losses(tmp_path):
  made = Csv(tmp_path, ["kd"])
  made.write({k: v for k, v in ROWS[0].items() if k not in ("time", "losses", "training")})
  made.close()
  (row,) = table(tmp_path)
  assert (row["train/loss"], row["train/loss_kd"], row["time"]) == ("2", "", "")


def test_events_are_what_tensorboard_reads(tmp_path):
  made = Events(tmp_path, ["kd", "ce"])
  for row in ROWS:
    made.write(row)
  made.close()
  found = events(tmp_path)
  assert [step for _, step, _ in found["train/loss"]] == [3, 5, 6, 8, 9]
  assert [value for *_, value in found["train/loss_kd"]] == [1.5, 0.5, 2.0, 0.25, 0.125]
  assert [(step, value) for _, step, value in found["validation/nll"]] == [(3, 1.75)]
  times = [time for time, *_ in found["train/loss"]]
  assert times[0] - times[2] == pytest.approx(3) and times[0] % 1 == pytest.approx(0.25, abs=1e-3)
  assert {*found} == {name for row in ROWS for name in followers.figures(row)}


def test_files_are_made_anew_where_rows_were_lost(tmp_path):
  """For a viewer that has read the lost rows, too."""
  viewer = None
  for rows, new in (([], ROWS[:5]), (ROWS[:3], ROWS[3:])):
    with Followers(WRITERS, None, tmp_path, ["kd", "ce"]) as following:
      following.begin(rows)
      for row in new:
        following.write(row)
    viewer = viewer or EventAccumulator(str(tmp_path / "tensorboard"))
    seen_by = events(tmp_path, viewer)
  assert len(table(tmp_path)) == 4
  for seen in (events(tmp_path), seen_by):
    assert [step for _, step, _ in seen["train/loss"]] == [3, 5, 6, 8, 9]


def test_every_name_has_a_writer():
  assert (*followers.WRITERS,) == WRITERS


def test_a_missing_package_is_said_at_once(small, tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, "tensorboardX", None)
  with pytest.raises(UserError, match=r"needs tensorboardX.*pip install 'edjax\[tensorboard\]'"):
    loop.run(settle(config(writers=("csv", "tensorboard"))), tmp_path / "run")
  assert not (tmp_path / "run").exists()
  with pytest.raises(UserError, match="did you mean 'tensorboard'"):
    settle(config(writers=("tensorbord",)))


def journal(directory):
  return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


def test_a_school_that_was_stopped_is_followed_as_a_whole_one(small, finished, tmp_path):
  """The work directory may get another writer when it goes on."""
  told, asked = [], iter([False, False, True])
  with pytest.raises(Stopped):
    loop.run(settle(config()), tmp_path / "run", stop=lambda: next(asked), on_row=told.append)
  shutil.rmtree(tmp_path / "run" / "checkpoints" / "3")  # it was killed before it wrote that
  both = settle(config(writers=("csv", "tensorboard")))
  loop.run(both, tmp_path / "run", on_row=told.append)
  rows = journal(tmp_path / "run")
  assert told[:2] + told[-(len(rows) - 2) :] == rows
  assert {row["training"] for row in rows} == {"student"}
  assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)
  whole = table(finished)
  assert len(whole) == sum(row["kind"] == "exam" for row in rows)
  for ours, theirs in zip(table(tmp_path / "run"), whole, strict=True):
    unlike = {key for key in ours if ours[key] != theirs[key]}
    assert unlike <= {"time", "train/images_per_second"}
  found = events(tmp_path / "run")
  for kind, name in (("train", "train/loss"), ("exam", "validation/top1")):
    steps = [row["step"] for row in rows if row["kind"] == kind]
    assert [step for _, step, _ in found[name]] == steps


def test_the_functions_of_the_page(capsys):
  """Called with rows as they are, and with a distill that hands on what they raise."""
  page = (command.ROOT / "docs" / "following.md").read_text()
  _, plots, watches = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)

  class Edjax:
    def distill(self, *_, on_row, **__):
      for row in ROWS:
        on_row(row | {"top1": 0.95})

  known = {"edjax": Edjax(), "train": None, "axes": mock.Mock(), "figure": mock.Mock()}
  exec(plots, known)
  known["axes"].plot.assert_called_once_with(3, 0.95, "o", color="black")
  exec(watches, known)
  assert capsys.readouterr().out == "good enough for now\n"


def test_the_losses_of_methods_add_up_to_the_loss(small, tmp_path):
  changes = {"grades.epochs": (1, 1, 1), "methods.kd.weight": 0.6}
  loop.run(settle(config("paper,smoke", **changes)), tmp_path / "run")
  rows = [row for row in journal(tmp_path / "run") if row["kind"] == "train"]
  assert {tuple(row["losses"]) for row in rows} == {("ce", "kd")}
  for row in rows:
    assert sum(row["losses"].values()) == pytest.approx(row["loss"], rel=1e-5)
    assert min(row["losses"].values()) > 0
  teachers = sorted((tmp_path / "run" / "teachers").iterdir())
  assert len(teachers) == 3 and all(table(teacher) for teacher in teachers)
  assert {row["training"] for row in journal(teachers[0])} == {f"teacher {teachers[0].name}"}
