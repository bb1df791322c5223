"""What every test runs under: four CPU devices, no broadcasting over ranks, quick compilation."""

import gc
import os
import pathlib
import socket
import sys

import jax
import pytest
import torch
from absl import flags
from jax.experimental.compilation_cache import compilation_cache

from edjax.devices import xla

# For this process and for those that tests start.
jax.config.update("jax_platforms", os.environ.setdefault("JAX_PLATFORMS", "cpu"))
if jax.__version_info__ < (0, 11):
  # XLA's fusion emitters make compiling on a CPU two to three times slower, and tests mostly
  # compile. The flag is gone in later releases, which refuse what they do not know.
  os.environ["XLA_FLAGS"] = (
    f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_use_fusion_emitters=false".strip()
  )
xla.quicken_cpus()  # as the command does: its bits are the same in a process of its own
jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_disable_most_optimizations", True)
# The oracle takes its plain kernels: on CPUs without AVX-512 oneDNN's gradients of convolutions
# with few channels write past their buffers (torch 2.13), and any later test may die of it.
torch.backends.mkldnn.enabled = False
torch.set_num_threads(1)  # workers of the suite share the cores, and threads wait for each other
flags.FLAGS.mark_as_parsed()
# Tracing makes very many objects that stay in use. To search them for garbage after every 700, and
# now and then all that JAX and PyTorch hold as well, took a fifth of the time of tests that trace.
gc.freeze()
gc.set_threshold(100_000, 20, 20)


@pytest.fixture(scope="session", autouse=True)
def compiled(tmp_path_factory):
  """Keeps what is compiled until the session ends, so that the same program is compiled once.

  The workers of a session share one folder.

  Returns:
    The environment that lets a process share in it.
  """
  directory = tmp_path_factory.getbasetemp()
  directory = (directory.parent if "PYTEST_XDIST_WORKER" in os.environ else directory) / "compiled"
  directory.mkdir(exist_ok=True)
  jax.config.update("jax_compilation_cache_dir", str(directory))
  jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
  compilation_cache.reset_cache()
  shared = {
    "JAX_COMPILATION_CACHE_DIR": str(directory),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
  }
  os.environ.update(shared)  # commands that tests start must not use the user's own folder
  yield shared | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
  jax.config.update("jax_compilation_cache_dir", None)
  compilation_cache.reset_cache()


@pytest.fixture
def small(compiled, monkeypatch):
  """Makes `SMALL` a model that a config can name "small"."""
  from edjax import models
  from tests.small import SMALL

  monkeypatch.setitem(models.MODELS, "small", SMALL)


@pytest.fixture(scope="session")
def finished(compiled, tmp_path_factory):
  """The work directory of a finished run of `tests.small.config()`, which tests leave as it is."""
  from edjax import models
  from edjax.settings import settle
  from edjax.training import loop
  from tests.small import SMALL, config

  workdir = tmp_path_factory.mktemp("finished") / "run"
  with pytest.MonkeyPatch.context() as patch:
    patch.setitem(models.MODELS, "small", SMALL)
    loop.run(settle(config()), workdir)
  return workdir


@pytest.fixture
def place(tmp_path, monkeypatch):
  """A current folder with nothing but the configs, and `runs` if a command makes it."""
  (tmp_path / "here").mkdir()
  (tmp_path / "here" / "configs").symlink_to(pathlib.Path(__file__).parent.parent / "configs")
  monkeypatch.chdir(tmp_path / "here")
  return tmp_path / "here"


@pytest.fixture
def no_network(monkeypatch):
  """Makes it an error to open a socket."""

  def refuse(*args, **kwargs):
    raise AssertionError("a socket was opened")

  monkeypatch.setattr(socket, "socket", refuse)
  monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def food(tmp_path, monkeypatch):
  """The path of a small food-101.tar.gz that passes for the published one."""
  from tests import archives

  path = archives.write_food101(tmp_path)
  archives.publish(monkeypatch, "food101", path)
  return path


@pytest.fixture(autouse=True)
def few_mappings():
  """Lets go of compiled programs before they are as many memory mappings as a process may have."""
  yield
  mappings = pathlib.Path("/proc/self/maps")
  if mappings.exists() and mappings.read_bytes().count(b"\n") > 20_000:
    jax.clear_caches()


@pytest.fixture
def typed(monkeypatch):
  """Returns what the command makes of its arguments."""
  from edjax import main

  values = flags.FLAGS
  path = sys.path[:]

  def parse(*arguments):
    values.unparse_flags()
    monkeypatch.setattr(sys, "argv", ["edjax", *arguments])
    try:
      main._parse(sys.argv)
      return values["config"].value
    finally:
      for name in [name for name in values if name.startswith("config.")]:
        delattr(values, name)
      values["config"].unparse()
      values.mark_as_parsed()

  yield parse
  sys.path[:] = path
