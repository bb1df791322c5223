"""A network that starts from another one: what is kept, how it is shown images, whose it is."""

import dataclasses
import functools
import shutil

import jax
import numpy as np
import pytest
import torch

from edjax import models, start
from edjax.errors import Stopped, UserError
from edjax.models import cut
from edjax.models.mobilenetv2 import Head, mobilenetv2_half
from edjax.settings import settle
from edjax.storage import checkpoint, trees
from edjax.teachers import faculty, untrained
from edjax.training import growth, loop
from edjax.training.grade import ReadyGrade
from tests import school
from tests.reference import zoo
from tests.small import SMALL, config
from tests.training.resume_test import same

MEAN, STD = (0.3,), (0.2,)
GREY = (8, 8, 1)
FROM = "faculty.generalist.start"


def network(place, seed=0, body=SMALL, model="small", shape=GREY, **info):
  """Writes a network of seven classes, all its variables random; returns them."""
  variables = school.random_like(school.init(models.graduate(body, 7), shape), seed)
  known = {"model": model, "classes": None, "num_classes": 7, "image_shape": [16, 16, shape[-1]]}
  checkpoint.save_variables(place, variables, known | info)
  return variables


@pytest.fixture
def known(small, tmp_path):
  """(folder of a network that says how it was shown images, its variables)."""
  return tmp_path / "known", network(tmp_path / "known", mean=list(MEAN), std=list(STD))


def apart(one, other):
  """The paths of leaves that differ in a bit."""
  ours, theirs = school.bits(one), school.bits(other)
  return {path for path in ours | theirs if ours.get(path) != theirs.get(path)}


def test_all_but_the_last_layer_is_kept(tmp_path):
  """The head of this network has a convolution and a normalisation of its own."""
  variables = network(tmp_path / "a", body=mobilenetv2_half(), model="mobilenetv2_half")
  begun = start.read(str(tmp_path / "a"), 1)
  fresh = school.random_like(school.init(models.graduate(mobilenetv2_half(), 10), GREY), seed=5)
  new = {f"['params']['head']['dense']['{leaf}']" for leaf in ("kernel", "bias")}
  assert apart(begun.adopt(fresh), variables) == new
  assert apart(begun.adopt(fresh), fresh) == {*school.bits(fresh)} - new
  pupil = school.random_like(school.init(models.pupil(mobilenetv2_half(), 2, 10), GREY), seed=5)
  differing = apart(begun.adopt(pupil), pupil)  # whose head is a teaching reference
  assert differing == {path for path in school.bits(pupil) if "'head'" not in path}


def test_what_differs_is_named(known, tmp_path):
  begun = start.read(str(known[0]), 1)
  colour = school.init(models.graduate(SMALL, 3), (8, 8, 3))
  with pytest.raises(UserError, match=r"conv/kernel is \[3, 3, 1, 4\], not \[3, 3, 3, 4\]$"):
    begun.adopt(colour)
  other = school.init(models.graduate(models.body("resnet8_half"), 3), GREY)
  with pytest.raises(UserError, match=r"params/fragment_0/\S+ is not there, .* and \d+ more$"):
    begun.adopt(other)


def test_the_teacher_is_what_it_starts_from(small, tmp_path):
  """Whatever model the config says; a folder and a file of PyTorch's are told alike."""
  torch.save(zoo.make("resnet8_half", 7, GREY).state_dict(), tmp_path / "a.pth")
  network(tmp_path / "b")
  made = {
    FROM: str(tmp_path / "a.pth"), "faculty.specialist.start": str(tmp_path / "b"),
    "faculty.generalist.model": "vgg8", "faculty.specialist.model": "vgg8",
  }  # fmt: skip
  settled = settle(config("kd,smoke", **made)).faculty
  assert settled.generalist.model == "resnet8_half" and settled.specialist.model == "small"


FIGURES = [
  ({"mean": [0.3], "std": [0.2]}, ((), ()), ((0.3,), (0.2,))),
  ({"mean": [0.3], "std": [0.2]}, ((0.5,), ()), ((0.5,), (0.2,))),
  ({}, ((0.5,), (0.1,)), ((0.5,), (0.1,))),
  ({}, ((0.5,), ()), ()),  # one of two says nothing
  ({}, ((), ()), ()),
]


@pytest.mark.parametrize("info, said, figures", FIGURES)
def test_by_which_figures_it_is_shown_images(small, tmp_path, info, said, figures):
  network(tmp_path / "a", **info)
  begun = start.read(str(tmp_path / "a"), 1, said)
  assert begun.figures == figures and not begun.assumed
  assert ("nothing says" in begun.said(8)) == (not figures)
  assert "trained on images of 16 pixels, here they have 8" in begun.said(8)
  assert "trained on images" not in begun.said(16)


def test_what_is_usual_for_a_file_is_said_to_be_assumed(tmp_path):
  torch.save(zoo.make("resnet20_option_a", 10).state_dict(), tmp_path / "a.th")
  begun = start.read(str(tmp_path / "a.th"), 3)
  assert begun.figures == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)) and begun.side == 32
  assert begun.assumed and "assumed by the names of its layers" in begun.said(32)
  told = start.read(str(tmp_path / "a.th"), 3, ((0.5,), (0.5,)))
  assert told.figures == ((0.5,) * 3, (0.5,) * 3) and not told.assumed


def ready(place, tmp_path, number, **changes):
  """A grade of a teacher that starts from a network, made ready."""
  settings = settle(config("kd,smoke", **{FROM: str(place)} | changes))
  loader = loop.Loader(loop._dataset(settings), school.fleet())
  starts = untrained.starts(settings.faculty, ["generalist"], 1)
  about = settings.faculty, settings.recipe, loader.dataset, settings.data, settings.checkpoint
  search = untrained.Search(*about, tmp_path, starts)
  wanted = untrained.Wanted("generalist", 0, tuple(range(10)))
  return ReadyGrade(untrained.study(search, wanted), loader, number, 0)


def steps(grade, count=2):
  """Variables with which a grade begins, and those after some steps."""
  state = grade.begin()
  before = jax.device_get(state.variables)
  return before, jax.device_get(grade.teach(state, 0, 0, count).variables)


def test_its_last_layer_learns_alone_at_first(known, tmp_path):
  grade = ready(known[0], tmp_path, 0, **{"faculty.generalist.frozen_epochs": 0.5})
  assert grade.grade.epochs == 0.5 and grade.grade.start_epoch == 0
  before, after = steps(grade)
  assert {path.split("'")[3] for path in apart(known[1], before)} == {"head"}
  assert apart(before, after) == {path for path in school.bits(before) if "'head'" in path}


def test_its_body_learns_at_its_share_of_the_rate(known, tmp_path):
  """One step moves the body by that share of what it would move, and the head as ever."""
  moved = {}
  for rate in (1.0, 0.25):
    grade = ready(known[0], tmp_path, 0, **{"faculty.generalist.body_rate": rate})
    before, after = steps(grade, 1)
    moved[rate] = jax.tree.map(lambda a, b: b - a, before["params"], after["params"])
  for part, tree in moved[1.0].items():
    share = 1.0 if part == "head" else 0.25
    for whole, less in zip(*map(jax.tree.leaves, (tree, moved[0.25][part])), strict=True):
      assert np.abs(whole).max() > 0
      np.testing.assert_allclose(less, share * whole, rtol=1e-3, atol=1e-6)


def test_it_keeps_its_statistics_while_all_of_it_learns(known, tmp_path):
  grade = ready(known[0], tmp_path, 0, **{"faculty.generalist.keep_statistics": True})
  before, after = steps(grade)
  assert apart(before["batch_stats"], after["batch_stats"]) == set()
  assert apart(before["batch_stats"], known[1]["batch_stats"]) == set()
  assert apart(before["params"], after["params"]) == {*school.bits(before["params"])}


@pytest.mark.parametrize("count, head", [(cut.BODY, {"dense"}), (3, {"conv", "bn", "dense"})])
def test_what_a_head_has_before_its_last_layer_is_of_the_body(count, head):
  """It learns nothing, and no statistics are measured there, which `count` fragments alone do."""
  wide = functools.partial(Head, activation=jax.nn.relu6)
  network = models.graduate(dataclasses.replace(SMALL, head=wide), 3)
  variables = school.random_like(school.init(network, GREY))
  learning, fixed = growth.partition(variables["params"], count)
  assert {*learning} == {"head"} and {*learning["head"]} == head
  assert apart(growth.union(learning, fixed), variables["params"]) == set()
  kept = {"train": True, "frozen": count, "mutable": ["batch_stats"]}
  _, after = network.apply(variables, np.ones((2, *GREY), np.float32), **kept)
  moved = {path.split("'")[3] for path in apart(after["batch_stats"], variables["batch_stats"])}
  assert moved == ({"bn"} if "bn" in head else set())


def test_it_sees_images_by_its_own_figures(known, tmp_path):
  """Its first batch's statistics are those of pixels by its mean and deviation, by definition."""
  grade = ready(known[0], tmp_path, 0, **{"recipe.pad": 0, "recipe.flip": False})
  before, after = steps(grade, 1)
  images = grade._loader.dataset.train.images[np.asarray(grade.batches.rows(0))[0, 0]]
  shown = (images.astype(np.float32) / 255 - MEAN[0]) / STD[0]
  kernel = known[1]["params"]["fragment_0"]["conv"]["kernel"]
  maps = jax.lax.conv_general_dilated(
    shown, kernel, (2, 2), ((1, 1), (1, 1)), dimension_numbers=("NHWC", "HWIO", "NHWC")
  )
  stats = (tree["batch_stats"]["fragment_0"]["bn"]["mean"] for tree in (before, after))
  was, now = stats
  np.testing.assert_allclose(now, 0.9 * was + 0.1 * maps.mean((0, 1, 2)), rtol=1e-4, atol=1e-5)


# The student starts, too; it grows, so that later fragments come from the start as well.
SCHOOL = {
  "grades.fragments": (1, 0), "grades.subjects": (1, 0), "grades.epochs": (0.5,),
  "grades.reference_grid": (1,), "grades.teachers": ("generalist",), "subjects": (1, 1),
}  # fmt: skip


@pytest.fixture
def settings(known):
  given = {FROM: str(known[0]), "student.start": str(known[0])}
  given |= {"faculty.cache": str(known[0].parent / "cache")}
  return settle(config("paper,smoke", **SCHOOL | given))


def test_a_school_that_starts_from_a_network(settings, known, capfd, tmp_path):
  """It is told, kept with the networks, and ends with the same bits after a stop."""
  told = loop.run(settings, tmp_path / "run")
  said = capfd.readouterr().err
  assert f"start    {known[0]}: small of 7 classes" in said
  assert f"1 epoch, from {known[0]}\n" in said and f"per image; from {known[0]}\n" in said
  noted = {"path": str(known[0]), "model": "small", "sha256": trees.sha256(known[1])}
  assert told["student"]["start"] == told["teachers"][0]["start"] == noted
  assert sum(noted["sha256"][:12] in note for note in told["notes"]) == 2
  for folder in ("graduate", "teachers/generalist/network"):
    _, info = checkpoint.load_variables(tmp_path / "run" / folder)
    assert (info["mean"], info["std"], info["start"]) == ([*MEAN], [*STD], noted)
    assert info["image_shape"] == [8, 8, 1]
  shutil.rmtree(tmp_path / "cache")
  asked = iter([False] * 7)
  with pytest.raises(Stopped, match="student: stopped after step 1"):
    loop.run(settings, tmp_path / "again", stop=lambda: next(asked, True))
  loop.run(settings, tmp_path / "again")
  same(tmp_path / "again", tmp_path / "run")
  # Another network under the same name is nobody's mix-up.
  shutil.rmtree(known[0])
  network(known[0], seed=1, mean=list(MEAN), std=list(STD))
  with pytest.raises(UserError, match="started from sha256 .* is to start from sha256"):
    loop.run(settings, tmp_path / "run")
  shutil.rmtree(tmp_path / "run" / "teachers")
  with pytest.raises(UserError, match="the network it started from was .*, is now .*workdir"):
    loop.run(settings, tmp_path / "run")


def test_what_it_starts_from_names_a_teacher_in_a_cache(settings, tmp_path):
  (begun,) = untrained.starts(settings.faculty, ["generalist"], 1).values()
  dataset = loop._dataset(settings)
  about = settings.recipe, dataset, settings.data, settings.checkpoint, tmp_path
  wanted = untrained.Wanted("generalist", 0, tuple(range(10)))

  def fingerprint(begun, **changes):
    part = dataclasses.replace(settings.faculty.generalist, **changes)
    chosen = dataclasses.replace(settings.faculty, generalist=part)
    search = untrained.Search(chosen, *about, {"generalist": begun} if begun else {})
    return faculty.fingerprint(untrained.known_by(search, untrained.study(search, wanted)))

  others = [
    fingerprint(None),
    fingerprint(dataclasses.replace(begun, sha256="0")),
    fingerprint(dataclasses.replace(begun, figures=((0.4,), (0.2,)))),
    fingerprint(begun, body_rate=0.5),
    fingerprint(begun, frozen_epochs=2.0),
    fingerprint(begun, keep_statistics=True),
  ]
  mine = fingerprint(begun)
  assert mine == fingerprint(dataclasses.replace(begun, path="elsewhere"))
  assert len({mine, *others}) == 7


REFUSED = [
  ({FROM: "{}/none.pth"}, ["none.pth"]),
  ({FROM: "{}/none"}, ["none does not exist", "nothing can start from it"]),
  ({FROM: "{}/known", "faculty.generalist.checkpoint": "a"}, ["checkpoint", "give one of them"]),
  ({FROM: "{}/known", "faculty.generalist.body_rate": 0.0}, ["faculty.generalist.body_rate", "0"]),
  ({FROM: "{}/colour"}, ["colour holds another network", "[3, 3, 3, 4], not [3, 3, 1, 4]"]),
  ({FROM: "{}/odd"}, ["mean has 3 numbers, but the images have 1 channel"]),
  ({"student.start": "{}/known", "student.model": "resnet8"}, ["is small, but student.model is"]),
  ({"student.start": "{}/known", "student.cut": "depth"}, ["student.cut to 'stages'"]),
]  # fmt: skip


@pytest.mark.parametrize("changes, words", REFUSED)
def test_what_cannot_be_is_a_line(known, tmp_path, changes, words):
  network(tmp_path / "colour", shape=(8, 8, 3))
  network(tmp_path / "odd", shape=(8, 8, 3), mean=[0.5] * 3, std=[0.5] * 3)
  given = {key: str(value).format(tmp_path) if key != "faculty.generalist.body_rate" else value
           for key, value in changes.items()}  # fmt: skip
  with pytest.raises(UserError) as told:
    loop.run(settle(config("kd,smoke", **given)), tmp_path / "run")
  for word in words:
    assert word in str(told.value), told.value
