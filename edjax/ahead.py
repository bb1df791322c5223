"""What is done on all cores at once, ahead of whoever asks for it."""

import collections
import concurrent.futures
import os
from collections.abc import Callable, Generator, Iterable
from typing import TypeVar

P = TypeVar("P")
T = TypeVar("T")


def in_order(work: Callable[[P], T], given: Iterable[P], ahead: int) -> Generator[T, None, None]:
  """Yields `work` of each that is given, in that order.

  An error is raised where what it came of is asked for. Whoever closes the generator waits for what
  is being done by then, and nothing more begins.

  Args:
    work: done in threads, as many as this process has cores.
    given: without an end, if need be.
    ahead: how many wait for each core, done or not, before the first of them has been asked for.
  """
  cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
  waiting: collections.deque[concurrent.futures.Future[T]] = collections.deque()
  with concurrent.futures.ThreadPoolExecutor(cores) as pool:
    try:
      for each in given:
        waiting.append(pool.submit(work, each))
        while len(waiting) > ahead * cores:
          yield waiting.popleft().result()
      while waiting:
        yield waiting.popleft().result()
    finally:
      for future in waiting:
        future.cancel()
