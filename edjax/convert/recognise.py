"""Which network is it? The tensors of a checkpoint, compared with every network and scheme."""

import dataclasses
import math

from edjax.convert import tensors as tensors_of
from edjax.convert.families import NAMES, SCHEMES
from edjax.errors import UserError, choose


@dataclasses.dataclass(frozen=True)
class Found:
  """A network that was recognised.

  Attributes:
    model: a row of `models.MODELS`.
    scheme: a row of `families.SCHEMES`.
    num_classes: columns of its classifier.
    image_shape: (height, width, channels) that fits; the first two mean nothing, for any will do,
      or for a transformer any with as many patches.
    variables: the tensors as ours.
  """

  model: str
  scheme: str
  num_classes: int
  image_shape: tuple[int, int, int]
  variables: dict


def recognise(tensors, model=None, num_classes=None, scheme=None):
  """Returns the network that a checkpoint holds, a `Found`.

  Args:
    tensors: {PyTorch name: array}.
    model, num_classes, scheme: where the caller knows them; otherwise the tensors tell.

  Raises:
    UserError: if it is none that edjax knows, listing for the nearest every tensor that is missing,
      too many, or of another shape.
  """
  if model:
    choose(NAMES, model, "model with PyTorch names")
  if scheme and scheme not in SCHEMES:
    raise UserError(f"unknown names {scheme!r}; choose one of {', '.join(SCHEMES)}")
  nearest, least = None, math.inf
  for candidate in [model] if model else NAMES:
    for known, names in NAMES[candidate].items():
      if scheme and known != scheme:
        continue
      places, shape, classes = _layout(tensors, candidate, names, num_classes)
      missing, extra, wrong = tensors_of.differences(tensors, places)
      if not (missing or extra or wrong):
        variables = tensors_of.from_torch(tensors, places)
        return Found(candidate, known, classes, shape, variables)
      distance = len(missing) + len(extra) + len(wrong)
      if distance < least:
        nearest, least = (candidate, known, classes, missing, extra, wrong), distance
  if nearest is None:
    raise UserError(f"{model} has no {scheme} names; it has {', '.join(NAMES[model])}")
  raise UserError(_explained(*nearest))


def _layout(tensors, model, names, num_classes):
  """Returns (places, image shape, classes) of a model with the classes and channels of tensors."""
  classifier, size = f"{names('head/dense')}.weight", _size(tensors)
  classes = num_classes or (len(tensors[classifier]) if classifier in tensors else 1000)
  shape = (*size, 3)
  places = tensors_of.layout(model, names, classes, shape)
  _, _, wrong = tensors_of.differences(tensors, places)
  if len(wrong) == 1 and len(wrong[0][1]) == 4:  # it may be the stem, of other images than colour
    shape = (*size, wrong[0][1][1])
    places = tensors_of.layout(model, names, classes, shape)
  return places, shape, classes


def _size(tensors):
  """(height, width) of images with a transformer's number of patches; other networks take any."""
  positions, patches = tensors.get("pos_embed"), tensors.get("patch_embed.proj.weight")
  if positions is None or patches is None or (positions.ndim, patches.ndim) != (3, 4):
    return 64, 64
  # Tensors do not tell the shape of the grid, and do not depend on it: one row is as good as any.
  side = patches.shape[2]
  return side, side * max(1, positions.shape[1] - 1)


def _explained(model, scheme, classes, missing, extra, wrong):
  parts = [f"missing: {', '.join(missing)}"] if missing else []
  parts += [f"not in it: {', '.join(extra)}"] if extra else []
  parts += [
    "of another shape: " + ", ".join(f"{n} is {has}, not {wants}" for n, has, wants in wrong)
  ] * bool(wrong)
  return f"the nearest network is {model} with {scheme} names, {classes} classes; " + "; ".join(
    parts
  )
