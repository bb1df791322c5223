"""Whose work directory is it? A run may only continue what the same config and data began."""

import contextlib
import itertools
import json
import pathlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from edjax.data import identity
from edjax.errors import Foreign, UserError
from edjax.settings import in_rows, resolve
from edjax.storage import files, replacing

Json = dict[str, Any]

MAY_DIFFER = (
  "data_dir", "checkpoint.", "compilation_cache", "devices", "residence", "faculty.cache",
  "faculty.check", "writers",
)  # fmt: skip
_RUNS = pathlib.Path("runs")  # where work directories are that nobody has named
_UNSET = "not set"
# What was meant before there were such settings.
_BEFORE = {
  "data.source": "auto", "recipe.magnitude": 9, "recipe.rise": 0.2, "student.cut": "stages",
  "faculty.generalist.body_rate": 0.1, "faculty.specialist.body_rate": 0.1,
}  # fmt: skip
_WRITTEN = (
  "metrics.jsonl", "report.json", "report.html", "graduate", "teachers", "checkpoints", "data.json",
)  # fmt: skip
_OURS = {"name", "student", "recipe"}  # some of what every config has


def check(workdir: pathlib.Path, settings: Json, data: Json) -> None:
  """Checks that a work directory is free, or this config's and these data's; changes nothing.

  Where files lie may differ. A directory in which no step has been taken is free, whatever its
  config.json says. One that an earlier version wrote may lack settings that are as they were then.

  Args:
    workdir: is asked about.
    settings: of the run, from `settings.to_json`.
    data: of the run, from `identity.describe`.

  Raises:
    Foreign: naming the first setting that differs, or what differs in the data.
    UserError: naming what is there that no run of edjax's has written.
  """
  replacing.check_target(workdir / "graduate")
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
    raise Foreign(f"{path} is not a config of edjax's", "use another --workdir")
  if not begun(workdir):
    return
  differing = _difference(theirs, settings)
  if differing:
    raise Foreign(
      f"{workdir} belongs to another config: {differing}",
      "use another --workdir or the old setting",
    )
  identity.refuse(f"{workdir} (data.json)", _data(workdir), data)


def take(
  workdir: pathlib.Path | None, settings: Json, data: Json, say: Callable[[str], None]
) -> tuple[pathlib.Path, contextlib.ExitStack]:
  """Locks a work directory and makes it this config's, unless it is already.

  Args:
    workdir: None for one by the config's name: the one that this run has begun,
      or else the first that no other run has, of runs/NAME, runs/NAME-2, runs/NAME-3 …
    settings, data: as in `check`.
    say: is told why it is not runs/NAME, and where there are no locks.

  Returns:
    (the work directory, a context that gives its lock back at its end).

  Raises:
    UserError: as `check`; or `files.InUse` if the same run is under way there.
  """
  others: list[str] = []
  for place in [workdir] if workdir else _by_name(settings["name"]):
    try:
      held = _take(place, settings, data, say)
    except Foreign as error:
      same = isinstance(error, files.InUse) and not _differs(place, settings)
      if workdir or same:
        raise
      others.append(error.reason)
      continue
    if others:
      more = f", and {len(others) - 1} more is another run's" if len(others) > 1 else ""
      say(f"{others[0]}{more}; so the work directory is {place}")
    return place, held
  raise AssertionError("there are always more")


def examined(settings: Json) -> pathlib.Path:
  """Returns the newest work directory by a config's name that holds a graduate of this config.

  Raises:
    UserError: if there is none, saying what differs in the newest of others.
  """
  name = settings["name"]
  found = [
    (path.stat().st_mtime, path.parent.parent)
    for place in _there(name)
    for path in place.glob("graduate/info.json")
  ]
  newest_first = [place for _, place in sorted(found, reverse=True)]
  if not newest_first:
    raise UserError(
      f"{_RUNS / name} holds no graduate to examine; give the same command without --mode=exam "
      "first, or --workdir"
    )
  for place in newest_first:
    if not _differs(place, settings):
      return place
  place = newest_first[0]
  raise UserError(
    f"{place} belongs to another config: {_differs(place, settings)}; give --workdir={place} to "
    "examine its graduate all the same"
  )


def _take(
  workdir: pathlib.Path, settings: Json, data: Json, say: Callable[[str], None]
) -> contextlib.ExitStack:
  """Does what `take` does of one place; returns the context that holds the lock."""
  check(workdir, settings, data)
  workdir.mkdir(parents=True, exist_ok=True)
  with contextlib.ExitStack() as held:
    held.enter_context(files.held(workdir / "lock", say))
    check(workdir, settings, data)  # another may have begun meanwhile
    claim(workdir, settings)
    return held.pop_all()


def _there(name: str) -> list[pathlib.Path]:
  """The work directories by a config's name that are there, in order."""
  first = _RUNS / name
  counted = {
    int(path.name.removeprefix(f"{name}-")): path
    for path in _RUNS.glob("*")
    if path.name.startswith(f"{name}-") and path.name.removeprefix(f"{name}-").isdecimal()
  }
  places = first, *(counted[number] for number in sorted(counted))
  return [path for path in places if path.is_dir()]


def _by_name(name: str) -> Iterator[pathlib.Path]:
  """Yields the work directories that a config may have by its name, without end.

  Those in which a step has been taken come first: a run goes on where it is, even if one before it
  has been removed.
  """
  used = [place for place in _there(name) if begun(place)]
  yield from used
  for number in itertools.count(1):
    place = _RUNS / (f"{name}-{number}" if number > 1 else name)
    if place not in used:
      yield place


def claim(workdir: pathlib.Path, settings: Json) -> None:
  """Makes a work directory, which `check` has passed, this config's, unless it is already."""
  if not begun(workdir):
    text = json.dumps(settings, indent=2) + "\n"
    files.replace_file(workdir / "config.json", text.encode())


def settle(workdir: pathlib.Path, data: Json, order: Iterable[int] | None) -> str:
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


def flat(tree: Json, prefix: str = "") -> Json:
  """Returns {"recipe.pad": 2, …} for a nested dict."""
  leaves: Json = {}
  for key, value in tree.items():
    leaves |= (
      flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    )
  return leaves


def begun(workdir: pathlib.Path) -> bool:
  """Says whether a step has been taken, by the student or a teacher."""
  return next(workdir.rglob("metrics.jsonl"), None) is not None


def _differs(workdir: pathlib.Path, settings: Json) -> str:
  """Says in which setting the config of a work directory is another; "" if in none."""
  path = workdir / "config.json"
  return _difference(_read(path), settings) if path.exists() else "it has no config.json"


def _difference(theirs: Json, mine: Json) -> str:
  theirs, mine = flat(_closed(theirs)), flat(mine)
  for key in mine | theirs:
    was, now = (each.get(key, _BEFORE.get(key, _UNSET)) for each in (theirs, mine))
    same = was == now or (was == _UNSET and not now)
    if not same and not key.startswith(MAY_DIFFER):
      return f"{key} was {was!r}, is now {now!r}"
  return ""


def _closed(settings: Json) -> Json:
  """Returns settings as this version says them; those that make no sense as is.

  Earlier ones left some unsaid, and said the grades in columns.
  """
  try:
    return resolve(settings | {"grades": in_rows(settings["grades"])})
  except (AttributeError, KeyError, TypeError, ValueError):
    return settings


def _data(workdir: pathlib.Path) -> Json | None:
  """Returns the identity of the data that a work directory notes, or None."""
  path = workdir / "data.json"
  if not path.exists():
    return None
  noted = _read(path)
  if not noted.keys() >= {"dataset", "class_names", "image_shape", "images", "sha256"}:
    raise UserError(f"{path} is damaged (it says too little); remove it, or use another --workdir")
  return noted


def _read(path: pathlib.Path) -> Json:
  try:
    read = json.loads(path.read_text())
  except ValueError as error:
    raise UserError(f"{path} is damaged ({error}); use another --workdir") from error
  if not isinstance(read, dict):
    raise UserError(f"{path} is damaged (it holds no settings); use another --workdir")
  return read
