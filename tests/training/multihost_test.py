"""Processes that train together, two devices each, on this machine: the same student, written once.

What each of them prints besides is Gloo's, which says whom it has reached.
"""

import json
import signal
import socket
import time

import jax
import numpy as np
import pytest

from edjax.storage import checkpoint, trees
from tests import command
from tests.command import refused
from tests.training import resume_test

# The same school, but 20 steps and more.
SCHOOL = (
  *(given for given in resume_test.SCHOOL if "epochs" not in given),
  "--config.grades.epochs=1,4",
)
STEPS = 31
LOST = "another process of this run has ended or cannot be reached; start all of them again"


def start(arguments, environment, count=2):
  """Starts the processes of a job; `arguments` are of all of them or a tuple for each."""
  with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    address = f"127.0.0.1:{free.getsockname()[1]}"
  each = arguments if isinstance(arguments[0], tuple) else [arguments] * count
  job = "--multihost", f"--coordinator={address}", f"--num_processes={count}"
  return [
    command.start(*given, *job, f"--process_id={n}", **environment | {"JAX_NUM_CPU_DEVICES": "2"})
    for n, given in enumerate(each)
  ]


def end(processes):
  """Waits for all; returns an `Ended` each."""
  try:
    return [command.end(process) for process in processes]
  finally:
    for process in processes:
      process.kill()


def go(workdir, cache, environment, *more):
  """Runs the school to its end in two processes; returns what they printed."""
  given = *SCHOOL, *more, f"--workdir={workdir}", f"--config.faculty.cache={cache}"
  first, second = end(start(given, environment))
  assert first.code == second.code == 0, first.err + second.err
  assert second.err == ""
  return first.err


def kill(workdir, cache, environment, number):
  """Kills one of two processes after a step of the second grade; returns how the other ended, and
  after how many seconds."""
  before = max(newest(workdir), resume_test.GRAFT)
  given = *SCHOOL, f"--workdir={workdir}", f"--config.faculty.cache={cache}"
  processes = start(given, environment)
  try:
    while newest(workdir) <= before and processes[number].poll() is None:
      time.sleep(0.01)
    processes[number].send_signal(signal.SIGKILL)
    began = time.monotonic()
    ended = end(processes)
  finally:
    for process in processes:
      process.kill()
  assert ended[number].code == -signal.SIGKILL and not (workdir / "report.json").exists()
  return ended[1 - number], time.monotonic() - began


def newest(workdir):
  return max(resume_test.steps(workdir / "checkpoints"), default=0)


def graduate(workdir):
  return trees.flatten(checkpoint.load_variables(workdir / "graduate")[0])


@pytest.fixture(scope="module")
def whole(compiled, tmp_path_factory):
  """The work directory of an uninterrupted run of two processes."""
  workdir = tmp_path_factory.mktemp("hosts") / "run"
  go(workdir, workdir.with_name("cache"), compiled)
  return workdir


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, 4])
def test_processes_train_what_one_trains(devices, whole, compiled, tmp_path):
  alone = command.start(
    *SCHOOL, f"--workdir={tmp_path}", **compiled | {"JAX_NUM_CPU_DEVICES": str(devices)}
  )
  assert command.end(alone).code == 0
  ours, theirs = graduate(whole), graduate(tmp_path)
  assert ours.keys() == theirs.keys()
  for path in ours:
    np.testing.assert_allclose(ours[path], theirs[path], rtol=1e-5, atol=1e-5, err_msg=path)
  rows, single = (resume_test.journal(place) for place in (whole, tmp_path))
  assert len(rows) == len(single) and max(row["step"] for row in rows) == STEPS
  losses = [[row.get("loss", row.get("nll")) for row in part] for part in (rows, single)]
  np.testing.assert_allclose(*losses, rtol=1e-5)


@pytest.mark.slow
def test_all_is_written_once(whole):
  report = resume_test.report(whole)
  assert report["device"].startswith("4 × ")
  steps = [row["step"] for row in resume_test.journal(whole) if row["kind"] == "train"]
  assert steps == list(range(1, STEPS + 1))
  names = {path.name for path in whole.iterdir()}
  assert names == {
    "checkpoints",
    "data.json",
    "config.json",
    "graduate",
    "metrics.jsonl",
    "report.html",
    "report.json",
    "results.csv",
    "teachers",
  }
  assert STEPS in resume_test.steps(whole / "checkpoints")


@pytest.mark.slow
@pytest.mark.parametrize("residence", ["sharded", "streamed"])
def test_wherever_the_images_live(residence, whole, compiled, tmp_path):
  """The same bits as from images that every device holds."""
  said = go(tmp_path, whole.with_name("cache"), compiled, f"--config.residence={residence}")
  assert {"sharded": "divided over 4 devices", "streamed": "on the host"}[residence] in said
  resume_test.same(tmp_path, whole)


@pytest.mark.slow
def test_killed_processes(whole, compiled, tmp_path):
  """Whichever is killed, the other ends by itself, and the same command ends with the same bits."""
  cache = whole.with_name("cache")
  for number, most in ((0, 20), (1, 90)):  # seconds; of process 0's end its connections tell
    other, seconds = kill(tmp_path / "run", cache, compiled, number)
    assert other.code == 1 and seconds < most
    last = other.err.splitlines()[-1]
    assert last.startswith("edjax: ") and LOST in last
  said = go(tmp_path / "run", cache, compiled)
  assert "student: continuing after step" in said and "teacher subject" not in said
  resume_test.same(tmp_path / "run", whole)


@pytest.mark.slow
def test_an_exam_of_processes(whole, compiled):
  first, second = end(start((*SCHOOL, f"--workdir={whole}", "--mode=exam"), compiled))
  assert first.code == second.code == 0
  scores = json.loads(first.out.splitlines()[-1])
  student = resume_test.report(whole)["student"]
  assert scores["count"] == 451 and scores["top1"] == student["top1"]
  assert "count" not in second.out


@pytest.mark.slow
def test_given_teachers_are_examined_once_for_all(whole, compiled, tmp_path):
  """They are the same networks, so the student has the same bits; a wrong one ends all."""
  ours = [whole / "teachers" / f"subject_{number}" / "network" for number in (1, 2)]
  given = f"--config.faculty.specialist.checkpoint={ours[0]},{ours[1]}"
  cache = whole.with_name("cache")
  said = go(tmp_path / "run", cache, compiled, given, "--config.faculty.check=False")
  for number in (1, 2):
    assert said.count(f"subject_{number} (tests.small:SMALL from {ours[number - 1]}): ") == 1
  assert resume_test.sha256(tmp_path / "run") == resume_test.sha256(whole)
  variables, info = checkpoint.load_variables(ours[0])
  dead = jax.tree.map(np.zeros_like, variables)  # which says the first class of everything
  checkpoint.save_variables(
    tmp_path / "dead", dead, {k: v for k, v in info.items() if k != "sha256"}
  )
  wrong = f"--config.faculty.specialist.checkpoint={tmp_path / 'dead'},{ours[1]}"
  for ended in end(start((*SCHOOL, wrong, f"--workdir={tmp_path / 'other'}"), compiled)):
    assert ended.code == 1 and "near chance" in ended.err.splitlines()[-1]
  assert not (tmp_path / "other" / "metrics.jsonl").exists()


@pytest.mark.slow
def test_what_one_process_lacks_ends_all(compiled, tmp_path):
  images = tmp_path / "images"
  images.mkdir()
  folder = "--config=configs/folder.py:ce,smoke", f"--workdir={tmp_path / 'run'}"
  given = (*folder, f"--config.data_dir={tmp_path}"), (*folder, f"--config.data_dir={images}")
  for ended in end(start(given, compiled)):
    assert ended.code == 1 and ended.err.startswith("edjax: process ") and "images" in ended.err
    assert ended.err.count("\n") == 1
  assert not (tmp_path / "run").exists()


def test_processes_that_were_given_other_commands(compiled, tmp_path):
  given = tuple((*SCHOOL, f"--workdir={tmp_path}", f"--config.seed={seed}") for seed in (0, 1))
  for ended in end(start(given, compiled)):
    assert ended.code == 1
    assert ended.err == (
      "edjax: process 1: the command differs from that of process 0; give all processes the same\n"
    )
  assert not list(tmp_path.iterdir())


ADDRESS = "--coordinator=10.0.0.1:1234", "--num_processes=2"


@pytest.mark.parametrize(
  "arguments, words",
  [
    (["--multihost", *ADDRESS], ["--process_id missing", "where JAX recognises the cluster"]),
    (["--multihost", "--process_id=0"], ["--coordinator and --num_processes missing"]),
    (["--multihost", *ADDRESS, "--process_id=2"], ["--process_id is 2", "0 to 1"]),
    (
      ["--multihost", "--coordinator=host", "--num_processes=2", "--process_id=0"],
      ["--coordinator is 'host'", "10.0.0.1:1234"],
    ),
    (["--process_id=0"], ["--process_id", "give --multihost too"]),
  ],
)
def test_incomplete_jobs(arguments, words, capfd, place):
  refused(command.give(capfd, *command.DIGITS, *arguments), *words)


def test_no_cluster(compiled):
  process = command.start(*command.DIGITS, "--multihost", **compiled)
  refused(command.end(process), "JAX recognises no cluster here", "--coordinator=host:port")


@pytest.mark.slow
def test_one_process_is_a_job_too(compiled, tmp_path):
  """It joins, trains and leaves; what starts it need not know how many there are."""
  quick = "--config=configs/digits.py:ce,smoke", "--config.student.model=tests.small:SMALL"
  (only,) = end(start((*quick, f"--workdir={tmp_path}"), compiled, count=1))
  assert only.code == 0, only.err
  assert (tmp_path / "report.json").exists()
