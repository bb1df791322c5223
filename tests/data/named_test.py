"""Sets of tensorflow-datasets by their names: what is read of them, and a school."""

import functools

import numpy as np
import pytest

from configs import tfds
from edjax.data import datasets
from edjax.data.readers import named
from edjax.settings import settle
from edjax.training import loop
from tests import archives as made

fails = functools.partial(made.refuses, datasets.load)


def grey(tmp_path, counts, labels=None):
  """{split: [(path, label)]} of grey images of 8 pixels, and {pixels: label}; two classes."""
  draw, parts, lookup = np.random.default_rng(3), {}, {}
  for split, count in counts.items():
    parts[split] = []
    for i in range(count):
      image, label = draw.integers(0, 256, (8, 8), np.uint8), (labels or {}).get(split, i % 2)
      parts[split].append((made.save(tmp_path / split / f"{i}.png", image), label))
      lookup[image.tobytes()] = split, label
  return parts, lookup


def write(tmp_path, parts, **options):
  """Prepares the set "beans"; returns options of `load` that name it."""
  made.write_tfds(tmp_path / "data", "beans", "0.1.0", (8, 8, 1), ["good", "bad"], parts, **options)
  return {"name": "tfds:beans", "data_dir": str(tmp_path / "data"), "validation_fraction": 0}


@pytest.mark.parametrize(
  "counts, examined",
  [
    ({"train": 20, "validation": 6, "test": 4}, "test"),
    ({"train": 20, "validation": 6}, "validation"),
    ({"train": 20, "validation": 6, "test": 4}, "validation"),
  ],
)
def test_which_split_is_examined(counts, examined, tmp_path):
  """One whose labels are not told is not, as ImageNet's."""
  untold = {"test": -1} if "test" in counts and examined != "test" else {}
  parts, lookup = grey(tmp_path, counts, untold)
  data = datasets.load(**write(tmp_path, parts))
  for split, name in ((data.train, "train"), (data.test, examined)):
    assert split.images.shape == (counts[name], 8, 8, 1) and split.images.dtype == np.uint8
    found = [lookup[image.tobytes()] for image in split.images]
    assert found == [(name, label) for label in split.labels.tolist()]
  assert data.class_names == ("good", "bad") and len(data.mean) == 1


@pytest.mark.parametrize("size", [0, 12])
def test_a_fifth_is_held_out_of_a_set_that_is_not_cut(size, tmp_path):
  """Of each class, as it is or as photographs of another size; always the same."""
  parts, lookup = grey(tmp_path, {"train": 30})
  given = write(tmp_path, parts)
  data, again = (datasets.load(**given, image_size=size) for _ in range(2))
  assert np.bincount(data.test.labels).tolist() == [3, 3]
  assert np.bincount(data.train.labels).tolist() == [12, 12]
  np.testing.assert_array_equal(data.test.images, again.test.images)
  if size:
    assert data.train.images.shape == (24, 12, 12, 3)
    assert not made.as_bytes(data.train) & made.as_bytes(data.test)
  else:
    assert made.as_bytes(data.train) | made.as_bytes(data.test) == set(lookup)


def test_large_sets_are_mapped_at_their_own_size(tmp_path, monkeypatch):
  parts, lookup = grey(tmp_path, {"train": 8, "test": 2})
  monkeypatch.setattr(named, "_IN_MEMORY", 10 * 64 - 1)
  data = datasets.load(**write(tmp_path, parts))
  assert (tmp_path / "data" / "edjax-tfds-beans-8").is_dir()
  images = np.asarray(data.train.images)
  assert [lookup[image[..., 0].tobytes()] for image in images] == [
    ("train", label) for label in data.train.labels
  ]


def test_large_images_of_one_size_are_photographs(tmp_path, monkeypatch):
  """As those of beans, which are of 500 pixels."""
  parts, _ = grey(tmp_path, {"train": 8, "test": 2})
  monkeypatch.setattr(named, "_SMALL", 7)
  data = datasets.load(**write(tmp_path, parts))
  assert data.train.images.shape == (8, 160, 160, 3)


def test_what_is_learnt_from_what(tmp_path):
  """As the set says it; without a word there must be one of each."""
  parts, lookup = grey(tmp_path, {"train": 8, "test": 2})
  names = {"keys": ("scan", "kind"), "others": ("coarse", "rater")}
  data = datasets.load(**write(tmp_path, parts, **names, learnt=("scan", "kind")))
  assert {lookup[image.tobytes()] for image in data.train.images} == {("train", 0), ("train", 1)}
  (tmp_path / "other").mkdir()
  unsaid = write(tmp_path / "other", parts, **names)
  fails("scan are images", "coarse, kind, rater classes", "beans", **unsaid)


def test_sets_without_a_split_to_train_on(tmp_path):
  parts, _ = grey(tmp_path, {"test": 4})
  fails("no split 'train'", "but test", **write(tmp_path, parts))


def test_sets_that_are_not_there(tmp_path):
  line = "tfds.builder('roses', data_dir='DIR', file_format='array_record').download_and_prepare()"
  fails(tmp_path / "roses", line, name="tfds:roses", data_dir=str(tmp_path))
  version = tmp_path / "roses" / "1.0.0"
  version.mkdir(parents=True)
  (version / "roses-train.tfrecord-00000-of-00001").write_bytes(b"")
  fails("TFRecord files", line, name="tfds:roses", data_dir=str(tmp_path))
  fails("--config.data.name=NAME", name="tfds:", data_dir=str(tmp_path))


def test_a_school_of_a_set_by_its_name(small, tmp_path):
  parts, _ = grey(tmp_path, {"train": 80, "test": 10})
  config = tfds.get_config("ce,smoke")
  config.data.name, config.data_dir = "beans", write(tmp_path, parts)["data_dir"]
  config.student.model, config.devices = "small", 1
  settings = settle(config)
  assert (settings.name, settings.dataset) == ("beans_ce_smoke", "tfds:beans")
  report = loop.run(settings, tmp_path / "run")
  assert report["dataset"] == "tfds:beans" and report["classes"] == ["good", "bad"]
