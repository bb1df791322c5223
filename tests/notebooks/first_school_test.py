"""The first school on four devices; and what holds of every notebook."""

import re

import nbclient
import nbformat
import pytest

from tests.notebooks.kernel import (
  NAME,
  NOTEBOOKS,
  check_report,
  execute,
  printed,
  read,
  reported,
  settings,
  shown,
)


def test_a_first_school_on_four_devices(compiled, tmp_path):
  given = {"STUDENT": NAME, "TEACHER": NAME, "EPOCHS": 1, "UNITS_PER_HOUR": 7.0}
  book = execute("first_school", tmp_path, compiled, devices=4, **given)
  assert printed(book, "devices") == "4 × cpu (cpu)\n"
  assert printed(book, "data").split() == (
    "1,210 images for training 136 images for choices 451 images for the exam".split()
  )
  workdir = tmp_path / "runs" / "first_school"
  report = reported(workdir)
  assert [len(grade["fragments"]) for grade in report["grades"]] == [1, 2, 3, 3]
  assert report["run"]["settings"]["recipe"]["batch_size"] == 128
  check_report(book, workdir)
  assert len(shown(book, "look")) == len(shown(book, "ask")) == 1
  said = re.search(r"([\d.]+)% of 451 test images", printed(book, "ask"))
  assert float(said[1]) == pytest.approx(100 * report["student"]["top1"], abs=0.06)


def test_a_cell_that_fails_is_an_error(compiled, tmp_path):
  """What is there to install is installed before, here a package that is there already."""
  with pytest.raises(nbclient.exceptions.CellExecutionError, match="did you mean 'digits'"):
    execute("first_school", tmp_path, compiled, INSTALL="nbformat", DATA="digit")


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebooks_are_valid_and_without_outputs(name):
  book = read(name)
  nbformat.validate(book)
  assert (book.nbformat, book.nbformat_minor) == (4, 5)
  assert not any(each.outputs for each in book.cells if each.cell_type == "code")
  tagged = [each.id for each in book.cells if "parameters" in each.metadata.get("tags", ())]
  assert tagged == ["settings"] and "INSTALL" in settings(book)
  assert book.cells[0].source.startswith("# ")
