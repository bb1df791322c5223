"""What a network says to images in a folder, to see with one's eyes that it came over whole."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from edjax import models
from edjax.data import augment, folder
from edjax.data.datasets import DATASETS
from edjax.errors import UserError

_BATCH = 64
# Pixels on a side, mean and standard deviation that networks with these names are trained with.
_IMAGENET = 224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_USUAL = {
  "repdistiller": (32, DATASETS["cifar100"].mean, DATASETS["cifar100"].std),
  "torchvision": _IMAGENET,
  "timm": _IMAGENET,
}


def check(variables, info, scheme, directory):
  """Returns text: top-1 on a folder with a sub-folder per class, or a line per image.

  Args:
    variables, info: as from `convert.read`.
    scheme: of names, which tells the usual image size and normalisation where `info` does not.
    directory: of images. Sub-folders are classes, by name where `info` names the classes, else in
      the order of their names.

  Raises:
    UserError: if there are no images, or the sub-folders are not the network's classes.
  """
  directory = pathlib.Path(directory)
  if not directory.is_dir():
    raise UserError(f"no folder {directory} of images to check with")
  classes = info["classes"] or list(map(str, range(info["num_classes"])))
  labelled = {
    path.name: sorted(path.iterdir()) for path in sorted(directory.iterdir()) if path.is_dir()
  }
  files = [path for paths in labelled.values() or [sorted(directory.iterdir())] for path in paths]
  files = [path for path in files if path.suffix.lower() in folder.SUFFIXES]
  if not files:
    raise UserError(f"{directory} holds no images ({', '.join(folder.SUFFIXES)})")
  answers = _logits(variables, info, scheme, files, len(classes)).argmax(1)
  if not labelled:
    return "\n".join(
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
  return f"top-1 {100 * right / len(files):.2f} % ({right:,} of {len(files):,} images)"


def _logits(variables, info, scheme, files, num_classes):
  network = models.graduate(models.body(info["model"]), num_classes)
  side, mean, std = _USUAL[scheme]
  if info["image_shape"]:
    side = info["image_shape"][0]
  if info.get("mean"):
    mean, std = info["mean"], info["std"]
  how = augment.Augment(tuple(mean), tuple(std))
  ask = jax.jit(lambda images: network.apply(variables, augment.normalise(how, images)).logits)
  logits = []
  for start in range(0, len(files), _BATCH):
    images = [_image(path, side, len(mean)) for path in files[start : start + _BATCH]]
    images += [images[-1]] * (_BATCH - len(images))  # one shape, one compilation
    logits.append(np.asarray(ask(jnp.asarray(np.stack(images)))))
  return np.concatenate(logits)[: len(files)]


def _image(path, side, channels):
  """A square of bytes with as many channels as the network wants."""
  image = folder.read_image(path, side)
  if image.shape[-1] == channels:
    return image
  return image.repeat(3, -1) if channels == 3 else image.mean(-1, keepdims=True).astype(np.uint8)
