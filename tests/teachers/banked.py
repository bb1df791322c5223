"""Schools whose teachers' answers are kept, and what tests of them say and look at."""

import shutil

import jax
import numpy as np

from edjax.storage import checkpoint
from tests import small
from tests.training.resume_test import report

VIEWS = 9  # of an image that is moved by up to one pixel


def config(**changes):
  """Returns the config of a school of 24 steps."""
  return small.config("kd,smoke", **{"grades.epochs": (4,)} | changes)


KINDS = {
  "generalist": {},
  "specialists": {
    "grades.teachers": ("specialists", "both"),
    "grades.fragments": (1, 0),
    "grades.subjects": (1, 0),
    "grades.epochs": (2, 4),
    "subjects": (1, 1),
    "class_order": "3,1,4,0,5,9,2,6,8,7",
    "recipe.target": "seen",
  },
  "consensus": {
    "faculty.generalists": 2,
    "recipe.consensus": "entropy",
    "methods": {
      "dkd": {"weight": 1.0, "warm_up": 0.0, "standardise": True},
      "dist": {"weight": 1.0},
      "ctkd": {"weight": 1.0},
    },
  },
  "list": {"recipe.pad": 0, "recipe.resized": 0.3, "recipe.flip": True, "recipe.crops": 3},
}


def fresh(schools, tmp_path, kind="generalist"):
  """Settings for a school with an empty bank, and teachers that are there already."""
  shutil.copytree(schools(kind) / "teachers", tmp_path / "fresh")
  return KINDS[kind] | {"faculty.cache": str(tmp_path / "fresh"), "faculty.bank": "float32"}


def close(workdir, other, rtol=1e-5):
  """Asserts that graduates differ by no more than this share of the largest parameter."""
  ours, theirs = (
    jax.tree.leaves(checkpoint.load_variables(place / "graduate")[0]) for place in (workdir, other)
  )
  for one, two in zip(ours, theirs, strict=True):
    np.testing.assert_allclose(one, two, rtol=0, atol=rtol * np.abs(two).max())


def teachers_macs(workdir):
  return report(workdir)["train_macs_teachers"]
