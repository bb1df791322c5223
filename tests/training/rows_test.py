"""Every shipped row, config by variant, can start: the school is gone through up to training."""

import functools
import importlib

import numpy as np
import pytest

from edjax.data.datasets import Dataset, Split
from edjax.data.splits import Rows
from edjax.recipes import published
from edjax.settings import settle
from edjax.training import loop

# config -> (classes, training images, shape of an image), as published and seated
DATA = {
  "digits": (10, 1212, (8, 8, 1)),
  "fashion_mnist": (10, 54_000, (28, 28, 1)),
  "cifar10": (10, 45_000, (32, 32, 3)),
  "cifar100": (100, 45_000, (32, 32, 3)),
  "folder": (3, 900, (64, 64, 3)),
  "food101": (101, 68_175, (64, 64, 3)),
  "caltech256": (256, 21_442, (160, 160, 3)),
  "tiny_imagenet": (200, 90_000, (64, 64, 3)),
  "tfds": (3, 900, (64, 64, 3)),
  "tess": (3, 13_150, (1, 201, 8)),
  "kepler": (2, 3_600, (1, 201, 3)),
  "et": (3, 11_200, (1, 201, 8)),
  "bulge": (4, 11_200, (1, 201, 9)),
}
MODULES = {name: importlib.import_module(f"configs.{name}") for name in DATA}
PHOTOGRAPHS = {"food101", "caltech256", "tiny_imagenet"}
CURRICULA = ("ed", "paper")  # that a method may teach under, as well as alone

GENERAL = {"average", "ebkd", "aekd", "camkd", "simkd"}  # need teachers of all classes
# Configs of the same networks share the methods between them: one takes every other, one the rest.
HALF = {
  "cifar10": 0, "cifar100": 1, "folder": 0, "tfds": 1, "tess": 0, "kepler": 1, "et": 0, "bulge": 1,
}  # fmt: skip


def _rows(number, name, variants):
  """Every curriculum and size by itself, and every method in some company, or in none.

  From config to config methods take turns, so that every two of the three meet.
  """
  yield f"{name}:"
  yield from (
    f"{name}:{arg}" for axis, args in variants.items() if axis != "method" for arg in args
  )
  for turn, method in enumerate(variants["method"]):
    companies = ["", *(f"{curriculum}," for curriculum in CURRICULA), "smoke,"]
    if method in GENERAL:
      companies.remove("paper,")
    if turn % 2 == HALF.get(name, turn % 2):
      yield f"{name}:{companies[(turn // 2 + number) % len(companies)]}{method}"


ALL = {
  row
  for number, (name, module) in enumerate(MODULES.items())
  for row in _rows(number, name, module.VARIANTS)
}
# Every method once, where it is quick; every config once, with networks that are least alike.
QUICK = [
  "digits:",
  *(f"digits:{arg}" for arg, row in published.METHODS.items() if arg in row),
  "fashion_mnist:ed,at",
  "cifar10:ce",
  "cifar100:ce",
  "folder:fsp",
  "food101:kdsvd",
  "caltech256:ce",
  "tiny_imagenet:sp",
  "tiny_imagenet:reviewkd,smoke",
  "bulge:ed,mlld",
]


class Begun(Exception):
  """The first network would be trained now."""


@functools.cache
def _dataset(name):
  """Returns the data set of a config, for all its rows; photographs are `Rows`, as when read."""
  classes, count, shape = DATA[name]
  images = np.broadcast_to(np.uint8(0), (count, *shape))
  if name in PHOTOGRAPHS:
    images = Rows(images, np.arange(count))
  split = Split(images, (np.arange(count) % classes).astype(np.int32))
  few = Split(split.images[:classes], split.labels[:classes])
  names, figures = tuple(f"class {n}" for n in range(classes)), ((0.5,) * shape[2],) * 2
  return Dataset(name, names, split, few, few, *figures)


def starts(row, workdir, monkeypatch):
  """Runs a row on images of the right shape, all one shade, until something is to be trained."""
  name, _, arg = row.partition(":")
  config, dataset = MODULES[name].get_config(arg), _dataset(name)

  def train(*_):
    raise Begun

  monkeypatch.setattr(loop, "train", train)
  # Similar classes are found by looking, and images would be copied to the devices.
  config.class_order, config.residence, config.devices = "given", "streamed", 1
  with pytest.raises(Begun):
    loop.run(settle(config), workdir, dataset=dataset)


@pytest.mark.parametrize("row", QUICK)
def test_a_row_starts(row, tmp_path, monkeypatch):
  starts(row, tmp_path / "run", monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("row", sorted(ALL - set(QUICK)))
def test_every_row_starts(row, tmp_path, monkeypatch):
  starts(row, tmp_path / "run", monkeypatch)
