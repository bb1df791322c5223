"""What XLA is told: only what it knows, and never against the user."""

import importlib.metadata
import os
import subprocess
import sys

import pytest

from edjax.devices import xla

FUSIONS = "--xla_cpu_experimental_ynn_fusion_type"


@pytest.fixture
def told(monkeypatch):
  """Returns `told(given, release) -> XLA_FLAGS`: what it is when jaxlib is that release."""

  def tell(given, release):
    if given is None:
      monkeypatch.delenv("XLA_FLAGS", raising=False)
    else:
      monkeypatch.setenv("XLA_FLAGS", given)
    monkeypatch.setattr(importlib.metadata, "version", {"jaxlib": release}.__getitem__)
    xla.quicken_cpus()
    return os.environ.get("XLA_FLAGS")

  return tell


def test_the_user_goes_before(told):
  flags = told(f"{FUSIONS}=dot --xla_other=1", "0.10.2").split()
  assert [flag for flag in flags if flag.startswith(FUSIONS)] == [f"{FUSIONS}=dot"]
  assert flags[-1] == "--xla_other=1" and len(flags) == 3


def test_twice_is_once(told):
  once = told(None, "0.12.0.1")
  assert FUSIONS in once and told(once, "0.12.0.1") == once


@pytest.mark.parametrize("release", ["0.9.2", "0.13.0", "1.0"])
def test_other_releases_are_left_alone(told, release):
  assert told(None, release) is None and told("--xla_other=1", release) == "--xla_other=1"


def test_this_release_obeys():
  """It would end with a crash if it did not know a flag."""
  code = """
import sys
import jax
from edjax.devices import xla
if sys.argv[1:]:
  xla.quicken_cpus()
layout = "NHWC", "HWIO", "NHWC"
step = jax.jit(lambda x, k: jax.lax.conv_general_dilated(x, k, (1, 1), "SAME", None, None, layout))
program = step.lower(jax.numpy.ones((16, 8, 8, 64)), jax.numpy.ones((3, 3, 64, 64))).compile()
print(program.as_text().count("__ynn_fusion"))
"""
  environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}

  def fusions(*arguments):
    command = [sys.executable, "-c", code, *arguments]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return int(ended.stdout)

  assert fusions() == 1 and fusions("quicken") == 0
