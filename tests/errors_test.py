"""How a command ends: in one line where a user can put it right, with its traceback otherwise."""

import signal
import subprocess
import sys

import jax
import pytest

from edjax.errors import one_line
from tests.command import ROOT


def test_a_device_out_of_memory_is_a_line():
  with pytest.raises(SystemExit) as caught, one_line("again"):
    raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating\n 99 bytes")
  line = caught.value.code
  assert "\n" not in line and line.startswith("edjax: a device is out of memory")
  assert "batch_size" in line and "residence=streamed" in line


def test_other_faults_are_not_hidden():
  with pytest.raises(RuntimeError, match="something else"), one_line("again"):
    raise RuntimeError("something else")


@pytest.mark.parametrize("then", ["pass", "sys.exit(0)"])
def test_an_output_that_nobody_reads(then):
  code = (
    "import os, sys\nfrom edjax.errors import one_line\n"
    "with one_line('again'):\n"
    "  print('the first line', flush=True)\n"
    "  sys.stdin.read()\n"
    "  print('the second line')\n"
    f"  {then}"
  )
  process = subprocess.Popen(
    [sys.executable, "-c", code],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    cwd=ROOT,
  )
  process.stdout.read(10)
  process.stdout.close()
  process.stdin.close()
  assert process.stderr.read() == b"edjax: nobody reads the output any more\n"
  assert process.wait(60) == 1


HALF_MADE = """
import signal
from edjax.errors import one_line

class Loop:
  def __init__(self):
    signal.raise_signal(signal.SIGINT)
    self.reader = print

  def __del__(self):
    self.reader("closed")

signal.signal(signal.SIGINT, signal.default_int_handler)
with one_line("again"):
  Loop()
"""


def test_an_interruption_within_a_constructor_is_one_line_too():
  """Seen once: Ctrl-C while an event loop was made; its destructor's traceback came first."""
  ended = subprocess.run(
    [sys.executable, "-c", HALF_MADE], cwd=ROOT, capture_output=True, text=True
  )
  assert (ended.returncode, ended.stdout) == (1, "")
  assert ended.stderr == "edjax: interrupted; again\n"


def test_the_handler_of_interruptions_is_given_back():
  before = signal.getsignal(signal.SIGINT)
  with one_line("again"):
    pass
  assert signal.getsignal(signal.SIGINT) is before
