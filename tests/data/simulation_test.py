"""A sky that never was, written and read: parts, what it refuses, the command."""

import dataclasses
import functools

import numpy as np
import pytest

from edjax import simulate
from edjax.data import datasets, simulation
from edjax.data.readers import curves
from edjax.errors import UserError
from edjax.et import bulge, source
from tests import archives as made

FEW = {"planet": 1.0, "eclipsing": 1.0, "flickering": 1.0}
TRANSITS = {"subject": "transits", "sky": source.Sky(mixture=FEW), "seed": 3}
prepared = functools.partial(simulation.prepare, events=100, **TRANSITS)
SEASON = dataclasses.replace(bulge.SEASON, days=60.0)
LENSES = {"subject": "lenses", "sky": SEASON, "events": 100, "seed": 3}


@pytest.fixture(scope="module")
def sky(tmp_path_factory):
  place = tmp_path_factory.mktemp("sky") / "new"
  return place, prepared(place)


@pytest.mark.slow
def test_parts_are_as_they_were_said_to_be(sky):
  place, stated = sky
  data = datasets.load("et", data_dir=place)
  assert data.class_names == ("J", "EB", "PC") and data.what == "light curves"
  assert data.positives == {"planet": (2,), "transit-like": (1, 2)}
  for part, names in stated["counts"].items():
    split = getattr(data, part)
    counts = [names["flickering"], names["eclipsing"], names["planet"]]
    assert np.bincount(split.labels).tolist() == counts
    assert split.images.shape == (sum(counts), 1, 201, 8) and split.images.dtype == np.uint8
  assert stated["counts"]["train"] == {"flickering": 35, "eclipsing": 18, "planet": 18}
  whole = np.concatenate([data.train.images, data.validation.images, data.test.images])
  assert len(np.unique(whole, axis=0)) == len(whole)  # no event is in two parts


@pytest.mark.slow
def test_views_and_scalars_are_those_of_tess(sky):
  data = datasets.load("et", data_dir=sky[0])
  value = data.train.images[:, 0] * 4.5 / 255 - 1.5
  views, scalars = value[..., :3], value[..., 3:]
  assert np.abs(views.min(1) + 1).max() < 0.2  # the least of 61 places may lie between two of 201
  assert np.abs(np.median(views, 1)).max() < 0.15
  assert (np.ptp(scalars, axis=1) == 0).all()
  signal = 10 ** (scalars[:, 0, 2] + 1)
  assert signal.min() > source.LEAST * 0.97
  planets = views[data.train.labels == 2]
  assert (planets[:, 100, 0] < np.median(planets[..., 0], 1) - 0.3).mean() > 0.9


@pytest.mark.slow
def test_the_same_sky_is_left_and_no_other_is_written_over(sky):
  place, stated = sky
  before = (place / "train.npy").stat().st_mtime_ns
  assert prepared(place) == stated and (place / "train.npy").stat().st_mtime_ns == before
  for change in ({"seed": 4}, {"events": 200}, {"sky": source.Sky(mixture=FEW, red=1.0)}):
    with pytest.raises(UserError, match=f"{place}.*another sky"):
      prepared(place, **change)


@pytest.mark.slow
def test_another_physics_is_another_sky(sky, monkeypatch):
  monkeypatch.setattr(curves, "LOW", -1.4)  # events come out as other bytes
  with pytest.raises(UserError, match="another edjax"):
    prepared(sky[0])


@pytest.mark.parametrize(
  "harm, words",
  [
    (lambda place: (place / "sky.json").unlink(), "is not in"),
    (lambda place: (place / "sky.json").write_text("{"), "is damaged"),
    (lambda place: (place / "sky.json").write_text("{}"), "cannot be read"),
    (lambda place: (place / "test.npy").unlink(), "cannot be read"),
    (lambda place: np.save(place / "test_labels.npy", np.zeros(1)), "cannot be read"),
  ],
)
def test_damage_is_named(harm, words, tmp_path):
  made.write_sky(tmp_path)
  datasets.load("et", data_dir=tmp_path)
  harm(tmp_path)
  made.refuses(functools.partial(datasets.load, "et", data_dir=tmp_path), str(tmp_path), words)


@pytest.fixture(scope="module")
def season(tmp_path_factory):
  place = tmp_path_factory.mktemp("season")
  return place, simulation.prepare(place, **LENSES)


@pytest.mark.slow
def test_lenses_are_as_they_were_said_to_be(season):
  place, stated = season
  data = datasets.load("bulge", data_dir=place)
  assert data.class_names == ("flat", "outburst", "lens", "planet")
  assert data.positives == {"planet": (3,), "lens": (2, 3)}
  for part, names in stated["counts"].items():
    counts = [names["flat"], names["outburst"], names["point"] + names["finite"]]
    split = getattr(data, part)
    assert np.bincount(split.labels).tolist() == [*counts, names["planetary"]]
    assert split.images.shape == (len(split.labels), 1, 201, 9)
  whole = np.concatenate([data.train.images, data.validation.images, data.test.images])
  assert len(np.unique(whole, axis=0)) == len(whole)  # no event is in two parts
  value = whole[:, 0] * 4.5 / 255 - 1.5
  views, scalars = value[..., :3], value[..., 3:]
  assert np.abs(views.min(1) + 1).max() < 0.25 and np.abs(np.median(views, 1)).max() < 0.15
  assert (np.ptp(scalars, axis=1) == 0).all()
  assert (10 ** (scalars[:, 0, 2] + 1)).min() > source.LEAST * 0.97
  planets = scalars[: len(data.train.labels), 0][data.train.labels == 3]
  assert (10 ** (planets[:, 3] + 1)).min() > bulge.DEVIATION * 0.97


@pytest.mark.slow
def test_lenses_are_the_same_again_and_no_transits(season, tmp_path):
  place, stated = season
  assert simulation.prepare(tmp_path / "again", **LENSES) == stated
  for name in ("train.npy", "test_labels.npy", "sky.json"):
    assert (tmp_path / "again" / name).read_bytes() == (place / name).read_bytes()
  words = "simulated lenses, and not transits"
  made.refuses(functools.partial(datasets.load, "et", data_dir=place), str(place), words)
  with pytest.raises(UserError, match="another sky"):
    prepared(place)


@pytest.mark.parametrize("name, subject", [("et", "lenses"), ("bulge", "transits")])
def test_a_sky_of_another_subject_is_refused(name, subject, tmp_path):
  made.write_sky(tmp_path, subject=subject)
  words = f"holds simulated {subject}, and not"
  made.refuses(functools.partial(datasets.load, name, data_dir=tmp_path), str(tmp_path), words)


def test_the_command(tmp_path, monkeypatch, capsys):
  asked = {}

  def prepare(place, subject, sky, events, seed, tell):
    asked.update(place=place, subject=subject, sky=sky, events=events, seed=seed)
    return {"counts": {"train": {"planet": 1234}}}

  monkeypatch.setattr(simulation, "prepare", prepare)
  words = [f"--data_dir={tmp_path}", "--objects=planet,blended", "--red=0.5", "--events=300"]
  simulate.main(words)
  assert asked["sky"].red == 0.5 and [*asked["sky"].mixture] == ["planet", "blended"]
  assert (asked["place"], asked["events"], asked["seed"]) == (tmp_path, 300, 0)
  assert asked["subject"] == "transits" and asked["sky"].days == source.Sky().days
  assert capsys.readouterr().out == f"{tmp_path}: train, 1,234 planet\n"
  for words, said in (
    (["--objects=comet"], "planet"), (["--events=3"], "100 or more"), (["--red=-1"], "no less"),
    (["--subject=moons"], "transits"), (["--subject=lenses", "--objects=planet"], "planetary"),
  ):  # fmt: skip
    made.refuses(functools.partial(simulate.main, [f"--data_dir={tmp_path}", *words]), said)
  simulate.main([f"--data_dir={tmp_path}", "--subject=lenses"])
  assert asked["subject"] == "lenses" and asked["sky"] == bulge.SEASON


@pytest.mark.parametrize(
  "name, drawn", [("transits", source.objects.CLASSES), ("lenses", bulge.rises.CLASSES)]
)
def test_every_label_has_its_objects(name, drawn):
  subject = simulation.SUBJECTS[name]
  named = [name for names in subject.objects.values() for name in names]
  assert sorted(named) == sorted(subject.sky.mixture) == sorted(drawn)
  for mixed in (subject.objects, subject.learnt, subject.exam):
    assert {*mixed} == {*subject.classes}
  assert sum(subject.learnt.values()) == pytest.approx(1) == sum(subject.exam.values())
