"""What the pictures of a report share: colours, style, short texts, and figure to inline SVG.

The same figure gives the same bytes. Text stays text, so a reader can select and search it. The
colours are the blue and vermilion of Okabe & Ito's colour-blind safe set, and greys: blue is the
student everywhere, vermilion its teachers. In the page they are CSS variables, which a dark screen
sets otherwise (page.css).
"""

import io
import math
import re
import unicodedata
import warnings
import xml.etree.ElementTree as ElementTree
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

INK, GREY, PALE, BAND = "#22272e", "#6e7781", "#d5dae0", "#f5f7f9"
BLUE, LIGHT_BLUE, VERMILION = "#0072b2", "#9fc8e3", "#d55e00"
PAPER, ON_BLUE = "#ffffff", "#fefefe"  # behind everything; of text on blue
VARIABLES = {
  INK: "ink", GREY: "grey", PALE: "pale", BAND: "band", BLUE: "blue", LIGHT_BLUE: "light-blue",
  VERMILION: "vermilion", PAPER: "paper", ON_BLUE: "on-blue",
}  # fmt: skip
WIDTH = 9.6  # inches at 100 px: the width of the page's column
PERCENT = FuncFormatter(lambda share, _: f"{100 * share:.4g} %")
STYLE: Any = {
  "svg.fonttype": "none",
  "svg.hashsalt": "edjax",
  "text.parse_math": False,
  "font.size": 9,
  "font.family": "DejaVu Sans",
  "text.color": INK,
  "axes.labelcolor": GREY,
  "axes.edgecolor": PALE,
  "axes.linewidth": 0.8,
  "axes.spines.top": False,
  "axes.spines.right": False,
  "xtick.color": PALE,
  "ytick.color": PALE,
  "xtick.labelcolor": GREY,
  "ytick.labelcolor": GREY,
  "xtick.labelsize": 8.5,
  "ytick.labelsize": 8.5,
  "axes.unicode_minus": False,
  "legend.frameon": False,
  "legend.fontsize": 8.5,
  "legend.labelcolor": GREY,
  "grid.color": PALE,
  "grid.linewidth": 0.6,
  "axes.axisbelow": True,
}


def clean(text: object) -> str:
  """Returns any value as text of one line that XML and UTF-8 can hold."""
  return "".join(
    "\ufffd" if unicodedata.category(c) in ("Cc", "Cs", "Cn") else c
    for c in " ".join(str(text).split())
  )


def shorten(text: object, length: int) -> str:
  """Returns `clean(text)`, cut in the middle to at most `length` characters."""
  cleaned = clean(text)
  if len(cleaned) <= length:
    return cleaned
  tail = (length - 1) // 3
  return f"{cleaned[: length - 1 - tail].rstrip()}…{cleaned[len(cleaned) - tail :].lstrip()}"


def big(number: float) -> str:
  """Returns a count with three digits and an SI prefix: 1234567 -> "1.23 M"."""
  for scale, prefix in ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
    if number >= 0.9995 * scale:
      scaled = number / scale
      return f"{scaled:.{2 if scaled < 9.995 else 1 if scaled < 99.95 else 0}f} {prefix}"
  return f"{number:.0f}"


def number_or_nan(value: Any) -> float:
  """Returns a figure of a report or a journal as a float; what is missing or unreadable is nan."""
  try:
    return float(value)
  except (TypeError, ValueError):
    return math.nan


def legend_above(axes: Axes, **spacing: Any) -> None:
  """Puts the legend of a panel above it, on its left; the spacing is as matplotlib takes it."""
  axes.legend(loc="lower left", bbox_to_anchor=(0, 1), borderpad=0, **spacing)


def inline(figure: Figure, name: str, title: str) -> str:
  """Returns a figure as an <svg> element that can share an HTML page with others."""
  FigureCanvasSVG(figure)
  file = io.BytesIO()
  with warnings.catch_warnings():
    # Only the width of the text is guessed then: the reader's own fonts have the glyph.
    warnings.filterwarnings("ignore", message="Glyph .* missing from")
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
  root = ElementTree.fromstring(file.getvalue())
  for element in root.iter():
    element.tag = element.tag.rpartition("}")[2]
    attributes = {key.rpartition("}")[2]: value for key, value in element.attrib.items()}
    for key, value in attributes.items():
      # Ids must be unique in the page, not only in the picture.
      if key == "id":
        value = f"{name}-{value}"
      elif key == "href" and value.startswith("#"):
        value = f"#{name}-{value[1:]}"
      elif key == "style":
        value = re.sub("#[0-9a-f]{6}", _variable, value)
      attributes[key] = value.replace("url(#", f"url(#{name}-")
    element.attrib = attributes
  for parent in root.iter():
    for child in [c for c in parent if c.tag in ("metadata", "style")]:
      parent.remove(child)
  width, height = (72 * float(inches) for inches in figure.get_size_inches())
  root.attrib = {
    "viewBox": f"0 0 {width:g} {height:g}",
    "role": "img",
    "class": name,
    "aria-label": title,
  }
  return ElementTree.tostring(root, encoding="unicode")


def _variable(found: re.Match[str]) -> str:
  name = VARIABLES.get(found[0])
  return f"var(--{name})" if name else found[0]
