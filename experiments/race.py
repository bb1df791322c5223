r"""Time to accuracy: edjax's command against the KD loop that users write in plain PyTorch.

python experiments/race.py --data_dir=DIR --teacher=FOLDER [--student=resnet20] [--epochs=12]
  [--share=0.5] [--rounds=3] [--limit=0] [--out=runs/race] [--edjax="--config.…=… …"]

`python experiments/benchmark.py --race …` does the same. A run is a process from its start to its
end, with everything in it: imports, reading, compiling (edjax's cache of programs is empty), exams,
report. Both sides have the machine, the training images, the teacher, the student and the batch
size in common; edjax takes its default curriculum for CIFAR-100 at a `share` of the compute of
PyTorch's epochs, and PyTorch the loop of `plain_kd`. Sides alternate, and a run that has ended is a
line of race.jsonl. There `tested` holds [seconds, top-1] on the test split, and `validated`
[seconds, top-1 of the classes that the student knows, grade] on the validation part, whenever one
was measured; `seconds_to` says when the test accuracy was reached with which PyTorch ended in that
round, null if it was not. A race that was stopped goes on after the last line. Needs the extra
[test].
"""

import argparse
import json
import os
import pathlib
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import metadata

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from configs import cifar100
from edjax import convert, plans
from edjax.data import datasets
from edjax.storage import trees

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_LOOK = 0.1  # seconds between two looks at what a run has written


def main():
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--data_dir", required=True, help="as of configs/cifar100.py")
  parser.add_argument("--teacher", required=True, help="a folder that edjax wrote")
  parser.add_argument("--student", default="resnet20")
  parser.add_argument("--epochs", type=int, default=12, help="of PyTorch")
  parser.add_argument("--share", type=float, default=0.5, help="edjax's compute, of theirs")
  parser.add_argument("--rounds", type=int, default=3)
  parser.add_argument("--limit", type=int, default=0, help="training images; 0: all")
  parser.add_argument("--batch", type=int, default=64)
  parser.add_argument("--learning_rate", type=float, default=0.1, help="PyTorch's peak")
  parser.add_argument("--workers", type=int, default=2, help="of PyTorch's DataLoader")
  parser.add_argument("--edjax", default="", help="more words of its command, in one string")
  parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/race"))
  options = parser.parse_args()
  out = options.out.resolve()
  out.mkdir(parents=True, exist_ok=True)
  teacher = hand_out(options, out)
  rows = Rows(out / "race.jsonl", told_apart_by(options, teacher))
  for number in range(options.rounds):
    for side, run in (("pytorch", pytorch), ("edjax", edjax)):
      if not rows.of(side, number):
        told = run(options, out, number, teacher["model"])
        print(json.dumps(rows.add(side, number, told)), flush=True)
  print(table(rows.all[: 2 * options.rounds]))
  print(summary(rows.all[: 2 * options.rounds]))


def told_apart_by(options, teacher):
  """Returns what is the same in all runs of a race, and says which race it is: no places."""
  own = ("data_dir", "out", "rounds", "teacher")
  return {
    **{key: value for key, value in vars(options).items() if key not in own},
    "teacher": teacher,
    "cores": len(os.sched_getaffinity(0)),
    "versions": {name: metadata.version(name) for name in ("jax", "torch")},
  }


class Rows:
  """The lines of a race, a JSON object each, in the order in which its runs ended."""

  def __init__(self, path, asked):
    """Reads those that are there, which must be of a race for which the same was `asked`."""
    self._path, self._asked = path, asked
    self.all = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    for row in self.all:
      if row["asked"] != asked:
        raise SystemExit(f"{path} is of another race, {row['asked']}; give another --out")

  def of(self, side, number):
    """Returns the row of a side in a round, or None."""
    found = [row for row in self.all if (row["side"], row["round"]) == (side, number)]
    return found[0] if found else None

  def add(self, side, number, told):
    """Writes what `pytorch` or `edjax` told of a run; PyTorch's of a round comes first."""
    goal = (self.of("pytorch", number) or told)["top1"]
    reached = [seconds for seconds, top1 in told["tested"] if top1 >= goal]
    row = {"side": side, "round": number, **told, "seconds_to": min(reached, default=None)}
    with open(self._path, "a") as file:
      file.write(json.dumps(row | {"asked": self._asked}) + "\n")
    self.all.append(row | {"asked": self._asked})
    return row


def hand_out(options, out):
  """Writes what PyTorch's side is given of the data set and of the teacher; says who that is."""
  data = cifar100.get_config("ed").data
  data.train_limit = options.limit
  dataset = datasets.load("cifar100", data_dir=options.data_dir, **data)
  splits = {"train": dataset.train, "test": dataset.test}
  np.savez(
    out / "data.npz",
    mean=dataset.mean,
    std=dataset.std,
    **{f"{name}_images": split.images for name, split in splits.items()},
    **{f"{name}_labels": split.labels for name, split in splits.items()},
  )
  variables, info, _ = convert.read(options.teacher)
  convert.write(out / "teacher.pth", variables, info)
  return {"model": info["model"], "sha256": trees.sha256(variables)}


def pytorch(options, out, number, teacher):
  """Runs PyTorch's side of a round; returns {"seconds", "top1", "tested", "validated"}."""
  journal = out / f"pytorch_{number}.jsonl"
  words = [
    "experiments/plain_kd.py",
    f"--data={out / 'data.npz'}",
    f"--student={options.student}",
    f"--model={teacher}",
    f"--teacher={out / 'teacher.pth'}",
    f"--epochs={options.epochs}",
    f"--batch={options.batch}",
    f"--learning_rate={options.learning_rate}",
    f"--workers={options.workers}",
    f"--seed={number}",
  ]
  seconds, written = watched(words, journal, journal, os.environ)
  tested = [[at, row["top1"]] for at, row in written]
  return {"seconds": seconds, "top1": tested[-1][1], "tested": tested, "validated": []}


def edjax(options, out, number, teacher):
  """Runs edjax's side of a round, as `pytorch`."""
  workdir = out / f"edjax_{number}"
  # More passes than PyTorch's for the same compute, as most are over small images.
  length = sum(row.epochs for row in plans.education(options.share * options.epochs, 1.0))
  shutil.rmtree(workdir, ignore_errors=True)  # of a race that was stopped: it would go on
  words = [
    "-m",
    "edjax.main",
    "--config=configs/cifar100.py:ed",
    f"--workdir={workdir}",
    f"--config.data_dir={pathlib.Path(options.data_dir).resolve()}",
    f"--config.data.train_limit={options.limit}",
    f"--config.student.model={options.student}",
    f"--config.faculty.generalist.model={teacher}",
    f"--config.faculty.generalist.checkpoint={pathlib.Path(options.teacher).resolve()}",
    f"--config.epochs={length:g}",
    f"--config.batch_size={options.batch}",
    f"--config.seed={number}",
    *shlex.split(options.edjax),
  ]
  kept = {key: value for key, value in os.environ.items() if key != "JAX_COMPILATION_CACHE_DIR"}
  with tempfile.TemporaryDirectory() as cache:
    journal, said = workdir / "metrics.jsonl", out / f"edjax_{number}.out"
    seconds, written = watched(words, journal, said, kept | {"XDG_CACHE_HOME": cache})
  top1 = json.loads((workdir / "report.json").read_text())["student"]["top1"]
  exams = [(at, row) for at, row in written if row.get("kind") == "exam"]
  validated = [[at, row["top1"], row["grade"]] for at, row in exams]
  return {"seconds": seconds, "top1": top1, "tested": [[seconds, top1]], "validated": validated}


def watched(words, journal, said, environment):
  """Runs Python with these words, and reads the clock whenever a line is written.

  Args:
    words: its arguments.
    journal: a file of JSON lines that the run writes.
    said: where its standard output goes; what it complains of goes beside it.
    environment: its variables.

  Returns:
    (the seconds from its start to its end, [(seconds, a line of the journal)]).

  Raises:
    SystemExit: if it fails.
  """
  lines, complaints = [], said.with_suffix(".log")
  with open(said, "w") as out, open(complaints, "w") as err:
    began = time.perf_counter()
    run = subprocess.Popen(
      [sys.executable, *words], stdout=out, stderr=err, cwd=_ROOT, env=environment
    )
    while (code := _ended(run)) is None:
      lines += _more(journal, lines, time.perf_counter() - began)
    seconds = time.perf_counter() - began
  if code:
    raise SystemExit(f"{' '.join(words)} failed with {code}; see {complaints}")
  return seconds, lines + _more(journal, lines, seconds)


def _ended(run):
  """Waits a moment; returns the exit code of a process, or None while it runs."""
  try:
    return run.wait(_LOOK)
  except subprocess.TimeoutExpired:
    return None


def _more(journal, lines, seconds):
  """Returns (seconds, line) of the whole lines that were not there before."""
  whole = journal.read_text().split("\n")[:-1] if journal.exists() else []
  return [(seconds, json.loads(line)) for line in whole[len(lines) :]]


def table(rows):
  """Returns Markdown: a line for every round, its two sides beside each other."""
  by = {(row["round"], row["side"]): row for row in rows}
  lines = [
    "| round | PyTorch, s | top-1 % | edjax, s | top-1 % | time to PyTorch's top-1, of its own |",
    "|---|---:|---|---:|---|---|",
  ]
  for number in sorted({row["round"] for row in rows}):
    sides = [by[number, side] for side in ("pytorch", "edjax")]
    cells = [
      text for row in sides for text in (f"{row['seconds']:.0f}", f"{100 * row['top1']:.2f}")
    ]
    theirs, ours = (row["seconds_to"] for row in sides)
    cells.append(f"{ours / theirs:.2f}" if ours else "not reached")
    lines.append(f"| {number + 1} | {' | '.join(cells)} |")
  return "\n".join(lines) + "\n"


def summary(rows):
  """Says in lines how the sides of a race did: medians of their seconds, means of top-1."""
  sides = {side: [row for row in rows if row["side"] == side] for side in ("pytorch", "edjax")}
  lines = []
  for side, own in sides.items():
    seconds = statistics.median(row["seconds"] for row in own)
    top1 = statistics.fmean(row["top1"] for row in own)
    lines.append(f"{side}: {seconds:.0f} s, top-1 {100 * top1:.2f} %, n = {len(own)}")
  ratios = [
    ours["seconds_to"] / theirs["seconds_to"]
    for theirs, ours in zip(sides["pytorch"], sides["edjax"], strict=True)
    if ours["seconds_to"]
  ]
  where = f"in {len(ratios)} of {len(sides['edjax'])} rounds"
  shown = ", ".join(f"{ratio:.2f}" for ratio in ratios)
  lines.append(f"edjax reached PyTorch's last accuracy {where}; seconds, of PyTorch's: {shown}")
  return "\n".join(lines)


if __name__ == "__main__":
  main()
