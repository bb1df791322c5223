"""How names and figures are written for a reader. Pure."""

import math
import re
from collections.abc import Iterable, Sequence

from edjax.progress import duration
from edjax.report import scores
from edjax.report.drawing import big, clean, number_or_nan, shorten

_NUMBERED = re.compile(r"(grade|subject|generalist|fragment)_(\d+)")


def readable(name: object) -> str:
  """Returns a name as a reader would write it: "subject_1" -> "subject 1"; others stay."""
  return _NUMBERED.sub(r"\1 \2", str(name)) if _is_numbered(name) else str(name)


def setting(value: object) -> str:
  """Returns a setting's value as it is given on the command line."""
  return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def teacher_label(name: object) -> str:
  """Returns what a teacher is called in the page: that of "subject_1" is "specialist 1"."""
  return readable(name).replace("subject ", "specialist ", 1) if _is_numbered(name) else str(name)


def teachers_label(names: Iterable[object]) -> str:
  """Returns several teachers in a few words: "specialists 1–3, generalist"."""
  labels = [teacher_label(name) for name in names]
  numbers = [label.split()[1] for label in labels if re.fullmatch(r"specialist \d+", label)]
  ordered = [str(n) for n in range(1, len(numbers) + 1)]
  if len(numbers) < 2:
    return ", ".join(labels)
  between = f"1–{len(numbers)}" if numbers == ordered else ", ".join(numbers)
  others = [label for label in labels if not re.fullmatch(r"specialist \d+", label)]
  return ", ".join([f"specialists {between}", *others])


def subject_label(
  name: object, members: Iterable[int], classes: Sequence[object], letters: int = 44
) -> str:
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


def fragment_label(fragment: object) -> str:
  """Returns a fragment's name, counted from 1 as grades are: "fragment_0" -> "1"."""
  number = str(fragment).removeprefix("fragment_")
  return str(int(number) + 1) if number.isdigit() else str(fragment)


def _is_numbered(name: object) -> bool:
  return bool(_NUMBERED.fullmatch(str(name)))


def figure(value: object, digits: int | None, unit: str = "") -> str:
  """Returns a number with so many digits after the point, or a dash."""
  number = number_or_nan(value)
  if not math.isfinite(number):
    return "–"
  return (f"{number:g}" if digits is None else f"{number:,.{digits}f}") + unit


def percent(value: object) -> str:
  """Returns a share in per cent, or a dash."""
  return figure(100 * number_or_nan(value), 1, " %")


def sureness(value: object, count: object, words: bool = True) -> str:
  """Returns of how many a share is, and its 95 % interval; "" where the count is not known.

  Args:
    value: the share.
    count: of what it is the share.
    words: in words, or short, for a table whose note explains it.
  """
  share, of = number_or_nan(value), number_or_nan(count)
  if not (math.isfinite(share) and of >= 1):
    return ""
  low, high = scores.interval(share, int(of))
  between = f"{100 * low:.1f}–{100 * high:.1f}"
  if words:
    return f"of {int(of):,}, 95 % interval {between} %"
  return f"n {int(of):,}, {between}"


def points(change: float) -> str:
  """Returns a difference of shares in points, with its sign; "" if it is not known."""
  return "" if math.isnan(change) else f"{100 * change:+.1f}".replace("-", "−")


def count(value: object, unit: str = "") -> str:
  """Returns a large count with an SI prefix, or a dash."""
  number = number_or_nan(value)
  return f"{big(number)}{unit}" if math.isfinite(number) else "–"


def span(value: object) -> str:
  """Returns a time span, or a dash."""
  seconds = number_or_nan(value)
  return duration(seconds) if math.isfinite(seconds) else "–"
