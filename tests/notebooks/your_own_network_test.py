"""A network, a method, a curriculum and a teacher of PyTorch's, all defined in a notebook."""

import re

import pytest

from tests.notebooks.kernel import check_report, execute, printed, reported, shown


def test_a_network_a_method_and_a_teacher_of_ones_own(compiled, tmp_path):
  """The teacher is as good in edjax as in PyTorch, and what is defined in cells is found there."""
  given = {"WIDTHS": (4, 6, 8), "TORCH_EPOCHS": 3, "EPOCHS": 1, "UNITS_PER_HOUR": 7.0}
  book = execute("your_own_network", tmp_path, compiled, **given)
  workdir = tmp_path / "runs" / "your_own"
  report = reported(workdir)
  (teacher,) = report["teachers"]
  (said,) = re.findall(r"in PyTorch ([\d.]+)%", printed(book, "torch-training"))
  assert teacher["model"] == "resnet8" and teacher["top1"] > 0.8
  assert float(said) == pytest.approx(100 * teacher["top1"], abs=0.006)
  assert report["student"]["model"] == "__main__:BODY"
  assert [len(grade["fragments"]) for grade in report["grades"]] == [2, 3]
  method = report["run"]["settings"]["methods"]["distance"]
  assert method["method"] == "__main__:LogitDistance" and method["scale"] == 0.5
  check_report(book, workdir)
  assert len(shown(book, "agreement")) == 1
