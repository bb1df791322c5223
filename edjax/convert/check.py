"""What a network says to images in a folder, to see with one's eyes that it came over whole."""

import pathlib

import flax
import jax
import jax.numpy as jnp
import numpy as np

from edjax import models
from edjax.data import augment, folder, layouts
from edjax.data.datasets import DATASETS
from edjax.errors import UserError

_BATCH = 64
# How images are shown to the networks that are published with these names.
_IMAGENET = {"size": 224, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
_CIFAR = {"size": 32, "mean": DATASETS["cifar100"].mean, "std": DATASETS["cifar100"].std}
_USUAL = {"repdistiller": _CIFAR, "torchvision": _IMAGENET, "timm": _IMAGENET}


def check(variables, info, scheme, directory, **view):
  """Returns text: top-1 on a folder with a sub-folder per class, or a line per image.

  A line before says what is assumed of the images, if anything is.

  Args:
    variables, info: as from `convert.read`.
    scheme: of names, which tells what is usual where neither `view` nor `info` says it, or None.
    directory: of images. Sub-folders are classes, by name where `info` names the classes, else in
      the order of their names.
    **view: `size` (pixels on a side), `mean` and `std` (per channel, of pixels scaled to [0, 1]),
      where the caller knows them; None says nothing.

  Raises:
    UserError: if there are no images, or the sub-folders are not the network's classes, or nothing
      tells the view, or the network does not take images like that.
  """
  directory = pathlib.Path(directory)
  if not directory.is_dir():
    raise UserError(f"no folder {directory} of images to check with")
  classes = info["classes"] or list(map(str, range(info["num_classes"])))
  labelled = {
    path.name: sorted(path.iterdir()) for path in sorted(directory.iterdir()) if path.is_dir()
  }
  files = [path for paths in labelled.values() or [sorted(directory.iterdir())] for path in paths]
  files = [path for path in files if path.suffix.lower() in layouts.SUFFIXES]
  if not files:
    raise UserError(f"{directory} holds no images ({', '.join(layouts.SUFFIXES)})")
  view, assumed = _completed(view, info, scheme)
  answers = _logits(variables, info["model"], view, files, len(classes)).argmax(1)
  if not labelled:
    return assumed + "\n".join(
      f"{path.name}: {classes[answer]}" for path, answer in zip(files, answers, strict=True)
    )
  order = list(classes) if info["classes"] else list(labelled)
  unknown = [name for name in labelled if name not in order]
  if unknown or len(order) != len(classes):
    raise UserError(
      f"{directory} has the sub-folders {', '.join(labelled)}, but the network knows "
      f"{len(classes)} classes{': ' + ', '.join(classes) if info['classes'] else ''}"
    )
  truth = np.array([order.index(path.parent.name) for path in files])
  right = int((truth == answers).sum())
  return f"{assumed}top-1 {100 * right / len(files):.2f} % ({right:,} of {len(files):,} images)"


def _completed(view, info, scheme):
  """Returns (view with nothing left unsaid, a line that says what was assumed or "")."""
  known = {"size": (info.get("image_shape") or [None])[0]} | {
    key: info.get(key) for key in ("mean", "std")
  }
  known |= {key: value for key, value in view.items() if value is not None}
  assumed = {key: usual for key, usual in _USUAL.get(scheme, {}).items() if known[key] is None}
  view = known | assumed
  if None in view.values():
    raise UserError("nothing says how images are shown to this network; give --size, --mean, --std")
  channels = len(view["mean"])
  if channels not in (1, 3) or len(view["std"]) != channels:
    raise UserError(
      f"{channels} numbers in mean and {len(view['std'])} in std; both need one number, or three"
    )
  if view["size"] < 1 or min(view["std"]) <= 0:
    raise UserError("the size and every number in std must be more than nothing")
  if not assumed:
    return view, ""
  options = " ".join(f"--{key}={','.join(map(str, _row(value)))}" for key, value in assumed.items())
  return view, f"assumed {options}, as networks with {scheme} names are usually trained\n"


def _row(value):
  return value if isinstance(value, (tuple, list)) else (value,)


def _logits(variables, model, view, files, num_classes):
  network = models.graduate(models.body(model), num_classes)
  side, channels = view["size"], len(view["mean"])
  how = augment.Augment(tuple(view["mean"]), tuple(view["std"]))
  ask = jax.jit(lambda images: network.apply(variables, augment.normalise(how, images)).logits)
  try:
    jax.eval_shape(ask, jax.ShapeDtypeStruct((_BATCH, side, side, channels), np.uint8))
  except (flax.errors.FlaxError, TypeError, ValueError) as error:
    reason = " ".join(str(error).split())[:200]
    raise UserError(
      f"{model} does not take images of {side}×{side} pixels with {channels} channels ({reason}); "
      "say which with --size, --mean and --std"
    ) from error
  logits = []
  for start in range(0, len(files), _BATCH):
    images = [_image(path, side, channels) for path in files[start : start + _BATCH]]
    images += [images[-1]] * (_BATCH - len(images))  # one shape, one compilation
    logits.append(np.asarray(ask(jnp.asarray(np.stack(images)))))
  return np.concatenate(logits)[: len(files)]


def _image(path, side, channels):
  """A square of bytes with as many channels as the network wants."""
  image = folder.read_image(path, side)
  if image.shape[-1] == channels:
    return image
  return image.repeat(3, -1) if channels == 3 else image.mean(-1, keepdims=True).astype(np.uint8)
