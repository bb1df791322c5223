"""A graduate as a file that runs without edjax: `edjax.export.write(student, "student.onnx")`.

A file is run by its own runtime and compared with edjax before it gets its name, and a model card
stands beside it. Packages that a format needs come with edjax[export] and edjax[litert].
"""

import dataclasses
import os
import pathlib
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

from edjax.errors import UserError
from edjax.export import card, check, litert, onnx, stablehlo, tensors
from edjax.export.program import Ask, Program
from edjax.graduate import Graduate
from edjax.storage import files

__all__ = ["FORMATS", "Format", "format_of", "write"]


@dataclasses.dataclass(frozen=True)
class Format:
  """A kind of file.

  Attributes:
    endings: of its files' names; the first is the usual one.
    write: (program, path) writes one.
    opened: (path, program) opens one in its own runtime.
    runtime: the package that runs it; "" for tensors alone, which nothing runs.
  """

  endings: tuple[str, ...]
  write: Callable[[Program, pathlib.Path], None]
  opened: Callable[[pathlib.Path, Program], Ask]
  runtime: str


FORMATS = {
  "onnx": Format((".onnx",), onnx.write, onnx.opened, "onnxruntime"),
  "stablehlo": Format((".stablehlo",), stablehlo.write, stablehlo.opened, "jax"),
  "litert": Format((".tflite",), litert.write, litert.opened, "ai-edge-litert"),
  "safetensors": Format((".safetensors",), tensors.write, tensors.opened, ""),
  "torch": Format((".pth", ".pt"), tensors.write, tensors.opened, ""),
}


def format_of(path: str | os.PathLike[str]) -> str:
  """Returns the format that a file's ending says.

  Raises:
    UserError: if no format has such files.
  """
  ending = pathlib.Path(path).suffix.lower()
  for name, kind in FORMATS.items():
    if ending in kind.endings:
      return name
  known = ", ".join(f"{kind.endings[0]} ({name})" for name, kind in FORMATS.items())
  raise UserError(f"{path} is of no format that edjax writes; a file ends in {known}")


def write(
  graduate: Graduate,
  path: str | os.PathLike[str],
  raw: bool = False,
  report: Mapping[str, Any] | None = None,
  licence: str = "",
) -> card.Facts:
  """Writes a graduate as a file, and its model card as `path` with ".md" behind it.

  Args:
    graduate: from `edjax.load`, or a run's.
    path: its ending says the format. What edjax wrote there before is replaced.
    raw: the file takes float32 that is normalised already, and returns logits. Otherwise it takes
      bytes (uint8) [n, height, width, channels] and returns probabilities. Files of tensors alone
      are the same either way.
    report: of the run that it is the graduate of, for the card; one of another network is not read.
    licence: of the file, for the card.

  Returns:
    What the card says of the file.

  Raises:
    UserError: if something else is there, the format cannot hold the network, what it needs is not
      installed, or the file answers otherwise than edjax does; then there is no file.
  """
  path = pathlib.Path(path).expanduser()
  name = format_of(path)
  kind = FORMATS[name]
  _check_target(path)
  program = Program(graduate, raw or not kind.runtime)
  path.parent.mkdir(parents=True, exist_ok=True)
  with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
    draft = pathlib.Path(folder) / path.name
    try:
      kind.write(program, draft)
      ask = kind.opened(draft, program)
      apart = check.difference(program, ask)
      spent = check.milliseconds(program, ask) if kind.runtime else None
    except (UserError, OSError, MemoryError):
      raise
    except Exception as error:  # whatever converters and runtimes raise at what they do not know
      reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
      raise UserError(
        f"{name} cannot hold {graduate.model} ({reason}); choose another of {', '.join(FORMATS)}"
      ) from error
    if not apart <= check.TOLERANCE:
      raise UserError(
        f"the {name} file of {graduate.model} answers otherwise than edjax, by {apart:.2g} where "
        f"{check.TOLERANCE:g} is allowed; nothing is written: choose another of "
        f"{', '.join(FORMATS)}"
      )
    facts = card.Facts(path, name, kind.runtime, draft.stat().st_size, apart, spent)
    # The card first: what it stands beside may be replaced again.
    files.replace_file(card.beside(path), card.text(program, facts, report, licence).encode())
    draft.replace(path)
  return facts


def _check_target(path: pathlib.Path) -> None:
  """Raises UserError if there is anything but what `write` wrote."""
  there = [each for each in (path, card.beside(path)) if each.exists()]
  if there and not card.is_beside(path):
    raise UserError(
      f"{there[0]} is there already, and no card beside it says that edjax wrote it; name another "
      "file"
    )
