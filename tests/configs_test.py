"""Every file in configs/: its variants as plain data, and its smoke run from end to end."""

import dataclasses
import importlib
import inspect
import json
import math
import pathlib

import jax
import numpy as np
import pytest

from edjax import curriculum, models, rows, settings, workdirs
from edjax.data import datasets
from edjax.data.photographs import archives as published_archives
from edjax.recipes import common, published
from edjax.settings import settle
from edjax.storage import checkpoint, trees
from edjax.training import loop
from tests import archives, command

CLASSES = {
  "digits": 10, "fashion_mnist": 10, "cifar10": 10, "cifar100": 100, "folder": 6, "food101": 101,
  "caltech256": 256, "tiny_imagenet": 200, "tfds": 6, "tess": 3, "kepler": 2, "et": 3,
  "bulge": 4,
}  # fmt: skip
MODULES = {name: importlib.import_module(f"configs.{name}") for name in CLASSES}
ROWS = [
  (name, arg)
  for name, module in MODULES.items()
  for arg in ("", *(key for axis in module.VARIANTS.values() for key in axis))
]


def plan(config, num_classes):
  """Builds what a run builds of a config before it trains."""
  config = settings.settle(config)
  fragments = len(models.body(config.student.model).fragments)
  for part in (config.faculty.specialist, config.faculty.generalist):
    models.body(part.model)
  return curriculum.build(config.grades, config.subjects, num_classes, fragments)


def test_no_config_is_left_out():
  files = {path.stem for path in (command.ROOT / "configs").glob("*.py")}
  assert files - {"__init__", "common", "published"} == set(CLASSES)


@pytest.mark.parametrize("name, arg", ROWS)
def test_variant(name, arg):
  config = MODULES[name].get_config(arg)
  assert config.is_locked
  with pytest.raises(AttributeError, match="batchsize"):
    config.recipe.batchsize = 1
  with pytest.raises(TypeError):
    config.seed = "one"
  assert config.name == (f"{name}_{arg}" if arg else name)
  assert config.dataset in {*datasets.DATASETS, "tfds"}
  assert set(config.data) <= set(inspect.signature(datasets.load).parameters)
  assert json.loads(config.to_json()) == json.loads(json.dumps(config.to_dict()))
  built = plan(config, CLASSES[name])
  last = built.grades[-1]
  assert built.num_classes == last.num_classes == CLASSES[name]
  assert last.fragments == len(models.body(config.student.model).fragments)
  assert all(grade.learning_rate > 0 for grade in built.grades)


@pytest.mark.parametrize("method", published.METHODS)
@pytest.mark.parametrize("name", CLASSES)
def test_every_method_under_education(name, method):
  """Whatever phases the method has alone, the config's own curriculum is the plain one."""
  config = MODULES[name].get_config(f"{method},ed")
  built, alone = plan(config, CLASSES[name]), plan(MODULES[name].get_config("ed"), CLASSES[name])
  phases = 1 if method == "ft" else 0
  assert [g.fragments for g in built.grades[phases:]] == [g.fragments for g in alone.grades]
  assert len(built.grades[-1].teachers) == len(alone.grades[-1].teachers) or method in (
    "average", "ebkd", "aekd", "camkd",
  )  # fmt: skip


@pytest.mark.parametrize("name", CLASSES)
def test_what_the_variants_promise(name):
  def built(arg):
    config = MODULES[name].get_config(arg)
    return config, plan(config, CLASSES[name])

  (_, ce), (_, kd) = built("ce"), built("kd")
  assert not ce.teachers and len(ce.grades) == 1
  assert kd.teachers == ("generalist",) and len(kd.grades) == 1
  assert ce.grades[0].epochs == kd.grades[0].epochs
  config, paper = built("paper")
  subjects = min(3, CLASSES[name] // 2)  # each needs two classes
  assert paper.teachers == ("subject_1", "subject_2", "subject_3")[:subjects]
  whole = len(models.body(config.student.model).fragments)
  assert [grade.fragments for grade in paper.grades] == [1, 2, whole]
  seen = [min(number, subjects) for number in (1, 2, 3)]
  assert [len(grade.subjects) for grade in paper.grades] == seen
  assert [len(grade.teachers) for grade in paper.grades] == seen
  # 150 + 30 + 60 epochs, to the nearest whole one.
  epochs = [grade.epochs for grade in paper.grades]
  assert np.abs(np.array([150, 30, 60]) / 240 * sum(epochs) - epochs).max() < 1
  assert {k: dict(v) for k, v in config.methods.items()} == {
    "ce": {"weight": 0.3, "smoothing": 0.0},
    "kd": {"weight": 0.7, "temperature": 4.0, "standardise": False},
  }
  _, default = built("")
  assert len(default.grades) > 1
  if name == "digits":
    assert default.grades[0].fragments == 1
  else:  # images of half the side, of three quarters, and whole, for teachers too
    assert [grade.image_size for grade in default.grades] == [0.5, 0.75, 0]
    assert {grade.fragments for grade in default.grades} == {whole}
  small, _ = built("smoke")
  assert {row.epochs for row in small.grades.values()} == {1} and 0 < small.data.train_limit <= 500


def test_the_papers_cifar100():
  built = plan(MODULES["cifar100"].get_config("paper"), 100)
  assert [len(subject.classes) for subject in built.subjects] == [33, 33, 34]
  assert [grade.epochs for grade in built.grades] == [150, 30, 60]


@pytest.mark.parametrize("arg", ["smoke,kd", "kd,smoke"])
@pytest.mark.parametrize("name", CLASSES)
def test_variants_combine(name, arg):
  config = MODULES[name].get_config(arg)
  assert config.name == f"{name}_kd_smoke" and config.is_locked
  assert [row.teachers for row in config.grades.values()] == ["generalist"]
  assert [row.epochs for row in config.grades.values()] == [
    1
  ]  # smoke means seconds, wherever it stands
  assert config.data.train_limit == MODULES[name].get_config("smoke").data.train_limit
  plan(config, CLASSES[name])


def test_unknown_variant():
  with pytest.raises(ValueError, match="'smok' .did you mean 'smoke'.*curriculum: ce, kd, paper"):
    MODULES["digits"].get_config("kd,smok")


def test_smoke_changes_nothing_but_size():
  def settings(arg):
    return workdirs.flat(MODULES["digits"].get_config(arg).to_dict())

  one, other = settings(""), settings("smoke")
  assert {key.split(".")[-1] for key in one if one[key] != other[key]} <= {
    "name", "train_limit", "model", "epochs", "warmup_epochs",
  }  # fmt: skip


def test_base_is_complete():
  given = common.base("name", "digits")
  assert set(given.grades) == set(MODULES["digits"].get_config().grades)
  fields = set(inspect.signature(rows.GradeRow).parameters)
  assert all(set(row) == fields for row in given.grades.values())
  assert set(given.recipe) <= set(inspect.signature(curriculum.Recipe).parameters)


# --- the runs ------------------------------------------------------------------------------------

STUDENT = {
  "model", "params", "macs", "top1", "top5", "top1_best", "nll", "ece", "agreement", "sha256",
}  # fmt: skip
TEACHER = {"name", "model", "subject", "classes", "params", "top1"}
GRADE = {
  "name", "fragments", "classes", "epochs", "top1", "top1_by_subject", "train_macs", "seconds",
  "images_per_second",
}  # fmt: skip
WHOLE = {
  "config", "dataset", "seed", "device", "versions", "student", "teachers", "grades", "train_macs",
  "seconds",
}  # fmt: skip


def check_run(workdir, report, config, test_images):
  """Checks what a run left behind against the contract and against itself."""
  assert json.loads((workdir / "report.json").read_text()) == report
  settled = settings.to_json(settle(config))
  assert json.loads((workdir / "config.json").read_text()) == settled
  assert report["config"] in (workdir / "report.html").read_text()
  assert not [
    path for path in workdir.rglob("*") if "tmp" in path.name or "unfinished" in path.name
  ]
  assert report.keys() >= WHOLE and report["student"].keys() >= STUDENT
  assert report["config"] == settled["name"] and report["dataset"] == settled["dataset"]
  student = report["student"]
  assert student["exam_count"] == test_images == np.sum(student["confusion"])
  assert student["top1"] == np.trace(student["confusion"]) / test_images
  fractions = [student[key] for key in ("top1", "top5", "top1_best", "ece")]
  built = plan(config, len(report["classes"]))
  assert [row["name"] for row in report["grades"]] == [grade.name for grade in built.grades]
  for row, grade in zip(report["grades"], built.grades, strict=True):
    assert row.keys() >= GRADE and row["epochs"] == grade.epochs
    assert len(row["classes"]) == grade.num_classes and len(row["fragments"]) == grade.fragments
    assert row["top1_by_subject"].keys() == {subject.name for subject in grade.subjects}
    assert row["seconds"] > 0 and row["train_macs"] > 0
    fractions += [row["top1"], *row["top1_by_subject"].values()]
  assert {row["name"] for row in report["teachers"]} == set(built.teachers)
  for row in report["teachers"]:
    assert row.keys() >= TEACHER
    fractions.append(row["top1"])
  assert (student["agreement"] is None) == (not built.teachers)
  assert all(0 <= value <= 1 for value in fractions) and student["top1"] <= student["top5"]
  assert math.isfinite(student["nll"]) and student["nll"] > 0
  assert report["grades"][-1]["top1"] == pytest.approx(student["top1"])
  variables, info = checkpoint.load_variables(workdir / "graduate")
  assert trees.sha256(variables) == student["sha256"] and len(student["sha256"]) == 64
  assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == student["params"]
  assert info["classes"] == report["classes"]
  check_journal(workdir / "metrics.jsonl", report)


def check_journal(path, report):
  rows = [json.loads(line) for line in path.read_text().splitlines()]
  for grade in report["grades"]:
    own = [row for row in rows if row["grade"] == grade["name"]]
    steps = [row["step"] for row in own if row["kind"] == "train"]
    assert steps == sorted(set(steps))
    assert [row["epoch"] for row in own if row["kind"] == "train"][-1] == grade["epochs"]
    assert sum(row["kind"] == "exam" for row in own) == grade["epochs"]
  assert all(0 <= row["top1"] <= 1 for row in rows)


@pytest.fixture(scope="session")
def data_dirs(tmp_path_factory):
  """Returns {config: (folder with its data, test images)}, made up, in the published layouts."""
  folders = {name: tmp_path_factory.mktemp(name) for name in CLASSES if name != "digits"}
  archives.write_fashion(folders["fashion_mnist"], ".gz", train=600, test=50)
  files, _, _ = archives.cifar100_files(classes=100, train=300, test=100)
  archives.write_tar(folders["cifar100"] / "cifar-100-binary.tar.gz", "cifar-100-binary", files)
  files = {f"data_batch_{i}.bin": archives.cifar_records(60 + i, 1, 10)[0] for i in range(1, 6)}
  files |= {"test_batch.bin": archives.cifar_records(40, 1, 10)[0]}
  files |= {"batches.meta.txt": "".join(f"class {i}\n" for i in range(10)).encode()}
  archives.write_tar(folders["cifar10"] / "cifar-10-binary.tar.gz", "cifar-10-batches-bin", files)
  archives.write_food101(folders["food101"], [f"dish_{i:03}" for i in range(101)])
  caltech = [f"{i:03}.thing-{i}" for i in range(1, 258)]
  archives.write_caltech256(folders["caltech256"], caltech, count=4)
  archives.write_tiny_imagenet(folders["tiny_imagenet"], [f"n{i:08}" for i in range(200)], 4, 1)
  archives.write_tess(folders["tess"])
  archives.write_kepler(folders["kepler"])
  archives.write_sky(folders["et"])
  archives.write_sky(folders["bulge"], subject="lenses")
  for part, count in (("train", 20), ("test", 7)):
    archives.write_tree(folders["folder"] / part, ("ant", "bee", "cow"), count)
  rows = [(path, i % 3) for i, path in enumerate(sorted(folders["folder"].glob("train/*/*")))]
  archives.write_tfds(folders["tfds"], "beans", "0.1.0", (4, 4, 3), "abc", {"train": rows})
  counts = {
    "fashion_mnist": 50, "cifar10": 40, "cifar100": 100, "folder": 21, "food101": 202,
    "caltech256": 256, "tiny_imagenet": 200, "tfds": 12, "tess": 8, "kepler": 12,
    "et": 12, "bulge": 12,
  }  # fmt: skip
  return {name: (str(folder), counts[name]) for name, folder in folders.items()}


def _in_turn(number, curricula):
  """One curriculum, from config to config another one; tests/training/rows_test.py starts all."""
  return [*curricula][number % len(curricula)]


@pytest.mark.parametrize(
  "name, arg, model",
  [
    ("digits", "smoke", "small"),
    ("food101", "ce,smoke", "small"),
    ("tess", "ce,smoke", "small"),
    *(
      pytest.param(name, arg, "resnet8_half", marks=pytest.mark.slow)
      for number, (name, module) in enumerate(MODULES.items())
      for arg in ("smoke", f"{_in_turn(number, module.VARIANTS['curriculum'])},smoke")
    ),
  ],
)
def test_smoke(name, arg, model, data_dirs, small, tmp_path, monkeypatch, capsys):
  config = MODULES[name].get_config(arg)
  data_dir, test_images = data_dirs.get(name, ("", 451))
  if name in published_archives.ARCHIVES:
    row = published_archives.ARCHIVES[name]
    archives.publish(monkeypatch, name, pathlib.Path(data_dir) / row.name)
  config.data_dir, config.devices = data_dir, 1
  if name == "tfds":
    config.data.name = "beans"
  for part in (config.student, config.faculty.specialist, config.faculty.generalist):
    part.model = model
  load, note = datasets.load, "what was read and what was not"
  monkeypatch.setattr(
    datasets, "load", lambda *place, **how: dataclasses.replace(load(*place, **how), notes=(note,))
  )
  report = loop.run(settle(config), tmp_path / "run")
  check_run(tmp_path / "run", report, config, test_images)
  assert report["notes"].count(note) == capsys.readouterr().err.count(note) == 1
  sky = name in ("tess", "kepler", "et", "bulge")
  page = (tmp_path / "run" / "report.html").read_text()
  assert ("positives" in report["student"]) == ("test light curves" in page) == sky
  assert ("test images" in page) != sky
  assert report["config"].startswith("beans" if name == "tfds" else name)


def test_the_order_in_which_variants_are_named_does_not_matter():
  one, other = (MODULES["fashion_mnist"].get_config(arg) for arg in ("quick,kd", "kd,quick"))
  assert one.grades == other.grades and one.data == other.data
  assert [row.fragments for row in one.grades.values()] == [0] and one.data.train_limit == 20_000


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("arg", [arg for name, arg in ROWS if name == "folder"])
def test_few_classes_are_enough(arg, classes):
  """Whatever is taught, no grade has a single class, of which there is nothing to learn."""
  built = plan(MODULES["folder"].get_config(arg), classes)
  assert all(grade.num_classes == classes for grade in built.grades)
  assert built.notes
