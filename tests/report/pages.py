"""A page as a parser reads it, and reports of schools of any size to make pages of."""

import html.parser
import re

import numpy as np

from edjax.report.scores import by_class, exam_scores, surest_mistakes

EVIL = '<script>alert("1")</script>'
VOID = {"meta", "br", "img", "link", "hr", "input"}
SECTIONS = [
  "The school at a glance",
  "Learning curve",
  "Subjects from grade to grade",
  "How the student grew",
  "Teachers and graduate",
  "Classes",
  "Confusion",
  "Calibration",
  "Settings",
]


class Page(html.parser.HTMLParser):
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


def school(num_classes=4, grades=2, teachers=True, names=None):
  """A report and its rows with scores of made-up answers."""
  rng = np.random.default_rng(0)
  labels = np.arange(20 * num_classes) % num_classes
  logits = rng.normal(size=(len(labels), num_classes)) + 2 * np.eye(num_classes)[labels]
  half = num_classes // 2
  subjects = {"near": list(range(half)), "far": list(range(half, num_classes))}
  scores = exam_scores(logits, labels, subjects)
  kept = ("top1", "interval", "top5", "nll", "ece", "confusion", "calibration")
  student = {key: scores[key] for key in kept} | {"exam_count": scores["count"]}
  classes = names or [f"class {index}" for index in range(num_classes)]
  student["by_class"] = by_class(scores["confusion"], np.bincount(labels), classes)
  student["surest_mistakes"] = surest_mistakes(logits, labels, classes)
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
    "classes": classes,
    "notes": ["8 images are left over."],
  }, rows


def parts():
  made, rows = school()
  return made["grades"], rows
