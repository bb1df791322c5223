"""What the live line and the lines of a log say, and what a narrow terminal still shows."""

import io
import math
import os
import re
import struct
import subprocess
import sys
import types

import IPython
import pytest
from tqdm import notebook as widgets

from edjax import progress as progress_module
from edjax.progress import Progress, duration
from tests import command


@pytest.mark.parametrize(
  "seconds, text",
  [
    (0, "0 s"),
    (59.4, "59 s"),
    (59.6, "1 m 0 s"),
    (72, "1 m 12 s"),
    (7500, "2 h 5 m"),
    (3600, "1 h 0 m"),
    (273600, "3 d 4 h"),
    (-3, "0 s"),
    (math.inf, "?"),
  ],
)
def test_duration(seconds, text):
  assert duration(seconds) == text


class _Screen(io.StringIO):
  """A stream that says it is a terminal."""

  def isatty(self):
    return True

  def rows(self):
    return shown(self.getvalue())


def shown(written):
  """What a terminal shows of what was written: its rows, without blanks at their ends."""
  rows, column = [""], 0
  for part in re.findall(r"\r|\n|\x1b\[K|[^\r\n\x1b]+", written):
    if part == "\r":
      column = 0
    elif part == "\n":
      rows.append("")
      column = 0
    elif part == "\x1b[K":
      rows[-1] = rows[-1][:column]
    else:
      rows[-1] = rows[-1][:column] + part + rows[-1][column + len(part) :]
      column += len(part)
  return [row.rstrip() for row in rows]


class _Clock:
  now = 100.0

  def __call__(self):
    return self.now


def _update(progress, step, epoch=3, **figures):
  progress.update(label="grade 2/3", epoch=epoch, epochs=6, step=step, steps=100, **figures)


@pytest.fixture(autouse=True)
def _an_ordinary_terminal(monkeypatch):
  monkeypatch.setenv("TERM", "xterm")


def test_live_line_on_a_terminal(monkeypatch):
  monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((200, 24)))
  screen, clock = _Screen(), _Clock()
  screen.fileno = lambda: 1
  progress = Progress(screen, clock)
  _update(progress, 62, loss=0.412, top1=0.861, images_per_second=5120.3, seconds_left=72)
  assert screen.rows() == [
    "grade 2/3 · epoch 3/6 ━━━━━━────  62% · loss 0.412 · top-1 86.1 % · 5,120 img/s · "
    "about 1 m 12 s left"
  ]


def test_a_terminal_is_written_ten_times_a_second_at_most():
  screen, clock = _Screen(), _Clock()
  progress = Progress(screen, clock)
  for step in range(1, 101):
    clock.now += 0.01
    _update(progress, step)
  assert 9 <= screen.getvalue().count("\r") <= 11
  progress.close()
  assert "100%" in screen.getvalue().split("\r")[-1] and screen.getvalue().endswith("\n")


def test_a_permanent_line_clears_the_live_one():
  screen = _Screen()
  progress = Progress(screen, _Clock())
  _update(progress, 1)
  assert screen.rows()[0].startswith("grade 2/3 · epoch 3/6")
  progress.line("grade 1: top-1 90.0 %")
  assert screen.rows() == ["grade 1: top-1 90.0 %", ""]
  progress.close()
  assert screen.rows() == ["grade 1: top-1 90.0 %", ""]


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX")
def test_the_live_line_fits_a_real_terminal():
  import fcntl
  import termios

  mine, theirs = os.openpty()
  fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 30, 0, 0))
  with open(theirs, "w", encoding="utf-8") as stream:
    progress = Progress(stream, _Clock())
    progress.update(label="x" * 50, epoch=1, epochs=1, step=1, steps=2)
    written = os.read(mine, 1000).decode()
    progress.close()
  os.close(mine)
  assert shown(written) == ["x" * 22 + "… · 50%"]


def test_a_log_file_gets_epoch_ends_and_a_line_each_ten_seconds():
  log, clock = io.StringIO(), _Clock()
  progress = Progress(log, clock)
  for epoch in (1, 2):
    for step in range(10, 101, 10):
      clock.now += 2.5
      _update(progress, step, epoch=epoch)
  progress.close()
  lines = log.getvalue().splitlines()
  assert "\r" not in log.getvalue() and "\x1b" not in log.getvalue()
  assert [(line.split("epoch ")[1][0], line.split()[-1]) for line in lines] == [
    ("1", "40%"),
    ("1", "80%"),
    ("1", "100%"),
    ("2", "40%"),
    ("2", "80%"),
    ("2", "100%"),
  ]


def test_a_log_file_gets_the_last_update_of_an_epoch_that_is_cut_short():
  log = io.StringIO()
  progress = Progress(log, _Clock())
  for epoch, step in ((1, 50), (1, 90), (2, 50), (2, 97)):
    _update(progress, step, epoch=epoch)
  progress.close()
  assert [line.split()[-1] for line in log.getvalue().splitlines()] == ["90%", "97%"]


def test_a_stream_that_cannot_take_the_characters_gets_ascii():
  raw = io.BytesIO()
  progress = Progress(io.TextIOWrapper(raw, encoding="ascii"), _Clock())
  _update(progress, 100)
  progress.line("größe · 北京")
  assert raw.getvalue() == b"grade 2/3 | epoch 3/6 ########## 100%\ngr??e | ??\n"


def test_a_closed_terminal_does_not_end_a_run():
  class Gone(io.StringIO):
    def write(self, _):
      raise BrokenPipeError

  progress = Progress(Gone(), _Clock())
  _update(progress, 100)
  progress.line("text")
  progress.close()


def test_progress_writes_to_standard_error(capsys):
  Progress().line("hello")
  assert capsys.readouterr() == ("", "hello\n")


@pytest.mark.parametrize(
  "columns, fullest",
  [
    (
      120,
      "teacher generalist_2 · epoch 13/60 ━━━━━━────  62% · loss 0.412 · top-1 86.1 % · "
      "5,120 img/s · about 2 h 5 m left",
    ),
    (100, "teacher generalist_2 · epoch 13/60 ━━━━━━────  62% · loss 0.412 · top-1 86.1 % · {}"),
    (80, "teacher generalist_2 · epoch 13/60 62% · top-1 86.1 % · {}"),
    (60, "teacher generalist_2 · epoch 13/60 62% · {}"),
    (40, "teacher gen… · 62% · {}"),
    (30, "62% · {}"),
    (20, "{}"),
  ],
)
def test_a_narrow_terminal_loses_what_is_needed_least(columns, fullest, monkeypatch):
  monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((columns, 24)))
  screen = _Screen()
  screen.fileno = lambda: 1
  progress = Progress(screen, _Clock())
  progress.update(
    label="teacher generalist_2",
    epoch=13,
    epochs=60,
    step=62,
    steps=100,
    loss=0.412,
    top1=0.861,
    images_per_second=5120.3,
    seconds_left=7500,
  )
  (line,) = screen.rows()
  assert line == fullest.format("about 2 h 5 m left") and len(line) < columns


def test_nothing_old_is_shown_after_the_last_line():
  screen, clock = _Screen(), _Clock()
  progress = Progress(screen, clock)
  _update(progress, 50)
  _update(progress, 100)  # too soon to be shown
  progress.line("graduate: top-1 90.0 %")
  progress.close()
  assert screen.rows() == ["graduate: top-1 90.0 %", ""]


def test_compiling_is_said_on_a_terminal_only():
  screen, log = _Screen(), io.StringIO()
  for stream in (screen, log):
    progress = Progress(stream, _Clock())
    progress.busy("grade 1/3 · compiling …")
    if stream is screen:
      assert screen.rows() == ["grade 1/3 · compiling …"]
    _update(progress, 1)
  assert screen.rows()[0].startswith("grade 2/3 · epoch 3/6") and "compil" not in screen.rows()[0]
  assert "compiling" not in log.getvalue()


@pytest.fixture
def notebook(monkeypatch):
  """Lets this process be a notebook's."""
  monkeypatch.setattr(IPython, "get_ipython", lambda: types.SimpleNamespace(kernel=object()))


def _school(progress):
  progress.busy("grade 2/3 · compiling …")
  _update(progress, 50, loss=0.4)
  progress.line("a < b")
  _update(progress, 75, loss=0.3)


def test_a_notebook_without_widgets_has_a_live_line(notebook, capsys):
  progress = Progress(clock=_Clock())
  _school(progress)
  assert shown(capsys.readouterr().out) == [
    "a < b",
    "grade 2/3 · epoch 3/6 ━━━━━━━───  75% · loss 0.300",
  ]
  progress.line("the end")
  progress.close()
  out, err = capsys.readouterr()
  assert shown(out) == ["the end", ""] and not err


@pytest.mark.parametrize("failed", [False, True])
def test_a_notebook_has_one_bar(failed, notebook, monkeypatch, capsys):
  class Bar(widgets.tqdm):
    monitor_interval = 0

  displayed = []
  monkeypatch.setattr(widgets, "display", displayed.append)
  monkeypatch.setattr(progress_module, "_WIDGETS", True)
  monkeypatch.setattr(progress_module, "_Bar", Bar)
  progress = Progress(clock=_Clock())
  _school(progress)
  (box,) = displayed
  left, bar, right = box.children
  texts = [each.value.replace("\u2007", " ") for each in (left, right)]
  assert texts == ["grade 2/3 · epoch 3/6 ", "  75% · loss 0.300"] and bar.value == 0.75 * bar.max
  if not failed:
    progress.line("the end")
  progress.close()
  assert (bar.bar_style, box.layout.visibility) == (("danger", None) if failed else ("", "hidden"))
  out, err = capsys.readouterr()
  assert out == ("a < b\n" if failed else "a < b\nthe end\n") and not err


def test_the_line_changes_nothing_of_the_process():
  code = """
import io, multiprocessing, threading
from edjax.progress import Progress
class Screen(io.StringIO):
  isatty = lambda self: True
screen = Screen()
progress = Progress(screen)
progress.busy("compiling")
progress.close()
assert "compiling" in screen.getvalue()
print(multiprocessing.get_start_method(allow_none=True), threading.active_count())
"""
  told = subprocess.run(
    [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=command.ROOT
  )
  assert told.stdout == "None 1\n"
