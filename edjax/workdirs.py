"""Whose work directory is it? A run may only continue what the same config began."""

import json

from edjax import metrics
from edjax.errors import UserError

MAY_DIFFER = (
  "data_dir", "checkpoint.", "compilation_cache", "devices", "residence", "faculty.cache",
)  # fmt: skip


def claim(workdir, settings):
  """Makes a work directory this config's, or checks that it is; where files lie may differ.

  A directory in which no step has been taken is anybody's, whatever its config.json says.

  Args:
    workdir: a `pathlib.Path`; made if missing.
    settings: the config as a dict, nested, of what JSON can hold.

  Raises:
    UserError: naming the first setting that differs.
  """
  text = json.dumps(settings, indent=2) + "\n"
  path = workdir / "config.json"
  if path.exists() and next(workdir.rglob("metrics.jsonl"), None):
    try:
      theirs = flat(json.loads(path.read_text()))
    except (ValueError, AttributeError) as error:
      raise UserError(f"{path} is damaged ({error}); use another --workdir") from error
    mine = flat(json.loads(text))
    for key in mine | theirs:
      was, now = theirs.get(key, "not set"), mine.get(key, "not set")
      if was != now and not key.startswith(MAY_DIFFER):
        raise UserError(
          f"{workdir} belongs to another config: {key} was {was!r}, is now {now!r}; use another "
          "--workdir or the old setting"
        )
    return
  workdir.mkdir(parents=True, exist_ok=True)
  metrics.replace_file(path, text.encode())


def flat(tree, prefix=""):
  """Returns {"recipe.pad": 2, …} for a nested dict."""
  leaves = {}
  for key, value in tree.items():
    leaves |= (
      flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    )
  return leaves
