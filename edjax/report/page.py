"""What the page of a report is made of: its style, its small texts, its tables. Pure."""

import html
import math
import re

from edjax.progress import duration
from edjax.report import scores
from edjax.report.drawing import big, clean, number_or_nan, shorten

_LIGHT = """--paper: #ffffff; --ink: #22272e; --grey: #626b75; --pale: #d5dae0; --rule: #e3e7eb;
  --band: #f5f7f9; --blue: #0072b2; --light-blue: #9fc8e3; --on-blue: #ffffff;
  --vermilion: #d55e00; --light-vermilion: #f0bd96; --tint: 0, 114, 178;"""
_DARK = """--paper: #15191e; --ink: #e4e8ed; --grey: #9da7b2; --pale: #3d4650; --rule: #2c333b;
  --band: #1c2127; --blue: #56b0e8; --light-blue: #3a78a6; --on-blue: #0b0f13;
  --vermilion: #f28b3e; --light-vermilion: #7d4a22; --tint: 86, 176, 232;"""
CSS = (
  f"""
:root {{ color-scheme: light dark; {_LIGHT} }}
@media screen and (prefers-color-scheme: dark) {{ :root {{ {_DARK} }} }}
"""
  + """
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 960px; padding: 48px 24px 72px; color: var(--ink);
  background: var(--paper); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto,
  "Helvetica Neue", Arial, sans-serif; font-variant-numeric: tabular-nums; }
h1 { margin: 0; font-size: 30px; line-height: 1.2; letter-spacing: -0.015em; font-weight: 650;
  overflow-wrap: anywhere; }
h2 { margin: 56px 0 12px; padding-top: 14px; border-top: 1px solid var(--rule); font-size: 19px;
  font-weight: 650; letter-spacing: -0.005em; }
h3 { margin: 24px 0 4px; font-size: 15px; font-weight: 650; }
p, li { max-width: 84ch; overflow-wrap: anywhere; } p { margin: 8px 0 16px; }
.sub, .note, dt, th, small, summary { color: var(--grey); }
.sub { margin: 4px 0 0; overflow-wrap: anywhere; }
.note { font-size: 13.5px; }
.hero { display: flex; flex-wrap: wrap; gap: 20px 48px; margin: 28px 0 8px; }
.hero > .top { line-height: 1.25; max-width: 290px; }
.hero > .top > b { display: block; font-size: 68px; font-weight: 680; letter-spacing: -0.035em;
  color: var(--blue); line-height: 1; margin: 0 0 8px -3px; white-space: nowrap; }
.hero span, .tiles span { color: var(--grey); font-size: 13.5px; }
.tiles { display: grid; flex: 1 1 320px; gap: 14px 24px;
  grid-template-columns: repeat(auto-fill, minmax(136px, 1fr)); }
.tiles b { display: block; font-size: 19px; font-weight: 600; line-height: 1.3; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin: 8px 0 16px; font-size: 14px; }
th { font-weight: 500; font-size: 12.5px; text-align: left; vertical-align: bottom; }
th, td { padding: 7px 0 7px 18px; border-bottom: 1px solid var(--rule); }
th:first-child, td:first-child { padding-left: 0; }
td { vertical-align: top; }
td small { display: block; font-size: 12px; white-space: nowrap; }
.n { text-align: right; white-space: nowrap; }
td:first-child { min-width: 76px; }
.heat td.n { width: 132px; padding: 7px 12px; border: 2px solid var(--paper); border-radius: 6px; }
.heat th.n { padding-right: 12px; }
.heat td:first-child { border-bottom-color: var(--paper); }
.heat td.n small { color: inherit; opacity: 0.85; }
.bar { display: flex; height: 14px; margin: 18px 0 8px; gap: 2px; }
.bar i { display: block; min-width: 2px; }
.key { display: flex; flex-wrap: wrap; gap: 4px 28px; font-size: 13.5px; margin: 0 0 8px; }
.key i { display: inline-block; width: 10px; height: 10px; margin-right: 7px; }
.student { background: var(--blue); } .answers { background: var(--light-vermilion); }
.training { background: var(--vermilion); }
svg { display: block; width: 100%; height: auto; margin: 8px 0; }
.scroll > svg { min-width: 660px; }
svg * { stroke-linejoin: round; stroke-linecap: butt; }
svg text { font-family: system-ui, "Segoe UI", Roboto, Arial, sans-serif !important; }
.two { display: flex; flex-wrap: wrap; gap: 16px 40px; align-items: flex-start; }
.two > svg { flex: 0 1 480px; width: 480px; min-width: 0; } .two > div { flex: 1 1 280px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 5px 28px; margin: 8px 0 16px;
  font-size: 14px; }
dd { margin: 0; overflow-wrap: anywhere; } code { font-size: 12.5px; overflow-wrap: anywhere; }
details table { width: auto; font-size: 13px; } details td { padding-top: 3px; padding-bottom: 3px;
  overflow-wrap: anywhere; } summary { cursor: pointer; font-size: 14px; }
@media (max-width: 560px) { body { padding: 28px 16px 48px; } h2 { margin-top: 40px; }
  dl { display: block; } dd { margin: 0 0 8px; } .two > svg { flex-basis: 100%; } }
@media print { body { padding: 0; } h2 { break-after: avoid; } svg, table { break-inside: avoid; }
  .scroll { overflow: visible; } }
"""
)

_NUMBERED = re.compile(r"(grade|subject|generalist|fragment)_(\d+)")


def readable(name):
  """Returns a name as a reader would write it: "subject_1" -> "subject 1"; others stay."""
  return _NUMBERED.sub(r"\1 \2", name) if _NUMBERED.fullmatch(str(name)) else str(name)


def teacher_label(name):
  """Returns what a teacher is called in the page: that of "subject_1" is "specialist 1"."""
  return readable(name).replace("subject ", "specialist ", 1) if _is_numbered(name) else str(name)


def teachers_label(names):
  """Returns several teachers in a few words: "specialists 1–3, generalist"."""
  labels = [teacher_label(name) for name in names]
  numbers = [label.split()[1] for label in labels if re.fullmatch(r"specialist \d+", label)]
  ordered = [str(n) for n in range(1, len(numbers) + 1)]
  if len(numbers) < 2:
    return ", ".join(labels)
  between = f"1–{len(numbers)}" if numbers == ordered else ", ".join(numbers)
  others = [label for label in labels if not re.fullmatch(r"specialist \d+", label)]
  return ", ".join([f"specialists {between}", *others])


def subject_label(name, members, classes, letters=44):
  """Returns a subject with as many of its classes as fit: "subject 1: cat, dog, …"."""
  label = readable(name)
  names = [clean(classes[index]) for index in members if index < len(classes)]
  shown, count = "", 0
  while count < len(names) and len(shown) + len(names[count]) + 2 <= letters:
    shown += (", " if shown else "") + names[count]
    count += 1
  if not names:
    return label
  if not count:
    shown, count = shorten(names[0], letters), 1
  return f"{label}: {shown}{', …' if count < len(names) else ''}"


def fragment_label(fragment):
  """Returns a fragment's name, counted from 1 as grades are: "fragment_0" -> "1"."""
  number = str(fragment).removeprefix("fragment_")
  return str(int(number) + 1) if number.isdigit() else str(fragment)


def _is_numbered(name):
  return bool(_NUMBERED.fullmatch(str(name)))


def table(head, rows, kind=""):
  """Returns a table that scrolls where it is too wide.

  Args:
    head: its columns; one that starts with an asterisk holds numbers.
    rows: of cells, HTML.
    kind: a class of the style.
  """
  classes = [' class="n"' if name.startswith("*") else "" for name in head]
  top = "".join(
    f"<th{c}>{text(name.lstrip('*'))}</th>" for c, name in zip(classes, head, strict=True)
  )
  body = "".join(
    f"<tr>{''.join(f'<td{c}>{cell}</td>' for c, cell in zip(classes, row, strict=True))}</tr>"
    for row in rows
  )
  return scroll(f'<table class="{kind}"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>')


def scroll(content):
  """Returns HTML that scrolls by itself where it is wider than the page."""
  return f'<div class="scroll">{content}</div>'


def note(content):
  """Returns a paragraph in small grey print; its content is HTML."""
  return f'<p class="note">{content}</p>'


def text(value):
  """Returns any value as safe HTML."""
  return html.escape(clean(value))


def short(value, letters=40):
  """Returns any value as safe HTML of at most so many letters."""
  return html.escape(shorten(value, letters))


def figure(value, digits, unit=""):
  """Returns a number with so many digits after the point, or a dash."""
  value = number_or_nan(value)
  if not math.isfinite(value):
    return "–"
  return (f"{value:g}" if digits is None else f"{value:,.{digits}f}") + unit


def percent(value):
  """Returns a share in per cent, or a dash."""
  return figure(100 * number_or_nan(value), 1, " %")


def sureness(value, count, words=True):
  """Returns of how many a share is, and its 95 % interval; "" where the count is not known.

  Args:
    value: the share.
    count: of what it is the share.
    words: in words, or short, for a table whose note explains it.
  """
  value, count = number_or_nan(value), number_or_nan(count)
  if not (math.isfinite(value) and count >= 1):
    return ""
  low, high = scores.interval(value, int(count))
  between = f"{100 * low:.1f}–{100 * high:.1f}"
  if words:
    return f"of {int(count):,}, 95 % interval {between} %"
  return f"n {int(count):,}, {between}"


def measured(value, count):
  """Returns a table's cell: a share, below it its count and its 95 % interval."""
  known = sureness(value, count, words=False)
  return percent(value) + (f"<small>{known}</small>" if known else "")


def points(change):
  """Returns a difference of shares in points, with its sign; "" if it is not known."""
  return "" if math.isnan(change) else f"{100 * change:+.1f}".replace("-", "−")


def count(value, unit=""):
  """Returns a large count with an SI prefix, or a dash."""
  value = number_or_nan(value)
  return f"{big(value)}{unit}" if math.isfinite(value) else "–"


def span(value):
  """Returns a time span, or a dash."""
  value = number_or_nan(value)
  return duration(value) if math.isfinite(value) else "–"
