"""The page holds what the report says, is well-formed, stands alone and is the same every time."""

import copy
import html.parser
import json
import math
import re
import subprocess

import numpy as np
import pytest

from edjax.report import circumstances, drawing, figures, mistakes, page, report, words
from edjax.report.journal import Journal
from edjax.report.scores import exam_scores

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
  scores = exam_scores(logits, labels, subjects)
  kept = ("top1", "interval", "top5", "nll", "ece", "confusion", "calibration")
  student = {key: scores[key] for key in kept} | {"exam_count": scores["count"]}
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
        "count": len(labels) if last else len(labels) // 2,
        "top1_by_subject": scores["top1_by_subject"] if last else {"near": 0.875},
        "count_by_subject": {name: len(labels) // 2 for name in subjects},
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
        rows.append(
          row | {"kind": "exam", "split": "validation", "top1": 0.5, "nll": 0.7, "count": 30}
        )
  taught = {
    "name": "near specialist",
    "model": "resnet110",
    "subject": "near",
    "classes": subjects["near"],
    "params": 1_730_714,
    "macs": 255e6,
    "top1": 0.9,
    "source": "trained",
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
    "seconds": 164.0,
    "seconds_student": 144.0,
    "seconds_teachers": 15.0,
    "seconds_between": 5.0,
    "run": {
      "command": "python -m edjax.main --config=configs/fashion_mnist.py:paper",
      "finished": "2026-11-26 02:00 UTC",
      "data_dir": "/somewhere/else",
      "settings": {
        "methods": {"kd": {"weight": 0.7, "temperature": 4.0}},
        "recipe": {"batch_size": 40, "milestones": [3, 5]},
      },
    },
    "subjects": subjects,
    "classes": names or [f"class {index}" for index in range(num_classes)],
    "notes": ["8 images are left over."],
  }, rows


def test_the_page_holds_every_section_and_the_figures():
  made, rows = _school()
  shown = _Page(page.render(made, rows))
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
  made, rows = _school()
  made["student"]["confusion"] = [[6, 2, 1, 1], [0, 9, 0, 1], [0, 0, 5, 5], [0, 0, 5, 5]]
  texts = _Page(page.render(made, rows)).texts
  row = texts[texts.index("resnet110") :]
  # (6 + 9) of 20 images against the teacher's 0.9.
  assert "75.0 %" in row and "−15.0" in row


def test_forgetting_is_shown_and_a_subject_not_yet_taught_is_not():
  made, rows = _school()
  made["grades"][1]["top1_by_subject"] = {"near": 0.75, "far": 0.625}
  texts = _Page(page.render(made, rows)).texts
  assert "−12.5" in texts
  assert texts.count("62.5 %") == 1 and "nan" not in " ".join(texts)


def test_the_page_stands_alone():
  text = page.render(*_school())
  assert not re.search(r"https?://|//[a-z]+\.", re.sub(r'xmlns(:\w+)?="[^"]*"', "", text))
  assert not {"script", "link", "iframe"} & set(_Page(text).tags)


def test_ids_are_unique_and_references_lead_somewhere():
  shown = _Page(page.render(*_school(grades=3)))
  assert len(shown.ids) == len(set(shown.ids)) > 0
  assert shown.references and shown.references <= set(shown.ids)


EVIL = '<script>alert("1")</script>'


def test_every_name_is_escaped():
  made, rows = _school(names=[EVIL, "a & b", "$x^2$", "line\nbreak \x00\ud800 北京"])
  made |= {key: EVIL for key in ("config", "dataset", "device", "seed")}
  made |= {"notes": [EVIL], "versions": {EVIL: EVIL}, "subjects": {EVIL: [0, 1], "far": [2, 3]}}
  made["student"] |= {"model": EVIL, "sha256": EVIL}
  made["teachers"][0] |= {"name": EVIL, "model": EVIL, "subject": EVIL}
  made["grades"][0] |= {"name": EVIL, "teachers": [EVIL], "fragments": [EVIL]}
  made["run"] = {key: EVIL for key in ("command", "finished", "workdir", "data_dir", "revision")}
  made["run"]["settings"] = {EVIL: EVIL, "methods": {EVIL: {"weight": 1.0, EVIL: EVIL}}}
  text = page.render(made, rows)
  shown = _Page(text)
  assert "script" not in shown.tags and "<script" not in text
  assert EVIL in shown.texts and "$x^2$" in shown.texts
  assert "line break \ufffd\ufffd 北京" in shown.texts
  text.encode("utf-8")


def test_the_same_report_gives_the_same_bytes():
  made, rows = _school()
  before = copy.deepcopy((made, rows))
  assert page.render(made, rows) == page.render(made, rows)
  assert (made, rows) == before


@pytest.mark.parametrize(
  "num_classes, grades, teachers",
  [(2, 1, False), (10, 3, True), (21, 1, True), (100, 2, True), (257, 1, False)],
)
def test_many_shapes_of_school(num_classes, grades, teachers):
  made, rows = _school(num_classes, grades, teachers)
  shown = _Page(page.render(made, rows))
  # One grade does not grow, and of many classes the hardest are listed in place of a matrix.
  absent = {"How the student grew"} if grades == 1 else set()
  assert shown.headings == [name for name in SECTIONS if name not in absent]
  drawn = 2 + (grades > 1) + teachers + (num_classes <= 25)
  assert shown.tags.count("svg") == drawn
  assert (f"hardest of {num_classes} classes" in shown.texts) == (num_classes > 25)


def test_rows_may_be_missing_or_broken():
  made, rows = _school()
  only_train = [row for row in rows if row["kind"] == "train"]
  assert "validation" not in _Page(page.render(made, only_train)).texts
  assert "validation" in _Page(page.render(made, rows)).texts
  only_train[3] |= {"loss": "nan", "top1": None}
  _Page(page.render(made, only_train))
  assert "No rows in metrics.jsonl." in _Page(page.render(made, [])).texts


def test_figures_that_are_missing_leave_a_dash():
  made, rows = _school()
  made["student"] = {"model": "resnet20", "nll": "inf"}
  for key in ("train_macs", "seconds", "seconds_student", "teacher_training_macs"):
    made[key] = None
  for grade in made["grades"]:
    grade.update(top1=None, top1_by_subject={}, params=None, images_per_second=None)
  shown = _Page(page.render(made, rows))
  assert shown.headings == SECTIONS and "nan" not in " ".join(shown.texts).split()


def test_an_exam_without_an_epoch_is_placed_by_its_step():
  made, rows = _school(grades=1)
  exams = [row for row in rows if row["kind"] == "exam"]
  anchors = [(0, 0.0), (4, 1.0), (8, 2.0)]
  epochs, top1 = figures._curve(exams, anchors, 10.0, "top1")
  assert epochs.tolist() == [11.0, 12.0] and top1.tolist() == [0.5, 0.5]


def test_a_long_curve_is_thinned_without_moving_its_mean():
  rows = [{"epoch": step / 100, "top1": step / 3000} for step in range(3000)]
  epochs, top1 = figures._curve(rows, [(0, 0.0)], 0.0, "top1")
  assert len(epochs) == figures.MOST_POINTS
  assert top1.mean() == pytest.approx(2999 / 6000)


def test_write_makes_strict_json_and_the_page(tmp_path):
  made, rows = _school()
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


def test_only_a_grade_without_all_fragments_has_a_reference():
  grades = [
    {"name": f"grade_{number}", "fragments": [f"fragment_{k}" for k in range(count)]}
    | {"params": 10 * count, "macs": 100 * count}
    for number, count in enumerate((1, 2, 2))
  ]
  picture = figures.growth(grades)
  assert picture.count(">reference<") == 1 and picture.count(">head<") == 2


def test_every_accuracy_has_its_count_and_its_interval():
  made, rows = _school(num_classes=10)
  made["student"] |= {"top1": 448 / 451, "exam_count": 451}
  made["teachers"][0] |= {"top1": 0.9, "count": 100}
  made["grades"][0] |= {"top1": 0.5, "count": 4}
  texts = _Page(page.render(made, rows)).texts
  assert any("last epoch: of 451, 95 % interval 98.1–99.8 %" in text for text in texts)
  assert "n 100, 82.6–94.5" in texts and "n 4, 15.0–85.0" in texts
  for row in made["grades"]:
    for subject, share in row["top1_by_subject"].items():
      assert words.sureness(share, row["count_by_subject"][subject], words=False) in texts


def test_pictures_say_of_how_many_images_they_are():
  rows = [[9, 1, 0], [0, 1234, 0], [2, 0, 3]]
  drawn = mistakes.confusion(rows, ["a", "b", "c"], {})
  assert [f">{name}<" in drawn for name in ("a (n 10)", "b (n 1,234)", "c (n 5)")] == [True] * 3
  grades, rows = _parts()
  assert ">validation, n 30<" in figures.learning_curve(grades, rows)
  exams = [row for row in rows if row["kind"] == "exam"]
  exams[0]["count"] = 12
  assert ">validation, n 12–30<" in figures.learning_curve(grades, rows)
  assert ">validation<" in figures.learning_curve(grades, [r | {"count": None} for r in rows])


def test_an_only_exam_of_a_grade_has_its_interval():
  """A band between points has no width where there is one: a bar stands there."""
  grades, rows = _parts()
  once = [row for row in rows if row["kind"] == "exam" and row["step"] % 8 == 0]
  unknown = [row | {"count": None} for row in once]
  assert len(once) == len(grades) == 2
  bars = [
    len(re.findall(r"LineCollection", figures.learning_curve(grades, r))) for r in (once, unknown)
  ]
  assert bars[0] == bars[1] + 2


def test_narrow_names_of_classes_stand_upright():
  counts = [[5, 1], [2, 6]]
  upright, slanted = (
    mistakes.confusion(counts, names, {}) for names in (["0", "1"], ["a long name", "b"])
  )
  assert "rotate(-40 " not in upright and "rotate(-40 " in slanted


def test_the_best_epoch_is_said_to_be_no_result():
  made, rows = _school()
  text = " ".join(_Page(page.render(made, rows)).texts)
  assert "did best on the validation part, test top-1 was 90.0 %" in text
  made["student"]["top1_best"] = None
  assert "did best" not in page.render(made, rows)


def test_what_teachers_cost_elsewhere_is_named_and_not_counted():
  made, rows = _school()
  made["teachers"][0] |= {"source": "cache", "training_macs": 70e9}
  made["teachers"].append(made["teachers"][0] | {"name": "generalist", "source": "given"})
  made["teachers"][1]["training_macs"] = None
  text = " ".join(_Page(page.render(made, rows)).texts)
  assert "near specialist (from the cache, 70.0 G MACs), generalist (given, cost not known)" in text


def test_names_are_made_for_readers():
  made, rows = _school(num_classes=6)
  made = json.loads(
    json.dumps(made).replace('"near"', '"subject_1"').replace('"far"', '"subject_2"')
  )
  for number, grade in enumerate(made["grades"], 1):
    grade |= {"name": f"grade_{number}", "teachers": ["subject_1", "subject_2", "generalist"]}
    grade["fragments"] = [f"fragment_{k}" for k in range(number)]
  made["teachers"][0]["name"] = "subject_1"
  rows = [row | {"grade": row["grade"].replace(" ", "_")} for row in rows]
  text = page.render(made, rows)
  texts = _Page(text).texts
  assert not [raw for raw in ("subject_", "grade_", "fragment_") if raw in " ".join(texts)]
  assert "subject 1: class 0, class 1, class 2" in texts and "specialists 1–2, generalist" in texts
  assert "1, 2" in texts and ">0<" not in figures.growth(made["grades"])


def test_a_subject_names_as_many_classes_as_fit():
  classes = ["cat", "dog", "a bird with a very long name indeed", "猫"]
  assert words.subject_label("subject_2", [0, 1], classes) == "subject 2: cat, dog"
  assert words.subject_label("subject_2", [0, 1, 2], classes, 20) == "subject 2: cat, dog, …"
  assert words.subject_label("mine", [2], classes, 12).startswith("mine: a bird")


def test_a_dark_screen_has_its_own_colours():
  text = page.render(*_school())
  style = text[text.index("<style>") : text.index("</style>")]
  light, dark = style.split("prefers-color-scheme: dark")
  used = set(re.findall(r"var\((--[a-z-]+)", text))
  assert used
  for name in used:
    assert f"{name}:" in light and f"{name}:" in dark, name
  pictures_alone = "".join(re.findall(r"<svg.*?</svg>", text, re.DOTALL))
  assert set(re.findall(r"#[0-9a-f]{6}\b", pictures_alone)) == set()
  assert "image" not in _Page(text).tags  # pixels could not follow


def test_blue_is_the_student_and_vermilion_its_teachers():
  drawn = figures.faculty(["a"], [(0.9, 10)], [(0.8, 10)])
  markers = re.findall(r"<use [^>]*var\(--(\w+)\)", drawn)
  assert {"blue", "vermilion"} <= set(markers)
  assert "vermilion" not in figures.growth(_school(grades=3)[0]["grades"])
  assert "--vermilion" not in figures.learning_curve(*_parts())
  text = page.render(*_school())
  bar = re.search(r'<div class="bar">(.*?)</div>', text, re.DOTALL)[1]
  assert re.findall(r'<i class="(\w+)"', bar) == ["student", "answers", "training"]
  assert "vermilion" not in bar
  assert ".student { background: var(--blue); }" in text
  assert ".training { background: var(--vermilion); }" in text


def _parts():
  made, rows = _school()
  return made["grades"], rows


def test_objective_and_validation_loss_have_axes_of_their_own():
  drawn = figures.learning_curve(*_parts())
  assert drawn.count(">objective<") == 1 and "validation" in drawn and "curve-axes_3" in drawn


@pytest.mark.parametrize("epochs", [(1, 1, 1, 1, 236), (5, 10, 25), (1,), (1, 100), (2,) * 60])
def test_labels_of_short_grades_do_not_touch(epochs):
  ends = np.cumsum(epochs)
  spans = list(zip(ends - epochs, ends, strict=True))
  placed = figures.place_labels(spans, [f"grade {k + 1}" for k in range(len(epochs))])
  letter = ends[-1] / figures._LETTERS
  for row in (0, 1):
    edges = [(c - letter * len(t) / 2, c + letter * len(t) / 2) for c, r, t in placed if r == row]
    assert all(left[1] < right[0] for left, right in zip(edges, edges[1:], strict=False))
  if len(epochs) <= 5:
    assert placed[-1][2] == f"grade {len(epochs)}"


def test_an_axis_is_not_spanned_by_one_image():
  """Four images: 3 of 4 and 4 of 4 are within each other's interval, and so drawn."""
  axis = re.findall(r">(\d+) %<", figures.faculty(["a"], [(1.0, 4)], [(0.75, 4)]))
  assert min(map(int, axis)) <= 40


def test_a_bin_of_one_image_does_not_look_like_one_of_hundreds():
  empty = [None] * 13
  drawn = mistakes.reliability(
    {
      "confidence": [*empty, 0.9, 0.97],
      "accuracy": [*empty, 1.0, 0.99],
      "count": [0] * 13 + [1, 432],
    }
  )
  strengths = [float(found) for found in re.findall(r"light-blue\); opacity: ([\d.]+)", drawn)]
  assert strengths == [0.25]  # the other is opaque


def test_the_hardest_of_many_classes_and_pairs_are_listed():
  counts = np.diag([10] * 100)
  counts[42, [42, 7]] = 3, 7
  counts[9, [9, 8]] = 6, 4
  made, rows = _school(num_classes=100)
  made["student"]["confusion"] = counts.tolist()
  texts = _Page(page.render(made, rows)).texts
  table = texts[texts.index("hardest of 100 classes") :]
  assert table.index("class 42") < table.index("class 9")
  assert "class 7 (7)" in table and "98 of 100 classes are above 90 %" in " ".join(table)
  assert "share the lowest" not in " ".join(table)
  assert "7 of 10" in table and "n 10, 39.7–89.2" in table
  made["student"]["confusion"] = np.roll(np.diag([10] * 100), 1, axis=1).tolist()
  text = " ".join(" ".join(_Page(page.render(made, rows)).texts).split())
  assert "100 of 100 share the lowest, 0.0 %; 0 of 100 classes are above 90 %" in text


def test_nothing_is_wider_than_a_narrow_page():
  """Tables and pictures scroll by themselves; everything else wraps."""
  text = page.render(*_school(num_classes=10, grades=4))
  assert text.count("<table") == text.count('<div class="scroll"><table')
  drawn = len(re.findall(r'<svg [^>]*class="(?!reliability)', text))
  assert drawn == text.count('<div class="scroll"><svg')


def test_the_revision_is_of_edjaxs_own_checkout_only(tmp_path, monkeypatch):
  def git(*arguments):
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    asked = ["git", "-C", str(tmp_path), *who, *arguments]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()

  inner = tmp_path / "site-packages"
  inner.mkdir()
  git("init", "-q")
  (tmp_path / "file").write_text("a")
  git("add", "file")
  git("commit", "-qm", "first")
  head = git("rev-parse", "HEAD")
  assert head.startswith(circumstances.revision(tmp_path)) and circumstances.revision(tmp_path)
  (tmp_path / "file").write_text("b")
  assert circumstances.revision(tmp_path) == f"{head[:12]}-dirty"
  assert circumstances.revision(inner) == ""  # installed within somebody else's repository
  monkeypatch.setenv("PATH", str(inner))
  assert circumstances.revision(tmp_path) == ""


def test_in_a_notebook_the_page_is_framed_and_its_style_stays_within():
  whole = page.render(*_school(names=[EVIL, "a & b", "c", "d"]))
  framed = _Frame(page.notebook(whole))
  assert framed.tags == ["iframe"] and framed.outside == ""
  assert framed.attributes["srcdoc"] == whole
  assert framed.attributes["sandbox"] == ""  # nothing in it may run


class _Frame(html.parser.HTMLParser):
  def __init__(self, text):
    super().__init__()
    self.tags, self.attributes, self.outside = [], {}, ""
    self.feed(text)
    self.close()

  def handle_starttag(self, tag, attributes):
    self.tags.append(tag)
    self.attributes |= dict(attributes)

  def handle_data(self, data):
    self.outside += data
