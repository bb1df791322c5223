"""Which network is it? The tensors of a checkpoint, compared with the networks that are like it.

To know the tensors of a network it is traced, which takes up to a second, so no more are traced
than can be the nearest.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, cast

from edjax.convert import tensors as tensors_of
from edjax.convert.names.families import NAMES, SCHEMES, TENSORS
from edjax.convert.names.naming import Names
from edjax.errors import UserError, choose, one_of
from edjax.models.layers import HEAD, LAST

# The first layer of a network is one of these, its last one is the classifier.
_FIRST = ("fragment_0/conv", "fragment_0/block_0/conv_0", "fragment_0/patch_embed")
_LAST = f"{HEAD}/{LAST}"
# The weights of every network's first and last layer, as PyTorch calls them.
ENDS = sorted(
  {
    (f"{names(first)}.weight", f"{names(_LAST)}.weight")
    for schemes in NAMES.values()
    for names in schemes.values()
    for first in _FIRST
    if names(first)
  }
)


@dataclasses.dataclass(frozen=True)
class Found:
  """A network that was recognised.

  Attributes:
    model: a row of `models.MODELS`.
    scheme: a row of `families.SCHEMES`.
    num_classes: columns of its classifier.
    places: where its tensors live, from `tensors.layout`.
  """

  model: str
  scheme: str
  num_classes: int
  places: tensors_of.Places


_Candidate = tuple[str, str, Names]  # model, scheme, and how that names


def recognise(
  tensors: Mapping[str, Any],
  model: str | None = None,
  num_classes: int | None = None,
  scheme: str | None = None,
) -> Found:
  """Returns the network that a checkpoint holds, a `Found`.

  Args:
    tensors: {PyTorch name: array}; only the shapes are looked at.
    model, num_classes, scheme: where the caller knows them; otherwise the tensors tell.

  Raises:
    UserError: if it is none that edjax knows, listing for the nearest every tensor that is missing,
      too many, or of another shape. Unless `model` says so, no network is near whose first and last
      layer are both missing.
  """
  if model:
    choose(NAMES, model, "model with PyTorch names")
  if scheme:
    one_of(scheme, SCHEMES, "names")
  candidates = [
    (candidate, known, names)
    for candidate in ([model] if model else NAMES)
    for known, names in NAMES[candidate].items()
    if scheme in (None, known)
  ]
  if not candidates:
    raise UserError(f"{model} has no {scheme} names; it has {', '.join(NAMES[cast(str, model)])}")
  if not model:
    candidates = _alike(tensors, candidates)

  def apart(candidate: _Candidate) -> int:  # at least; every tensor more or fewer is a difference
    return abs(TENSORS[candidate[0]] - len(tensors))

  nearest, least = "", math.inf
  for candidate in sorted(candidates, key=apart):
    if apart(candidate) >= least:
      break
    name, known, names = candidate
    places, classes = _layout(tensors, name, names, num_classes)
    missing, extra, wrong = tensors_of.differences(tensors, places)
    if not (missing or extra or wrong):
      return Found(name, known, classes, places)
    distance = len(missing) + len(extra) + len(wrong)
    if distance < least:
      nearest, least = _explained(name, known, classes, missing, extra, wrong), distance
  raise UserError(nearest)


def _alike(tensors: Mapping[str, Any], candidates: list[_Candidate]) -> list[_Candidate]:
  """Returns the candidates whose first or last layer is in `tensors`."""
  ends = [
    {f"{names(path)}.weight" for path in (*_FIRST, _LAST) if names(path)}
    for _, _, names in candidates
  ]
  alike = [c for c, own in zip(candidates, ends, strict=True) if not own.isdisjoint(tensors)]
  if not alike:
    raise UserError(
      f"no tensor is called as a known network's first or last layer is "
      f"({', '.join(sorted(set().union(*ends)))}); they are called {', '.join(list(tensors)[:3])} …"
    )
  return alike


def _layout(
  tensors: Mapping[str, Any], model: str, names: Names, num_classes: int | None
) -> tuple[tensors_of.Places, int]:
  """Returns (places, classes) of a model for images such as the tensors are for."""
  classifier = f"{names(_LAST)}.weight"
  classes = num_classes or (len(tensors[classifier]) if classifier in tensors else 1000)
  places = _places(tensors, model, names, classes, 3)
  _, _, wrong = tensors_of.differences(tensors, places)
  if len(wrong) == 1 and len(wrong[0][1]) == 4:  # it may be the stem, of other images than colour
    places = _places(tensors, model, names, classes, wrong[0][1][1])
  return places, classes


def _places(
  tensors: Mapping[str, Any], model: str, names: Names, classes: int, channels: int
) -> tensors_of.Places:
  """Returns the layout for images of any size, that is, with any number of positions."""
  places = tensors_of.layout(model, names, classes, (64, 64, channels))
  name = names("fragment_0/pos_embed")
  if name in places and name in tensors:
    has, wants = tensors[name].shape, places[name].shape
    if has[:1] + has[2:] == wants[:1] + wants[2:]:
      places[name] = dataclasses.replace(places[name], shape=has)
  return places


def _explained(
  model: str,
  scheme: str,
  classes: int,
  missing: list[str],
  extra: list[str],
  wrong: list[tuple[str, tuple[int, ...], tuple[int, ...]]],
) -> str:
  parts = [f"missing: {', '.join(missing)}"] if missing else []
  parts += [f"not in it: {', '.join(extra)}"] if extra else []
  parts += [
    "of another shape: " + ", ".join(f"{n} is {has}, not {wants}" for n, has, wants in wrong)
  ] * bool(wrong)
  return f"the nearest network is {model} with {scheme} names, {classes} classes; " + "; ".join(
    parts
  )
