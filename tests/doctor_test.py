"""What `edjax doctor` says is there is there, and what it says is missing is not."""

import configparser
import importlib.metadata
import os
import pathlib
import platform

import flax
import jax
import numpy
import optax
import orbax.checkpoint
import PIL
import pytest

from edjax import doctor
from edjax.errors import UserError
from tests import archives, command


@pytest.fixture
def told(capsys):
  """Returns `(*arguments) -> {part: its lines}`."""

  def ask(*arguments):
    doctor.main([*map(str, arguments)])
    parts, last = {}, ""
    for line in capsys.readouterr().out.splitlines():
      head, rest = line[:10].strip(), line[10:]
      last = head or last
      parts.setdefault(last, []).append(rest)
    return parts

  return ask


def test_versions_and_devices(told, monkeypatch):
  monkeypatch.setenv("JAX_PLATFORMS", "cpu")
  parts = told()
  first, second = parts["versions"]
  assert first.startswith(f"Python {platform.python_version()}, ")
  for module in (jax, flax, optax, numpy):
    assert f"{module.__name__} {module.__version__}, " in second
  assert f"orbax-checkpoint {orbax.checkpoint.__version__}" in second
  assert second.endswith(f"pillow {PIL.__version__}")
  assert parts["devices"][0] == "4 × cpu (cpu)"  # as conftest has it
  assert parts["devices"][1].startswith(f"the host has {os.cpu_count()} processors and ")
  meminfo = pathlib.Path("/proc/meminfo")
  if meminfo.exists():
    kilobytes = int(meminfo.read_text().split()[1])
    assert f" {kilobytes / 2**20:.1f} GiB" in parts["devices"][1]
  assert "JAX_PLATFORMS=cpu" in parts["devices"]
  assert "data" not in parts


def test_a_device_that_cannot_be_used_is_told(told, monkeypatch):
  def fail():
    raise UserError("no device; say why")

  monkeypatch.setattr(doctor.processes, "devices", fail)
  parts = told()
  assert parts["devices"][0] == "no device; say why" and parts["programs"]


def test_extras(told, monkeypatch):
  """What is there by the names that setup.cfg has, and what the rest lacks."""
  setup = configparser.ConfigParser()
  setup.read(command.ROOT / "setup.cfg")
  wanted = {
    extra: [line for line in lines.split("\n") if line]
    for extra, lines in setup["options.extras_require"].items()
  }
  assert {*doctor._EXTRAS} <= {*wanted}
  rows = []
  for extra, lines in wanted.items():
    for line in lines:  # as setuptools writes them into the package
      name, _, marker = line.partition(";")
      rows.append(f"{name} ; {f'({marker}) and ' if marker else ''}extra == '{extra}'")
  others = {"jax": ["jaxlib ; extra == 'cuda12'", "plug ; extra == 'cuda12'", "numpy"]}
  there = {"edjax": "0.1", "jax": "99", "jaxlib": "99", "simplejpeg": "99", "scikit-learn": "1.4"}

  class Metadata:
    def get_all(self, key):
      return {"Provides-Extra": [*wanted]}[key]

  def version(name):
    if name not in there:
      raise importlib.metadata.PackageNotFoundError(name)
    return there[name]

  monkeypatch.setattr(importlib.metadata, "requires", lambda n: rows if n == "edjax" else others[n])
  monkeypatch.setattr(importlib.metadata, "metadata", lambda name: Metadata())
  monkeypatch.setattr(importlib.metadata, "version", version)
  lines = {line.split(" ")[0].rstrip(":"): line for line in told()["extras"]}
  assert [*lines] == [*wanted]
  (opencv,) = (line for line in wanted["data"] if line.startswith("opencv"))
  assert lines["data"].endswith(f": lacks {opencv}: pip install 'edjax[data]'")
  assert "lacks scikit-learn>=1.5: pip install 'edjax[demo]'" in lines["demo"]
  assert lines["cuda"].endswith("lacks plug: pip install 'edjax[cuda]'")
  del there["edjax"]
  assert told()["extras"] == ["unknown, as edjax is not installed: pip install -e . in its folder"]


def test_data_sets_that_are_there(told, tmp_path, food):
  archives.write_fashion(tmp_path)
  prepared = {"flowers": "array_record", "birds": "tfrecord", "emnist/letters": "array_record"}
  for name, ending in prepared.items():
    (tmp_path / name / "1.0.0").mkdir(parents=True)
    (tmp_path / name / "1.0.0" / "dataset_info.json").write_text("{}")
    (tmp_path / name / "1.0.0" / f"train.{ending}-00000-of-00001").write_bytes(b"")
  found, missing = told(f"--data_dir={tmp_path}")["data"]
  assert found == f"in {tmp_path}: fashion_mnist, food101, tfds:emnist/letters, tfds:flowers"
  assert missing.startswith("not there: cifar10, cifar100, caltech256,")
  (tmp_path / "empty").mkdir()
  found, _ = told(f"--data_dir={tmp_path / 'empty'}")["data"]
  assert found.endswith(": no data set that has a name here")
  with pytest.raises(UserError, match="no folder nowhere"):
    doctor.main(["--data_dir=nowhere"])


def test_programs_that_are_kept(told, tmp_path):
  before = jax.config.jax_compilation_cache_dir
  for name, size in (("jit_a-cache", 1_000_000), ("jit_b-cache", 500_000), ("jit_b-atime", 8)):
    (tmp_path / name).write_bytes(bytes(size))
  try:
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    assert told()["programs"] == [f"2 compiled ones in {tmp_path}, 1.5 MB"]
  finally:
    jax.config.update("jax_compilation_cache_dir", before)
