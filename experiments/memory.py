"""How much of the host's memory a process takes."""

import pathlib
import threading

_GIB = 1 << 30


class Watch:
  """The most memory that this process has within a `with`, as the kernel tells it."""

  def __enter__(self):
    self._most, self._over = {"RssAnon": 0, "VmRSS": 0}, threading.Event()
    self._thread = threading.Thread(target=self._look)
    self._thread.start()
    return self

  def __exit__(self, *error):
    self._over.set()
    self._thread.join()

  def _look(self):
    over = False
    while not over:  # so that there is one look at least
      for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        key, _, value = line.partition(":")
        if key in self._most:
          self._most[key] = max(self._most[key], int(value.split()[0]) * 1024)
      over = self._over.wait(0.005)

  def peaks(self):
    """Returns the figures in GiB: of its own, and with the files that it maps."""
    return {
      "anon_gib": round(self._most["RssAnon"] / _GIB, 3),
      "rss_gib": round(self._most["VmRSS"] / _GIB, 3),
    }
