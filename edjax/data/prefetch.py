"""What a run will need next, made in a thread while the run uses what it has."""

import concurrent.futures
from collections.abc import Callable
from typing import Generic, TypeVar

P = TypeVar("P")
T = TypeVar("T")


class Stream(Generic[P, T]):
  """Makes things in a known order, each while the one before is in use: at most two are there.

  A context manager: its end is the thread's. An error in the thread is raised where what it was
  making is asked for.
  """

  def __init__(self, make: Callable[[P], T], following: Callable[[P], P | None]) -> None:
    """Takes a function of a place, and one that tells the place after a place.

    Where nothing follows (None), or another place is asked for than the one that follows, no thread
    has part in it.
    """
    self._make, self._following = make, following
    self._pool: concurrent.futures.ThreadPoolExecutor | None = None
    self._place: P | None = None
    self._waiting: concurrent.futures.Future[T] | None = None

  def __call__(self, place: P) -> T:
    """Returns `make(place)`, and begins with that of the place after it."""
    waiting, self._waiting = self._waiting, None
    made = waiting.result() if waiting and place == self._place else self._make(place)
    after = self._following(place)
    if after is not None:
      self._pool = self._pool or concurrent.futures.ThreadPoolExecutor(1, "edjax-stream")
      self._place, self._waiting = after, self._pool.submit(self._make, after)
    return made

  def __enter__(self) -> "Stream[P, T]":
    return self

  def __exit__(self, *error: object) -> None:
    self.close()

  def close(self) -> None:
    """Waits for what is being made, if anything is, and forgets it."""
    if self._pool is not None:
      self._pool.shutdown(cancel_futures=True)
      self._pool = self._waiting = None
