"""What a person sees of a run while it goes on: the live line, or the lines of a log."""

import math
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NotRequired, TypedDict, Unpack

from tqdm import auto

_WIDGETS = auto.notebook_tqdm is not auto.std_tqdm  # whether this is a notebook that has them


def duration(seconds: float) -> str:
  """Returns a time span in its two largest units: "48 s", "1 m 12 s", "2 h 5 m", "3 d 4 h"."""
  if not math.isfinite(seconds):
    return "?"
  minutes, second = divmod(max(0, round(seconds)), 60)
  hours, minute = divmod(minutes, 60)
  days, hour = divmod(hours, 24)
  if days:
    return f"{days} d {hour} h"
  if hours:
    return f"{hour} h {minute} m"
  return f"{minute} m {second} s" if minutes else f"{second} s"


class At(TypedDict):
  """Where a run is.

  Attributes:
    label: what is going on, such as "grade 2/3".
    epoch: the current epoch, from 1; `epochs` is how many there are, None where there are none.
    step: steps done of the `steps` that the bar stands for.
    loss, top1: of the training, top1 as a fraction; None leaves a figure out, here and below.
    images_per_second: speed.
    seconds_left: expected time until the end.
  """

  label: str
  epoch: float | None
  epochs: float | None
  step: int
  steps: int
  loss: NotRequired[float | None]
  top1: NotRequired[float | None]
  images_per_second: NotRequired[float | None]
  seconds_left: NotRequired[float | None]


class Progress:
  """Tells a person how a run is getting on.

  On a terminal one line is rewritten in place, at most ten times a second; in a notebook it is one
  bar. Elsewhere (a log file, a pipe) a whole line is printed for the last update of every epoch and
  at most one per ten seconds in between. Where a terminal is narrow, what is needed least is
  left out, so that nothing is cut and the time left stays.
  """

  BAR_CELLS = 10

  def __init__(self, stream: Any = None, clock: Callable[[], float] = time.monotonic) -> None:
    """Takes a text stream and a clock in seconds that never goes back.

    If the stream is None, it is standard error; in a notebook, which paints that red, the output.
    """
    notebook = stream is None and _in_a_notebook()
    if stream is None:
      stream = sys.stdout if notebook else sys.stderr
    self._stream = _Stream(stream)
    self._clock = clock
    self._live = notebook or (stream.isatty() and os.environ.get("TERM") != "dumb")
    self._interval = 0.1 if self._live else 10.0
    self._last_time = -math.inf if self._live else clock()
    self._state: At | None = None  # the latest update, if it has not been shown
    self._bar: Any = None
    self._shown = False  # whether the bar says what is going on

  def update(self, **at: Unpack[At]) -> None:
    """Takes note of where the run is, and shows it if it is time to."""
    previous, self._state = self._state, at
    if not self._live and previous is not None:
      if (previous["label"], previous["epoch"]) != (at["label"], at["epoch"]):
        self._print(self._text(previous))
    ended = not self._live and at["step"] >= at["steps"]
    if ended or self._clock() - self._last_time >= self._interval:
      self._show(at)

  def busy(self, text: str) -> None:
    """Shows on a terminal, at once, what is going on where there is no telling how far it is."""
    if self._live:
      self._state = None
      columns = self._columns() - 1
      shown = text if len(text) <= columns else text[: max(0, int(columns) - 1)] + "…"
      self._draw(shown, 0.0)
      self._last_time = -math.inf

  def line(self, text: str) -> None:
    """Prints a line that stays; a live one comes back with the next update."""
    if self._live:
      self._state = None  # else an update from before would be shown after it
      self._last_time = -math.inf  # the next is shown, not that of a tenth of a second later
    if self._shown:
      self._bar.clear()
      self._shown = False
    self._print(text)

  def close(self) -> None:
    """Shows the latest update if it has not been shown, and ends the live line."""
    if self._state is not None:
      self._show(self._state)
    if self._bar is not None:
      self._bar.leave = self._shown
      if not self._shown:
        self._bar.total = None  # a notebook takes a bar that is not full for a failure
      self._bar.close()
      self._bar, self._shown = None, False

  def _show(self, at: At) -> None:
    if self._live:
      self._draw(self._text(at, self._columns() - 1), _share(at))
    else:
      self._print(self._text(at))
    self._state = None
    self._last_time = self._clock()

  def _draw(self, text: str, share: float) -> None:
    """Lets the bar say a text; in a widget, the cells in it are the widget's own."""
    text = text.replace("{", "{{").replace("}", "}}")
    if _WIDGETS:
      text = text.replace(self._cells(share), "{bar}")
    if self._bar is None:
      self._bar = _Bar(total=1, initial=share, bar_format=text, file=self._stream)
    else:
      self._bar.n, self._bar.bar_format = share, text
      self._bar.refresh()
    self._shown = True

  def _print(self, text: str) -> None:
    self._stream.write(f"{text}\n")

  def _cells(self, share: float) -> str:
    filled = int(share * self.BAR_CELLS)
    return "━" * filled + "─" * (self.BAR_CELLS - filled)

  def _text(self, at: At, columns: float = math.inf) -> str:
    """An update as text: the fullest that fits into so many columns."""
    share = _share(at)
    figures = {
      "epoch": ("epochs", lambda epochs: f"epoch {at['epoch']:g}/{epochs:g}"),
      "loss": ("loss", lambda loss: f"loss {loss:.3f}"),
      "top1": ("top1", lambda top1: f"top-1 {100 * top1:.1f} %"),
      "speed": ("images_per_second", lambda pace: f"{pace:,.0f} img/s"),
      "left": ("seconds_left", lambda seconds: f"about {duration(seconds)} left"),
    }
    parts = {"label": at["label"], "bar": self._cells(share), "share": f"{share:4.0%}"}
    for name, (key, say) in figures.items():
      value = at.get(key)
      if value is not None:
        parts[name] = say(value)
    text = _joined(parts)
    for least in ("speed", "loss", "bar", "top1", "epoch", "label", "share"):
      if len(text) <= columns:
        break
      if least == "label":  # a part of the label is better than none
        room = int(columns) - len(text) + len(parts["label"])
        if room >= 4:
          parts["label"] = parts["label"][: int(room) - 1] + "…"
          return _joined(parts)
      if len(parts) > 1:
        parts.pop(least, None)
      text = _joined(parts)
    return text

  def _columns(self) -> float:
    if _WIDGETS:
      return math.inf
    try:
      return os.get_terminal_size(self._stream.fileno()).columns or 80
    except (OSError, ValueError, AttributeError):
      return 80


class _Bar(auto.tqdm):
  """The line of a terminal, or the bar of a notebook."""

  monitor_interval = 0  # no thread that refreshes it


# The default lock is one of processes, which fixes how the caller's process may start others.
_Bar.set_lock(threading.RLock())


class _Stream:
  """A text stream that is told what it can take, and given up in silence when it fails.

  The terminal may be closed: a long run must not end because nobody watches it.
  """

  def __init__(self, stream: Any) -> None:
    self._stream = stream
    self._encoding = getattr(stream, "encoding", None) or "utf-8"
    self._ascii = False
    try:
      "·━─…".encode(self._encoding)
    except UnicodeEncodeError:
      self._ascii = True

  def write(self, text: str) -> None:
    if self._ascii:
      text = text.translate({ord("·"): "|", ord("━"): "#", ord("─"): ".", ord("…"): "~"})
    text = text.encode(self._encoding, "replace").decode(self._encoding)
    try:
      self._stream.write(text)
      self._stream.flush()
    except OSError:
      pass

  def fileno(self) -> int:
    return self._stream.fileno()


def _in_a_notebook() -> bool:
  """Whether this process answers a notebook: its shell then has a kernel."""
  shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
  return hasattr(shell, "kernel")


def _share(at: At) -> float:
  return min(1.0, max(0.0, at["step"] / max(1, at["steps"])))


def _joined(parts: Mapping[str, str]) -> str:
  """Joins the parts of an update; epoch, bar and share stand together."""
  middle = " ".join(parts[name] for name in ("epoch", "bar", "share") if name in parts)
  middle = middle if "bar" in parts else " ".join(middle.split())
  order = ("label", None, "loss", "top1", "speed", "left")
  texts = (middle if name is None else parts.get(name) for name in order)
  return " · ".join(text for text in texts if text)
