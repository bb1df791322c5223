"""The mean and the standard deviation by which networks are shown images."""

from collections.abc import Sequence

import numpy as np

from edjax.data.splits import Images, Rows
from edjax.errors import UserError

Figures = tuple[tuple[float, ...], tuple[float, ...]]  # mean and std, per channel

_BLOCK = 1024


def figures_of(
  images: Images | Rows,
  mean: tuple[float, ...] = (),
  std: tuple[float, ...] = (),
  usual: Figures | tuple[()] = (),
) -> Figures:
  """Returns (mean, std) per channel: what is said, else what is usual, else those of the images."""
  usual = usual or channel_statistics(images)
  said = given_figures("data", mean, std, images.shape[-1])
  return said.get("mean", usual[0]), said.get("std", usual[1])


def given_figures(
  name: str, mean: Sequence[float] | None, std: Sequence[float] | None, channels: int
) -> dict[str, tuple[float, ...]]:
  """Returns {"mean", "std"}, a number per channel, as far as a user says them.

  Raises:
    UserError: for what no images can be shown by.
  """
  said = {}
  for key, value in (("mean", mean), ("std", std)):
    if value is None or value == ():
      continue
    if len(value) not in (1, channels):
      raise UserError(
        f"{name}: {key} has {len(value)} numbers, but the images have {channels} channel"
        f"{'s' if channels > 1 else ''}; give "
        "one number, or one per channel"
      )
    numbers = all(isinstance(each, (int, float)) and np.isfinite(each) for each in value)
    if not numbers or (key == "std" and min(value) <= 0):
      raise UserError(
        f"{name}: {key} is {value}; give finite numbers, of pixels scaled to [0, 1]"
        f"{', above 0' if key == 'std' else ''}"
      )
    said[key] = tuple(map(float, value)) * (channels // len(value))
  return said


def channel_statistics(images: Images | Rows) -> Figures:
  """Returns the mean and standard deviation of each channel, of pixels scaled to [0, 1].

  There must be an image. Both are exact up to float64, as they come from counts of the 256 values;
  std is at least 1/255, so that one may divide by it.
  """
  values = np.arange(256) / 255
  counts_by_channel = np.zeros((images.shape[-1], 256), np.int64)
  for start in range(0, len(images), _BLOCK):
    block = images[start : start + _BLOCK]
    for channel, counts in enumerate(counts_by_channel):
      counts += np.bincount(block[..., channel].ravel(), minlength=256)
  means, stds = [], []
  for counts in counts_by_channel:
    mean = float(counts @ values / counts.sum())
    means.append(mean)
    stds.append(max(float(np.sqrt(counts @ (values - mean) ** 2 / counts.sum())), 1 / 255))
  return tuple(means), tuple(stds)
