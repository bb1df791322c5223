"""Whose work directory is it? A run may only continue what the same config and data began."""

import json

from ml_collections import ConfigDict

from edjax import rows
from edjax.data import identity
from edjax.errors import UserError
from edjax.settings import resolve
from edjax.storage import checkpoint, files

MAY_DIFFER = (
  "data_dir", "checkpoint.", "compilation_cache", "devices", "residence", "faculty.cache",
  "faculty.check",
)  # fmt: skip
_UNSET = "not set"
_BEFORE = {"data.source": "auto"}  # what was meant before there were such settings
_WRITTEN = (
  "metrics.jsonl", "report.json", "report.html", "graduate", "teachers", "checkpoints", "data.json",
)  # fmt: skip
_OURS = {"name", "student", "recipe"}  # some of what every config has


def check(workdir, settings, data):
  """Checks that a work directory is free, or this config's and these data's; changes nothing.

  Where files lie may differ. A directory in which no step has been taken is free, whatever its
  config.json says. One that an earlier version wrote may lack settings that are as they were then.

  Args:
    workdir: a `pathlib.Path`.
    settings: the config as a dict, nested, of what JSON can hold.
    data: of the run, from `identity.describe`.

  Raises:
    UserError: naming the first setting that differs, or what differs in the data, or what is there
      that no run of edjax's has written.
  """
  checkpoint.check_target(workdir / "graduate")
  path = workdir / "config.json"
  if not path.exists():
    there = [name for name in _WRITTEN if (workdir / name).exists()]
    if there:
      raise UserError(
        f"{workdir} holds {', '.join(there)}, but no config.json that says whose that is; put it "
        "back, or use another --workdir"
      )
    return
  theirs = _read(path)
  if not theirs.keys() >= _OURS:
    raise UserError(f"{path} is not a config of edjax's; use another --workdir")
  if not begun(workdir):
    return
  theirs, mine = flat(_closed(theirs)), flat(json.loads(json.dumps(settings)))
  for key in mine | theirs:
    was, now = (each.get(key, _BEFORE.get(key, _UNSET)) for each in (theirs, mine))
    same = was == now or (was == _UNSET and not now)
    if not same and not key.startswith(MAY_DIFFER):
      raise UserError(
        f"{workdir} belongs to another config: {key} was {was!r}, is now {now!r}; use another "
        "--workdir or the old setting"
      )
  identity.refuse(f"{workdir} (data.json)", _data(workdir), data)


def claim(workdir, settings):
  """Makes a work directory, which `check` has passed, this config's, unless it is already."""
  if not begun(workdir):
    text = json.dumps(settings, indent=2) + "\n"
    files.replace_file(workdir / "config.json", text.encode())


def settle(workdir, data, order):
  """Notes a run's data and class order in a work directory, or checks that they are those noted.

  Args:
    workdir, data: as in `check`.
    order: the data set's labels in the class order of the run; None while that is not known.

  Returns:
    A line to print, "" mostly.

  Raises:
    UserError: if the class order is another one.
  """
  noted, trained = _data(workdir), begun(workdir)
  if order is not None:
    data = data | {"class_order": [int(label) for label in order]}
  if noted and trained:
    identity.refuse(f"{workdir} (data.json)", noted, data)
    data = noted | data
  if data != noted:
    files.replace_file(workdir / "data.json", (json.dumps(data, indent=1) + "\n").encode())
  if noted or not trained:
    return ""
  return f"{workdir} has no data.json that says which data it was begun with; it is taken for these"


def flat(tree, prefix=""):
  """Returns {"recipe.pad": 2, …} for a nested dict."""
  leaves = {}
  for key, value in tree.items():
    leaves |= (
      flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    )
  return leaves


def begun(workdir):
  """Says whether a step has been taken, by the student or a teacher."""
  return next(workdir.rglob("metrics.jsonl"), None) is not None


def _closed(settings):
  """Returns settings as this version says them; those that make no sense as is.

  Earlier ones left some unsaid, and said the grades in columns.
  """
  try:
    if all(isinstance(column, list) for column in settings["grades"].values()):
      settings = settings | {"grades": rows.from_columns(settings["grades"])}
    return json.loads(json.dumps(resolve(ConfigDict(settings)).to_dict()))
  except (AttributeError, KeyError, TypeError, ValueError):
    return settings


def _data(workdir):
  """Returns the identity of the data that a work directory notes, or None."""
  path = workdir / "data.json"
  if not path.exists():
    return None
  noted = _read(path)
  if not noted.keys() >= {"dataset", "class_names", "image_shape", "images", "sha256"}:
    raise UserError(f"{path} is damaged (it says too little); remove it, or use another --workdir")
  return noted


def _read(path):
  try:
    read = json.loads(path.read_text())
  except ValueError as error:
    raise UserError(f"{path} is damaged ({error}); use another --workdir") from error
  if not isinstance(read, dict):
    raise UserError(f"{path} is damaged (it holds no settings); use another --workdir")
  return read
