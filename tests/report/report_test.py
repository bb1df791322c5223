"""The page holds what the report says, is well-formed, stands alone and is the same every time."""

import copy
import json
import math
import re

import numpy as np
import pytest

from edjax.report import curve, drawing, page, report
from edjax.report.journal import Journal
from tests.report.pages import EVIL, SECTIONS, Page, school


def test_the_page_holds_every_section_and_the_figures():
  made, rows = school()
  shown = Page(page.render(made, rows))
  assert shown.headings == SECTIONS
  assert shown.tags.count("svg") == 5
  text = "\n".join(shown.texts)
  top1 = 100 * made["student"]["top1"]
  for expected in (
    f"{top1:.1f} %",
    "272 k",
    "40.8 M",
    "2 m 44 s",
    "training of the teachers 15 s, grades of the student 2 m 24 s",
    "python -m edjax.main --config=configs/fashion_mnist.py:paper",
    "2026-11-26 02:00 UTC",
    "/somewhere/else",
    "temperature 4.0",
    "recipe.milestones",
    "seed 7",
    "TPU v5e",
    "9.00 G",
    "c0ffee",
    "8 images are left over.",
    "grade 2",
    "near specialist",
    "87.5 %",
    "93.1 %",
  ):
    assert expected in text, expected


def test_the_graduate_on_a_teachers_classes_comes_from_the_confusion():
  made, rows = school()
  made["student"]["confusion"] = [[6, 2, 1, 1], [0, 9, 0, 1], [0, 0, 5, 5], [0, 0, 5, 5]]
  texts = Page(page.render(made, rows)).texts
  row = texts[texts.index("resnet110") :]
  # (6 + 9) of 20 images against the teacher's 0.9.
  assert "75.0 %" in row and "−15.0" in row


def test_forgetting_is_shown_and_a_subject_not_yet_taught_is_not():
  made, rows = school()
  made["grades"][1]["top1_by_subject"] = {"near": 0.75, "far": 0.625}
  texts = Page(page.render(made, rows)).texts
  assert "−12.5" in texts
  assert texts.count("62.5 %") == 1 and "nan" not in " ".join(texts)


def test_the_page_stands_alone():
  text = page.render(*school())
  assert not re.search(r"https?://|//[a-z]+\.", re.sub(r'xmlns(:\w+)?="[^"]*"', "", text))
  assert not {"script", "link", "iframe"} & set(Page(text).tags)


def test_ids_are_unique_and_references_lead_somewhere():
  shown = Page(page.render(*school(grades=3)))
  assert len(shown.ids) == len(set(shown.ids)) > 0
  assert shown.references and shown.references <= set(shown.ids)


def test_every_name_is_escaped():
  made, rows = school(names=[EVIL, "a & b", "$x^2$", "line\nbreak \x00\ud800 北京"])
  made |= {key: EVIL for key in ("config", "dataset", "device", "seed")}
  made |= {"notes": [EVIL], "versions": {EVIL: EVIL}, "subjects": {EVIL: [0, 1], "far": [2, 3]}}
  made["student"] |= {"model": EVIL, "sha256": EVIL}
  made["teachers"][0] |= {"name": EVIL, "model": EVIL, "subject": EVIL}
  made["grades"][0] |= {"name": EVIL, "teachers": [EVIL], "fragments": [EVIL]}
  made["run"] = {key: EVIL for key in ("command", "finished", "workdir", "data_dir", "revision")}
  made["run"]["settings"] = {EVIL: EVIL, "methods": {EVIL: {"weight": 1.0, EVIL: EVIL}}}
  text = page.render(made, rows)
  shown = Page(text)
  assert "script" not in shown.tags and "<script" not in text
  assert EVIL in shown.texts and "$x^2$" in shown.texts
  assert "line break \ufffd\ufffd 北京" in shown.texts
  text.encode("utf-8")


def test_the_same_report_gives_the_same_bytes():
  made, rows = school()
  before = copy.deepcopy((made, rows))
  assert page.render(made, rows) == page.render(made, rows)
  assert (made, rows) == before


@pytest.mark.parametrize(
  "num_classes, grades, teachers",
  [(2, 1, False), (10, 3, True), (21, 1, True), (100, 2, True), (257, 1, False)],
)
def test_many_shapes_of_school(num_classes, grades, teachers):
  made, rows = school(num_classes, grades, teachers)
  shown = Page(page.render(made, rows))
  # One grade does not grow, and of many classes there is no matrix.
  absent = {"How the student grew"} if grades == 1 else set()
  assert shown.headings == [name for name in SECTIONS if name not in absent]
  drawn = 2 + (grades > 1) + teachers + (num_classes <= 25)
  assert shown.tags.count("svg") == drawn
  folded = [text for text in shown.texts if re.fullmatch(r"The other \d+ classes", text)]
  assert folded == ([f"The other {num_classes - 12} classes"] if num_classes > 25 else [])


def test_rows_may_be_missing_or_broken():
  made, rows = school()
  only_train = [row for row in rows if row["kind"] == "train"]
  assert "validation" not in Page(page.render(made, only_train)).texts
  assert "validation" in Page(page.render(made, rows)).texts
  only_train[3] |= {"loss": "nan", "top1": None}
  Page(page.render(made, only_train))
  assert "No rows in metrics.jsonl." in Page(page.render(made, [])).texts


def test_figures_that_are_missing_leave_a_dash():
  made, rows = school()
  made["student"] = {"model": "resnet20", "nll": "inf"}
  for key in ("train_macs", "seconds", "seconds_student", "teacher_training_macs"):
    made[key] = None
  for grade in made["grades"]:
    grade.update(top1=None, top1_by_subject={}, params=None, images_per_second=None)
  shown = Page(page.render(made, rows))
  assert shown.headings == SECTIONS and "nan" not in " ".join(shown.texts).split()
  made["student"] = {"confusion": np.eye(4, dtype=int).tolist()}  # as an earlier version left it
  assert Page(page.render(made, rows)).headings == SECTIONS


def test_an_exam_without_an_epoch_is_placed_by_its_step():
  made, rows = school(grades=1)
  exams = [row for row in rows if row["kind"] == "exam"]
  anchors = [(0, 0.0), (4, 1.0), (8, 2.0)]
  epochs, top1 = curve._curve(exams, anchors, 10.0, "top1")
  assert epochs.tolist() == [11.0, 12.0] and top1.tolist() == [0.5, 0.5]


def test_a_long_curve_is_thinned_without_moving_its_mean():
  rows = [{"epoch": step / 100, "top1": step / 3000} for step in range(3000)]
  epochs, top1 = curve._curve(rows, [(0, 0.0)], 0.0, "top1")
  assert len(epochs) == curve.MOST_POINTS
  assert top1.mean() == pytest.approx(2999 / 6000)


def test_write_makes_strict_json_and_the_page(tmp_path):
  made, rows = school()
  journal = Journal(tmp_path / "metrics.jsonl")
  for row in rows:
    journal.write(row)
  made["student"] |= {"nll": math.inf, "top1": np.float32(0.5)}
  made["notes"] = ["a list [\n 1,\n 2\n] in a note"]
  report.write(tmp_path, made)

  def refuse(constant):
    raise AssertionError(f"{constant} is not strict JSON")

  text = (tmp_path / "report.json").read_text()
  read = json.loads(text, parse_constant=refuse)
  made["student"] |= {"nll": "inf", "top1": 0.5}
  assert read == made
  assert text.startswith('{\n  "config": ') and f"{made['student']['confusion'][0]}" in text
  shown = (tmp_path / "report.html").read_text(encoding="utf-8")
  assert shown == page.render(read, rows)
  assert sorted(path.name for path in tmp_path.iterdir()) == [
    "metrics.jsonl",
    "report.html",
    "report.json",
  ]


@pytest.mark.parametrize(
  "number, text",
  [
    (0, "0"),
    (999, "999"),
    (999.6, "1.00 k"),
    (1000, "1.00 k"),
    (12_345, "12.3 k"),
    (272_474, "272 k"),
    (999_600, "1.00 M"),
    (9_996_000, "10.0 M"),
    (2.5e12, "2.50 T"),
    (1.2e18, "1.20 E"),
    (5e21, "5000 E"),
  ],
)
def test_big_numbers(number, text):
  assert drawing.big(number) == text


def test_shorten_keeps_both_ends():
  assert drawing.shorten("short", 5) == "short"
  short = drawing.shorten("a very long name of a class 17", 12)
  assert len(short) <= 12 and short.startswith("a very") and short.endswith("17") and "…" in short
