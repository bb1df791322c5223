"""What depends on other settings is resolved after all overrides; every setting can be typed."""

import dataclasses
import importlib
import json
import pathlib
import types

import numpy as np
import pytest
import torch

from configs import caltech256, cifar100, digits, food101
from edjax import curriculum, main, rows, sections, settings, workdirs
from edjax.data.datasets import Split
from edjax.devices import pmap, processes
from edjax.errors import UserError
from edjax.recipes import published
from edjax.teachers import answers, faculty, untrained
from edjax.training import loop
from tests.reference import zoo


def resolved(made, **changes):
  with made.unlocked():
    made.update_from_flattened_dict({key.replace("__", "."): v for key, v in changes.items()})
  return settings.settle(made)


def pair(arg, teacher, student, module=cifar100, **changes):
  models = {"faculty__generalist__model": teacher, "student__model": student}
  return resolved(module.get_config(arg), **models, **changes)


# mdistiller's configs/cifar100/dkd and configs/imagenet/*/dkd.yaml
BETAS = {
  ("resnet56", "resnet20"): 2, ("resnet110", "resnet32"): 2, ("resnet32x4", "resnet8x4"): 8,
  ("wrn_40_2", "wrn_16_2"): 6, ("wrn_40_2", "wrn_40_1"): 6, ("vgg13", "vgg8"): 6,
  ("vgg13", "mobilenetv2_half"): 6, ("resnet50_cifar", "mobilenetv2_half"): 8,
  ("resnet32x4", "shufflenetv1"): 8, ("resnet32x4", "shufflenetv2"): 8,
  ("wrn_40_2", "shufflenetv1"): 8, ("resnet34", "resnet18"): 0.5, ("resnet50", "mobilenetv1"): 2,
}  # fmt: skip
# CIFAR-100/script/reviewKD.sh of its authors, mdistiller's configs/imagenet/*/reviewkd.yaml
REVIEWS = {
  ("wrn_40_2", "wrn_16_2"): 5, ("wrn_40_2", "wrn_40_1"): 5, ("wrn_40_2", "shufflenetv1"): 5,
  ("resnet32x4", "resnet8x4"): 5, ("resnet32x4", "shufflenetv1"): 5,
  ("resnet32x4", "shufflenetv2"): 8, ("resnet56", "resnet20"): 0.6,
  ("resnet110", "resnet32"): 1, ("resnet34", "resnet18"): 1, ("resnet50", "mobilenetv1"): 8,
}  # fmt: skip


@pytest.mark.parametrize("networks", BETAS)
def test_beta_of_a_pair_that_is_chosen_on_the_command_line(networks):
  assert pair("dkd", *networks).methods["dkd"]["beta"] == BETAS[networks]
  own = pair("dkd", *networks, methods__dkd__beta=3.0)
  assert own.methods["dkd"]["beta"] == 3


@pytest.mark.parametrize("networks", REVIEWS)
def test_weight_of_a_review_of_a_pair(networks):
  assert pair("reviewkd", *networks).methods["reviewkd"]["weight"] == REVIEWS[networks]


def test_for_any_other_pair():
  assert pair("dkd", "resnet8", "vgg8").methods["dkd"]["beta"] == 8
  assert pair("reviewkd", "resnet8", "vgg8").methods["reviewkd"]["weight"] == 5


def test_the_pair_of_a_network_that_is_given_as_a_folder(tmp_path):
  (tmp_path / "info.json").write_text(json.dumps({"model": "wrn_40_2"}))
  given = {"faculty__generalist__checkpoint": str(tmp_path), "student__model": "wrn_16_2"}
  assert resolved(cifar100.get_config("dkd"), **given).methods["dkd"]["beta"] == 6


def test_the_pair_of_a_network_that_is_given_as_a_file(tmp_path):
  path = tmp_path / "teacher.pth"
  given = {"faculty__generalist__checkpoint": str(path), "student__model": "wrn_16_2"}
  torch.save({"net": zoo.make("wrn_40_2", 100).state_dict()}, path)
  row = resolved(cifar100.get_config("dkd"), **given).methods["dkd"]
  assert row["beta"] == 6  # and not that of the model that nobody has changed
  path.write_bytes(b"")
  with pytest.raises(UserError, match="teacher.pth is empty"):
    resolved(cifar100.get_config("dkd"), **given)
  # Where nothing depends on it, it is not read before it is hired.
  own = given | {"methods__dkd__beta": 3.0}
  assert resolved(cifar100.get_config("dkd"), **own).methods["dkd"]["beta"] == 3
  assert resolved(cifar100.get_config("kd"), **given).methods["kd"]["weight"] == 0.9
  other = given | {"student__model": "resnet8"}
  assert resolved(cifar100.get_config("dkd"), **other).methods["dkd"]


def test_of_several_processes_the_first_alone_needs_that_folder(tmp_path, monkeypatch):
  """What it resolved is what all of them train."""

  ran = []
  made = cifar100.get_config("dkd")
  made.student.model, made.faculty.generalist.checkpoint = "wrn_16_2", str(tmp_path)
  (tmp_path / "info.json").write_text(json.dumps({"model": "wrn_40_2"}))
  of_the_first = settings.settle(made)
  (tmp_path / "info.json").unlink()
  monkeypatch.setattr(processes, "tell", lambda work: of_the_first)
  monkeypatch.setattr(loop, "run", lambda settled, *_: ran.append(settled))
  monkeypatch.setattr(pmap, "keep_freed_memory", lambda: None)
  main._run(made, str(tmp_path / "run"), "train")
  assert [each.methods["dkd"]["beta"] for each in ran] == [6]


def test_imagenets_numbers_where_the_recipe_is_imagenets():
  """mdistiller's configs/imagenet/r34_r18."""
  made = caltech256.get_config("kd")
  assert dict(made.methods.ce) == {"weight": 0.5, "smoothing": 0.0}
  assert (made.methods.kd.weight, made.methods.kd.temperature) == (0.5, 1)
  row = settings.settle(caltech256.get_config("dkd")).methods["dkd"]
  assert [row[key] for key in ("alpha", "beta", "temperature", "warm_up")] == [1, 0.5, 1, 1]
  row = settings.settle(caltech256.get_config("reviewkd")).methods["reviewkd"]
  assert (row["weight"], row["warmup"]) == (1, 1)
  made = caltech256.get_config("dot")
  assert made.recipe.dot_delta == 0.09
  assert (made.methods.ce.weight, made.methods.kd.weight, made.methods.kd.temperature) == (
    0.5,
    0.5,
    1,
  )
  assert cifar100.get_config("dot").recipe.dot_delta == 0.075


def test_cc_is_the_form_that_its_weight_belongs_to():
  row = cifar100.get_config("cc").methods.cc
  assert (row.weight, row.form) == (0.02, "consecutive")


@pytest.mark.parametrize("teachers", [2, 3, 5])
def test_several_teachers_count_as_their_authors_let_them(teachers):
  """CA-MKD's helper/loops.py divides the sum of w·KD by M; Σ w is M − 1 for EBKD, 1 for CA-MKD."""
  sums = {"average": teachers, "aekd": teachers, "ebkd": teachers - 1, "camkd": 1}
  for variant, total in sums.items():
    made = resolved(cifar100.get_config(variant), faculty__generalists=teachers)
    assert made.methods["kd"]["weight"] == pytest.approx(total / teachers)
  made = resolved(cifar100.get_config("camkd"), faculty__generalists=teachers)
  assert made.methods["camkd"]["weight"] == pytest.approx(50 / teachers)  # scripts/run.sh: -b 50
  made = cifar100.get_config("camkd")
  assert resolved(made, methods__kd__weight=0.7).methods["kd"]["weight"] == 0.7


def test_semantic_calibration_sees_a_batch():
  made = resolved(cifar100.get_config("semckd"), recipe__batch_size=48)
  assert made.methods["semckd"]["images"] == 48


def test_ones_own_teacher_is_like_the_student_that_is_chosen():
  made = resolved(cifar100.get_config("self"), student__model="resnet8")
  assert made.faculty.generalist.model == made.faculty.specialist.model == "resnet8"


def test_teachers_learn_as_they_are_told():
  recipe = lambda made: untrained._recipe(made.recipe, made.faculty.generalist)  # noqa: E731
  plain = settings.settle(digits.get_config("kd"))
  function = settings.settle(digits.get_config("function"))
  assert recipe(function) == recipe(plain)
  assert recipe(plain).optimiser == "sgd" and recipe(plain).weight_decay == 5e-4
  assert recipe(settings.settle(digits.get_config("dot"))).optimiser == "sgd"
  own = resolved(digits.get_config("kd"), faculty__generalist__weight_decay=1e-3)
  assert recipe(own).weight_decay == 1e-3 and own.recipe.weight_decay == 5e-4
  follows = resolved(digits.get_config("kd"), recipe__weight_decay=1e-3)
  assert recipe(follows).weight_decay == 1e-3


def test_function_matching_is_beyers_on_food():
  """arXiv:2106.05237 and its code: 100 epochs, batch 512, 0.01, a cosine, T 10, clip 1, mixup."""
  made = settings.settle(food101.get_config("function"))
  assert [(row.learning_rate, row.epochs) for row in made.grades] == [(0.01, 100)]
  recipe = made.recipe
  assert (recipe.batch_size, recipe.schedule, recipe.milestones) == (512, "cosine", ())
  assert (recipe.weight_decay, recipe.clip, recipe.mixup) == (1e-3, 1, 1)
  assert made.methods["kd"] | {"temperature": 10, "weight": 1} == made.methods["kd"]


def test_nothing_stays_open():
  for variant in published.METHODS:
    leaves = workdirs.flat(settings.to_json(settings.settle(food101.get_config(variant))))
    assert not [key for key, value in leaves.items() if value is None]


def test_stages_of_equal_size_belong_together():
  made = pair("at", "resnet18_cifar", "shufflenetv2")
  assert made.methods["at"]["pairs"] == "1:2,2:3,3:4"
  assert pair("at", "resnet56", "resnet20").methods["at"]["pairs"] == ""
  own = pair("at", "resnet18_cifar", "shufflenetv2", methods__at__pairs="3:4")
  assert own.methods["at"]["pairs"] == "3:4"


@pytest.mark.parametrize(
  "student, teacher",
  [("resnet20", "resnet110"), ("resnet8x4", "resnet32x4"), ("wrn_16_2", "wrn_40_2"),
   ("vgg8", "vgg13"), ("resnet18", "resnet34"), ("resnet8_half", "resnet8_half")],
)  # fmt: skip
def test_fsp_has_a_teacher_like_the_student_that_is_chosen(student, teacher):
  made = resolved(cifar100.get_config("fsp"), student__model=student)
  assert made.faculty.generalist.model == made.faculty.specialist.model == teacher
  own = {"faculty__generalist__model": "resnet56", "student__model": student}
  made = resolved(cifar100.get_config("fsp"), **own)
  assert made.faculty.generalist.model == "resnet56" and made.faculty.specialist.model == teacher


@pytest.mark.parametrize(
  "config, variant, digits",
  [("digits", "kd", "e63bad3a09e6"), ("cifar100", "kd", "7261f4fb3ce8"),
   ("food101", "kd", "5425db607a66"), ("digits", "dot", "e63bad3a09e6")],
)  # fmt: skip
def test_teachers_in_a_cache_keep_their_names(config, variant, digits):
  """The fingerprints are those that 4881a47 gave, before teachers had an optimiser of their own."""
  made = settings.settle(importlib.import_module(f"configs.{config}").get_config(variant))
  images = np.arange(40 * 8 * 8).astype(np.uint8).reshape(40, 8, 8, 1)
  data = types.SimpleNamespace(train=Split(images, (np.arange(40) % 10).astype(np.int32)))
  recipe = untrained._recipe(made.recipe, made.faculty.generalist)
  data.name = made.dataset
  known = made.faculty, made.recipe, data, made.data, made.checkpoint
  search = untrained.Search(*known, pathlib.Path())
  study = untrained.study(search, untrained.Wanted("generalist", 3, tuple(range(10))))

  def fingerprint(recipe):
    asked = dataclasses.replace(study, recipe=recipe)
    return faculty.fingerprint(untrained.known_by(search, asked))

  assert study.recipe == recipe

  assert fingerprint(recipe) == digits
  changed = {"optimiser": "adamw"}, {"weight_decay": 0.1}, {"clip": 1.0}
  others = [fingerprint(curriculum.Recipe(**vars(recipe) | change)) for change in changed]
  assert len({digits, *others}) == 4


def test_a_whole_number_is_the_same_as_a_float(typed):
  """As the command line has it where a tuple is given, so that a cache has one name for both."""
  words = (
    "--config=configs/cifar100.py:brief",
    "--config.data.mean=0,0,0",
    "--config.data.std=1,1,1",
  )
  made = settings.settle(typed(*words, "--config.faculty.generalist.image_sizes=0.5,1"))
  floats = made.data.mean, made.data.std, made.faculty.generalist.image_sizes
  assert json.dumps(floats) == "[[0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.5, 1.0]]"
  assert type(made.seed) is int and type(made.recipe.batch_size) is int


@pytest.mark.parametrize("name", ["digits", "cifar100:paper,dkd", "food101:function,ed"])
def test_settings_are_read_back_from_json(name):
  config, _, arg = name.partition(":")
  made = settings.settle(importlib.import_module(f"configs.{config}").get_config(arg))
  text = json.dumps(settings.to_json(made))
  assert settings.from_json(json.loads(text)) == made
  assert hash(made.grades) and hash(made.recipe) and hash(made.faculty) and hash(made.data)
  with pytest.raises(dataclasses.FrozenInstanceError):
    made.seed = 1


def test_settings_of_an_earlier_version_are_read():
  """Its grades were columns, and it had not all settings."""
  made = settings.settle(digits.get_config())
  tree = settings.to_json(made)
  tree["grades"] = {key: list(column) for key, column in rows.columns(tree["grades"]).items()}
  del tree["data"]["source"], tree["faculty"]["check"], tree["checkpoint"]
  assert settings.from_json(tree) == made


@pytest.mark.parametrize(
  "changes, said",
  [
    ({"sed": 1}, "there is no setting sed; there are name, dataset"),
    ({"recipe": {"batchsize": 8}}, "there is no setting recipe.batchsize"),
    ({"faculty": {"specialist": {"epoch": 8}}}, "there is no setting faculty.specialist.epoch"),
    ({"seed": 1.5}, "seed is 1.5; give a whole number"),
    ({"seed": -1}, "seed is -1; it must be at least 0"),
    ({"data": {"mean": ("a",)}}, "data.mean is .'a',.; give a tuple of such as a number"),
    ({"data": {"mean": 0.5}}, "data.mean is 0.5; give a tuple"),
    ({"recipe": {"flip": 1}}, "recipe.flip is 1; give True or False"),
    ({"checkpoint": {"keep": 0}}, "checkpoint.keep is 0; it must be at least 1"),
    ({"faculty": {"generalists": 0}}, "faculty.generalists is 0; it must be at least 1"),
    ({"faculty": {"seed": -1}}, "faculty.seed is -1"),
    ({"faculty": {"generalist": {"checkpoint": ["a"]}}}, "generalist.checkpoint is .*one text"),
    ({"faculty": {"specialist": {"checkpoint": "a"}}}, "specialist.checkpoint is 'a'; give a tup"),
    ({"faculty": {"generalist": {"checkpoint": "a,b"}}}, "there are 1 generalists"),
    ({"faculty": {"generalist": {"model": "resnet8,resnet14"}}}, "give one network, or one for"),
    ({"subjects": (1, 0)}, "subjects is .1.0, 0.0.; give one positive ratio"),
    ({"residence": "cloud"}, "unknown residence 'cloud'"),
    ({"student": {"model": "resnet2"}}, "unknown model 'resnet2'"),
    ({"grades": {"grade_1": {"methods": "kdd"}}}, "unknown method of grades.methods 'kdd'"),
    ({"grades": {"grade_1": {"epochs": 0}}}, "grade 1 of 1 has 0 epochs"),
    ({"methods": {"kd": {"weight": -1.0}}}, "methods.kd.weight is -1.0"),
  ],
)
def test_what_settings_cannot_be_is_named(changes, said):
  def changed(tree, changes):
    part = {
      k: changed(tree.get(k, {}), v) if isinstance(v, dict) else v for k, v in changes.items()
    }
    return tree | part

  with pytest.raises(UserError, match=said) as caught:
    settings.from_json(changed(settings.to_json(settings.settle(digits.get_config("kd"))), changes))
  assert "\n" not in str(caught.value)


def test_what_has_to_be_set():
  tree = settings.to_json(settings.settle(digits.get_config("kd")))
  del tree["faculty"]["specialist"]["model"]
  with pytest.raises(UserError, match="faculty.specialist.model is not set"):
    settings.from_json(tree)


def test_a_bank_keeps_what_its_tables_can():
  assert sections.PRECISIONS == tuple(answers.NUMBERS)
