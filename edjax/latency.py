"""How long a call takes, told by the median of many, and on which machine."""

import math
import os
import platform
import time
from collections.abc import Callable

import numpy as np

RUNS = 30  # at most


def milliseconds(ask: Callable[[], object], seconds: float = math.inf) -> tuple[float, int]:
  """Times a call again and again, after a first that is not timed.

  Args:
    ask: is called; it returns when its work is done.
    seconds: after so many no other call begins; one is always timed.

  Returns:
    (the median time of a call, of how many calls).
  """
  ask()
  began = time.perf_counter()
  spans: list[float] = []
  while len(spans) < RUNS and (not spans or time.perf_counter() - began < seconds):
    before = time.perf_counter()
    ask()
    spans.append(time.perf_counter() - before)
  return 1000 * float(np.median(spans)), len(spans)


def machine() -> str:
  """Returns what kind of processor this is, and how many cores it has."""
  return f"{platform.machine()}, {os.cpu_count()} cores"
