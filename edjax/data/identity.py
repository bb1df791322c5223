"""What tells a data set from others, in JSON: a work directory and all in it belong to one."""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edjax.data.splits import Rows, Split
from edjax.errors import Foreign

if TYPE_CHECKING:
  from edjax.data import datasets

_PARTS = "train", "validation", "test"
_SHOWN = 6  # names in a message


def sample_digest(split: Split) -> str:
  """Returns a hex digest that tells data sets apart: of all labels and a thousand even images."""
  stride = max(1, len(split.labels) // 1000)
  digest = hashlib.sha256(split.labels.tobytes())
  digest.update(str(split.images.shape).encode() + split.images[::stride].tobytes())
  return digest.hexdigest()


def describe(dataset: "datasets.Dataset") -> dict[str, Any]:
  """Returns the identity of a `datasets.Dataset`, JSON; where its files lie is no part of it."""
  parts = {part: getattr(dataset, part) for part in _PARTS}
  return {
    "dataset": dataset.name,
    "class_names": list(dataset.class_names),
    "image_shape": list(dataset.train.images.shape[1:]),
    "images": {part: len(split.labels) for part, split in parts.items()},
    "sha256": {part: _digest(split) for part, split in parts.items()},
  }


def refuse(
  holder: str,
  was: dict[str, Any] | None,
  now: dict[str, Any],
  parts: Sequence[str] = _PARTS,
  advice: str = "use another --workdir, or the old data",
) -> None:
  """Raises Foreign if something belongs to other data than these.

  Args:
    holder: what belongs to data, for the message.
    was: its data's identity; None where nothing says which they were.
    now: from `describe`; either may have a "class_order", labels in order, too, and a "start", the
      digest of what a network began as.
    parts: which must be the same.
    advice: what to do about it.
  """
  reason = was and _difference(was, now, parts)
  if reason:
    raise Foreign(f"{holder} belongs to other data: {reason}", advice)


def _digest(split: Split) -> str:
  """All of what is in memory counts, and a sample of what would have to be read from the disk."""
  if isinstance(split.images, Rows):
    return sample_digest(split)
  digest = hashlib.sha256(split.labels.tobytes())
  digest.update(np.ascontiguousarray(split.images).data)
  return digest.hexdigest()


def _difference(was: dict[str, Any], now: dict[str, Any], parts: Sequence[str]) -> str:
  """Says in which respect two identities differ first, with both sides; "" if in none."""
  for key, what in (("dataset", "the data set"), ("image_shape", "the shape of an image")):
    if was.get(key) != now[key]:
      return f"{what} was {was.get(key)}, is now {now[key]}"
  if was.get("class_names") != now["class_names"]:
    return f"the classes were {_listed(was.get('class_names'))}, are now " + _listed(
      now["class_names"]
    )
  for part in parts:
    counts = _get(was, "images", part), now["images"][part]
    if counts[0] != counts[1]:
      return f"there were {counts[0]} {part} images, there are now {counts[1]}"
    digests = str(_get(was, "sha256", part))[:12], now["sha256"][part][:12]
    if digests[0] != digests[1]:
      return (
        f"the {counts[0]} {part} images or their labels are others (sha256 was {digests[0]}…, is "
        f"now {digests[1]}…)"
      )
  started = [str(each.get("start", "none"))[:12] for each in (was, now)]
  if started[0] != started[1]:
    return "the network it started from was {}, is now {} (sha256)".format(*started)
  before, after = was.get("class_order"), now.get("class_order")
  if before is not None and after is not None and before != after:
    names = dict(enumerate(now["class_names"]))
    shown = ([names.get(label, label) for label in order] for order in (before, after))
    return "the order of the classes was {}, is now {}".format(*map(_listed, shown))
  return ""


def _get(tree: dict[str, Any], key: str, part: str) -> Any:
  """What an identity says of a part, None if it does not; it may come from a damaged file."""
  return tree[key].get(part) if isinstance(tree.get(key), dict) else None


def _listed(names: Sequence[object] | None) -> str:
  shown = ", ".join(map(str, (names or ())[:_SHOWN]))
  return f"{shown}, … ({len(names)})" if names and len(names) > _SHOWN else shown or "not named"
