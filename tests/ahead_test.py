"""What is done ahead: in order, not too much of it, and no more once nobody asks."""

import itertools
import os
import threading
import time

import pytest

from edjax import ahead

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def test_the_order_is_that_of_what_is_given():
  """Those that take longest come first."""
  waits = [0.05, 0.03, 0.01, 0.0, 0.02]

  def work(number):
    time.sleep(waits[number])
    return number

  assert list(ahead.in_order(work, range(5), 1)) == [0, 1, 2, 3, 4]
  assert list(ahead.in_order(work, [], 1)) == []


@pytest.mark.parametrize("most", [1, 3])
def test_no_more_is_begun_than_was_said(most):
  begun = []
  found = ahead.in_order(begun.append, itertools.count(), most)
  assert begun == []
  next(found)
  found.close()
  assert len(begun) <= most * CORES + 1
  before = len(begun)
  time.sleep(0.02)
  assert len(begun) == before  # nothing begins behind its back


def test_threads_work_at_once():
  """As many as there are cores meet; one after the other none would get on."""
  meeting = threading.Barrier(CORES, timeout=20)
  assert list(ahead.in_order(lambda _: meeting.wait() >= 0, range(2 * CORES), 1)) == [True] * (
    2 * CORES
  )


def test_an_error_comes_where_its_result_would():
  found = ahead.in_order(lambda number: 1 / (2 - number), range(9), 1)
  assert [next(found), next(found)] == [0.5, 1.0]
  with pytest.raises(ZeroDivisionError):
    next(found)
