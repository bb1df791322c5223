"""The command writes where it is told, and the card says what the run's report says."""

import dataclasses
import json
import re
import shutil

import numpy as np
import pytest

from edjax import export
from edjax.errors import UserError
from edjax.export import __main__ as command
from edjax.export import card, check
from tests.export import files


@pytest.fixture
def run(finished, small, tmp_path):
  """A folder with the report and the graduate of a finished run."""
  shutil.copytree(finished / "graduate", tmp_path / "run" / "graduate")
  shutil.copy(finished / "report.json", tmp_path / "run" / "report.json")
  return tmp_path / "run"


def table(path):
  """{key: value} of the rows of a card."""
  return dict(re.findall(r"^\| (.+?) \| (.*) \|$", path.read_text(), re.MULTILINE))


def test_the_card_says_what_the_report_says(run, capsys):
  files.needed("stablehlo")
  command.main([str(run / "graduate"), "--format=stablehlo", "--licence=CC0-1.0"])
  path = run / "graduate.stablehlo"
  out = capsys.readouterr().out.splitlines()
  assert [line.partition(": ")[0] for line in out] == [str(path), str(path), f"{path}.md"]
  report, rows = json.loads((run / "report.json").read_text()), table(run / f"{path.name}.md")
  student = report["student"]
  assert rows["licence"] == "CC0-1.0"
  assert rows["classes"] == f"10, in the order of the columns: {', '.join(report['classes'])}"
  assert rows["network"] == f"small, {student['params']:,} parameters"
  low, high = student["interval"]
  share = f"{100 * student['top1']:.1f} % of {student['exam_count']:,}"
  assert rows["top-1"] == f"{share} (95 % interval {100 * low:.1f}–{100 * high:.1f})"
  rights = [row[label] / sum(row) for label, row in enumerate(student["confusion"])]
  weakest = report["classes"][int(np.argmin(rights))]
  assert rows["weakest class"].startswith(f"{weakest}, {100 * min(rights):.1f} % of ")
  assert rows["config and seed"] == f"{report['config']}, {report['seed']}"
  assert report["run"]["data_digest"] in rows["data"] and "weight 1.0" in rows["method"]
  assert rows["cost"].startswith(f"{path.stat().st_size / 1000:,.0f} kB, ")
  assert f"jax {report['versions']['jax']}" in rows["versions"]


@pytest.mark.parametrize("there", ["none", "another's", "no JSON"])
def test_without_its_own_report_the_card_says_so(run, there, capsys):
  report = json.loads((run / "report.json").read_text())
  report["student"]["sha256"] = "0" * 64
  (run / "report.json").write_text("{" if there == "no JSON" else json.dumps(report))
  if there == "none":
    (run / "report.json").unlink()
  files.needed("stablehlo")
  command.main([str(run / "graduate"), f"--out={run / 'a.stablehlo'}"])
  said = (run / "a.stablehlo.md").read_text()
  assert "No report of this network was there" in said and "top-1" not in said
  assert "licence | not said" in said


def test_formats_and_endings_must_agree(run):
  for arguments, words in (
    ([], "give --format, one of onnx, stablehlo, litert, safetensors, torch, or --out=FILE"),
    (["--format=torch", "--out=a.onnx"], r"--format=torch writes files that end in \.pth or \.pt"),
    (["--format=onyx"], "invalid choice: 'onyx'"),
    (["--out=a.md"], "a.md is of no format"),
  ):
    with pytest.raises(UserError, match=words):
      command.main([str(run / "graduate"), *arguments])
  assert sorted(path.name for path in run.iterdir()) == ["graduate", "report.json"]


def test_a_cell_holds_whatever_a_class_is_called(tmp_path):
  names = ("a|b", "c\nd", "e", "f", "g")
  student = dataclasses.replace(files.graduate("resnet8", (9, 7, 1)), class_names=names)
  export.write(student, tmp_path / "a.safetensors")
  assert table(tmp_path / "a.safetensors.md")["classes"].endswith(": a\\|b, c d, e, f, g")


def test_how_far_apart():
  """Probabilities that round to 0 and 1 hide a mistake; their logarithms do not."""

  class Sure:
    raw = False
    graduate = files.graduate("resnet8", (9, 7, 1))

    def shown(self, images):
      return images

    def expected(self, images):
      return files.odds(np.asarray([[30.0, 0, 0, 0, 0]] * len(images), np.float32))

  def off(by):
    return lambda x: files.odds(np.asarray([[30.0, by, 0, 0, 0]] * len(x), np.float32))

  assert check.difference(Sure(), off(0.0)) == 0
  assert check.difference(Sure(), off(0.3)) == pytest.approx(0.01, rel=1e-3)
  assert np.abs(off(0.3)([0]) - off(0.0)([0])).max() < 1e-6
  assert check.difference(Sure(), lambda x: off(0.0)(x)[:1]) == np.inf
  assert check.difference(Sure(), lambda x: off(0.0)(x) * np.nan) == np.inf


def test_what_a_card_says_of_itself(tmp_path):
  assert not card.is_beside(tmp_path / "a.onnx")
  (tmp_path / "a.onnx.md").write_text("# a.onnx, written by me\n")
  assert not card.is_beside(tmp_path / "a.onnx")
