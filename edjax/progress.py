"""What a person sees of a run while it goes on: the live line, or the lines of a log."""

import math
import os
import sys
import threading
import time

from tqdm import auto

_WIDGETS = auto.notebook_tqdm is not auto.std_tqdm  # whether this is a notebook that has them


def duration(seconds):
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


class Progress:
  """Tells a person how a run is getting on.

  On a terminal one line is rewritten in place, at most ten times a second; in a notebook it is one
  bar. Elsewhere (a log file, a pipe) a whole line is printed for the last update of every epoch and
  at most one per ten seconds in between. Where a terminal is narrow, what is needed least is
  left out, so that nothing is cut and the time left stays.
  """

  BAR_CELLS = 10

  def __init__(self, stream=None, clock=time.monotonic):
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
    self._state = None  # the latest update, if it has not been shown
    self._bar = None
    self._shown = False  # whether the bar says what is going on

  def update(
    self,
    *,
    label,
    epoch,
    epochs,
    step,
    steps,
    loss=None,
    top1=None,
    images_per_second=None,
    seconds_left=None,
  ):
    """Takes note of where the run is, and shows it if it is time to.

    Args:
      label: what is going on, such as "grade 2/3".
      epoch: the current epoch, from 1; `epochs` is how many there are, None where there are none.
      step: steps done of the `steps` that the bar stands for.
      loss, top1: of the training, top1 as a fraction; None leaves a figure out, here and below.
      images_per_second: speed.
      seconds_left: expected time until the end.
    """
    state = dict(
      label=label,
      epoch=epoch,
      epochs=epochs,
      step=step,
      steps=steps,
      loss=loss,
      top1=top1,
      images_per_second=images_per_second,
      seconds_left=seconds_left,
    )
    previous, self._state = self._state, state
    if not self._live and previous is not None:
      if (previous["label"], previous["epoch"]) != (label, epoch):
        self._print(self._text(previous))
    ended = not self._live and step >= steps
    if ended or self._clock() - self._last_time >= self._interval:
      self._show()

  def busy(self, text):
    """Shows on a terminal, at once, what is going on where there is no telling how far it is."""
    if self._live:
      self._state = None
      columns = self._columns() - 1
      self._draw(text if len(text) <= columns else text[: max(0, columns - 1)] + "…", 0.0)
      self._last_time = -math.inf

  def line(self, text):
    """Prints a line that stays; a live one comes back with the next update."""
    if self._live:
      self._state = None  # else an update from before would be shown after it
      self._last_time = -math.inf  # the next is shown, not that of a tenth of a second later
    if self._shown:
      self._bar.clear()
      self._shown = False
    self._print(text)

  def close(self):
    """Shows the latest update if it has not been shown, and ends the live line."""
    if self._state is not None:
      self._show()
    if self._bar is not None:
      self._bar.leave = self._shown
      if not self._shown:
        self._bar.total = None  # a notebook takes a bar that is not full for a failure
      self._bar.close()
      self._bar, self._shown = None, False

  def _show(self):
    if self._live:
      self._draw(self._text(self._state, self._columns() - 1), _share(self._state))
    else:
      self._print(self._text(self._state))
    self._state = None
    self._last_time = self._clock()

  def _draw(self, text, share):
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

  def _print(self, text):
    self._stream.write(f"{text}\n")

  def _cells(self, share):
    filled = int(share * self.BAR_CELLS)
    return "━" * filled + "─" * (self.BAR_CELLS - filled)

  def _text(self, state, columns=math.inf):
    """An update as text: the fullest that fits into so many columns."""
    share = _share(state)
    parts = {
      "label": state["label"],
      "epoch": state["epochs"] and f"epoch {state['epoch']:g}/{state['epochs']:g}",
      "bar": self._cells(share),
      "share": f"{share:4.0%}",
      "loss": state["loss"] is not None and f"loss {state['loss']:.3f}",
      "top1": state["top1"] is not None and f"top-1 {100 * state['top1']:.1f} %",
      "speed": state["images_per_second"] is not None
      and f"{state['images_per_second']:,.0f} img/s",
      "left": state["seconds_left"] is not None and f"about {duration(state['seconds_left'])} left",
    }
    parts = {name: text for name, text in parts.items() if text}
    text = _joined(parts)
    for least in ("speed", "loss", "bar", "top1", "epoch", "label", "share"):
      if len(text) <= columns:
        break
      if least == "label":  # a part of the label is better than none
        room = int(columns) - len(text) + len(parts["label"])
        if room >= 4:
          parts["label"] = parts["label"][: room - 1] + "…"
          return _joined(parts)
      if len(parts) > 1:
        parts.pop(least, None)
      text = _joined(parts)
    return text

  def _columns(self):
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

  def __init__(self, stream):
    self._stream = stream
    self._encoding = getattr(stream, "encoding", None) or "utf-8"
    self._ascii = False
    try:
      "·━─…".encode(self._encoding)
    except UnicodeEncodeError:
      self._ascii = True

  def write(self, text):
    if self._ascii:
      text = text.translate({ord("·"): "|", ord("━"): "#", ord("─"): ".", ord("…"): "~"})
    text = text.encode(self._encoding, "replace").decode(self._encoding)
    try:
      self._stream.write(text)
      self._stream.flush()
    except OSError:
      pass

  def fileno(self):
    return self._stream.fileno()


def _in_a_notebook():
  """Whether this process answers a notebook: its shell then has a kernel."""
  shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
  return hasattr(shell, "kernel")


def _share(state):
  return min(1.0, max(0.0, state["step"] / max(1, state["steps"])))


def _joined(parts):
  """Joins the parts of an update; epoch, bar and share stand together."""
  middle = " ".join(parts[name] for name in ("epoch", "bar", "share") if name in parts)
  middle = middle if "bar" in parts else " ".join(middle.split())
  order = ("label", None, "loss", "top1", "speed", "left")
  texts = (middle if name is None else parts.get(name) for name in order)
  return " · ".join(text for text in texts if text)
