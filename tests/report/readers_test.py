"""What a reader sees: names, figures with their n, colours, pictures that fit."""

import html.parser
import json
import re
import subprocess

import numpy as np
import pytest

from edjax.report import circumstances, curve, figures, mistakes, page, words
from tests.report.pages import EVIL, Page, parts, school


def test_only_a_grade_without_all_fragments_has_a_reference():
  grades = [
    {"name": f"grade_{number}", "fragments": [f"fragment_{k}" for k in range(count)]}
    | {"params": 10 * count, "macs": 100 * count}
    for number, count in enumerate((1, 2, 2))
  ]
  picture = figures.growth(grades)
  assert picture.count(">reference<") == 1 and picture.count(">head<") == 2


def test_a_student_cut_by_depth_has_its_head_in_every_grade_and_many_fragments():
  grades = [
    {"name": f"grade_{number}", "fragments": [f"fragment_{k}" for k in range(count)]}
    | {"params": 10 * count, "macs": 100 * count, "reference": False}
    for number, count in enumerate((1, 18))
  ]
  picture = figures.growth(grades)
  assert picture.count(">reference<") == 0 and picture.count(">head<") == 2
  assert picture.count(">17<") == 1 and picture.count(">18<") == 0  # every second has a name


def test_every_accuracy_has_its_count_and_its_interval():
  made, rows = school(num_classes=10)
  made["student"] |= {"top1": 448 / 451, "exam_count": 451}
  made["teachers"][0] |= {"top1": 0.9, "count": 100}
  made["grades"][0] |= {"top1": 0.5, "count": 4}
  texts = Page(page.render(made, rows)).texts
  assert any("last epoch: of 451, 95 % interval 98.1–99.8 %" in text for text in texts)
  assert "n 100, 82.6–94.5" in texts and "n 4, 15.0–85.0" in texts
  for row in made["grades"]:
    for subject, share in row["top1_by_subject"].items():
      assert words.sureness(share, row["count_by_subject"][subject], words=False) in texts


def test_pictures_say_of_how_many_images_they_are():
  rows = [[9, 1, 0], [0, 1234, 0], [2, 0, 3]]
  drawn = mistakes.confusion(rows, ["a", "b", "c"], {})
  assert [f">{name}<" in drawn for name in ("a (n 10)", "b (n 1,234)", "c (n 5)")] == [True] * 3
  grades, rows = parts()
  assert ">validation, n 30<" in curve.learning_curve(grades, rows)
  exams = [row for row in rows if row["kind"] == "exam"]
  exams[0]["count"] = 12
  assert ">validation, n 12–30<" in curve.learning_curve(grades, rows)
  assert ">validation<" in curve.learning_curve(grades, [r | {"count": None} for r in rows])


def test_an_only_exam_of_a_grade_has_its_interval():
  """A band between points has no width where there is one: a bar stands there."""
  grades, rows = parts()
  once = [row for row in rows if row["kind"] == "exam" and row["step"] % 8 == 0]
  unknown = [row | {"count": None} for row in once]
  assert len(once) == len(grades) == 2
  bars = [
    len(re.findall(r"LineCollection", curve.learning_curve(grades, r))) for r in (once, unknown)
  ]
  assert bars[0] == bars[1] + 2


def test_narrow_names_of_classes_stand_upright():
  counts = [[5, 1], [2, 6]]
  upright, slanted = (
    mistakes.confusion(counts, names, {}) for names in (["0", "1"], ["a long name", "b"])
  )
  assert "rotate(-40 " not in upright and "rotate(-40 " in slanted


def test_the_best_epoch_is_said_to_be_no_result():
  made, rows = school()
  text = " ".join(Page(page.render(made, rows)).texts)
  assert "did best on the validation part, test top-1 was 90.0 %" in text
  made["student"]["top1_best"] = None
  assert "did best" not in page.render(made, rows)


def test_what_teachers_cost_elsewhere_is_named_and_not_counted():
  made, rows = school()
  made["teachers"][0] |= {"source": "cache", "training_macs": 70e9}
  made["teachers"].append(made["teachers"][0] | {"name": "generalist", "source": "given"})
  made["teachers"][1]["training_macs"] = None
  text = " ".join(Page(page.render(made, rows)).texts)
  assert "near specialist (from the cache, 70.0 G MACs), generalist (given, cost not known)" in text


def test_names_are_made_for_readers():
  made, rows = school(num_classes=6)
  made = json.loads(
    json.dumps(made).replace('"near"', '"subject_1"').replace('"far"', '"subject_2"')
  )
  for number, grade in enumerate(made["grades"], 1):
    grade |= {"name": f"grade_{number}", "teachers": ["subject_1", "subject_2", "generalist"]}
    grade["fragments"] = [f"fragment_{k}" for k in range(number)]
  made["teachers"][0]["name"] = "subject_1"
  rows = [row | {"grade": row["grade"].replace(" ", "_")} for row in rows]
  text = page.render(made, rows)
  texts = Page(text).texts
  assert not [raw for raw in ("subject_", "grade_", "fragment_") if raw in " ".join(texts)]
  assert "subject 1: class 0, class 1, class 2" in texts and "specialists 1–2, generalist" in texts
  assert "1, 2" in texts and ">0<" not in figures.growth(made["grades"])


def test_sizes_of_images_stand_where_they_differ():
  made, rows = school(grades=3)
  assert '<th class="n">pixels</th>' not in page.render(made, rows)
  for grade, size in zip(made["grades"], (16, 24, 32), strict=True):
    grade["image_size"] = size
  text = page.render(made, rows)
  assert '<th class="n">pixels</th>' in text and "images of that size" in " ".join(text.split())
  cells = [f'<td class="n">{size}</td>' for size in (16, 24, 32)]
  assert all(cell in text for cell in cells)


def test_a_subject_names_as_many_classes_as_fit():
  classes = ["cat", "dog", "a bird with a very long name indeed", "猫"]
  assert words.subject_label("subject_2", [0, 1], classes) == "subject 2: cat, dog"
  assert words.subject_label("subject_2", [0, 1, 2], classes, 20) == "subject 2: cat, dog, …"
  assert words.subject_label("mine", [2], classes, 12).startswith("mine: a bird")


def test_a_dark_screen_has_its_own_colours():
  text = page.render(*school())
  style = text[text.index("<style>") : text.index("</style>")]
  light, dark = style.split("prefers-color-scheme: dark")
  used = set(re.findall(r"var\((--[a-z-]+)", text))
  assert used
  for name in used:
    assert f"{name}:" in light and f"{name}:" in dark, name
  pictures_alone = "".join(re.findall(r"<svg.*?</svg>", text, re.DOTALL))
  assert set(re.findall(r"#[0-9a-f]{6}\b", pictures_alone)) == set()
  assert "image" not in Page(text).tags  # pixels could not follow


def test_blue_is_the_student_and_vermilion_its_teachers():
  drawn = figures.faculty(["a"], [(0.9, 10)], [(0.8, 10)])
  markers = re.findall(r"<use [^>]*var\(--(\w+)\)", drawn)
  assert {"blue", "vermilion"} <= set(markers)
  assert "vermilion" not in figures.growth(school(grades=3)[0]["grades"])
  assert "--vermilion" not in curve.learning_curve(*parts())
  text = page.render(*school())
  bar = re.search(r'<div class="bar">(.*?)</div>', text, re.DOTALL)[1]
  assert re.findall(r'<i class="(\w+)"', bar) == ["student", "answers", "training"]
  assert "vermilion" not in bar
  assert ".student { background: var(--blue); }" in text
  assert ".training { background: var(--vermilion); }" in text


def test_objective_and_validation_loss_have_axes_of_their_own():
  drawn = curve.learning_curve(*parts())
  assert drawn.count(">objective<") == 1 and "validation" in drawn and "curve-axes_3" in drawn


@pytest.mark.parametrize("epochs", [(1, 1, 1, 1, 236), (5, 10, 25), (1,), (1, 100), (2,) * 60])
def test_labels_of_short_grades_do_not_touch(epochs):
  ends = np.cumsum(epochs)
  spans = list(zip(ends - epochs, ends, strict=True))
  placed = curve.place_labels(spans, [f"grade {k + 1}" for k in range(len(epochs))])
  letter = ends[-1] / curve._LETTERS
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


def test_nothing_is_wider_than_a_narrow_page():
  """Tables and pictures scroll by themselves; everything else wraps."""
  text = page.render(*school(num_classes=10, grades=4))
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
  whole = page.render(*school(names=[EVIL, "a & b", "c", "d"]))
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
