"""Data sets that tensorflow-datasets has prepared on disk, read without TensorFlow.

`tfds` reads ArrayRecord files with numpy and Pillow alone; TFRecord files it cannot. Nothing is
downloaded here: what is not on disk is an error.
"""

import numpy as np

from edjax.data.splits import Split
from edjax.errors import UserError


def find(directory, name):
  """Returns the folder DIR/name/VERSION of the newest prepared ArrayRecord version, or None."""
  versions = [
    info.parent
    for info in directory.glob(f"{name}/*/dataset_info.json")
    if any(info.parent.glob("*.array_record*"))
  ]
  return max(versions, key=_version, default=None)


def read(folder):
  """Reads a prepared image classification data set with splits `train` and `test`.

  Args:
    folder: what `find` returned. Its features must hold `image`, all of one size, and `label`.

  Returns:
    (train, test, class names), images in the order of the files.

  Raises:
    UserError: if tensorflow-datasets is not installed, or a file is missing or damaged.
  """
  try:
    import tensorflow_datasets as tfds
  except ImportError as error:
    raise UserError(
      f"{folder} needs tensorflow-datasets, which is not installed: pip install 'edjax[tfds]'"
    ) from error
  try:
    builder = tfds.builder_from_directory(folder)
    names = tuple(builder.info.features["label"].names)
    return _read_split(builder, "train"), _read_split(builder, "test"), names
  except Exception as error:  # ArrayRecord, tfds and Pillow each raise kinds of their own.
    reason = " ".join(str(error).split()) or type(error).__name__
    raise UserError(f"{folder}: cannot be read ({reason}); prepare the data set again") from error


def _read_split(builder, name):
  source = builder.as_data_source(split=name)
  images, labels = None, np.empty(len(source), np.int32)
  for i, example in enumerate(source):
    image = example["image"]
    if images is None:
      images = np.empty((len(source), *image.shape), np.uint8)
    if image.shape != images.shape[1:]:
      raise ValueError(f"image {i} of {name} is {image.shape}, the first {images.shape[1:]}")
    images[i], labels[i] = image, example["label"]
  if images is None:
    raise ValueError(f"split {name} is empty")
  return Split(images, labels)


def _version(folder):
  return [int(part) if part.isdigit() else -1 for part in folder.name.split(".")]
