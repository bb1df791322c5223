"""Ways to get a teacher are tried in order, and each is gone only where the ones before are not."""

import dataclasses
import types

import numpy as np
import pytest

from configs import digits
from edjax import models
from edjax.data.splits import Split
from edjax.errors import UserError
from edjax.settings import settle
from edjax.teachers import acquire, faculty, untrained
from tests import school, small
from tests.school import bits
from tests.teachers.faculty_test import dataset

WANTED = untrained.Wanted("generalist", 0, tuple(range(6)))


def search(workdir, cache="", data=None, **changes):
  """What a run knows whose generalist is a small network."""
  made = digits.get_config("kd")
  made.faculty.cache = str(cache)
  made.update_from_flattened_dict({"faculty.generalist.model": "small"} | changes)
  known = settle(made)
  about = data or dataset(), known.data, known.checkpoint, workdir
  return untrained.Search(known.faculty, known.recipe, *about)


def variables(seed):
  network = models.pupil(small.SMALL, 3, 6)
  return school.random_like(school.init(network), seed)


def trained(seed):
  """Returns how a teacher is trained, which is noted by its label, and the notes."""
  labels = []

  def train(study):
    labels.append(study.label)
    row = {"train_macs": 7, "seconds": 1.5}
    return variables(seed), types.SimpleNamespace(grades=[row])

  return train, labels


def never(study):
  raise AssertionError("a teacher was trained")


def is_of(teacher, seed):
  """Asserts that a teacher is the one that was trained, or kept, with this seed."""
  assert bits(teacher.variables) == bits(variables(seed))


def test_it_is_trained_once_and_found_again(small, tmp_path):
  """In the work directory first, in the cache from any other."""
  first = search(tmp_path / "run", tmp_path / "cache")
  assert acquire.source(first, WANTED) == ""
  train, labels = trained(1)
  made = acquire.teacher(first, train, WANTED)
  is_of(made, 1)
  assert labels == ["teacher generalist"] and made.source == "trained"
  assert (made.training_macs, made.training_seconds) == (7, 1.5)
  for workdir, source in (("run", "trained"), ("other", "cache")):
    again = search(tmp_path / workdir, tmp_path / "cache")
    assert acquire.source(again, WANTED) == source
    found = acquire.teacher(again, never, WANTED)
    is_of(found, 1)
    assert dataclasses.replace(found, source="", variables={}) == dataclasses.replace(
      made, source="", variables={}
    )
    assert found.source == source


def test_each_way_goes_before_the_next(small, tmp_path):
  """A checkpoint, the work directory, the cache, training: four that are told by their bits."""
  run = search(tmp_path / "run", tmp_path / "cache")
  acquire.teacher(search(tmp_path / "other", tmp_path / "cache"), trained(3)[0], WANTED)
  is_of(acquire.teacher(run, never, WANTED), 3)
  acquire.teacher(search(tmp_path / "run"), trained(2)[0], WANTED)
  is_of(acquire.teacher(run, never, WANTED), 2)
  faculty.save(tmp_path / "given", "small", WANTED.labels, run.dataset, variables(4))
  changes = {"faculty.generalist.checkpoint": str(tmp_path / "given")}
  given = search(tmp_path / "run", tmp_path / "cache", **changes)
  assert acquire.source(given, WANTED) == "given"
  is_of(acquire.teacher(given, never, WANTED), 4)


def test_no_cache_is_looked_into_without_one(small, tmp_path):
  acquire.teacher(search(tmp_path / "other", tmp_path / "cache"), trained(1)[0], WANTED)
  train, labels = trained(2)
  is_of(acquire.teacher(search(tmp_path / "run"), train, WANTED), 2)
  assert len(labels) == 1


@pytest.mark.parametrize(
  "changes", [{"faculty.seed": 5}, {"faculty.generalist.epochs": 3}, {"recipe.pad": 2}]
)
def test_one_of_other_settings_is_not_in_the_cache(small, tmp_path, changes):
  acquire.teacher(search(tmp_path / "run", tmp_path / "cache"), trained(1)[0], WANTED)
  other = search(tmp_path / "other", tmp_path / "cache", **changes)
  assert acquire.source(other, WANTED) == ""


@pytest.mark.parametrize("place, advice", [("run", "another --workdir"), ("other", "that folder")])
def test_one_of_other_images_is_refused(small, tmp_path, place, advice):
  """Of one pixel that is not in the sample by which teachers are named in a cache."""
  before, images = dataset(), np.zeros((2000, *school.SHAPE), np.uint8)
  labels = np.arange(2000, dtype=np.int32) % 6
  altered = images.copy()
  altered[1, 0, 0, 0] = 1
  one, other = (
    dataclasses.replace(before, train=Split(each, labels)) for each in (images, altered)
  )
  acquire.teacher(search(tmp_path / "run", tmp_path / "cache", one), trained(1)[0], WANTED)
  now = search(tmp_path / place, tmp_path / "cache", other)
  assert acquire.source(now, WANTED) == ("trained" if place == "run" else "cache")
  with pytest.raises(UserError, match="2000 train images or their labels are others") as told:
    acquire.teacher(now, never, WANTED)
  assert advice in str(told.value)
