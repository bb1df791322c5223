"""Draws the school of a config as it grows: docs/school.svg, which README shows.

python experiments/school_picture.py [--config=digits] [--classes=10] [--out=docs/school.svg]

A column per grade: above who teaches, below what is there of the student and how large it is. The
colours are those of the report, and change with the reader's screen as they do there.
"""

import argparse
import importlib
import pathlib
import re
import sys

import jax

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from edjax import curriculum, models, settings
from edjax.report import page, words
from edjax.report.drawing import big

ROOT = pathlib.Path(__file__).parent.parent
_IMAGE = (8, 8, 1)  # height, width, channels of a digit
_COLUMN, _GAP, _MARGIN = 236, 44, 10
_BLOCK, _LAYER, _TOP = 30, 36, 40  # heights of a teacher and of a fragment with what is between


def main():
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--config", default="digits", help="file in configs/, variants")
  parser.add_argument("--classes", type=int, default=10)
  parser.add_argument("--out", type=pathlib.Path, default=ROOT / "docs" / "school.svg")
  options = parser.parse_args()
  file, _, variants = options.config.partition(":")
  config = importlib.import_module(f"edjax.configs.{file}").get_config(variants)
  options.out.write_text(picture(settings.settle(config), options.classes))


def picture(school, num_classes, image_shape=_IMAGE):
  """Returns the school of `Settings` as an SVG file, always the same bytes for the same school."""
  body = models.body(school.student.model)
  plan = curriculum.build(school.grades, school.subjects, num_classes, len(body.fragments))
  rows = max(len(_teachers(grade)) for grade in plan.grades)
  ground = _TOP + rows * _LAYER + 26 + (len(body.fragments) + 1) * _LAYER
  shapes = []
  for number, grade in enumerate(plan.grades):
    left = _MARGIN + number * (_COLUMN + _GAP)
    shapes += [
      _text(left + _COLUMN / 2, 20, f"{words.readable(grade.name)}, {_epochs(grade)}", "title"),
      *_staff(left, grade, plan),
      *_student(left, ground, grade, body),
      _text(left + _COLUMN / 2, ground + 20, _size(grade, body, image_shape), "note"),
    ]
    if number:
      shapes.append(_graft(left, ground))
  width = 2 * _MARGIN + len(plan.grades) * (_COLUMN + _GAP) - _GAP
  return (
    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {ground + 34}" '
    f'width="{width}" height="{ground + 34}" role="img">\n'
    f"<title>A student grows by a fragment in every grade</title>\n<style>\n{_style()}</style>\n"
    '<rect class="paper" width="100%" height="100%" rx="8"/>\n' + "\n".join(shapes) + "\n</svg>\n"
  )


def _teachers(grade):
  """The rows of teachers from the top: a generalist spans all classes, specialists share a row."""
  general = [name for name in grade.teachers if curriculum.is_generalist(name)]
  special = [name for name in grade.teachers if not curriculum.is_generalist(name)]
  return [*([name] for name in general), *([special] if special else [])]


def _staff(left, grade, plan):
  """Who teaches in a grade, each as wide as the classes that it answers for are many."""
  shapes, unit, middle = [], _COLUMN / plan.num_classes, left + _COLUMN / 2
  left = middle - grade.num_classes * unit / 2
  rows = _teachers(grade)
  most = max(len(_teachers(each)) for each in plan.grades)
  for number, names in enumerate(rows, most - len(rows)):
    y = _TOP + number * _LAYER
    for name in names:
      first, last = _classes(name, grade)
      x, width = left + first * unit + 1.5, (last + 1 - first) * unit - 3
      label = "generalist" if curriculum.is_generalist(name) else "specialist"
      shapes += [
        f'<rect class="teacher" x="{x:g}" y="{y}" width="{width:g}" height="{_BLOCK}" rx="4"/>',
        _text(x + width / 2, y + 19, label, "small"),
      ]
  first, last = grade.subjects[0].classes[0], grade.subjects[-1].classes[-1]
  y = _TOP + most * _LAYER + 12
  return [*shapes, _text(middle, y, f"classes {first} to {last}", "note")]


def _classes(teacher, grade):
  classes = [
    place
    for subject in grade.subjects
    if subject.name == teacher or curriculum.is_generalist(teacher)
    for place in subject.classes
  ]
  return classes[0], classes[-1]


def _student(left, ground, grade, body):
  """The fragments that are there, and on the highest its head."""
  shapes, whole = [], grade.fragments == len(body.fragments)
  for number in range(grade.fragments):
    y, inset = ground - (number + 1) * _LAYER + 4, 20 + 8 * number
    shapes += [
      f'<rect class="fragment" x="{left + inset}" y="{y}" width="{_COLUMN - 2 * inset}" '
      f'height="{_LAYER - 4}" rx="4"/>',
      _text(left + _COLUMN / 2, y + 21, f"fragment {number + 1}", "label"),
    ]
  y, inset = ground - (grade.fragments + 1) * _LAYER + 4, 20 + 8 * grade.fragments
  shapes += [
    f'<rect class="{"head" if whole else "reference"}" x="{left + inset}" y="{y}" '
    f'width="{_COLUMN - 2 * inset}" height="{_LAYER - 4}" rx="4"/>',
    _text(
      left + _COLUMN / 2,
      y + 21,
      "head" if whole else "teaching reference",
      "on" if whole else "out",
    ),
  ]
  return shapes


def _graft(left, ground):
  """The arrow between two grades."""
  x, y = left - _GAP + 2, ground - _LAYER / 2
  return (
    f'<path class="arrow" d="M{x - 8} {y:g}h{_GAP + 8}m-6 -5l6 5l-6 5"/>\n'
    f"{_text(left - _GAP / 2, y - 10, 'graft', 'note')}"
  )


def _epochs(grade):
  return f"{grade.epochs:g} epoch{'s' * (grade.epochs != 1)}"


def _size(grade, body, image_shape):
  network = models.pupil(body, grade.fragments, grade.num_classes, None, **dict(grade.reference))
  params = models.shapes(network, image_shape)["params"]
  return f"{big(sum(leaf.size for leaf in jax.tree.leaves(params)))} parameters"


def _text(x, y, text, kind):
  return f'<text class="{kind}" x="{x:g}" y="{y:g}">{text}</text>'


def _style():
  """The report's own colours, light and dark, and what is drawn with them."""
  css = (pathlib.Path(page.__file__).parent / "page.css").read_text()
  light, dark = re.findall(r":root \{([^}]*)\}", css)[:2]
  return f""":root {{{light}}}
@media (prefers-color-scheme: dark) {{ :root {{{dark}}} }}
text {{ font: 13px system-ui, "Segoe UI", Roboto, Arial, sans-serif; text-anchor: middle;
  fill: var(--ink); }}
.paper {{ fill: var(--paper); }}
.title {{ font-weight: 600; font-size: 15px; }}
.note {{ fill: var(--grey); }}
.small {{ font-size: 11.5px; }}
.on {{ fill: var(--on-blue); }}
.out {{ fill: var(--blue); }}
.teacher {{ fill: none; stroke: var(--vermilion); stroke-width: 1.5; }}
.fragment {{ fill: var(--light-blue); }}
.reference {{ fill: none; stroke: var(--blue); stroke-width: 1.5; stroke-dasharray: 4 3; }}
.head {{ fill: var(--blue); }}
.arrow {{ fill: none; stroke: var(--grey); stroke-width: 1.5; }}
"""


if __name__ == "__main__":
  main()
