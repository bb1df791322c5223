"""The report of a run: report.json for programs, a self-contained report.html for people.

`render` is pure: the same report and rows give the same bytes. The keys of the report are those of
report.json; one that is missing or None leaves its place in the page empty.
"""

import html
import json
import math
import re

from edjax import metrics, pictures
from edjax.drawing import big, clean, number_or_nan, shorten

MOST_PAIRS = 8  # of the most confused classes

CSS = """
:root { color-scheme: light; --ink: #22272e; --grey: #6e7781; --rule: #e3e7eb; --blue: #0072b2;
  --vermilion: #d55e00; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 960px; padding: 48px 24px 72px; color: var(--ink);
  background: #fff; font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue",
  Arial, sans-serif; font-variant-numeric: tabular-nums; }
h1 { margin: 0; font-size: 30px; line-height: 1.2; letter-spacing: -0.015em; font-weight: 650;
  overflow-wrap: anywhere; }
h2 { margin: 56px 0 12px; padding-top: 14px; border-top: 1px solid var(--rule); font-size: 19px;
  font-weight: 650; letter-spacing: -0.005em; }
p { max-width: 84ch; margin: 8px 0 16px; }
.sub, .note, dt, th { color: var(--grey); }
.sub { margin: 4px 0 0; overflow-wrap: anywhere; }
.note { font-size: 13.5px; }
.hero { display: flex; flex-wrap: wrap; gap: 20px 48px; margin: 28px 0 8px; }
.hero > div { line-height: 1.15; }
.hero > div > b { display: block; font-size: 68px; font-weight: 680; letter-spacing: -0.035em;
  color: var(--blue); line-height: 1; margin: 0 0 8px -3px; }
.hero span, .tiles span { color: var(--grey); font-size: 13.5px; }
.tiles { display: grid; flex: 1; grid-template-columns: repeat(auto-fill, minmax(124px, 1fr));
  gap: 14px 24px; }
.tiles b { display: block; font-size: 19px; font-weight: 600; line-height: 1.3; }
table { border-collapse: collapse; width: 100%; margin: 8px 0 16px; font-size: 14px; }
th { font-weight: 500; font-size: 12.5px; text-align: left; vertical-align: bottom; }
th, td { padding: 7px 0 7px 18px; border-bottom: 1px solid var(--rule); }
th:first-child, td:first-child { padding-left: 0; }
td { vertical-align: top; }
.n { text-align: right; white-space: nowrap; }
td:first-child { min-width: 76px; }
.heat td.n { width: 112px; padding: 7px 12px; border: 2px solid #fff; border-radius: 6px; }
.heat th.n { padding-right: 12px; }
.heat td:first-child { border-bottom-color: #fff; }
.heat small { display: block; color: inherit; opacity: 0.85; font-size: 12px; }
.bar { display: flex; height: 14px; margin: 18px 0 8px; gap: 2px; }
.bar i { display: block; min-width: 2px; }
.key { display: flex; flex-wrap: wrap; gap: 4px 28px; font-size: 13.5px; margin: 0 0 8px; }
.key i { display: inline-block; width: 10px; height: 10px; margin-right: 7px; }
.student { background: var(--blue); } .answers { background: #9fc8e3; }
.training { background: #c3cad2; }
svg { display: block; width: 100%; height: auto; margin: 8px 0; }
svg * { stroke-linejoin: round; stroke-linecap: butt; }
svg text { font-family: system-ui, "Segoe UI", Roboto, Arial, sans-serif !important; }
.two { display: flex; flex-wrap: wrap; gap: 16px 40px; align-items: flex-start; }
.two > svg { flex: 0 1 480px; width: 480px; } .two > div { flex: 1 1 280px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 5px 28px; margin: 8px 0 16px;
  font-size: 14px; }
dd { margin: 0; overflow-wrap: anywhere; } code { font-size: 12.5px; }
@media print { body { padding: 0; } h2 { break-after: avoid; } svg, table { break-inside: avoid; } }
"""


def write(workdir, report):
  """Writes report.json and report.html into `workdir`, each whole or not at all.

  Args:
    workdir: a pathlib.Path; the learning curve comes from its metrics.jsonl, if there is one.
    report: a dict, see the module's docstring; figures that are not finite become strings.
  """
  report = metrics.plain(report)
  text = json.dumps(report, indent=2, allow_nan=False)
  # A row of numbers stays one line, or a confusion matrix would take a line for every cell.
  text = re.sub(r'\[\n([^\[\]{}"]*)\n *\]', lambda found: f"[{' '.join(found[1].split())}]", text)
  metrics.replace_file(workdir / "report.json", (text + "\n").encode())
  page = render(report, metrics.Journal(workdir / "metrics.jsonl").rows())
  metrics.replace_file(workdir / "report.html", page.encode())


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
    ("Confusion", _confusion(report)),
    ("Calibration", _calibration(report)),
    ("Settings", _settings(report)),
  )
  body = "".join(f"<section><h2>{title}</h2>{content}</section>\n" for title, content in sections)
  title = _text(f"{report.get('config', 'edjax')}: report")
  return (
    f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    f"<style>{CSS}</style></head>\n<body>\n{_headline(report)}\n{body}</body></html>\n"
  )


def _headline(report):
  student = report.get("student") or {}
  classes = len(report.get("classes") or ())
  tiles = "".join(
    f"<div><b>{value}</b><span>{name}</span></div>"
    for name, value in (
      ("top-5", _percent(student.get("top5"))),
      ("top-1, best epoch", _percent(student.get("top1_best"))),
      ("loss (nats)", _figure(student.get("nll"), 3)),
      ("calibration error", _percent(student.get("ece"))),
      ("parameters", _big(student.get("params"))),
      ("MACs per image", _big(student.get("macs"))),
      ("wall time", _duration(report.get("seconds"))),
      ("MACs of the run", _big(report.get("train_macs"))),
    )
  )
  told = [
    student.get("model"),
    report.get("dataset"),
    f"{classes} classes" if classes else None,
    report.get("device"),
    f"seed {report['seed']}" if "seed" in report else None,
  ]
  return (
    f"<header><h1>{_text(report.get('config', 'edjax'))}</h1>"
    f'<p class="sub">{" · ".join(_text(item) for item in told if item)}</p>'
    f'<div class="hero"><div><b>{_percent(student.get("top1"))}</b>'
    "<span>top-1 of the graduate on the test split</span></div>"
    f'<div class="tiles">{tiles}</div></div></header>'
  )


def _school(report):
  classes = report.get("classes") or ()
  table = []
  for grade in report.get("grades") or ():
    seen = grade.get("classes") or ()
    teachers = grade.get("teachers") or ()
    shown = ", ".join(shorten(name, 28) for name in teachers[:3])
    table.append(
      (
        _name(grade["name"]),
        _text(", ".join(str(f).removeprefix("fragment_") for f in grade["fragments"])),
        f"{len(seen)} of {len(classes)}",
        _text(shown + (f" and {len(teachers) - 3} more" if len(teachers) > 3 else "")) or "none",
        _figure(grade.get("epochs"), None),
        _percent(grade.get("top1")),
        _big(grade.get("train_macs_student")),
        _big(grade.get("train_macs_teachers")),
        _duration(grade.get("seconds")),
        _figure(grade.get("images_per_second"), 0),
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
    _table(head, table) + '<p class="note">top-1 is over the classes of the grade, each with '
    "the head of that grade; MACs are multiply-accumulates spent on training.</p>"
    + _compute(report)
  )


def _compute(report):
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
    f'<span><i class="{kind}"></i>{words}: {_big(macs, "MACs")} ({_percent(macs / total)})</span>'
    for kind, words, macs in parts
  )
  return f'<div class="bar">{bar}</div><div class="key">{key}</div>'


def _curve(report, rows):
  grades = report.get("grades") or ()
  if not rows or not grades:
    return '<p class="note">No rows in metrics.jsonl.</p>'
  return pictures.learning_curve(grades, rows) + (
    '<p class="note">Each grade has its own classes and its own head, so the curves may jump '
    "where the band changes. Training figures are those of augmented batches.</p>"
  )


def _subjects(report):
  grades = report.get("grades") or ()
  table = []
  for subject, members in (report.get("subjects") or {}).items():
    before, cells = math.nan, []
    for grade in grades:
      now = number_or_nan((grade.get("top1_by_subject") or {}).get(subject))
      change = 100 * (now - before)
      small = "" if math.isnan(change) else f"<small>{change:+.1f}</small>".replace("-", "−")
      tint = 0.0 if math.isnan(now) else max(0.06, now**3 * 0.8)
      colour = "#fff" if tint > 0.5 else "inherit"
      cells.append(
        "<td class=n></td>"
        if math.isnan(now)
        else f'<td class="n" style="background:rgba(0,114,178,{tint:.2f});color:{colour}">'
        f"{_percent(now)}{small}</td>"
      )
      before = now
    table.append(
      f"<tr><td>{_name(subject)} <span class=note>{len(members)} classes</span></td>"
      f"{''.join(cells)}</tr>"
    )
  head = "".join(f"<th class=n>{_text(shorten(grade['name'], 18))}</th>" for grade in grades)
  return (
    f"<table class=heat><thead><tr><th>subject</th>{head}</tr></thead><tbody>{''.join(table)}"
    "</tbody></table><p class=note>Test top-1 within each subject at the end of each grade, "
    "and the change in points since the grade before: a fall is forgetting, or the price of "
    "more classes to choose from. An empty cell is a subject not yet taught.</p>"
  )


def _growth(report):
  grades = report.get("grades") or ()
  return (pictures.growth(grades) if grades else "") + (
    '<p class="note">A grade without all fragments ends in a teaching reference, others in the '
    "network’s own head. MACs are multiply-accumulates of a forward pass.</p>"
  )


def _teachers(report):
  teachers = report.get("teachers") or ()
  if not teachers:
    return '<p class="note">No teachers: the student learned from the labels alone.</p>'
  student = report.get("student") or {}
  table, own, graduate = [], [], []
  for teacher in teachers:
    own.append(number_or_nan(teacher.get("top1")))
    graduate.append(_on_classes(student.get("confusion"), teacher.get("classes") or ()))
    change = 100 * (graduate[-1] - own[-1])
    table.append(
      (
        _name(teacher["name"]),
        _name(teacher.get("model", "–")),
        _name(teacher.get("subject", "–")),
        str(len(teacher.get("classes") or ())),
        _big(teacher.get("params")),
        _big(teacher.get("macs")),
        _percent(own[-1]),
        _percent(graduate[-1]),
        "–" if math.isnan(change) else f"{change:+.1f}".replace("-", "−"),
      )
    )
  table.append(
    (
      "<b>graduate</b>",
      _name(student.get("model", "–")),
      "all",
      str(len(report.get("classes") or ())),
      _big(student.get("params")),
      _big(student.get("macs")),
      "",
      _percent(student.get("top1")),
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
  agreed = (
    ""
    if student.get("agreement") is None
    else " It gives the same answer as its teachers "
    f"to {_percent(student['agreement'])} of the test images."
  )
  return (
    pictures.faculty([teacher["name"] for teacher in teachers], own, graduate)
    + _table(head, table)
    + '<p class="note">Both on test images of the teacher’s classes. '
    "The graduate chooses among all classes, a specialist among its own: the graduate’s "
    f"task is the harder one.{agreed}</p>"
  )


def _on_classes(confusion, classes):
  if not confusion or not classes:
    return math.nan
  asked = sum(sum(confusion[index]) for index in classes)
  return sum(confusion[index][index] for index in classes) / asked if asked else math.nan


def _confusion(report):
  counts = (report.get("student") or {}).get("confusion")
  classes = report.get("classes") or ()
  if not counts:
    return '<p class="note">Not recorded.</p>'
  pairs = [
    (count, truth, answer)
    for truth, row in enumerate(counts)
    for answer, count in enumerate(row)
    if truth != answer and count
  ]
  pairs = sorted(pairs, key=lambda pair: (-pair[0], pair[1:]))[:MOST_PAIRS]
  table = [
    (
      _name(classes[truth]),
      _name(classes[answer]),
      f"{count:,}",
      _percent(count / sum(counts[truth])),
    )
    for count, truth, answer in pairs
  ]
  picture = pictures.confusion(counts, classes, report.get("subjects") or {})
  return picture + _table(("most confused: truth", "answer", "*images", "*of that class"), table)


def _calibration(report):
  student = report.get("student") or {}
  if not student.get("calibration"):
    return '<p class="note">Not recorded.</p>'
  return (
    f'<div class="two">{pictures.reliability(student["calibration"])}<div>'
    f"<p>Expected calibration error <b>{_percent(student.get('ece'))}</b></p>"
    '<p class="note">Test images in 15 bins by the confidence of the answer. On the dashed '
    "line, a network that is 80 % sure is right 80 % of the time; bars below it are "
    "over-confident. The error is the mean gap, weighted by the images in each bin (Guo et "
    "al. 2017, arXiv:1706.04599).</p></div></div>"
  )


def _settings(report):
  items = [(key, report.get(key)) for key in ("config", "dataset", "seed", "device")]
  items += sorted((report.get("versions") or {}).items())
  facts = "".join(f"<dt>{_text(key)}</dt><dd>{_text(value)}</dd>" for key, value in items)
  sha256 = _text((report.get("student") or {}).get("sha256", "–"))
  notes = "".join(f"<li>{_text(note)}</li>" for note in report.get("notes") or ())
  return f"<dl>{facts}<dt>sha256 of the graduate</dt><dd><code>{sha256}</code></dd></dl>" + (
    f"<h3>Notes</h3><ul>{notes}</ul>" if notes else ""
  )


def _table(head, rows):
  """Returns a table; a column whose head starts with an asterisk holds numbers. Cells are HTML."""
  classes = [' class="n"' if name.startswith("*") else "" for name in head]
  top = "".join(
    f"<th{c}>{_text(name.lstrip('*'))}</th>" for c, name in zip(classes, head, strict=True)
  )
  body = "".join(
    f"<tr>{''.join(f'<td{c}>{cell}</td>' for c, cell in zip(classes, row, strict=True))}</tr>"
    for row in rows
  )
  return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _text(value):
  return html.escape(clean(value))


def _name(value):
  return html.escape(shorten(value, 40))


def _figure(value, digits, unit=""):
  value = number_or_nan(value)
  if not math.isfinite(value):
    return "–"
  return (f"{value:g}" if digits is None else f"{value:,.{digits}f}") + unit


def _percent(value):
  return _figure(100 * number_or_nan(value), 1, " %")


def _big(value, unit=""):
  value = number_or_nan(value)
  return f"{big(value)}{unit}" if math.isfinite(value) else "–"


def _duration(value):
  value = number_or_nan(value)
  return metrics.duration(value) if math.isfinite(value) else "–"
