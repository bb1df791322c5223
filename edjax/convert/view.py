"""How images are shown to a network: their size, and the mean and deviation of their pixels."""

from collections.abc import Callable
from typing import Any, cast

import flax
import jax
import numpy as np

from edjax import models
from edjax.data.augment import pipeline
from edjax.data.datasets import DATASETS
from edjax.errors import UserError
from edjax.types import Variables

BATCH = 64  # images that are asked about at once
# How images are shown to the networks that are published with these names.
_IMAGENET = {"size": 224, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
_CIFAR = {"size": 32, "mean": DATASETS["cifar100"].mean, "std": DATASETS["cifar100"].std}
_USUAL: dict[str | None, dict[str, Any]] = {
  **{"repdistiller": _CIFAR, "torchvision": _IMAGENET, "timm": _IMAGENET},
  "akamaster": _IMAGENET | {"size": 32},
  # Of TensorFlow's Lites: (pixel - 127) / 128.
  "lukemelas": {"size": 224, "mean": (127 / 255,) * 3, "std": (128 / 255,) * 3},
}


def complete(
  info: dict[str, Any], scheme: str | None, given: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
  """Returns (view, assumed), both {"size", "mean", "std"} or a part of them.

  Args:
    info: as from `convert.read`, which may know the view.
    scheme: of names, which tells what is usual where neither `given` nor `info` says it, or None.
    given: `size` (pixels on a side), `mean` and `std` (per channel, of pixels scaled to [0, 1]),
      each may be None.

  Returns:
    The view, with None for what nothing tells, and the part of it that is only usual.
  """
  known = {"size": (info.get("image_shape") or [None])[0]}
  known |= {key: info.get(key) for key in ("mean", "std")}
  known |= {key: value for key, value in given.items() if value is not None}
  assumed = {key: usual for key, usual in _USUAL.get(scheme, {}).items() if known[key] is None}
  return known | assumed, assumed


def check(variables: Variables, info: dict[str, Any], view: dict[str, Any]) -> None:
  """Raises UserError if a view is not whole, or makes no sense, or the network does not take it."""
  if None in view.values():
    raise UserError("nothing says how images are shown to this network; give --size, --mean, --std")
  channels = len(view["mean"])
  if channels not in (1, 3) or len(view["std"]) != channels:
    raise UserError(
      f"{channels} numbers in mean and {len(view['std'])} in std; both need one number, or three"
    )
  if not np.isfinite([*view["mean"], *view["std"]]).all():
    raise UserError("every number in mean and std must be finite")
  if view["size"] < 1 or min(view["std"]) <= 0:
    raise UserError("the size and every number in std must be more than nothing")
  side = view["size"]
  try:
    jax.eval_shape(
      asking(variables, info, view), jax.ShapeDtypeStruct((1, side, side, channels), np.uint8)
    )
  except (flax.errors.FlaxError, TypeError, ValueError) as error:
    reason = " ".join(str(error).split())[:200]
    raise UserError(
      f"{info['model']} does not take images of {side}×{side} pixels with {channels} channels "
      f"({reason}); say which with --size, --mean and --std"
    ) from error


def asking(
  variables: Variables, info: dict[str, Any], view: dict[str, Any]
) -> Callable[[jax.Array], jax.Array]:
  """Returns a function from images, uint8 [B, size, size, channels], to logits [B, classes]."""
  classes = info.get("num_classes") or len(info["classes"])
  network = models.graduate(models.body(info["model"]), classes)
  how = pipeline.Augment(tuple(view["mean"]), tuple(view["std"]))

  def ask(images: jax.Array) -> jax.Array:
    output = network.apply(variables, pipeline.normalise(how, images))
    return cast(models.Output, output).logits

  return ask


def asker(
  variables: Variables, info: dict[str, Any], view: dict[str, Any]
) -> Callable[..., np.ndarray]:
  """Returns `asking` for any number of images on the host: `(images, batch=0) -> logits`.

  They are asked about `batch` at a time, the last of them filled up, as a program is compiled for
  each size of a batch. 0: 64, and the next power of two where there are fewer images.
  """
  ask = jax.jit(asking(variables, info, view))
  classes = info.get("num_classes") or len(info["classes"])

  def answer(images: np.ndarray, batch: int = 0) -> np.ndarray:
    size = batch or min(BATCH, 1 << max(0, len(images) - 1).bit_length())
    logits = [np.zeros((0, classes), np.float32)]
    for start in range(0, len(images), size):
      part = images[start : start + size]
      padded = np.pad(part, [(0, size - len(part)), (0, 0), (0, 0), (0, 0)])
      logits.append(np.asarray(ask(padded))[: len(part)])
    return np.concatenate(logits)

  return answer


def kept(view: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
  """Returns what of a view goes into a network's info: what a user gave, mean and std together."""
  rows: dict[str, Any] = {}
  if given["mean"] is not None or given["std"] is not None:
    rows |= {"mean": list(view["mean"]), "std": list(view["std"])}
  if given["size"] is not None:
    rows["image_shape"] = [view["size"], view["size"], len(view["mean"])]
  return rows


def said(assumed: dict[str, Any], scheme: str | None) -> str:
  """Returns a line on what is only usual, with its newline, or "" where nothing is."""
  if not assumed:
    return ""
  options = " ".join(f"--{key}={','.join(map(str, _row(value)))}" for key, value in assumed.items())
  return f"assumed {options}, as networks with {scheme} names are usually trained\n"


def _row(value: Any) -> tuple[Any, ...] | list[Any]:
  return value if isinstance(value, (tuple, list)) else (value,)
