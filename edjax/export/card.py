"""The model card beside a file: what it is, from what it was made, how good it is, and what not.

Markdown. What a run knows comes from its report; where there is none the card says so.
"""

import dataclasses
import pathlib
from collections.abc import Iterable, Mapping
from importlib import metadata
from typing import Any

import jax

from edjax import latency
from edjax.export import check
from edjax.export.program import BATCH, Program
from edjax.graduate import Graduate
from edjax.report.scores import percent_of
from edjax.report.words import figure
from edjax.storage import trees

_WRITTEN = ", written by edjax"  # how the first line of a card ends


@dataclasses.dataclass(frozen=True)
class Facts:
  """What is known of a file.

  Attributes:
    path: of the file.
    format: of `export.FORMATS`.
    runtime: the package that ran it; "" for tensors alone.
    size: in bytes.
    difference: from edjax's answers at most, see `check.difference`.
    milliseconds: over an image that is shown alone; None where nothing runs it.
  """

  path: pathlib.Path
  format: str
  runtime: str
  size: int
  difference: float
  milliseconds: float | None

  @property
  def compared(self) -> str:
    """How it was compared with edjax."""
    batches = ", ".join(map(str, check.BATCHES))
    how = f"run by {self.runtime}" if self.runtime else "read back"
    return f"{how}, at most {self.difference:.1e} from edjax; batches of {batches} random images"

  @property
  def cost(self) -> str:
    """Its size, and the time it takes here."""
    size = f"{self.size / 1000:,.0f} kB"
    if self.milliseconds is None:
      return size
    where = latency.machine()
    if self.runtime == "jax":
      where = f"{jax.devices()[0].device_kind}, {where}"
    runs = f"median of {latency.RUNS} runs of one image"
    return f"{size}, {self.milliseconds:.2f} ms an image here ({runs}; {where})"


def beside(path: pathlib.Path) -> pathlib.Path:
  """Returns where the card of a file is."""
  return path.with_name(f"{path.name}.md")


def is_beside(path: pathlib.Path) -> bool:
  """Says whether a file has a card that says edjax wrote it."""
  try:
    first = beside(path).read_text(encoding="utf-8").partition("\n")[0]
  except (OSError, UnicodeDecodeError):
    return False
  return first == _title(path)


def text(
  program: Program, facts: Facts, report: Mapping[str, Any] | None = None, licence: str = ""
) -> str:
  """Returns a card.

  Args:
    program: that was written.
    facts: of its file.
    report: of the run that it comes from; one of another network counts as none.
    licence: of the file, in a few words.
  """
  graduate = program.graduate
  known = report or {}
  if known.get("student", {}).get("sha256") != trees.sha256(graduate.variables):
    known = {}
  parts = [_title(facts.path), _table(_file(program, facts, licence))]
  if known:
    parts += ["## Training", _table(_training(known))]
    parts += ["## Figures", _table(_figures(known["student"], known["classes"]))]
  else:
    parts += [
      "## Training",
      "No report of this network was there; the card can tell nothing of it.",
    ]
  limits = "\n".join(f"* {limit}" for limit in _limits(program, facts, known))
  return "\n\n".join([*parts, "## Limits", limits]) + "\n"


def _title(path: pathlib.Path) -> str:
  return f"# {path.name}{_WRITTEN}"


def _table(rows: Iterable[tuple[str, str]]) -> str:
  cells = (
    f"| {key} | {' '.join(value.split()).replace('|', chr(92) + '|')} |" for key, value in rows
  )
  return "\n".join(["| | |", "|---|---|", *cells])


def _file(program: Program, facts: Facts, licence: str) -> list[tuple[str, str]]:
  graduate = program.graduate
  shape, classes = ", ".join(map(str, graduate.image_shape)), len(graduate.class_names)
  rows = [
    ("network", f"{graduate.model}, {graduate.num_parameters:,} parameters"),
    ("format", " ".join([facts.format, *_version(facts.runtime)])),
    ("classes", f"{classes}, in the order of the columns: {', '.join(graduate.class_names)}"),
  ]
  if facts.runtime:
    shown = _normalised(graduate) if program.raw else "pixels from 0 to 255"
    rows += [
      ("takes", f"{program.takes} [{BATCH}, {shape}]: any number of images, {shown}"),
      ("returns", f"{program.returns}, float32 [{BATCH}, {classes}]"),
    ]
  else:
    rows.append(("of images", f"[{shape}], {_normalised(graduate)}"))
  return [
    *rows,
    ("compared", facts.compared),
    ("cost", facts.cost),
    ("licence", licence or "not said"),
  ]


def _version(package: str) -> list[str]:
  return [f"(run by {package} {metadata.version(package)})"] if package else []


def _normalised(graduate: Graduate) -> str:
  mean, std = (", ".join(f"{x:.6g}" for x in part) for part in (graduate.mean, graduate.std))
  return f"pixels from 0 to 1, less the mean ({mean}), divided by the deviation ({std})"


def _training(report: Mapping[str, Any]) -> list[tuple[str, str]]:
  run, settings = report.get("run", {}), report.get("run", {}).get("settings", {})
  images = ", ".join(f"{count:,} for {split}" for split, count in report["images"].items())
  methods = [f"{name} ({_options(options)})" for name, options in settings["methods"].items()]
  grades = [f"{row['epochs']:.3g} of {len(row['classes'])} classes" for row in report["grades"]]
  teachers = [
    f"{row['name']} {row['model']}, {percent_of(row['top1'], row['count'])}"
    for row in report["teachers"]
  ]
  versions = [f"{name} {version}" for name, version in report["versions"].items()]
  return [
    ("data", f"{report['dataset']}: {images}; SHA-256 of the first {run.get('data_digest', '–')}"),
    ("method", "; ".join(methods)),
    ("epochs", ", ".join(grades)),
    ("teachers", "; ".join(teachers) or "none"),
    ("config and seed", f"{report['config']}, {report['seed']}"),
    ("finished", f"{run.get('finished', '–')}, {report['device']}"),
    ("versions", ", ".join(versions)),
  ]


def _options(options: Mapping[str, Any]) -> str:
  return ", ".join(f"{key} {value}" for key, value in options.items())


def _figures(student: Mapping[str, Any], classes: list[str]) -> list[tuple[str, str]]:
  count = student["exam_count"]
  rows = [("top-1", percent_of(student["top1"], count))]
  if len(classes) > 5:
    rows.append(("top-5", percent_of(student["top5"], count)))
  rights = [(row[label] / sum(row), sum(row), label) for label, row in _rows(student)]
  if rights:
    share, of, label = min(rights, key=lambda row: row[0])
    rows.append(("weakest class", f"{classes[label]}, {percent_of(share, of)}"))
  return [
    *rows,
    ("calibration error", f"{figure(student['ece'], 3)} of {count:,}"),
    ("negative log-likelihood", f"{figure(student['nll'], 3)} of {count:,}"),
  ]


def _rows(student: Mapping[str, Any]) -> list[tuple[int, list[int]]]:
  """(label, its images by answer) of the classes that the exam had images of."""
  return [(label, row) for label, row in enumerate(student["confusion"]) if sum(row)]


def _limits(program: Program, facts: Facts, report: Mapping[str, Any]) -> list[str]:
  height, width, _ = program.graduate.image_shape
  limits = [
    f"It names one of its {len(program.graduate.class_names)} classes, whatever it is shown.",
    f"It takes images of {height}×{width} pixels and resizes none.",
  ]
  if report:
    what = report.get("run", {}).get("what", "images")
    limits.append(
      f"The figures are of one run, on the {report['student']['exam_count']:,} test {what} of "
      f"{report['dataset']}; of {what} from elsewhere they say nothing."
    )
  if not facts.runtime:
    limits.append("It holds numbers alone: who runs it brings the network's code.")
  return limits
