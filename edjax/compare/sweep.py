"""Many runs of the command, a few at a time, each a process on its own cores.

A run that has ended is not done again, and one that was killed goes on where it was. No two are in
one work directory: each locks its own.
"""

import collections
import concurrent.futures
import itertools
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import IO

from edjax.errors import UserError

VARIANT = "variant"  # an axis that is a variant of the config, not a setting


def runs(
  config: str, axes: Mapping[str, Sequence[str]], words: Sequence[str]
) -> dict[str, list[str]]:
  """Returns {name: arguments of the command besides --workdir}, all choices of the axes together.

  Args:
    config: as --config takes it.
    axes: {setting, or `VARIANT`: the values it takes}, the last one changing fastest.
    words: arguments that all runs have.
  """
  found = {}
  for chosen in itertools.product(*axes.values()):
    values = dict(zip(axes, chosen, strict=True))
    variant = values.pop(VARIANT, "")
    name = [variant] if variant else []
    name += [f"{key.rpartition('.')[2]}={value}" for key, value in values.items()]
    found["_".join(name)] = [
      f"--config={_with_variant(config, variant)}",
      *words,
      *(f"--config.{key}={value}" for key, value in values.items()),
    ]
  return found


def _with_variant(config: str, variant: str) -> str:
  return f"{config}{',' if ':' in config else ':'}{variant}" if variant else config


def run_all(
  runs: Mapping[str, Sequence[str]],
  out: pathlib.Path,
  jobs: int,
  say: Callable[[str], None] = print,
) -> None:
  """Does what is left to do.

  Args:
    runs: {name: arguments of the command besides --workdir}, in the order to start them in.
    out: folder of the work directories; what a run says is in NAME.log beside it.
    jobs: how many at a time, each on its own share of the cores.
    say: is told of each that has ended.

  Raises:
    UserError: if some fail, when all others have ended; it names the first.
  """
  out.mkdir(parents=True, exist_ok=True)
  free = collections.deque(_shares(jobs))
  failed: dict[str, int] = {}

  def do(name: str) -> None:
    workdir, code = out / name, 0
    if not (workdir / "report.json").exists():
      mine = free.popleft()
      with open(out / f"{name}.log", "a") as log:
        command = [sys.executable, "-m", "edjax.main", f"--workdir={workdir}", *runs[name]]
        code = _run(command, mine, log)
      free.append(mine)
    if code:
      failed[name] = code
    say(f"{name}: {f'failed, see {out / name}.log' if code else 'done'}")

  with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
    list(pool.map(do, runs))
  if failed:
    name, code = next(iter(failed.items()))
    raise UserError(
      f"{len(failed)} of {len(runs)} runs failed; {name} ended with exit code {code}, and "
      f"{out / name}.log says why; put that right and give the same command again"
    )


def _shares(jobs: int) -> list[set[int]]:
  """The cores that each of so many runs has; empty sets where a system does not deal them out."""
  if not hasattr(os, "sched_getaffinity"):
    return [set()] * jobs
  cores = sorted(os.sched_getaffinity(0))
  share = max(1, len(cores) // jobs)
  return [{*cores[n * share % len(cores) :][:share]} for n in range(jobs)]


def _run(command: Sequence[str], cores: set[int], log: IO[str]) -> int:
  """Runs a command on some cores, what it says in a log; returns its exit code."""
  if cores:
    # Of this thread, from which the process has it. To set it in the process would take a fork of
    # a program in which JAX runs threads, and that may hang.
    os.sched_setaffinity(0, cores)
  return subprocess.run(command, check=False, stdout=log, stderr=log).returncode
