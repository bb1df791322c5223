"""The report of a run: report.json for programs, a self-contained report.html for people.

`render` is pure: the same report and rows give the same bytes. The keys of the report are those of
report.json; what is missing or None leaves a dash, and a picture of what is not there is not drawn.
"""

import json
import math
import re

from edjax.report import circumstances, figures, journal, mistakes, page
from edjax.report.drawing import number_or_nan
from edjax.storage import files


def write(workdir, report):
  """Writes report.json and report.html into `workdir`, each whole or not at all.

  Args:
    workdir: a pathlib.Path; the learning curve comes from its metrics.jsonl, if there is one.
    report: a dict, see the module's docstring; figures that are not finite become strings.
  """
  report = journal.plain(report)
  text = json.dumps(report, indent=2, allow_nan=False)
  # A row of numbers stays one line, or a confusion matrix would take a line for every cell.
  text = re.sub(r'\[\n([^\[\]{}"]*)\n *\]', lambda found: f"[{' '.join(found[1].split())}]", text)
  files.replace_file(workdir / "report.json", (text + "\n").encode())
  made = render(report, journal.Journal(workdir / "metrics.jsonl").rows())
  files.replace_file(workdir / "report.html", made.encode())


def render(report, rows):
  """Returns the HTML page of a report.

  Args:
    report: the content of report.json.
    rows: the rows of metrics.jsonl.
  """
  sections = (
    ("The school at a glance", _school(report)),
    ("Learning curve", _curve(report, rows)),
    ("Subjects from grade to grade", _subjects(report)),
    ("How the student grew", _growth(report)),
    ("Teachers and graduate", _teachers(report)),
    ("Confusion", mistakes.section(report)),
    ("Calibration", _calibration(report)),
    ("Settings", circumstances.section(report)),
  )
  body = "".join(
    f"<section><h2>{title}</h2>{content}</section>\n" for title, content in sections if content
  )
  title = page.text(f"{report.get('config', 'edjax')}: report")
  return (
    f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    f"<style>{page.CSS}</style></head>\n<body>\n{_headline(report)}\n{body}</body></html>\n"
  )


def _headline(report):
  student = report.get("student") or {}
  classes, count = len(report.get("classes") or ()), student.get("exam_count")
  tiles = "".join(
    f"<div><b>{value}</b><span>{name}</span></div>"
    for name, value in (
      *((("top-5", page.percent(student.get("top5"))),) if classes > 5 else ()),
      ("loss (nats)", page.figure(student.get("nll"), 3)),
      ("calibration error", page.percent(student.get("ece"))),
      ("parameters", page.count(student.get("params"))),
      ("MACs per image", page.count(student.get("macs"))),
      ("time of the run, teachers’ training included", page.span(report.get("seconds"))),
      ("MACs of the run, teachers’ training included", page.count(report.get("train_macs"))),
    )
  )
  told = [
    student.get("model"),
    report.get("dataset"),
    f"{classes} classes" if classes else None,
    report.get("device"),
    f"seed {report['seed']}" if "seed" in report else None,
  ]
  sure = page.sureness(student.get("top1"), count)
  return (
    f"<header><h1>{page.text(report.get('config', 'edjax'))}</h1>"
    f'<p class="sub">{" · ".join(page.text(item) for item in told if item)}</p>'
    f'<div class="hero"><div class="top"><b>{page.percent(student.get("top1"))}</b>'
    f"<span>top-1 of the graduate on the test split, last epoch{sure and f': {sure}'}</span></div>"
    f'<div class="tiles">{tiles}</div></div>{_best(student)}</header>'
  )


def _best(student):
  """Says what `top1_best` is: a figure beside the result, not the result."""
  best = student.get("top1_best")
  if best is None:
    return ""
  return page.note(
    f"The result is that of the last epoch. At the epoch of the last grade that did best on the "
    f"validation part, test top-1 was {page.percent(best)}; it stands here for comparison only."
  )


def _school(report):
  classes = report.get("classes") or ()
  rows = []
  for grade in report.get("grades") or ():
    seen, teachers = grade.get("classes") or (), grade.get("teachers") or ()
    rows.append(
      (
        page.short(page.readable(grade["name"])),
        page.text(", ".join(map(page.fragment_label, grade["fragments"]))),
        f"{len(seen)} of {len(classes)}",
        page.short(page.teachers_label(teachers), 60) or "none",
        page.figure(grade.get("epochs"), None),
        page.measured(grade.get("top1"), grade.get("count")),
        page.count(grade.get("train_macs_student")),
        page.count(grade.get("train_macs_teachers")),
        page.span(grade.get("seconds")),
        page.figure(grade.get("images_per_second"), 0),
      )
    )
  head = (
    "grade",
    "fragments",
    "*classes",
    "teachers",
    "*epochs",
    "*test top-1",
    "*student MACs",
    "*teacher MACs",
    "*time",
    "*images/s",
  )
  return (
    page.table(head, rows)
    + page.note(
      "top-1 is over the classes of the grade, each with the head of that grade; below it the "
      "number of test images and the 95 % interval. MACs are multiply-accumulates spent on "
      "training; images/s leave compiling and exams out."
    )
    + _costs(report)
  )


def _costs(report):
  parts = [
    (kind, words, number_or_nan(report.get(key)))
    for kind, words, key in (
      ("student", "student", "train_macs_student"),
      ("answers", "teachers’ answers", "train_macs_teachers"),
      ("training", "training of the teachers", "teacher_training_macs"),
    )
  ]
  parts = [part for part in parts if part[2] > 0]
  total = sum(macs for _, _, macs in parts)
  if not math.isfinite(total) or not parts:
    return ""
  bar = "".join(
    f'<i class="{kind}" style="flex:{macs / total:.4f}"></i>' for kind, _, macs in parts
  )
  key = "".join(
    f'<span><i class="{kind}"></i>{words}: {page.count(macs, " MACs")} '
    f"({page.percent(macs / total)})</span>"
    for kind, words, macs in parts
  )
  return f'<div class="bar">{bar}</div><div class="key">{key}</div>' + page.note(
    " ".join(filter(None, (_times(report), _elsewhere(report))))
  )


def _times(report):
  times = [
    f"{words} {page.span(report.get(key))}"
    for words, key in (
      ("training of the teachers", "seconds_teachers"),
      ("grades of the student", "seconds_student"),
      ("setting out and last exams", "seconds_between"),
    )
    if number_or_nan(report.get(key)) > 0
  ]
  return f"Time, compiling and exams included: {', '.join(times)}." if times else ""


def _elsewhere(report):
  """Says of teachers that this run did not train what is known of their cost."""
  sources = {"cache": "from the cache", "given": "given"}
  others = [
    f"{page.text(page.teacher_label(teacher['name']))} ({sources[teacher['source']]}, "
    + (
      f"{page.count(teacher['training_macs'], ' MACs')})" if teacher.get("training_macs") else
      "cost not known)"
    )
    for teacher in report.get("teachers") or ()
    if teacher.get("source") in sources
  ]  # fmt: skip
  return f"Not counted, as trained elsewhere: {', '.join(others)}." if others else ""


def _curve(report, rows):
  grades = report.get("grades") or ()
  if not rows or not grades:
    return page.note("No rows in metrics.jsonl.")
  return page.scroll(figures.learning_curve(grades, rows)) + page.note(
    "Each grade has its own classes and its own head, so the curves may jump where the band "
    "changes. Training figures are those of augmented batches; their objective is the weighted "
    "sum of the grade’s methods, the validation loss is the cross-entropy alone. Shading and "
    "bars are 95 % intervals."
  )


def _subjects(report):
  grades, subjects = report.get("grades") or (), report.get("subjects") or {}
  if len(grades) * len(subjects) < 2:
    return ""
  rows = []
  for subject, members in subjects.items():
    before, cells = math.nan, []
    for grade in grades:
      now = number_or_nan((grade.get("top1_by_subject") or {}).get(subject))
      cells.append(_heat(now, now - before, (grade.get("count_by_subject") or {}).get(subject)))
      before = now
    label = page.subject_label(subject, members, report.get("classes") or ())
    rows.append(
      f"<tr><td>{page.short(label, 60)} <span class=note>{len(members)} classes</span></td>"
      f"{''.join(cells)}</tr>"
    )
  head = "".join(
    f"<th class=n>{page.short(page.readable(grade['name']), 18)}</th>" for grade in grades
  )
  return page.scroll(
    f"<table class=heat><thead><tr><th>subject</th>{head}</tr></thead><tbody>{''.join(rows)}"
    "</tbody></table>"
  ) + page.note(
    "Test top-1 within each subject at the end of each grade, with the number of test images and "
    "the 95 % interval, and the change in points since the grade before: a fall is forgetting, or "
    "the price of more classes to choose from. An empty cell is a subject not yet taught."
  )


def _heat(share, change, count):
  """Returns a cell that is the bluer the larger a share is."""
  if math.isnan(share):
    return "<td class=n></td>"
  tint = 0.05 + 0.4 * share**3
  small = "".join(
    f"<small>{line}</small>"
    for line in (page.points(change), page.sureness(share, count, words=False))
    if line
  )
  return (
    f'<td class="n" style="background:rgba(var(--tint),{tint:.2f})">'
    f"{page.percent(share)}{small}</td>"
  )


def _growth(report):
  grades = report.get("grades") or ()
  if len(grades) < 2:
    return ""
  return page.scroll(figures.growth(grades)) + page.note(
    "A grade without all fragments ends in a teaching reference, others in the network’s own "
    "head. MACs are multiply-accumulates of a forward pass."
  )


def _teachers(report):
  teachers = report.get("teachers") or ()
  if not teachers:
    return page.note("No teachers: the student learned from the labels alone.")
  student, classes = report.get("student") or {}, report.get("classes") or ()
  rows, own, graduate = [], [], []
  for teacher in teachers:
    share, count = _on_classes(student.get("confusion"), teacher.get("classes") or ())
    own.append((number_or_nan(teacher.get("top1")), teacher.get("count") or count))
    graduate.append((share, count))
    subject = (report.get("subjects") or {}).get(teacher.get("subject"))
    told = teacher.get("subject", "–")
    rows.append(
      (
        page.short(page.teacher_label(teacher["name"])),
        page.short(teacher.get("model", "–")),
        page.short(page.subject_label(told, subject, classes, 30) if subject else told, 50),
        str(len(teacher.get("classes") or ())),
        page.count(teacher.get("params")),
        page.count(teacher.get("macs")),
        page.measured(*own[-1]),
        page.measured(*graduate[-1]),
        page.points(share - own[-1][0]) or "–",
      )
    )
  rows.append(
    (
      "<b>graduate</b>",
      page.short(student.get("model", "–")),
      "all",
      str(len(classes)),
      page.count(student.get("params")),
      page.count(student.get("macs")),
      "",
      page.measured(student.get("top1"), student.get("exam_count")),
      "",
    )
  )
  head = (
    "teacher",
    "model",
    "subject",
    "*classes",
    "*parameters",
    "*MACs",
    "*its top-1",
    "*graduate’s",
    "*points",
  )
  labels = [page.teacher_label(teacher["name"]) for teacher in teachers]
  return (
    page.scroll(figures.faculty(labels, own, graduate))
    + page.table(head, rows)
    + page.note(
      "Both on test images of the teacher’s classes, with their number and the 95 % interval. The "
      "graduate chooses among all classes, a specialist among its own: the graduate’s task is the "
      f"harder one.{_agreed(student)}"
    )
  )


def _agreed(student):
  if student.get("agreement") is None:
    return ""
  count = number_or_nan(student.get("agreement_count"))
  of = "the test images" if math.isnan(count) else f"{count:,.0f} answers of theirs to test images"
  return (
    f" It gives the same answer as its teachers to {page.percent(student['agreement'])} of {of}."
  )


def _on_classes(confusion, classes):
  """Returns (the graduate's top-1 on some classes, on how many images)."""
  if not confusion or not classes:
    return math.nan, 0
  asked = sum(sum(confusion[index]) for index in classes)
  right = sum(confusion[index][index] for index in classes)
  return (right / asked if asked else math.nan), asked


def _calibration(report):
  student = report.get("student") or {}
  if not student.get("calibration"):
    return page.note("Not recorded.")
  count = sum(student["calibration"]["count"])
  return (
    f'<div class="two">{mistakes.reliability(student["calibration"])}<div>'
    f"<p>Expected calibration error <b>{page.percent(student.get('ece'))}</b> of {count:,} test "
    "images</p>"
    + page.note(
      "Test images in 15 bins by the confidence of the answer. On the dashed line, a network that "
      "is 80 % sure is right 80 % of the time; bars below it are over-confident. A bin is drawn "
      "the paler the fewer images it has, with the 95 % interval of its accuracy. The error is the "
      "mean gap, weighted by the images in each bin (Guo et al. 2017, arXiv:1706.04599)."
    )
    + "</div></div>"
  )
