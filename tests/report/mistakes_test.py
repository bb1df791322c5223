"""Each class by itself and the surest mistakes, against scikit-learn, scipy and the images."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image
from scipy import special, stats
from sklearn import metrics

from edjax.report import classes, images, page, scores
from tests.report.pages import Page, school


def exam(n=300, num_classes=30, seed=0):
  rng = np.random.default_rng(seed)
  labels = rng.integers(0, num_classes, n)
  return rng.normal(size=(n, num_classes)) + 2 * np.eye(num_classes)[labels], labels


def test_recall_and_precision_of_the_table_are_scikit_learns_and_their_intervals_scipys():
  logits, labels = exam()
  names = [f"class {k}" for k in range(30)]
  confusion = scores.exam_scores(logits, labels, {})["confusion"]
  rows = scores.by_class(confusion, np.bincount(labels, minlength=30), names)
  told = classes.table(rows, confusion)
  shown = told["weakest"] + told["others"]
  answers, order = logits.argmax(1), [names.index(row["class"]) for row in shown]
  for key, score in (("recall", metrics.recall_score), ("precision", metrics.precision_score)):
    theirs = score(labels, answers, average=None, labels=order)
    assert [row[key] for row in shown] == pytest.approx(list(theirs), abs=1e-12)
  for row, label in zip(shown, order, strict=True):
    right, count = ((answers == label) & (labels == label)).sum(), (labels == label).sum()
    theirs = stats.binomtest(int(right), int(count)).proportion_ci(0.95, method="wilson")
    assert row["count"] == count and row["recall_interval"] == pytest.approx(list(theirs), abs=1e-9)
    others = np.bincount(answers[(labels == label) & (answers != label)], minlength=30)
    assert row["times"] == others.max() and others[names.index(row["taken"])] == others.max()
  assert [row["recall"] for row in shown] == sorted(row["recall"] for row in shown)


def test_the_weakest_of_many_classes_are_open_and_the_others_folded():
  counts = np.diag([10] * 100)
  counts[42, [42, 7]] = 3, 7
  counts[9, [9, 8]] = 6, 4
  made, rows = school(num_classes=100)
  student = made["student"]
  student["confusion"] = counts.tolist()
  student["by_class"] = scores.by_class(counts, counts.sum(1), made["classes"])
  texts = Page(page.render(made, rows)).texts
  table = texts[texts.index("Classes") : texts.index("Confusion")]
  assert table.index("class 42") < table.index("class 9") < table.index("The other 88 classes")
  assert "class 7 (7)" in table and "98 of 100 classes are above 90 %" in " ".join(table)
  assert "n 17, 36.0–78.4" in table  # of 17 answers "class 7" 10 are right
  assert "share the lowest" not in " ".join(table)
  assert {name for name in made["classes"] if name in table} == set(made["classes"])
  never = np.roll(np.diag([10] * 100), 1, axis=1)
  student["by_class"] = scores.by_class(never, never.sum(1), made["classes"])
  text = " ".join(" ".join(Page(page.render(made, rows)).texts).split())
  assert "100 of 100 share the lowest, 0.0 %; 0 of 100 classes are above 90 %" in text


def test_a_class_without_images_and_one_never_answered_come_last_and_leave_a_dash():
  rows = scores.by_class([[0, 2, 0], [0, 3, 0], [0, 0, 0]], [2, 4, 0], "abc")
  shown = classes.table(rows, [[0, 2, 0], [0, 3, 0], [0, 0, 0]])["weakest"]
  # Of the four of b one has no answer.
  assert [(row["class"], row["recall"], row["precision"]) for row in shown] == [
    ("a", 0.0, None),
    ("b", 0.75, 0.6),
    ("c", None, None),
  ]


def test_the_surest_mistakes_are_those_with_the_highest_probability_of_a_wrong_class():
  logits, labels = exam(num_classes=5)
  logits[7] = np.nan
  told = scores.surest_mistakes(logits, labels, "abcde")
  probabilities = special.softmax(logits, axis=1)
  wrong = [k for k in range(300) if k != 7 and probabilities[k].argmax() != labels[k]]
  ordered = sorted(wrong, key=lambda k: -probabilities[k].max())
  assert [row["image"] for row in told] == ordered[:12] and len(ordered) > 12
  for row in told:
    mine = probabilities[row["image"]]
    assert row["probability"] == pytest.approx(mine.max())
    assert row["of_truth"] == pytest.approx(mine["abcde".index(row["truth"])])
    assert row["answer"] == "abcde"[mine.argmax()] != row["truth"]


def test_what_rounds_to_a_probability_of_one_is_still_in_order():
  logits = np.zeros((4, 3), np.float32)
  logits[:, 1] = 60, 80, 50, 70
  told = scores.surest_mistakes(logits, np.array([0, 0, 0, 1]), "abc")
  assert [row["image"] for row in told] == [1, 0, 2]
  assert {row["probability"] for row in told} == {1.0}
  assert scores.surest_mistakes(logits, np.array([1, 1, 1, 1]), "abc") == []


def opened(source):
  kind, text = re.fullmatch(r"data:image/(\w+);base64,(.*)", source).groups()
  return kind, np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


@pytest.mark.parametrize("shape", [(8, 8, 1), (64, 64, 3), (40, 1, 1)])
def test_a_small_image_is_in_the_page_to_the_pixel(shape):
  image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
  kind, shown = opened(images.inline(image))
  assert kind == "png" and (shown.reshape(shape) == image).all()


def test_an_image_of_height_one_is_drawn_as_a_curve():
  rising = np.arange(256, dtype=np.uint8)
  kind, shown = opened(images.inline(np.stack([rising, 0 * rising], 1)[None]))
  height, width = shown.shape[:2]
  drawn = (shown != 255).any(-1)
  for x in (0, width // 4, width // 2, width - 1):
    up = np.flatnonzero(drawn[:-3, x]).mean() if x else height - 1
    assert kind == "png" and abs(up - (height - 1) * (1 - x / (width - 1))) <= 2
  assert drawn[-2:].any(0).all()  # the other channel lies at the bottom
  assert not images.is_small(np.zeros((1, 40, 1), np.uint8))


def test_a_photograph_is_in_the_page_in_a_few_kilobytes():
  yy, xx = np.mgrid[:224, :320]
  image = np.stack([yy, xx % 256, (yy + xx) % 256], -1).astype(np.uint8)
  source = images.inline(image)
  kind, shown = opened(source)
  assert kind == "jpeg" and shown.shape == (112, 160, 3) and len(source) < 20_000
  assert np.abs(shown[:, :100, 0].astype(int) - image[1::2, :200:2, 0]).mean() < 3


def test_the_page_shows_the_mistakes_whose_images_are_there():
  made, rows = school()
  told = made["student"]["surest_mistakes"]
  pictures = np.random.default_rng(0).integers(0, 256, (len(told), 8, 8, 3), np.uint8)
  text = page.render(made, rows, images.Pictures(pictures))
  sources = re.findall(r'<img src="([^"]*)"', text)
  assert all((opened(s)[1] == p).all() for s, p in zip(sources, pictures, strict=True)) and sources
  shown = " ".join(" ".join(Page(text).texts).split())
  for row in told:
    assert f"is {row['truth']} ({100 * row['of_truth']:.1f} %) test image {row['image']}" in shown
  wrong = round(80 * (1 - made["student"]["top1"]))
  assert f"The {len(told)} of {wrong} wrong answers, to 80 test images" in shown
  assert "Surest mistakes" not in Page(page.render(made, rows)).headings
