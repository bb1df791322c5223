"""Many runs: which there are, on which cores, and what is said where some fail."""

import json
import os
import sys
import warnings

import pytest

from edjax.compare import __main__ as compare
from edjax.compare import sweep
from edjax.errors import UserError
from tests import command

RUN = """#!{python}
import json, os, pathlib, sys, time
place = pathlib.Path(sys.argv[3].removeprefix("--workdir="))
if "--config.bad=1" in sys.argv:
  sys.exit("edjax: bad is 1")
place.mkdir()
time.sleep(0.3)
cores = sorted(os.sched_getaffinity(0))
(place / "report.json").write_text(json.dumps({{"words": sys.argv[4:], "cores": cores}}))
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
  """Instead of Python: writes down what it was told to do."""
  path = tmp_path / "python"
  path.write_text(RUN.format(python=sys.executable))
  path.chmod(0o755)
  monkeypatch.setattr(sweep.sys, "executable", str(path))
  return tmp_path / "out"


def test_runs_at_a_time_have_cores_of_their_own(fake):
  mine = sorted(os.sched_getaffinity(0))
  with warnings.catch_warnings():
    warnings.simplefilter("error")  # JAX's, of a fork
    sweep.run_all({"kd_0": [], "ed_0": []}, fake, min(2, len(mine)))
  told = [json.loads(path.read_text()) for path in fake.glob("*/report.json")]
  half = len(mine) // min(2, len(mine))
  assert len(told) == 2 and all(len(run["cores"]) == half for run in told)
  assert len(mine) == 1 or not {*told[0]["cores"]} & {*told[1]["cores"]}
  assert sorted(os.sched_getaffinity(0)) == mine


def test_every_choice_is_a_run():
  axes = {"variant": ["kd", "dkd"], "recipe.batch_size": ["32"], "seed": ["0", "1"]}
  made = sweep.runs("digits:smoke", axes, ["--config.residence=host"])
  assert [*made] == [
    "kd_batch_size=32_seed=0", "kd_batch_size=32_seed=1", "dkd_batch_size=32_seed=0",
    "dkd_batch_size=32_seed=1",
  ]  # fmt: skip
  assert made["dkd_batch_size=32_seed=1"] == [
    "--config=digits:smoke,dkd",
    "--config.residence=host",
    "--config.recipe.batch_size=32",
    "--config.seed=1",
  ]
  assert sweep.runs("digits", {"seed": ["0"]}, []) == {
    "seed=0": ["--config=digits", "--config.seed=0"]
  }


def test_a_run_that_has_ended_is_not_made_again_and_one_that_failed_is_named(fake, capsys):
  sweep.run_all({"a": ["--config.seed=0"]}, fake, 1)
  with pytest.raises(UserError, match="1 of 3 runs failed; b ended with exit code 1, and .*b.log"):
    sweep.run_all({"a": ["--config.seed=9"], "b": ["--config.bad=1"], "c": []}, fake, 1)
  assert json.loads((fake / "a" / "report.json").read_text())["words"] == ["--config.seed=0"]
  assert (fake / "c" / "report.json").exists()
  assert (fake / "b.log").read_text() == "edjax: bad is 1\n"
  assert capsys.readouterr().out.splitlines()[-2].startswith("b: failed")


@pytest.mark.parametrize("words", [["--vary=seed"], ["--vary=seed=0,"], ["--seeds=0"]])
def test_what_is_no_sweep_is_said(words, tmp_path):
  with pytest.raises(UserError, match=words[0].split("=")[0]):
    compare.main([f"--sweep={tmp_path}", "--config=digits", *words])


@pytest.mark.slow
def test_a_sweep_of_real_runs_is_compared(tmp_path, capsys, monkeypatch):
  """The same command again makes nothing, and writes the same table."""
  monkeypatch.chdir(command.ROOT)
  words = [f"--sweep={tmp_path}", "--config=digits:smoke", "--vary=variant=ce,kd", "--seeds=2"]
  words += ["--jobs=2", "--config.compilation_cache=off"]
  compare.main(words)
  first = capsys.readouterr()
  made = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/report.json")}
  assert len(made) == 4 and first.err.count("done") == 4
  assert "| digits_ce_smoke |" in first.out and "(2)" in first.out
  compare.main(words)
  assert capsys.readouterr().out == first.out
  assert made == {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/report.json")}
