"""Under what circumstances a run was made: its command, date, data and settings."""

import pathlib
import subprocess

from edjax.report import journal, page
from edjax.workdirs import flat


def record(config, workdir, dataset, command, finished):
  """Returns what report.json says of how a run was made, under "run".

  Args:
    config: of the run, as it was resolved.
    workdir: its work directory, a pathlib.Path.
    dataset: a `datasets.Dataset`.
    command: as it was given, "" where there was none.
    finished: when, as text.
  """
  return journal.plain(
    {
      "command": command,
      "finished": finished,
      "workdir": str(workdir.absolute()),
      "data_dir": str(pathlib.Path(config.data_dir).expanduser().absolute())
      if config.data_dir
      else "",
      "data_digest": dataset.identity["sha256"]["train"],
      "revision": revision(pathlib.Path(__file__).parents[2]),
      "settings": config.to_dict(),
    }
  )


def revision(checkout):
  """Returns the revision of edjax's own working tree, "" where this is no checkout of it.

  Args:
    checkout: the folder that holds the package, a pathlib.Path.
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


def section(report):
  """Returns the part of the page that says them."""
  ran, student = report.get("run") or {}, report.get("student") or {}
  settings = ran.get("settings") or {}
  items = [(key, report.get(key)) for key in ("config", "dataset", "seed", "device")]
  items += [
    (words, ran.get(key))
    for words, key in (
      ("finished", "finished"),
      ("work directory", "workdir"),
      ("data directory", "data_dir"),
      ("digest of the training images", "data_digest"),
      ("revision", "revision"),
    )
  ]
  items += sorted((report.get("versions") or {}).items())
  facts = "".join(
    f"<dt>{page.text(key)}</dt><dd>{page.text(value)}</dd>" for key, value in items if value
    or value == 0
  )  # fmt: skip
  sha256 = page.text(student.get("sha256", "–"))
  command = ran.get("command")
  notes = "".join(f"<li>{page.text(note)}</li>" for note in report.get("notes") or ())
  return (
    (f"<p><code>{page.text(command)}</code></p>" if command else "")
    + f"<dl>{facts}<dt>sha256 of the graduate</dt><dd><code>{sha256}</code></dd></dl>"
    + _methods(settings.get("methods") or {})
    + _all_settings(settings)
    + (f"<h3>Notes</h3><ul>{notes}</ul>" if notes else "")
  )


def _methods(methods):
  rows = []
  for name, options in methods.items():
    others = ", ".join(f"{key} {value}" for key, value in options.items() if key != "weight")
    rows.append((page.text(name), page.figure(options.get("weight"), None), page.text(others)))
  return rows and "<h3>Methods</h3>" + page.table(("method", "*weight", "options"), rows) or ""


def _all_settings(settings):
  rows = [(page.text(key), page.text(_written(value))) for key, value in flat(settings).items()]
  if not rows:
    return ""
  return f"<details><summary>All {len(rows)} settings</summary>" + (
    page.table(("setting", "value"), rows) + "</details>"
  )


def _written(value):
  """A setting as it is given on the command line."""
  return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
