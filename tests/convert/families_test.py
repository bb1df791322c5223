"""A network of every family goes to PyTorch and back, and there gives the same answers."""

import functools
import tempfile

import jax
import numpy as np
import pytest
import safetensors.torch
import torch

from edjax import convert, models
from edjax.convert import tensors
from edjax.training import growth
from tests.convert.convert_test import same
from tests.models.drawn import assert_close, images, nchw, randomised
from tests.models.families_test import FAMILIES
from tests.reference import zoo

SHAPE = (64, 64, 3)


def published(name, scheme):
  """Tensors with no number like another, as the re-statement has them, under a scheme's names."""
  with torch.device("meta"):
    shapes = zoo.make(name, shape=SHAPE).state_dict()
  torch.manual_seed(0)
  state = {
    key: torch.rand(like.shape) + 0.5 if like.is_floating_point() else torch.tensor(12_345)
    for key, like in shapes.items()
  }
  first, *_ = convert.NAMES[name]
  if scheme == first:
    return state
  # The re-statement's names are the first scheme's; both name the same places in edjax's network.
  theirs, ours = (
    {place.path: key for key, place in tensors.layout(name, names, 7, SHAPE).items()}
    for names in (convert.NAMES[name][scheme], convert.NAMES[name][first])
  )
  return {theirs[path]: state[key] for path, key in ours.items()}


@pytest.fixture
def folder():
  """Of files so large that pytest should not keep them."""
  with tempfile.TemporaryDirectory() as path:
    yield path


@pytest.mark.parametrize(
  "name,scheme", [(name, scheme) for name in FAMILIES for scheme in convert.NAMES[name]]
)
def test_round_trip_is_bit_identical(name, scheme, folder):
  """From one kind of file to the other and back; recognised, with no name missing or left over."""
  state = published(name, scheme)
  torch.save(state, f"{folder}/a.pth")
  for source, target in (("a.pth", "b.safetensors"), ("b.safetensors", "c.pth")):
    variables, info, found = convert.read(f"{folder}/{source}", scheme=scheme)
    assert (info["model"], info["num_classes"], found) == (name, 7, scheme)
    assert convert.write(f"{folder}/{target}", variables, info, scheme) == scheme
  same(state, safetensors.torch.load_file(f"{folder}/b.safetensors"))
  same(state, torch.load(f"{folder}/c.pth", weights_only=True))


def equal(part, student, graduate):
  """A fragment of a student is in the graduate to the bit."""
  ours, theirs = (
    {key: tree[part] for key, tree in variables.items() if part in tree}
    for variables in (student, graduate)
  )
  assert jax.tree.all(jax.tree.map(np.array_equal, ours, theirs))


QUICK = ("resnet8", "resnet14", "vgg8")
DEEP = ("resnet14", "resnet20_option_a", "wrn_16_1", "resnet18", "resnet50", "mobilenetv2_half",
        "mobilenetv2", "shufflenetv1", "efficientnet_b0", "vit_tiny_patch4")  # fmt: skip


@pytest.mark.parametrize(
  "name, cut",
  [
    pytest.param(name, cut, marks=() if name in QUICK else pytest.mark.slow)
    for cut, names in (("stages", FAMILIES), ("depth", DEEP))
    for name in names
  ],
)
def test_a_grown_graduate_runs_in_pytorch(name, cut, folder):
  """Three grades; the logits of classes that came in another order are in the data set's own."""
  body, order, shape = models.body(name), (2, 0, 3, 1), (2, 32, 32, 3)
  curriculum = (1, 2), (2, 3), (models.fragments(name, cut), 4)  # fragments, classes
  make = models.shallow if cut == "depth" else models.pupil
  pupils = [make(body, *grade) for grade in curriculum]
  grades = [randomised(pupil, shape, seed) for seed, pupil in enumerate(pupils)]
  graft = functools.partial(growth.graft, blocks=models.blocks(name, cut))
  grown = functools.reduce(graft, grades)
  if cut == "stages":
    for number, student in enumerate(grades):
      equal(f"fragment_{number}", student, grown)
  info = {"model": name, "classes": list("abcd"), "dataset": "letters"}
  path = f"{folder}/graduate.safetensors"
  convert.write(path, growth.graduate(grown, np.argsort(order)), info)
  network = zoo.make(name, len(order), shape[1:]).eval()
  network.load_state_dict(safetensors.torch.load_file(path))
  x = images(shape)
  with torch.no_grad():
    theirs = network(nchw(x)).logits.numpy()
  ours = jax.jit(pupils[-1].apply)(grown, x).logits
  assert_close(ours, theirs[:, order])
  assert convert.read(path, name)[1]["classes"] == list("abcd")
