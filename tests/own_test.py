"""What users write themselves, as docs/your-own.md tells them to, in a folder of their own."""

import json
import os
import re
import subprocess
import sys

import jax
import numpy as np
import pytest

import edjax
from edjax import methods, own
from edjax.data import datasets
from edjax.errors import UserError
from edjax.methods.kd import KD
from edjax.models import MODELS
from tests import command, library_test

PAGE = (command.ROOT / "docs" / "your-own.md").read_text()
FILES = dict(re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
COMMAND, CALL = re.findall(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path):
  """The files of the page in an empty folder."""
  assert sorted(FILES) == ["my_config.py", "my_data.py", "my_method.py", "my_network.py"]
  for name, text in FILES.items():
    (tmp_path / name).write_text(text)
  return tmp_path


def test_the_files_of_the_page_go_to_school(folder, compiled):
  words = COMMAND.split()
  assert words[0] == "edjax"
  ended = subprocess.run(
    [sys.executable, "-m", "edjax", *words[1:]],
    cwd=folder,
    env=os.environ | {"PYTHONPATH": str(command.ROOT), "JAX_NUM_CPU_DEVICES": "1"} | compiled,
    capture_output=True,
    text=True,
  )
  assert ended.returncode == 0, ended.stderr
  report = json.loads((folder / "runs/bars/report.json").read_text())
  assert report["student"]["model"] == "my_network:BODY"
  assert report["dataset"] == "my_data:bars" and report["classes"][-1] == "six"
  assert report["run"]["settings"]["methods"]["distance"] == {
    "method": "my_method:LogitDistance", "weight": 0.7, "scale": 0.25, "standardise": False,
  }  # fmt: skip
  assert report["student"]["top1"] > 0.5  # of six classes, each a bar in its own row
  assert [len(grade["classes"]) for grade in report["grades"]] == [3, 6]


@pytest.fixture
def written(folder, monkeypatch):
  """The modules of the page, imported."""
  monkeypatch.syspath_prepend(folder)
  yield {name: __import__(name.removesuffix(".py")) for name in FILES if "config" not in name}
  for name in FILES:
    sys.modules.pop(name.removesuffix(".py"), None)


def test_objects_and_their_names_are_the_same_school(written, tmp_path, monkeypatch):
  """As the last lines of the page have it; and the method's option changes what is learnt."""
  network, method = written["my_network.py"].BODY, written["my_method.py"].LogitDistance
  assert "student=BODY" in CALL and '{"method": LogitDistance, "weight": 0.7}' in CALL
  data = edjax.data.from_arrays(*library_test.images(240))

  def go(student, mine):
    return edjax.distill(
      data,
      student,
      student,
      faculty={"cache": str(tmp_path / "cache")},
      methods={"ce": 0.3, "distance": mine},
      curriculum=edjax.Curriculum.plain(2),
      devices=1,
    )

  monkeypatch.chdir(tmp_path)
  first = go(network, {"method": method, "weight": 0.7})
  assert first.workdir == tmp_path / "runs" / "arrays"
  again = go("my_network:BODY", {"method": "my_method:LogitDistance", "weight": 0.7, "scale": 1.0})
  assert again.workdir == first.workdir  # the same settings: nothing is left to do
  again = go(network, {"method": method, "weight": 0.7, "scale": 3.0})
  assert again.workdir == tmp_path / "runs" / "arrays-2"
  objects, louder = first.report, again.report
  assert louder["student"]["sha256"] != objects["student"]["sha256"]


def test_the_loss_of_the_page_is_what_it_says(written):
  class Output:
    def __init__(self, logits):
      self.logits = logits

  student, teacher = np.random.default_rng(0).normal(size=(2, 5, 4)).astype(np.float32)
  made = written["my_method.py"].LogitDistance(scale=2.0)
  loss, memory = made.loss({}, Output(jax.numpy.asarray(student)), Output(teacher), None)
  by_hand = [2 * np.var(one - other) for one, other in zip(student, teacher, strict=True)]
  np.testing.assert_allclose(loss, by_hand, rtol=1e-5)
  assert memory == {}


def test_an_object_is_called_by_its_module(monkeypatch):
  assert own.name_of(KD, "method") == "edjax.methods.kd:KD"
  monkeypatch.setattr(sys.modules["__main__"], "MINE", MODELS["resnet8"], raising=False)
  assert own.name_of(MODELS["resnet8"], "network") == "__main__:MINE"
  assert own.find("__main__:MINE", "network") is MODELS["resnet8"]


def test_an_object_is_not_called_as_a_notebook_keeps_its_outputs(monkeypatch):
  """There `_` and `_7` are what a cell has shown, and change from one call to the next."""
  thing = object()
  for name in ("_", "_7", "body"):
    monkeypatch.setattr(sys.modules["__main__"], name, thing, raising=False)
  assert own.name_of(thing, "network") == "__main__:body"


def test_an_object_without_a_name_is_a_line():
  with pytest.raises(UserError, match="the network has no name: give it one"):
    own.name_of(object(), "network")


@pytest.mark.parametrize(
  "name, row, said",
  [
    ("mine", {"method": "no_such_module:Mine"}, "cannot import method 'no_such_module:Mine'"),
    ("mine", {"method": "json:nothing"}, "cannot import method 'json:nothing'"),
    ("mine", {"method": "json:JSONDecoder"}, "is no dataclass"),
    ("mine", {"method": "edjax.curriculum:Subject"}, "has no needs_teacher"),
    ("kd", {"method": "edjax.methods.kd:KD"}, "methods.kd is edjax's own"),
    ("mine", {"method": "edjax.methods.kd:KD", "warmth": 1.0}, "methods.mine has no option"),
    ("mine", {}, "unknown method 'mine'"),
  ],
)
def test_a_method_that_cannot_be_had_is_a_line(name, row, said):
  with pytest.raises(UserError, match=said):
    methods.build({name: row})


def test_a_data_set_of_ones_own_is_cut_as_others_are(written):
  data = datasets.load("my_data:bars", validation_fraction=0.2, train_limit=240)
  assert (len(data.train.labels), len(data.validation.labels), len(data.test.labels)) == (
    240, 120, 120,
  )  # fmt: skip
  assert data.class_names[0] == "one" and data.train.images.shape[1:] == (12, 12, 1)


@pytest.mark.parametrize(
  "name, said",
  [
    ("no_such_module:load", "cannot import data set"),
    ("math:pi", "is a float, not a function"),
    ("os.path:basename", "should return \\(\\(images, labels\\)"),
  ],
)
def test_a_data_set_that_cannot_be_had_is_a_line(name, said):
  with pytest.raises(UserError, match=said):
    datasets.load(name)
