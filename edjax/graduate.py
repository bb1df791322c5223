"""A trained network as an object: it knows its classes and how images are shown to it."""

import concurrent.futures
import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np
from PIL import Image

from edjax import models
from edjax.convert import view
from edjax.data import pictures
from edjax.data.photographs import decoding
from edjax.errors import UserError
from edjax.storage import checkpoint

Images = np.ndarray | pictures.Picture | Iterable[pictures.Picture]


@dataclasses.dataclass(frozen=True)
class Graduate:
  """A network and what it needs to be asked.

      student = edjax.load("runs/a")
      student.predict(images)                # probabilities [n, classes]
      student.names(["a.jpg", "b.png"])      # the likeliest class of each

  Attributes:
    model: its name in `models.MODELS`.
    class_names: of its columns, in order.
    image_shape: (height, width, channels) of the images it is shown.
    mean, std: of pixels scaled to [0, 1], per channel, by which it is shown images.
    variables: its parameters and batch statistics, on the host.
    info: further JSON that is kept with it.
  """

  model: str
  class_names: tuple[str, ...]
  image_shape: tuple[int, int, int]
  mean: tuple[float, ...]
  std: tuple[float, ...]
  variables: dict[str, Any] = dataclasses.field(repr=False)
  info: dict[str, Any] = dataclasses.field(default_factory=dict, repr=False)

  @property
  def num_parameters(self) -> int:
    """How many numbers were trained."""
    return sum(int(leaf.size) for leaf in jax.tree.leaves(self.variables["params"]))

  @property
  def about(self) -> dict[str, Any]:
    """What is kept with its variables, JSON."""
    return self.info | {
      "model": self.model,
      "classes": list(self.class_names),
      "image_shape": list(self.image_shape),
      "mean": list(self.mean),
      "std": list(self.std),
    }

  def read(self, images: Images) -> np.ndarray:
    """Brings images in as those that it has learnt from.

    Args:
      images: bytes (uint8) [n, height, width, channels] of its `image_shape`, which stay as they
        are; [n, height, width] will do for grey ones. Or a sequence of pictures of any size: paths
        of files, images of Pillow's, or bytes [height, width, channels]; or a lone path or image of
        Pillow's. They become squares as the images of a folder do, see `pictures.bring_in`. All are
        in memory at once; the command, `edjax predict`, has two batches there.

    Returns:
      uint8 [n, height, width, channels].

    Raises:
      UserError: for other images, or for one that cannot be read, which it names.
    """
    if isinstance(images, (str, os.PathLike, Image.Image)):
      images = [images]
    if hasattr(images, "shape"):
      return self._checked(np.asarray(images))
    with concurrent.futures.ThreadPoolExecutor() as pool:
      found = list(pool.map(self._bring_in, images))
    return np.stack(found) if found else np.zeros((0, *self.image_shape), np.uint8)

  def logits(self, images: Images, batch_size: int = 0) -> np.ndarray:
    """Asks the network.

    Args:
      images: see `read`.
      batch_size: how many it is asked about at once; the last are filled up to it, as a program is
        compiled for each size. 0: see `view.asker`.

    Returns:
      float32 [n, classes].

    Raises:
      UserError: as `read` does.
    """
    return self._ask(self.read(images), batch_size)

  def predict(self, images: Images, batch_size: int = 0) -> np.ndarray:
    """Returns the probability of each class, float32 [n, classes]; see `logits`."""
    return np.asarray(jax.nn.softmax(self.logits(images, batch_size)))

  __call__ = predict

  def names(self, images: Images, batch_size: int = 0) -> list[str]:
    """Returns the name of each image's likeliest class; of equal ones the first."""
    return [self.class_names[column] for column in self.logits(images, batch_size).argmax(1)]

  def save(self, directory: str | os.PathLike) -> None:
    """Writes it to a folder, which `edjax.load` reads, and which can teach or be converted.

    Raises:
      UserError: if there is anything but a network.
    """
    checkpoint.save_variables(directory, self.variables, self.about)

  def _checked(self, images: np.ndarray) -> np.ndarray:
    if images.ndim == 3 and self.image_shape[-1] == 1:
      images = images[..., None]
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != self.image_shape:
      raise UserError(
        f"the images are {images.dtype} {list(images.shape)}; this network takes bytes (uint8) "
        f"[n, {', '.join(map(str, self.image_shape))}], or a list of pictures of any size"
      )
    return images

  def _bring_in(self, picture: pictures.Picture) -> np.ndarray:
    try:
      return pictures.bring_in(picture, self.image_shape)
    except decoding.BadImage as error:
      name = picture if isinstance(picture, (str, os.PathLike)) else "a picture"
      raise UserError(f"{name}: cannot be read as an image ({error})") from error

  @functools.cached_property
  def _ask(self) -> Callable[..., np.ndarray]:
    how = {"mean": self.mean, "std": self.std}
    about = {"model": self.model, "num_classes": len(self.class_names)}
    return view.asker(self.variables, about, how)


_OWN = ("model", "classes", "image_shape", "mean", "std", "digest", "sha256", "num_classes")


def load(directory: str | os.PathLike) -> Graduate:
  """Reads a graduate, a teacher, or a converted network.

  Args:
    directory: its folder, or the work directory of a run that has ended, for its graduate.

  Raises:
    UserError: if there is no sound network, or nothing says how images are shown to it.
  """
  place = pathlib.Path(directory).expanduser()
  if (place / "config.json").exists():
    place = place / "graduate"
    if not place.exists():
      raise UserError(f"the run in {directory} has no graduate yet; give its command again first")
  variables, info = checkpoint.load_variables(place)
  missing = [key for key in ("image_shape", "mean", "std") if not info.get(key)]
  if missing:
    raise UserError(
      f"the network in {directory} does not say its {', '.join(missing)}; convert it again with "
      "--size, --mean and --std"
    )
  models.body(info["model"])  # or a line that says which there are
  names = info.get("classes") or range(info["num_classes"])
  return Graduate(
    model=info["model"],
    class_names=tuple(map(str, names)),
    image_shape=tuple(info["image_shape"]),
    mean=tuple(info["mean"]),
    std=tuple(info["std"]),
    variables=variables,
    info={key: value for key, value in info.items() if key not in _OWN},
  )
