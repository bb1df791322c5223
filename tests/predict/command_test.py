"""The command predict answers as the network does, whatever it is given, and says what it left."""

import csv
import io
import json
import os
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy import stats
from sklearn import metrics

from edjax import __main__ as entry
from edjax import graduate, models
from edjax.convert import view
from edjax.errors import UserError
from edjax.predict import __main__ as command
from tests import small
from tests.school import random_like

NAMES = ("ant", "bee", "cat", "dog", "eel", "fox, red", "gnu")
MEAN, STD = (0.3, 0.4, 0.5), (0.5, 0.4, 0.6)
COUNT = 11


@pytest.fixture(scope="module")
def place(tmp_path_factory):
  """A folder with a network in `net`, and pictures of its size by the name of their answer."""
  root = tmp_path_factory.mktemp("predict")
  network = models.graduate(small.SMALL, len(NAMES))
  shapes = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 6, 6, 3)))
  variables = random_like(shapes, 5)
  pixels = np.random.default_rng(1).integers(0, 256, (COUNT, 6, 6, 3), np.uint8)
  shown = ((pixels / 255 - MEAN) / STD).astype(np.float32)
  logits = np.asarray(network.apply(variables, shown).logits, np.float64)
  odds = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
  (root / "pictures" / "more").mkdir(parents=True)
  for number in range(COUNT):  # 10.png comes before 2.png, and "more" before "one"
    below = "more" if number % 2 else ""
    Image.fromarray(pixels[number]).save(root / "pictures" / below / f"one {number}.png")
  with pytest.MonkeyPatch.context() as patch:
    patch.setitem(models.MODELS, "small", small.SMALL)
    student = graduate.Graduate("small", NAMES, (6, 6, 3), MEAN, STD, variables)
    student.save(root / "net")
    yield root, odds


@pytest.fixture
def ask(place, capsys, monkeypatch):
  """Returns `(*arguments, code=0) -> (standard output, standard error)`, from within the folder."""
  monkeypatch.chdir(place[0])

  def give(*arguments, code=0):
    if code:
      with pytest.raises(SystemExit) as ended:
        command.main([*map(str, arguments)])
      assert ended.value.code == code
    else:
      command.main([*map(str, arguments)])
    return capsys.readouterr()

  return give


def send(monkeypatch, content):
  """Makes bytes the standard input."""
  monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


def number_of(path):
  return int(path.split()[-1].removesuffix(".png"))


def check(rows, odds, top):
  """Asserts that rows of a table tell the likeliest classes of these pictures."""
  for path, *cells in rows:
    wanted = odds[number_of(path)]
    best = np.argsort(-wanted)[:top]
    assert cells[::2] == [NAMES[column] for column in best]
    np.testing.assert_allclose([float(cell) for cell in cells[1::2]], wanted[best], atol=2e-6)


@pytest.mark.parametrize("batch", [1, 4, 64])
def test_a_folder_as_a_table(place, ask, batch):
  """All images, in order, whatever the size of a batch; the last batch is not full."""
  out, err = ask("net", "pictures/", f"--batch={batch}")
  head, *rows = csv.reader(io.StringIO(out))
  assert head == ["path", *(f"{w}_{k}" for k in range(1, 6) for w in ("class", "probability"))]
  there = sorted(path.relative_to("pictures").as_posix() for path in paths("pictures"))
  assert [row[0] for row in rows] == [f"pictures/{path}" for path in there]
  assert len(rows) == COUNT
  check(rows, place[1], 5)
  assert err.startswith(f"answered {COUNT} of {COUNT} in ") and err.count("\n") == 1


def paths(folder):
  return (command.finding.pathlib.Path(folder)).rglob("*.png")


def test_one_program_answers_for_all_batches(ask, monkeypatch):
  traced, asking = [], view.asking

  def counted(*about):
    inner = asking(*about)
    return lambda images: (traced.append(images.shape), inner(images))[1]

  monkeypatch.setattr(view, "asking", counted)
  ask("net", "pictures", "--batch=4")
  ask("net", "pictures/one 0.png")
  assert traced == [(4, 6, 6, 3), (1, 6, 6, 3)]


def test_files_and_lists(place, ask, monkeypatch):
  """Files by name, whatever their endings, and a list in the place of a path."""
  (place[0] / "copy 3").write_bytes((place[0] / "pictures" / "more" / "one 3.png").read_bytes())
  send(monkeypatch, b"pictures/one 2.png\r\n\n./pictures/more\n")
  out, _ = ask("net", "copy 3", "-", "pictures/one 8.png", "--top=1")
  rows = list(csv.reader(io.StringIO(out)))[1:]
  more = [f"./pictures/more/one {number}.png" for number in (1, 3, 5, 7, 9)]
  assert [row[0] for row in rows] == ["copy 3", "pictures/one 2.png", *more, "pictures/one 8.png"]
  check(rows, place[1], 1)
  send(monkeypatch, b"pictures/one 6.png")
  rows = list(csv.reader(io.StringIO(ask("net")[0])))[1:]
  check(rows, place[1], 5)
  assert len(rows) == 1


def test_lines_of_json_and_a_file(place, ask):
  name = os.fsdecode(b"caf\xe9 3.png")  # no UTF-8
  (place[0] / name).write_bytes((place[0] / "pictures" / "more" / "one 3.png").read_bytes())
  out, err = ask("net", name, "--top=9", "--format=jsonl", "--out=answers")
  assert out == "" and err.count("\n") == 1
  (line,) = (place[0] / "answers").read_text().splitlines()
  found = json.loads(line)
  assert found["path"] == name and len(found["top"]) == len(NAMES)
  cells = [cell for row in found["top"] for cell in (row["class"], row["probability"])]
  check([[found["path"], *cells]], place[1], 7)
  ask("net", name, "--out=answers")  # and as a table
  assert (place[0] / "answers").read_bytes().split(b"\n")[1].startswith(b"caf\xe9 3.png,")


def test_what_cannot_be_read_is_told_and_left_out(place, ask):
  bad = place[0] / "bad.png"
  bad.write_bytes(b"<html>")
  given = ("net", "pictures/one 0.png", "nowhere.jpg", bad.name, "pictures/one 2.png", "--top=1")
  reasons = ["(No such file or directory)", "(no known image format; it begins with b'<html>')"]
  told = [
    f"{name}: cannot be read as an image {why}"
    for name, why in zip(("nowhere.jpg", "bad.png"), reasons, strict=True)
  ]
  for batch in (1, 2, 64):
    out, err = ask(*given, f"--batch={batch}", code=1)
    rows = list(csv.reader(io.StringIO(out)))[1:]
    assert [row[0] for row in rows] == ["pictures/one 0.png", "pictures/one 2.png"]
    check(rows, place[1], 1)
    *lines, last = err.splitlines()
    assert lines == told
    assert last.startswith("answered 2 of 4 in ")
    assert last.endswith("; 2 are left out, so the exit code is 1")
  out, _ = ask(*given, "--format=jsonl", code=1)
  objects = [json.loads(line) for line in out.splitlines()]
  assert [row.get("error") for row in objects] == [None, *(t.split(": ", 1)[1] for t in told), None]


@pytest.mark.parametrize(
  "arguments, words",
  [
    (["nowhere", "a.png"], "nowhere holds no network"),
    (["net", "no.png", "nor.png"], "there is no answer about any of the 2 files"),
    (["net", "empty"], "empty holds no image (a file ending in .apng"),
    (["net", "pictures", "--top=0"], "--top is 0; it must be at least 1"),
    (["net", "pictures", "--batch=0"], "--batch is 0; it must be at least 1"),
    (["net", "pictures", "--format=xml"], "invalid choice: 'xml'"),
    (["net", "pictures", "--scores=s.json"], "no folder is called as a class is (ant, bee,"),
    (["net"], "the list on standard input is empty"),
  ],
)
def test_what_a_user_can_put_right(place, ask, monkeypatch, arguments, words):
  (place[0] / "empty").mkdir(exist_ok=True)
  send(monkeypatch, b"\n")
  with pytest.raises(UserError) as caught:
    ask(*arguments)
  assert words in str(caught.value) and "\n" not in str(caught.value)


def test_no_list_is_waited_for_on_a_terminal(ask, monkeypatch):
  monkeypatch.setattr(sys, "stdin", Terminal())
  with pytest.raises(UserError, match="no picture is given"):
    ask("net")


class Terminal(io.StringIO):
  """A text stream that says it is a terminal."""

  def isatty(self):
    return True

  def reconfigure(self, **how):
    pass


def test_the_bar_is_for_a_terminal_without_answers(ask, monkeypatch):
  monkeypatch.setattr(sys, "stderr", shown := Terminal())
  out, _ = ask("net", "pictures", "nowhere.png", code=1)
  assert "100%" in shown.getvalue() and "nowhere.png: cannot" in shown.getvalue()
  assert "%" not in out and out.count("\n") == COUNT + 1
  monkeypatch.setattr(sys, "stderr", shown := Terminal())
  monkeypatch.setattr(sys, "stdout", out := Terminal())
  ask("net", "pictures")
  assert "100%" not in shown.getvalue() and out.getvalue().count("\n") == COUNT + 1


def test_folders_that_are_called_as_classes_are_scored(place, ask, tmp_path):
  """Against sklearn's precision and recall, and scipy's interval."""
  root, odds = place
  draw = np.random.default_rng(2)
  truths = np.where(draw.random(COUNT) < 0.5, odds.argmax(1), draw.integers(0, 5, COUNT))
  for number, truth in enumerate(truths):
    below = tmp_path / "test" / NAMES[truth] / ("ant" if number == 4 else "")
    below.mkdir(parents=True, exist_ok=True)
    source = next((root / "pictures").rglob(f"one {number}.png"))
    (below / f"one {number}.png").write_bytes(source.read_bytes())
  (tmp_path / "test" / "unknown").mkdir()
  (tmp_path / "test" / "unknown" / "one 0.png").write_bytes(source.read_bytes())
  (tmp_path / "test" / NAMES[truths[0]] / "bad.png").write_bytes(b"")
  out, err = ask("net", tmp_path, "--scores=scores.json", code=1)
  assert out.count("\n") == COUNT + 2
  scores = json.loads((root / "scores.json").read_text())
  right = int((odds.argmax(1) == truths).sum())
  assert 0 < right < COUNT
  top5 = metrics.top_k_accuracy_score(truths, odds, k=5, labels=np.arange(len(NAMES)))
  assert (scores["count"], scores["top1"]) == (COUNT, right / COUNT)
  assert scores["top5"] == pytest.approx(top5) and scores["not_scored"] == 2
  wilson = list(stats.binomtest(right, COUNT).proportion_ci(0.95, method="wilson"))
  assert scores["interval"] == pytest.approx(wilson)
  precision, recall, _, counts = metrics.precision_recall_fscore_support(
    truths, odds.argmax(1), labels=np.arange(len(NAMES)), zero_division=np.nan
  )
  for column, row in enumerate(scores["by_class"]):
    assert (row["class"], row["count"]) == (NAMES[column], counts[column])
    for key, wanted in (("precision", precision[column]), ("recall", recall[column])):
      assert row[key] == (None if np.isnan(wanted) else pytest.approx(wanted))
      low, high = row[f"{key}_interval"] or (0, 1)
      assert low <= (row[key] or 0) <= high
  assert f"top-1 {100 * right / COUNT:.1f} % of {COUNT} (95 % interval " in err
  assert "not scored, as they lie in no folder of a class: 1\n" in err
  table = [line.split()[0] for line in err.splitlines() if line.endswith((")", "none"))][2:]
  assert [name for name in table if name in NAMES] == [
    NAMES[column] for column in range(5) if counts[column]
  ]


def test_it_is_a_command_of_edjax(ask, capsys, monkeypatch, place):
  monkeypatch.chdir(place[0])
  monkeypatch.setattr(sys, "argv", ["edjax"])
  monkeypatch.setattr(sys, "path", sys.path[:])
  entry.main(["predict", "net", "pictures/one 0.png", "--top=1"])
  rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
  check(rows[1:], place[1], 1)
