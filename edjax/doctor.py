"""The command `edjax doctor`: what is installed, which devices and data are found, what is missing.

edjax doctor
edjax doctor --data_dir=DIR

Nothing is changed, and nothing is fetched.
"""

import argparse
import importlib.metadata
import os
import pathlib
import platform
from collections.abc import Iterator, Sequence

import jax
from packaging.requirements import Requirement

from edjax.data import datasets
from edjax.data.readers import prepared
from edjax.devices import compilation_cache, processes
from edjax.errors import Parser, UserError, one_line

_VERSIONS = ("edjax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "pillow")
_EXTRAS = {  # and what each is for
  "data": "quicker decoders of photographs",
  "demo": "the digits of configs/digits.py",
  "export": "files of ONNX and StableHLO",
  "litert": "files of LiteRT",
  "tensorboard": "files for TensorBoard",
  "test": "what the tests need",
  "cuda": "GPUs of NVIDIA's",
  "tpu": "TPUs",
}
_TELLING = (
  "JAX_",
  "XLA_",
  "CUDA_VISIBLE_DEVICES",
  "TPU_",
)  # what names in the environment begin so
_GIB = 2**30


def main(arguments: list[str] | None = None) -> None:
  """Runs the command; raises UserError for a folder that there is not."""
  parser = Parser(
    prog="edjax doctor",
    description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  parser.add_argument("--data_dir", default="", metavar="DIR", help="where data sets may be")
  options = parser.parse_args(arguments)
  parts = [("versions", versions()), ("devices", devices()), ("extras", extras())]
  if options.data_dir:
    parts.append(("data", data(options.data_dir)))
  for head, found in [*parts, ("programs", programs())]:
    for number, line in enumerate(found):
      print(f"{'' if number else head:<9} {line}")


def versions() -> Iterator[str]:
  """Yields what runs this, and what it uses."""
  yield f"Python {platform.python_version()}, {platform.platform()}"
  yield ", ".join(f"{name} {_installed(name) or 'is not installed'}" for name in _VERSIONS)


def devices() -> Iterator[str]:
  """Yields the devices that JAX finds, or why it finds none; memory; what JAX has been told."""
  try:
    found = processes.devices()
  except UserError as error:
    yield str(error)
  else:
    kinds = [(each.platform, each.device_kind) for each in found]
    for kind in dict.fromkeys(kinds):
      first = found[kinds.index(kind)]
      limit = (first.memory_stats() or {}).get("bytes_limit")
      arrays = f", {limit / _GIB:.1f} GiB for arrays each" if limit else ""
      yield f"{kinds.count(kind)} × {kind[0]} ({kind[1]}){arrays}"
  memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
  yield f"the host has {os.cpu_count()} processors and {memory / _GIB:.1f} GiB of memory"
  yield from (f"{k}={value}" for k, value in sorted(os.environ.items()) if k.startswith(_TELLING))


def extras() -> Iterator[str]:
  """Yields a line for each extra that can be installed with edjax: there, or what it lacks."""
  if not _installed("edjax"):
    yield "unknown, as edjax is not installed: pip install -e . in its folder"
    return
  for extra in importlib.metadata.metadata("edjax").get_all("Provides-Extra") or []:
    missing = _missing("edjax", extra)
    purpose = f" ({_EXTRAS[extra]})" if extra in _EXTRAS else ""
    lacks = f"lacks {', '.join(missing)}: pip install 'edjax[{extra}]'"
    yield f"{extra}{purpose}: {lacks if missing else 'there'}"


def data(directory: str) -> Iterator[str]:
  """Yields the data sets that are found in a folder, and those that are not.

  Raises:
    UserError: if there is no such folder.
  """
  place = pathlib.Path(directory).expanduser()
  if not place.is_dir():
    raise UserError(f"no folder {directory}; give one with --data_dir")
  named = [name for name, row in datasets.DATASETS.items() if row.files and name != "folder"]
  there = [name for name in named if _is_there(name, place)]
  versions = [
    info.parent for way in ("*/*", "*/*/*") for info in place.glob(f"{way}/dataset_info.json")
  ]
  folders = sorted({version.parent.relative_to(place).as_posix() for version in versions})
  there += [f"tfds:{name}" for name in folders if name not in named and prepared.find(place, name)]
  yield f"in {place}: {', '.join(there) or 'no data set that has a name here'}"
  missing = [name for name in named if name not in there]
  if missing:
    yield f"not there: {', '.join(missing)} (to train on one says which files it wants)"


def programs() -> Iterator[str]:
  """Yields where compiled programs are kept, how many, and their size."""
  told = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]
  place = pathlib.Path(told) if told else compilation_cache.folder()
  files = [path for path in place.glob("*-cache") if path.is_file()]
  size = sum(path.stat().st_size for path in files)
  yield f"{len(files):,} compiled ones in {place}, {size / 1e6:,.1f} MB"


def _is_there(name: str, place: pathlib.Path) -> bool:
  try:
    datasets.require(name, data_dir=place)
  except UserError:
    return False
  return True


def _installed(distribution: str) -> str:
  try:
    return importlib.metadata.version(distribution)
  except importlib.metadata.PackageNotFoundError:
    return ""


def _missing(distribution: str, extra: str) -> Sequence[str]:
  """Names what an extra of a distribution wants and is not installed, or in another version."""
  missing: list[str] = []
  for text in importlib.metadata.requires(distribution) or []:
    wanted = Requirement(text)
    marker = wanted.marker
    if not marker or marker.evaluate({"extra": ""}) or not marker.evaluate({"extra": extra}):
      continue
    version = _installed(wanted.name)
    if not version or not wanted.specifier.contains(version, prereleases=True):
      missing.append(f"{wanted.name}{wanted.specifier}")
    else:
      missing += [name for more in wanted.extras for name in _missing(wanted.name, more)]
  return missing


def run() -> None:
  """Runs the command; what a user can put right ends in one line and exit code 1."""
  with one_line("give the same command again"):
    main()
