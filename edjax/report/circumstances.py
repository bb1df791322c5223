"""Under what circumstances a run was made: its command, date, data and settings."""

import pathlib
import subprocess
from typing import Any

from edjax.data.datasets import Dataset
from edjax.report import journal, words
from edjax.workdirs import flat


def record(
  settings: dict[str, Any],
  workdir: pathlib.Path,
  dataset: Dataset,
  command: str,
  finished: str,
) -> dict[str, Any]:
  """Returns what report.json says of how a run was made, under "run".

  Args:
    settings: of the run, as config.json holds them.
    workdir: its work directory.
    dataset: of the run.
    command: as it was given, "" where there was none.
    finished: when, as text.
  """
  return journal.plain(
    {
      "command": command,
      "finished": finished,
      "workdir": str(workdir.absolute()),
      "data_dir": str(pathlib.Path(settings["data_dir"]).expanduser().absolute())
      if settings["data_dir"]
      else "",
      "data_digest": dataset.identity["sha256"]["train"],
      "what": dataset.what,
      "test_digest": dataset.identity["sha256"]["test"],
      "revision": revision(pathlib.Path(__file__).parents[2]),
      "settings": settings,
    }
  )


def revision(checkout: pathlib.Path) -> str:
  """Returns the revision of edjax's own working tree, "" where this is no checkout of it.

  Args:
    checkout: the folder that holds the package.
  """
  if not (checkout / ".git").exists():
    return ""
  try:
    asked = subprocess.run(
      ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=12"],
      capture_output=True,
      text=True,
      timeout=10,
      check=False,
    )
  except (OSError, subprocess.SubprocessError):
    return ""
  return asked.stdout.strip() if asked.returncode == 0 else ""


def facts(report: dict[str, Any]) -> list[tuple[str, Any]]:
  """Returns (what, value) of what a report says of its run and its surroundings."""
  ran = report.get("run") or {}
  items = [(key, report.get(key)) for key in ("config", "dataset", "seed", "device")]
  items += [
    (said, ran.get(key))
    for said, key in (
      ("finished", "finished"),
      ("work directory", "workdir"),
      ("data directory", "data_dir"),
      ("digest of the training images", "data_digest"),
      ("revision", "revision"),
    )
  ]
  items += sorted((report.get("versions") or {}).items())
  return [(said, value) for said, value in items if value or value == 0]


def written(settings: dict[str, Any]) -> list[tuple[str, str]]:
  """Returns (key, value) of all settings, values as they are given on the command line."""
  return [(key, words.setting(value)) for key, value in flat(settings).items()]
