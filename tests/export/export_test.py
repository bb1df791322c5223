"""Files answer as the networks' re-statements in PyTorch do, in their own runtimes."""

import dataclasses
import json
import sys
import zipfile

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.torch
import torch

import edjax
from edjax import export, models
from edjax.errors import UserError
from edjax.models import layers
from tests import small
from tests.export import files
from tests.models.families_test import FAMILIES
from tests.reference import zoo

PROGRAMS = ("onnx", "stablehlo", "litert")
# Of vgg8 the convolutions have a bias.
QUICK = {("resnet8", kind) for kind in export.FORMATS} | {("vgg8", "onnx")}
CASES = [
  pytest.param(name, kind, marks=() if (name, kind) in QUICK else pytest.mark.slow)
  for name in FAMILIES
  for kind in export.FORMATS
]


@pytest.mark.parametrize("name, kind", CASES)
def test_every_family_in_every_format(name, kind, tmp_path):
  files.needed(kind)
  student = files.graduate(name)
  path = tmp_path / f"student{files.ENDINGS[kind]}"
  facts = edjax.export.write(student, path)
  assert facts.difference < 1e-4 and facts.size == path.stat().st_size
  assert sorted(file.name for file in tmp_path.iterdir()) == [path.name, f"{path.name}.md"]
  if kind not in PROGRAMS:
    told = safetensors.torch.load_file if kind == "safetensors" else torch.load
    network = zoo.make(name, len(files.NAMES), student.image_shape).eval()
    network.load_state_dict(told(path), strict=False)
    for key, tensor in zoo.state(student.variables, name).items():
      assert torch.equal(network.state_dict()[key], tensor)
    return
  for count in (1, 3, 7):
    images = files.pictures(student, count)
    wanted = files.odds(files.reference(student, images))
    answered = files.asked(path, images)
    assert answered.dtype == np.float32
    np.testing.assert_allclose(answered, wanted, rtol=0, atol=1e-4)


@pytest.mark.parametrize("kind", PROGRAMS)
def test_raw(kind, tmp_path):
  files.needed(kind)
  student = files.graduate("resnet8", (9, 7, 1))
  path = tmp_path / f"student{files.ENDINGS[kind]}"
  edjax.export.write(student, path, raw=True)
  images = files.pictures(student, 5)
  wanted = files.reference(student, images)
  answered = files.asked(path, files.normalised(student, images))
  np.testing.assert_allclose(answered, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())


@pytest.mark.parametrize("kind", export.FORMATS)
def test_a_file_knows_its_classes(kind, tmp_path):
  files.needed(kind)
  path = tmp_path / f"student{files.ENDINGS[kind]}"
  edjax.export.write(files.graduate("resnet8", (9, 7, 1)), path)
  if kind == "torch":
    return  # a state dict has no place for them; its card has
  if kind == "onnx":
    import onnx

    notes = {note.key: note.value for note in onnx.load(path).metadata_props}
    assert json.loads(notes["classes"]) == list(files.NAMES) and notes["model"] == "resnet8"
  elif kind == "safetensors":
    with safetensors.safe_open(path, "numpy") as file:
      assert json.loads(file.metadata()["edjax"])["classes"] == list(files.NAMES)
  else:
    with zipfile.ZipFile(path) as archive:
      assert archive.read("labels.txt").decode().splitlines() == list(files.NAMES)
      assert json.loads(json.loads(archive.read("notes.json"))["mean"]) == [files.MEAN[0]]


@pytest.fixture
def state(tmp_path):
  """(graduate, path) of files of tensors, which need no package."""
  return files.graduate("resnet8", (9, 7, 1)), tmp_path / "student.safetensors"


def test_a_file_that_answers_otherwise_is_none(state, monkeypatch):
  student, path = state
  edjax.export.write(student, path)
  before = path.read_bytes()

  def write(program, path):
    moved = jax.tree.map(lambda leaf: 1.001 * leaf, student.variables)
    row.write(
      dataclasses.replace(program, graduate=dataclasses.replace(student, variables=moved)), path
    )

  row = export.FORMATS["safetensors"]
  monkeypatch.setitem(export.FORMATS, "safetensors", dataclasses.replace(row, write=write))
  with pytest.raises(UserError, match=r"answers otherwise than edjax, by 0\.0\d+ where 0\.0001"):
    edjax.export.write(student, path)
  assert path.read_bytes() == before  # that of before
  assert len(list(path.parent.iterdir())) == 2


def test_only_what_it_wrote_is_replaced(state):
  student, path = state
  path.write_text("mine")
  with pytest.raises(UserError, match="no card beside it says that edjax wrote it"):
    edjax.export.write(student, path)
  assert path.read_text() == "mine" and len(list(path.parent.iterdir())) == 1
  path.rename(f"{path}.md")  # nor is a card of somebody's own
  with pytest.raises(UserError, match=r"student\.safetensors\.md is there already"):
    edjax.export.write(student, path)
  (path.parent / f"{path.name}.md").unlink()
  for _ in range(2):
    edjax.export.write(student, path)


def test_other_endings(state):
  with pytest.raises(UserError, match=r"student\.h5 is of no format .* \.onnx \(onnx\), "):
    edjax.export.write(state[0], state[1].with_suffix(".h5"))


@pytest.mark.parametrize(
  "kind, module, extra",
  [
    ("onnx", "jax2onnx", "export"),
    ("stablehlo", "flatbuffers", "export"),
    ("litert", "litert_converter", "litert"),
  ],
)
def test_what_is_missing_is_named(kind, module, extra, state, monkeypatch):
  for name in [name for name in sys.modules if name.split(".")[0] == module]:
    monkeypatch.delitem(sys.modules, name)
  monkeypatch.setitem(sys.modules, module, None)
  with pytest.raises(UserError, match=rf"needs {module}.*pip install 'edjax\[{extra}\]'"):
    edjax.export.write(state[0], state[1].with_suffix(files.ENDINGS[kind]))
  assert not list(state[1].parent.iterdir())


class Odd(nn.Module):
  """A head that asks for eigenvalues, for which deployed runtimes have no operation."""

  num_classes: int

  @nn.compact
  def __call__(self, x, norm):
    embedding = x.mean(axis=(1, 2))
    square = embedding[:, :, None] * embedding[:, None, :]
    return embedding, layers.dense(jnp.linalg.eigvalsh(square), self.num_classes), ()


ODD = dataclasses.replace(small.SMALL, head=Odd)


@pytest.mark.parametrize("kind", ["onnx", "litert", "safetensors"])
def test_what_a_format_cannot_hold_is_refused(kind, tmp_path):
  files.needed(kind)
  network = models.graduate(ODD, 5)
  variables = jax.device_get(models.begin(network, jax.random.key(0), (6, 6, 1)))
  student = edjax.Graduate(
    "tests.export.export_test:ODD", files.NAMES, (6, 6, 1), (0.5,), (0.2,), variables
  )
  with pytest.raises(UserError, match="tests.export.export_test:ODD"):
    edjax.export.write(student, tmp_path / f"student{files.ENDINGS[kind]}")
  assert not list(tmp_path.iterdir())


def test_a_network_of_ones_own(tmp_path):
  files.needed("onnx")
  network = models.graduate(small.SMALL, 5)
  variables = jax.device_get(models.begin(network, jax.random.key(0), (6, 6, 1)))
  student = edjax.Graduate("tests.small:SMALL", files.NAMES, (6, 6, 1), (0.5,), (0.2,), variables)
  edjax.export.write(student, tmp_path / "student.onnx")
  images = files.pictures(student, 3)
  answered = files.asked(tmp_path / "student.onnx", images)
  np.testing.assert_allclose(answered, student(images), rtol=0, atol=1e-5)
