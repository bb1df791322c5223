"""Finished runs beside each other: what is an arm, what it is above another, how it is written."""

import csv
import importlib
import json
import math

import pytest
from scipy import stats

from edjax import settings
from edjax.compare import __main__ as compare
from edjax.compare import arms, published
from edjax.errors import UserError
from edjax.report import runs

TOP1 = {"kd": (0.50, 0.54, 0.52), "ed": (0.56, 0.58, 0.57)}


def report(place, config="digits:kd", seed=0, top1=0.5, teacher="abc", **changes):
  """Writes the report of a run, with the settings that this config really has."""
  name, _, variants = config.partition(":")
  made = importlib.import_module(f"configs.{name}").get_config(variants)
  made.update_from_flattened_dict({"seed": seed, **changes})
  tree = settings.to_json(settings.settle(made))
  content = {
    "config": tree["name"],
    "dataset": tree["dataset"],
    "seed": seed,
    "student": {"model": tree["student"]["model"], "top1": top1, "exam_count": 360},
    "teachers": [{"name": "generalist", "model": "resnet56", "sha256": teacher}],
    "grades": [{"seconds": 10.0}, {"seconds": 20.5}],
    "train_macs_student": 2e12,
    "train_macs_teachers": 3e12,
    "run": {"data_digest": "d", "settings": tree},
  }
  place.mkdir(parents=True)
  (place / "report.json").write_text(json.dumps(content))


@pytest.fixture
def folder(tmp_path):
  for variant, all_top1 in TOP1.items():
    for seed, top1 in enumerate(all_top1):
      report(tmp_path / f"{variant}_{seed}", f"digits:{variant}", seed, top1)
  (tmp_path / "kd_3" / "checkpoints").mkdir(parents=True)  # one that has not ended
  return tmp_path


def lines(capsys):
  return [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()]


def test_runs_of_a_folder(folder, capsys):
  compare.main([str(folder), "--baseline=digits_kd"])
  heading, _, ed, kd = lines(capsys)
  assert heading[3] == "than digits_kd, points"
  assert kd[:4] == ["digits_kd", "52.00 ± 2.00", "3", "–"]
  # Differences 6, 4 and 5: their deviation is 1, t of two degrees of freedom 4.303.
  assert ed == ["digits_ed", "57.00 ± 1.00", "3", "+5.00 ± 2.48 (3)", "2", "3", "30"]


def test_the_interval_is_that_of_a_paired_t_test():
  ours, theirs = (1.0, 4.0, 2.5, 7.0), (0.5, 2.0, 3.0, 4.0)
  found = arms.paired([a - b for a, b in zip(ours, theirs, strict=True)])
  low, high = stats.ttest_rel(ours, theirs).confidence_interval(0.95)
  assert (found.mean - found.half, found.mean + found.half) == pytest.approx((low, high))
  assert arms.paired([2.0]) == arms.Gap(2.0, pytest.approx(math.nan, nan_ok=True), 1)


def test_settings_that_differ_are_in_the_name(tmp_path, capsys):
  report(tmp_path / "a", **{"recipe.batch_size": 32})
  report(tmp_path / "b", **{"recipe.batch_size": 64, "data_dir": "elsewhere"})
  compare.main([str(tmp_path / "b"), str(tmp_path / "a")])
  assert [row[0] for row in lines(capsys)[2:]] == [
    "digits_kd batch_size=64",
    "digits_kd batch_size=32",
  ]


@pytest.mark.parametrize("changes", [{"seed": 7}, {"teacher": "xyz"}, {"teacher": ""}])
def test_what_shares_too_little_has_no_difference(tmp_path, capsys, changes):
  """Another seed, another teacher, or one of which nothing says who it is."""
  report(tmp_path / "a")
  report(tmp_path / "b", "digits:dkd", **changes)
  compare.main([str(tmp_path)])
  assert lines(capsys)[3][3] == "no run of the same seed, teachers and data"


def test_a_run_without_teachers_is_compared_with_one_that_has_some(tmp_path):
  report(tmp_path / "a")
  report(tmp_path / "b", "digits:ce", top1=0.25)
  alone = json.loads((tmp_path / "b" / "report.json").read_text()) | {"teachers": []}
  (tmp_path / "b" / "report.json").write_text(json.dumps(alone))
  taught, untaught = arms.arms(runs.found([tmp_path]))
  assert arms.gap(taught, untaught).mean == 25.0


def test_numbers_of_a_csv_are_those_of_the_runs(folder, tmp_path):
  compare.main([str(folder), "--format=csv", f"--out={tmp_path / 'table.csv'}"])
  with open(tmp_path / "table.csv", newline="") as file:
    ed, kd = csv.DictReader(file)
  assert ed["run"] == "digits_ed" and ed["difference"] == ""
  assert float(kd["difference"]) == pytest.approx(-5) and kd["pairs"] == "3"
  assert float(kd["half_interval"]) == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)
  assert float(kd["macs_teachers"]) == 3e12 and float(kd["seconds"]) == 30.5


def test_a_latex_table_is_escaped(folder, capsys):
  compare.main([str(folder), "--format=latex"])
  shown = capsys.readouterr().out
  assert r"digits\_kd & 52.00 $\pm$ 2.00 & 3 &" in shown and r"test top-1 \%" in shown
  assert r"\begin{tabular}{lrrrrrr}" in shown and shown.count(r"\\") == 3


def test_a_picture_has_the_names(folder, tmp_path):
  compare.main([str(folder), f"--picture={tmp_path / 'table.svg'}", f"--out={tmp_path / 't.md'}"])
  drawn = (tmp_path / "table.svg").read_text()
  assert "digits_ed (n = 3)" in drawn and "52.00" in drawn


@pytest.mark.parametrize(
  "config, models, figure",
  [
    # RepDistiller's README: ResNet-56 to ResNet-20; WRN-40-2 to ShuffleNetV1 by CRD.
    ("cifar100:kd", ("resnet56", "resnet20"), "70.66 (RepDistiller, last epoch)"),
    ("cifar100:kd,crd", ("wrn_40_2", "shufflenetv1"), "76.05 (RepDistiller, last epoch)"),
    ("cifar100:kd,dkd", ("resnet110", "resnet32"), "74.11 (mdistiller, best epoch)"),
    ("cifar100:kd,crd_kd", ("resnet56", "resnet20"), None),  # not published there
    ("cifar100:kd", ("resnet56", "resnet14"), None),
  ],
)
def test_published_figures_stand_beside(tmp_path, capsys, config, models, figure):
  teacher, student = models
  report(tmp_path / "a", config, **{"student.model": student})
  told = json.loads((tmp_path / "a" / "report.json").read_text())
  told["teachers"][0]["model"] = teacher
  (tmp_path / "a" / "report.json").write_text(json.dumps(told))
  compare.main([str(tmp_path / "a")])
  heading, _, row = lines(capsys)
  assert row[-1] == figure if figure else heading[-1] == "seconds"


def test_a_student_alone_is_published_too():
  assert published.beside("cifar100", [], "resnet8x4", ["ce"]) == (
    72.50,
    "RepDistiller, last epoch",
  )
  assert published.beside("cifar10", [], "resnet8x4", ["ce"]) is None


def test_what_cannot_be_compared_is_said(tmp_path):
  report(tmp_path / "a")
  report(tmp_path / "b")
  with pytest.raises(UserError, match="the same but for their place, seed 0"):
    compare.main([str(tmp_path)])
  report(tmp_path / "c", "cifar100:kd")
  with pytest.raises(UserError, match="is of digits and .*c of cifar100"):
    compare.main([str(tmp_path / "a"), str(tmp_path / "c")])
  with pytest.raises(UserError, match="--baseline is 'digits_k' .did you mean 'digits_kd'"):
    compare.main([str(tmp_path / "a"), "--baseline=digits_k"])
  (tmp_path / "b" / "report.json").write_text('{"config": "digits"}')
  with pytest.raises(UserError, match="not a report of this version of edjax .it has no 'run'"):
    compare.main([str(tmp_path / "b")])
  with pytest.raises(UserError, match="unknown option '--config.seed=1'"):
    compare.main([str(tmp_path / "a"), "--config.seed=1"])
