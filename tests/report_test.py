"""The page holds what the report says, is well-formed, stands alone and is the same every time."""

import copy
import html.parser
import json
import math
import re

import numpy as np
import pytest

from edjax import drawing, metrics, pictures, report

VOID = {"meta", "br", "img", "link", "hr", "input"}
SECTIONS = [
  "The school at a glance",
  "Learning curve",
  "Subjects from grade to grade",
  "How the student grew",
  "Teachers and graduate",
  "Confusion",
  "Calibration",
  "Settings",
]


class _Page(html.parser.HTMLParser):
  """Reads a page and fails on a tag that is not closed in its place."""

  def __init__(self, text):
    super().__init__()
    self.open, self.tags, self.ids, self.headings, self.texts = [], [], [], [], []
    self.references = set()
    self.feed(text)
    self.close()
    assert self.open == []

  def handle_starttag(self, tag, attributes):
    self._note(tag, attributes)
    if tag not in VOID:
      self.open.append(tag)

  def handle_startendtag(self, tag, attributes):
    self._note(tag, attributes)

  def handle_endtag(self, tag):
    assert self.open.pop() == tag

  def handle_data(self, data):
    self.texts.append(data.strip())
    if self.open and self.open[-1] == "h2":
      self.headings.append(data)

  def _note(self, tag, attributes):
    self.tags.append(tag)
    for key, value in attributes:
      if key == "id":
        self.ids.append(value)
      self.references.update(re.findall(r"url\(#(.*?)\)", value or ""))
      if key.endswith("href") and value.startswith("#"):
        self.references.add(value[1:])


def _school(num_classes=4, grades=2, teachers=True, names=None):
  """A report and its rows with scores of made-up answers."""
  rng = np.random.default_rng(0)
  labels = np.arange(20 * num_classes) % num_classes
  logits = rng.normal(size=(len(labels), num_classes)) + 2 * np.eye(num_classes)[labels]
  half = num_classes // 2
  subjects = {"near": list(range(half)), "far": list(range(half, num_classes))}
  scores = metrics.exam_scores(logits, labels, subjects)
  student = {key: scores[key] for key in ("top1", "top5", "nll", "ece", "confusion", "calibration")}
  student |= {
    "model": "resnet20",
    "params": 272_474,
    "macs": 40_813_184,
    "top1_best": 0.9,
    "agreement": 0.931,
    "sha256": "c0ffee",
  }
  table, rows = [], []
  for index in range(grades):
    last = index == grades - 1
    table.append(
      {
        "name": f"grade {index + 1}",
        "fragments": list(range(index + 2)),
        "epochs": 2,
        "classes": list(range(num_classes)) if last else subjects["near"],
        "top1": scores["top1"] if last else 0.875,
        "params": 1000 * (index + 1),
        "macs": 2000,
        "top1_by_subject": scores["top1_by_subject"] if last else {"near": 0.875},
        "teachers": ["near specialist"] if teachers else [],
        "seconds": 72.0,
        "images_per_second": 5120.0,
        "train_macs": 3e9,
        "train_macs_student": 1e9,
        "train_macs_teachers": 2e9 if teachers else 0,
      }
    )
    for step in range(1, 9):
      row = {"step": 8 * index + step, "grade": f"grade {index + 1}"}
      rows.append(row | {"kind": "train", "epoch": step / 4, "loss": 1 / step, "top1": step / 10})
      if step % 4 == 0:
        rows.append(row | {"kind": "exam", "split": "validation", "top1": 0.5, "nll": 0.7})
  taught = {
    "name": "near specialist",
    "model": "resnet110",
    "subject": "near",
    "classes": subjects["near"],
    "params": 1_730_714,
    "macs": 255e6,
    "top1": 0.9,
  }
  return {
    "config": "fashion_mnist:paper",
    "dataset": "Fashion-MNIST",
    "seed": 7,
    "device": "TPU v5e",
    "versions": {"jax": "0.10.2"},
    "student": student,
    "teachers": [taught] if teachers else [],
    "grades": table,
    "train_macs": 9e9,
    "train_macs_student": 2e9,
    "train_macs_teachers": 4e9,
    "teacher_training_macs": 3e9 if teachers else 0,
    "seconds": 144.0,
    "subjects": subjects,
    "classes": names or [f"class {index}" for index in range(num_classes)],
    "notes": ["8 images are left over."],
  }, rows


def test_the_page_holds_every_section_and_the_figures():
  made, rows = _school()
  page = _Page(report.render(made, rows))
  assert page.headings == SECTIONS
  assert page.tags.count("svg") == 5
  text = "\n".join(page.texts)
  top1 = 100 * made["student"]["top1"]
  for expected in (
    f"{top1:.1f} %",
    "272 k",
    "40.8 M",
    "2 m 24 s",
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
  made, rows = _school()
  made["student"]["confusion"] = [[6, 2, 1, 1], [0, 9, 0, 1], [0, 0, 5, 5], [0, 0, 5, 5]]
  texts = _Page(report.render(made, rows)).texts
  row = texts[texts.index("resnet110") :]
  # (6 + 9) of 20 images against the teacher's 0.9.
  assert "75.0 %" in row and "−15.0" in row


def test_forgetting_is_shown_and_a_subject_not_yet_taught_is_not():
  made, rows = _school()
  made["grades"][1]["top1_by_subject"] = {"near": 0.75, "far": 0.625}
  texts = _Page(report.render(made, rows)).texts
  assert "−12.5" in texts
  assert texts.count("62.5 %") == 1 and "nan" not in " ".join(texts)


def test_the_page_stands_alone():
  text = report.render(*_school())
  assert not re.search(r"https?://|//[a-z]+\.", re.sub(r'xmlns(:\w+)?="[^"]*"', "", text))
  assert not {"script", "link", "iframe"} & set(_Page(text).tags)


def test_ids_are_unique_and_references_lead_somewhere():
  page = _Page(report.render(*_school(grades=3)))
  assert len(page.ids) == len(set(page.ids)) > 0
  assert page.references and page.references <= set(page.ids)


EVIL = '<script>alert("1")</script>'


def test_every_name_is_escaped():
  made, rows = _school(names=[EVIL, "a & b", "$x^2$", "line\nbreak \x00\ud800 北京"])
  made |= {key: EVIL for key in ("config", "dataset", "device", "seed")}
  made |= {"notes": [EVIL], "versions": {EVIL: EVIL}, "subjects": {EVIL: [0, 1], "far": [2, 3]}}
  made["student"] |= {"model": EVIL, "sha256": EVIL}
  made["teachers"][0] |= {"name": EVIL, "model": EVIL, "subject": EVIL}
  made["grades"][0] |= {"name": EVIL, "teachers": [EVIL], "fragments": [EVIL]}
  text = report.render(made, rows)
  page = _Page(text)
  assert "script" not in page.tags and "<script" not in text
  assert EVIL in page.texts and "$x^2$" in page.texts
  assert "line break \ufffd\ufffd 北京" in page.texts
  text.encode("utf-8")


def test_the_same_report_gives_the_same_bytes():
  made, rows = _school()
  before = copy.deepcopy((made, rows))
  assert report.render(made, rows) == report.render(made, rows)
  assert (made, rows) == before


@pytest.mark.parametrize(
  "num_classes, grades, teachers",
  [(2, 1, False), (10, 3, True), (21, 1, True), (100, 2, True), (257, 1, False)],
)
def test_many_shapes_of_school(num_classes, grades, teachers):
  made, rows = _school(num_classes, grades, teachers)
  page = _Page(report.render(made, rows))
  assert page.headings == SECTIONS
  # Names are in the picture up to 110 classes; numbers up to 20.
  assert (f"class {num_classes - 1}" in page.texts) == (num_classes <= 110)
  assert page.tags.count("svg") == (5 if teachers else 4)


def test_rows_may_be_missing_or_broken():
  made, rows = _school()
  only_train = [row for row in rows if row["kind"] == "train"]
  assert "validation" not in _Page(report.render(made, only_train)).texts
  assert "validation" in _Page(report.render(made, rows)).texts
  only_train[3] |= {"loss": "nan", "top1": None}
  _Page(report.render(made, only_train))
  assert "No rows in metrics.jsonl." in _Page(report.render(made, [])).texts


def test_figures_that_are_missing_leave_a_dash():
  made, rows = _school()
  made["student"] = {"model": "resnet20", "nll": "inf"}
  for key in ("train_macs", "seconds", "teacher_training_macs"):
    made[key] = None
  for grade in made["grades"]:
    grade.update(top1=None, top1_by_subject={}, params=None, images_per_second=None)
  page = _Page(report.render(made, rows))
  assert page.headings == SECTIONS and "nan" not in " ".join(page.texts).split()


def test_an_exam_without_an_epoch_is_placed_by_its_step():
  made, rows = _school(grades=1)
  exams = [row for row in rows if row["kind"] == "exam"]
  anchors = [(0, 0.0), (4, 1.0), (8, 2.0)]
  epochs, top1 = pictures._curve(exams, anchors, 10.0, "top1")
  assert epochs.tolist() == [11.0, 12.0] and top1.tolist() == [0.5, 0.5]


def test_a_long_curve_is_thinned_without_moving_its_mean():
  rows = [{"epoch": step / 100, "top1": step / 3000} for step in range(3000)]
  epochs, top1 = pictures._curve(rows, [(0, 0.0)], 0.0, "top1")
  assert len(epochs) == pictures.MOST_POINTS
  assert top1.mean() == pytest.approx(2999 / 6000)


def test_write_makes_strict_json_and_the_page(tmp_path):
  made, rows = _school()
  journal = metrics.Journal(tmp_path / "metrics.jsonl")
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
  page = (tmp_path / "report.html").read_text(encoding="utf-8")
  assert page == report.render(read, rows)
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


def test_only_a_grade_without_all_fragments_has_a_reference():
  grades = [
    {"name": f"grade_{number}", "fragments": [f"fragment_{k}" for k in range(count)]}
    | {"params": 10 * count, "macs": 100 * count}
    for number, count in enumerate((1, 2, 2))
  ]
  picture = pictures.growth(grades)
  assert picture.count(">reference<") == 1 and picture.count(">head<") == 2
